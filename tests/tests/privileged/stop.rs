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
    Case {
        name: "stop_all_stops_all_that_run",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: stop_all,
    },
    Case {
        name: "kill_ends_a_guest_without_its_stop_scripts",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: kill_at_once,
    },
    Case {
        name: "kill_with_a_signal_is_for_pid_1_of_the_guest",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: kill_with_a_signal,
    },
    Case {
        name: "wait_lasts_over_a_reboot_and_ends_with_the_guest",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: wait_for_the_end,
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
    std::fs::write(host.directory().join("K99slow"), "#!/bin/sh\necho slow >>/var/log/boot\nsleep 1\n")?;
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

fn stop_all(host: &Host) -> Verdict {
    let (one, _) = booted(host)?;
    let other = host.name("other");
    let image = host.directory().join("other.raw");
    std::fs::copy(host.copy_of(Fixture::TinyMbr)?, &image)?;
    host.config(&other, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    boot(host, &other)?;
    let outcome = host.subhostctl(&["stop", "--all"])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    for name in [&one, &other] {
        assert!(outcome.stderr.contains(&format!("{name}: stopped")), "{outcome}");
        assert_eq!(host.guest(name)?.map(|guest| guest.state().to_owned()).as_deref(), Some("stopped"));
    }
    let both = host.subhostctl(&["stop", "--all", &one])?;
    assert_eq!(both.code, 2, "names and --all: {both}");
    Ok(())
}

fn kill_at_once(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    std::fs::write(host.directory().join("K99late"), "#!/bin/sh\necho late >>/var/log/boot\n")?;
    insert(host, &image, "K99late", "/etc/rc0.d/K99late", 0o100_755)?;
    let log = format!("{name}:/var/log/boot");

    let guest = boot(host, &name)?;
    let outcome = host.subhostctl(&["kill", &name])?;
    assert!(outcome.stderr.contains(&format!("{name}: killed")), "{outcome}");
    stays_down(host, &name, &guest, &outcome)?;
    assert!(!host.done(&["cp", &log, "-"])?.contains("late"), "its stop scripts were run");
    let again = host.subhostctl(&["kill", &name])?;
    assert!(again.code == 0 && again.stderr.contains("does not run"), "{again}");

    // The control: an orderly stop does run them.
    boot(host, &name)?;
    host.done(&["stop", &name])?;
    assert!(host.done(&["cp", &log, "-"])?.contains("late"), "a stop did not run them either");
    Ok(())
}

fn kill_with_a_signal(host: &Host) -> Verdict {
    let (name, guest) = booted(host)?;
    for wrong in ["BREAD", "0", "65", ""] {
        let refused = host.subhostctl(&["kill", "--signal", wrong, &name])?;
        assert!(refused.code == 2 && refused.stderr.contains("signal"), "{wrong:?}: {refused}");
    }
    // It has no handler for this one, and is PID 1.
    host.done(&["kill", "--signal", "TTOU", &name])?;
    assert!(!guest.ends(WATCH)?, "SIGTTOU ended it");
    host.done(&["kill", "-s", "usr2", &name])?;
    let outcome = host.subhostctl(&["wait", "--timeout", "20", &name])?;
    // By then the names are free; who has freed them may still be on the way out.
    assert!(guest.supervisor()?.ends(PATIENCE)?, "the supervisor goes on: {outcome}");
    stays_down(host, &name, &guest, &outcome)
}

fn wait_for_the_end(host: &Host) -> Verdict {
    let (name, guest) = booted(host)?;
    let over = host.subhostctl(&["wait", "--timeout", "0", &name])?;
    assert!(over.code == 1 && over.stderr.contains(&name), "{over}");

    let mut wait = host.start(&["wait", &name])?;
    host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
    assert!(guest.ends(PATIENCE)?, "still there after a reboot");
    let deadline = Instant::now() + PATIENCE;
    while host.running(&name).is_err() {
        assert!(Instant::now() < deadline, "it did not come back");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(wait.wait(WATCH)?.is_none(), "it took a reboot for the end");
    host.done(&["stop", &name])?;
    let outcome = wait.finish(PATIENCE)?;
    assert_eq!(outcome.code, 0, "{outcome}");

    assert_eq!(host.subhostctl(&["wait", &name])?.code, 0, "of one that does not run");
    let unknown = host.subhostctl(&["wait", &host.name("nobody")])?;
    assert!(unknown.code == 2 && unknown.stderr.contains("neither running nor configured"), "{unknown}");
    Ok(())
}
