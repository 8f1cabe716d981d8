//! `kill -9` of the program at random moments of a boot.

use std::time::{Duration, Instant};

use subhost_tests::case::{self, Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::program::slowness;
use subhost_tests::random::{Random, seed};
use subhost_tests::wire;

use crate::{BRIDGE, MAC, address, boot, bridge};

pub(crate) const CASES: &[Case] = &[Case {
    name: "killed_at_forty_moments_a_boot_leaves_nothing_or_a_guest_that_runs",
    needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
    body: forty_kills,
}];

const PATIENCE: Duration = Duration::from_secs(20);

fn forty_kills(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    let before = Snapshot::take(&host.scope())?;

    // A whole boot, to know how long one takes.
    let started = Instant::now();
    boot(host, &name)?;
    let whole = started.elapsed();
    host.done(&["stop", &name])?;
    case::nothing_left(host, &before)?;

    let seed = seed();
    eprintln!("{FIGURE}SUBHOST_SEED={seed} repeats these moments, as far as the machine does");
    let mut random = Random::new(seed);
    let (mut nothing, mut running) = (0, 0);
    for _ in 0..40 {
        let moment = random.below(whole);
        let mut command = host.start(&["boot", &name])?;
        let ended = command.wait(moment)?;
        assert!(ended.is_none(), "boot ended by itself: {}", command.finish(PATIENCE)?);
        command.kill()?;
        drop(command);
        if is_running(host, &name, &before)? {
            running += 1;
            // It runs, whatever became of what started it.
            assert_eq!(wire::page(address(80), PATIENCE)?, format!("This is {name}, a subhost.\n"));
            let again = host.subhostctl(&["boot", &name])?;
            assert!(again.code != 0 && again.stderr.contains("running"), "killed after {moment:?}: {again}");
            host.done(&["stop", &name])?;
        } else {
            nothing += 1;
        }
        case::nothing_left(host, &before)?;
    }
    eprintln!("{FIGURE}of 40 kills {nothing} left nothing and {running} left a running guest");
    assert!(
        nothing > 0 && running > 0,
        "all kills fell on one side: {nothing} left nothing, {running} a guest"
    );

    // And the next boot boots.
    boot(host, &name)?;
    assert_eq!(wire::page(address(80), PATIENCE)?, format!("This is {name}, a subhost.\n"));
    host.done(&["stop", &name])?;
    Ok(())
}

/// What a kill has left, once the host has come to rest: a guest that runs, or nothing at all.
fn is_running(host: &Host, name: &str, before: &Snapshot) -> Result<bool, Box<dyn std::error::Error>> {
    let deadline = Instant::now() + case::CLEAN_UP * slowness();
    loop {
        if host.guest(name)?.is_some_and(|guest| guest.state() == "running") {
            return Ok(true);
        }
        let difference = before.settle(&host.scope(), Duration::ZERO)?;
        if difference.is_empty() {
            return Ok(false);
        }
        // The one name that is made before it is written down: `stop` takes it away, as the next boot would.
        if difference.to_string().lines().all(|line| line.starts_with("left behind: cgroup ")) {
            host.done(&["stop", name])?;
            if before.settle(&host.scope(), Duration::ZERO)?.is_empty() {
                eprintln!("{FIGURE}a cgroup was left, and is swept");
            }
        }
        if Instant::now() >= deadline {
            return Err(format!("no guest runs, but something is left\n{difference}").into());
        }
    }
}
