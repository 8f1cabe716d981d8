//! Many at once: of different names, and of one.

use std::collections::BTreeSet;
use std::time::Duration;

use subhost_tests::case::{Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::{Outcome, Running};

const MBR: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "sixty_four_different_ones_boot_at_once", needs: MBR, body: different },
    Case {
        name: "of_sixty_four_boots_of_one_name_one_wins_and_the_others_say_who",
        needs: MBR,
        body: one_name,
    },
];

const MANY: usize = 64;
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts a boot of each, and waits for all.
fn boot_all(host: &Host, names: &[String]) -> std::io::Result<Vec<Outcome>> {
    let started: Vec<Running> =
        names.iter().map(|name| host.start(&["boot", "--detach", name])).collect::<Result<_, _>>()?;
    started.into_iter().map(|boot| boot.finish(PATIENCE)).collect()
}

fn different(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let names: Vec<String> = (0..MANY).map(|index| host.name(&format!("n{index}x"))).collect();
    for name in &names {
        let text = format!("DISKS=( vda:1:{} )\nEPHEMERAL=yes\nBRIDGES=( : )\n", image.display());
        host.config(name, &text)?;
    }
    for outcome in boot_all(host, &names)? {
        assert_eq!(outcome.code, 0, "{outcome}");
    }
    let ids = names.iter().map(|name| Ok(host.running(name)?.field("isolation")["first_id"].as_u64()));
    let ids: BTreeSet<_> = ids.collect::<std::io::Result<_>>()?;
    assert_eq!(ids.len(), MANY, "ranges of ids are shared");
    let told = host.subhostctl(&["stop", "n*"])?;
    assert_eq!(told.code, 0, "{told}");
    eprintln!("{FIGURE}stop of {MANY}: {} ms", told.took.as_millis());
    Ok(())
}

fn one_name(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("one");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let outcomes = boot_all(host, &vec![name.clone(); MANY])?;
    let init = host.running(&name)?.init_pid();
    let (mut won, mut ran, mut refused) = (0, 0, 0);
    for outcome in &outcomes {
        let said = &outcome.stderr;
        if outcome.code == 0 && said.contains(&format!("is running already, with init {init}")) {
            ran += 1;
        } else if outcome.code == 0 {
            won += 1;
        } else {
            let who =
                ["another command is starting or stopping it", &format!("is running, with init {init}")];
            assert!(outcome.code == 2 && who.iter().any(|who| said.contains(who)), "{outcome}");
            refused += 1;
        }
    }
    assert_eq!(won, 1, "{outcomes:?}");
    eprintln!("{FIGURE}of {MANY} boots of one name {ran} found it running, {refused} being started");
    let events = host.done(&["--json", "events", &name])?;
    assert_eq!(events.lines().filter(|line| line.contains("\"event\":\"boot\"")).count(), 1, "{events}");
    host.done(&["stop", &name])?;
    Ok(())
}
