//! Boot, ready, stop, again and again: nothing grows.

use subhost_tests::case::{self, Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::size::Size;

use crate::Torture;

pub(crate) const CASES: &[Torture] = &[Torture {
    case: Case {
        name: "cycles_of_boot_and_stop_leave_nothing",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: boots,
    },
    size: BOOTS,
}];

const BOOTS: Size = Size { unit: "boots", short: 300, long: 10_000 };

fn boots(host: &Host) -> Verdict {
    host.bridge("br0", "10.80.0.1/16")?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let text = format!("DISKS=( vda:1:{} )\nBRIDGES=( br0 br0 )\nTASKS=200\n", image.display());
    host.config(&name, &text)?;
    let before = Snapshot::take(&host.scope())?;
    let count = BOOTS.now();
    for _ in 0..count {
        host.done(&["boot", "--detach", &name])?;
        host.done(&["stop", &name])?;
    }
    case::nothing_left(host, &before)?;
    eprintln!("{FIGURE}{count} boots");
    Ok(())
}
