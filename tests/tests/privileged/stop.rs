//! `stop` at awkward moments: whatever the guest is doing, it has ended afterwards and does not come back.

use std::time::{Duration, Instant};

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;
use subhost_tests::program::Outcome;

use crate::boot;
use crate::tiny::insert;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "stop_while_a_guest_goes_down_to_reboot_keeps_it_down",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: going_down,
    },
    Case {
        name: "stop_of_a_guest_that_its_supervisor_is_about_to_boot_again_keeps_it_down",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: supervisor_late,
    },
    Case {
        name: "stop_between_two_runs_of_a_guest_that_reboots_keeps_it_down",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: between_two_runs,
    },
];

const PATIENCE: Duration = Duration::from_secs(20);

/// How long is watched for something that must not happen. An absence can only be seen by waiting.
const WATCH: Duration = Duration::from_millis(300);

/// A guest with one disk, booted.
fn booted(host: &Host) -> Result<(String, Guest), Box<dyn std::error::Error>> {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let guest = boot(host, &name)?;
    Ok((name, guest))
}

/// Fails unless it has been stopped, and nobody is left who could boot it again.
fn stays_down(host: &Host, name: &str, guest: &Guest, outcome: &Outcome) -> Verdict {
    assert_eq!(outcome.code, 0, "{outcome}");
    let state = host.guest(name)?.map(|guest| guest.state().to_owned());
    assert_eq!(state.as_deref(), Some("stopped"), "{outcome}");
    assert!(guest.supervisor()?.ends(Duration::ZERO)?, "the supervisor goes on: {outcome}");
    Ok(())
}

fn going_down(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    std::fs::write(host.folder().join("K99slow"), "#!/bin/sh\necho slow >>/var/log/boot\nsleep 1\n")?;
    insert(host, &image, "K99slow", "/etc/rc6.d/K99slow", 0o100_755)?;
    let guest = boot(host, &name)?;
    guest.signal_init(rustix::process::Signal::INT)?;
    guest.wait_for_line("/var/log/boot", "slow", PATIENCE)?;
    stays_down(host, &name, &guest, &host.subhostctl(&["stop", &name])?)
}

fn supervisor_late(host: &Host) -> Verdict {
    let (name, guest) = booted(host)?;
    let supervisor = guest.supervisor()?;
    supervisor.signal(rustix::process::Signal::STOP)?;
    host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
    assert!(guest.ends(PATIENCE)?, "still there after a reboot");
    let mut stop = host.start(&["stop", &name])?;
    assert!(stop.wait(WATCH)?.is_none(), "stop did not wait for the supervisor");
    supervisor.signal(rustix::process::Signal::CONT)?;
    stays_down(host, &name, &guest, &stop.finish(PATIENCE)?)
}

/// The record is gone and not there again for some hundredths of a second: most of these fall into it.
fn between_two_runs(host: &Host) -> Verdict {
    let (name, mut guest) = booted(host)?;
    let record = std::path::Path::new("/run/subhost/record").join(&name);
    for round in 0..5 {
        if round > 0 {
            guest = boot(host, &name)?;
        }
        host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
        let deadline = Instant::now() + PATIENCE;
        while record.exists() {
            assert!(Instant::now() < deadline, "the record of the run that ended is still there");
            std::thread::yield_now();
        }
        stays_down(host, &name, &guest, &host.subhostctl(&["stop", &name])?)?;
    }
    Ok(())
}
