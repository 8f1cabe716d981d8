//! Processes whose parent has ended, and how many a guest may have at once.

use std::fs;
use std::time::{Duration, Instant};

use subhost_tests::case::{Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::probe;

use crate::boot;
use crate::limits::value;

pub(crate) const CASES: &[Case] = &[Case {
    name: "a_hundred_thousand_orphans_never_fill_a_guests_tasks",
    needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
    body: never_full,
}];

const PATIENCE: Duration = Duration::from_secs(30);
/// An emulated machine forks slowly.
const LONG: Duration = Duration::from_secs(150);

/// What PID 1 has of memory, in KiB.
fn memory(init: u32) -> std::io::Result<Vec<String>> {
    let status = fs::read_to_string(format!("/proc/{init}/status"))?;
    Ok(status
        .lines()
        .filter(|line| line.starts_with("VmSize") || line.starts_with("VmData"))
        .map(str::to_owned)
        .collect())
}

fn never_full(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    probe::write(&tree.join("bin/probe"))?;
    let image = host.ext4_of(&tree, "root.ext4")?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{} )\nTASKS=200\n", image.display()))?;
    let guest = boot(host, &name)?;
    let (at_rest, before) = (value(&name, &["pids.current"])?, memory(guest.init_pid())?);
    let made = host.start(&["enter", &name, "--", "probe", "orphans", "100000"])?.finish(LONG)?;
    // Zombies are tasks: a limit that is reached says that they were not reaped in time.
    assert_eq!(made.stdout, "orphans 100000 refused 0\n", "{made}");
    assert!(value(&name, &["pids.events"])?.lines().any(|line| line == "max 0"));
    if let Ok(most) = value(&name, &["pids.peak"]) {
        eprintln!(
            "{FIGURE}100000 orphans in a guest with {at_rest} tasks: {most} tasks at most, zombies too"
        );
    }
    let deadline = Instant::now() + PATIENCE;
    while value(&name, &["pids.current"])? != at_rest {
        assert!(
            Instant::now() < deadline,
            "{} tasks are left of {at_rest}",
            value(&name, &["pids.current"])?
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(memory(guest.init_pid())?, before);
    host.done(&["stop", &name])?;
    Ok(())
}
