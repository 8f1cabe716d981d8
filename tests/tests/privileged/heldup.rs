//! Commands that do not get into a guest.

use std::time::Duration;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::boot;

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] =
    &[Case { name: "a_command_for_a_guest_without_a_task_left_fails_at_once", needs: NEEDS, body: full }];

const PATIENCE: Duration = Duration::from_secs(40);

fn configured(host: &Host, lines: &str) -> std::io::Result<String> {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n{lines}\n", image.display()))?;
    Ok(name)
}

fn full(host: &Host) -> Verdict {
    let name = configured(host, "TASKS=10\nSTOP_TIMEOUT=1s")?;
    boot(host, &name)?;
    let one_more = || host.start(&["exec", "--detach", &name, "--", "sleep", "1000"])?.finish(PATIENCE);
    let outcomes: Vec<_> = (0..10).map(|_| one_more()).collect::<std::io::Result<_>>()?;
    let outcome =
        outcomes.iter().find(|outcome| outcome.code != 0).ok_or("there are more tasks than allowed")?;
    assert_eq!(outcome.code, 125, "{outcome}");
    assert!(outcome.stderr.contains("Resource temporarily unavailable"), "{outcome}");
    assert!(outcome.stderr.contains("as many processes as TASKS allows"), "{outcome}");
    host.done(&["stop", &name])?;
    Ok(())
}
