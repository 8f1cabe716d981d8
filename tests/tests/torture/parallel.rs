//! Many at once: of different names, of one, and on one bridge.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use subhost_tests::case::{self, Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::{Fixture, address_of};
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::program::{Outcome, Running};
use subhost_tests::size::Size;
use subhost_tests::wire;

use crate::Torture;

const MBR: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Torture] = &[
    Torture {
        case: Case { name: "sixty_four_different_ones_boot_at_once", needs: MBR, body: different },
        size: DIFFERENT,
    },
    Torture {
        case: Case {
            name: "of_sixty_four_boots_of_one_name_one_wins_and_the_others_say_who",
            needs: MBR,
            body: one_name,
        },
        size: ONE_NAME,
    },
    Torture {
        case: Case { name: "all_that_boot_at_once_on_one_bridge_are_reached", needs: MBR, body: reached },
        size: REACHED,
    },
];

const DIFFERENT: Size = Size { unit: "rounds", short: 5, long: 100 };
const ONE_NAME: Size = Size { unit: "rounds", short: 2, long: 20 };
const REACHED: Size = Size { unit: "subhosts", short: 40, long: 300 };

const MANY: usize = 64;
const PATIENCE: Duration = Duration::from_secs(300);

/// Starts a boot of each, and waits for all.
fn boot_all(host: &Host, names: &[String]) -> io::Result<Vec<Outcome>> {
    let started: Vec<Running> =
        names.iter().map(|name| host.start(&["boot", "--detach", name])).collect::<Result<_, _>>()?;
    started.into_iter().map(|boot| boot.finish(PATIENCE)).collect()
}

/// All that read one image, each with changes of its own.
fn config(host: &Host, name: &str, image: &Path, bridge: &str) -> io::Result<()> {
    let image = image.display();
    host.config(name, &format!("DISKS=( vda:1:{image} )\nEPHEMERAL=yes\nBRIDGES=( {bridge} )\n"))
}

/// Stops all, and looks at what is left.
fn stop_all(host: &Host, before: &Snapshot) -> Result<Duration, Box<dyn std::error::Error>> {
    let told = host.subhostctl(&["stop", "n*"])?;
    assert_eq!(told.code, 0, "{told}");
    case::nothing_left(host, before)?;
    Ok(told.took)
}

fn different(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let names: Vec<String> = (0..MANY).map(|index| host.name(&format!("n{index}x"))).collect();
    for name in &names {
        config(host, name, &image, ":")?;
    }
    let before = Snapshot::take(&host.scope())?;
    let (mut booting, mut stopping) = (Duration::ZERO, Duration::ZERO);
    for round in 0..DIFFERENT.now() {
        let begun = Instant::now();
        for outcome in boot_all(host, &names)? {
            assert_eq!(outcome.code, 0, "round {round}: {outcome}");
        }
        booting += begun.elapsed();
        let list: Vec<Value> = serde_json::from_str(&host.done(&["list", "--json"])?)?;
        let running = list.iter().filter(|row| row["state"] == "running");
        let ids: BTreeSet<_> = running.map(|row| row["isolation"]["first_id"].as_u64()).collect();
        assert_eq!(ids.len(), MANY, "round {round}: not all run, or ranges of ids are shared");
        stopping += stop_all(host, &before).map_err(|error| format!("round {round}: {error}"))?;
    }
    let each = |time: Duration| (time / DIFFERENT.now()).as_millis();
    eprintln!("{FIGURE}{MANY} boot in {} ms and stop in {} ms", each(booting), each(stopping));
    Ok(())
}

fn one_name(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("none");
    config(host, &name, &image, ":")?;
    let before = Snapshot::take(&host.scope())?;
    let (mut ran, mut refused) = (0, 0);
    for round in 0..ONE_NAME.now() {
        let outcomes = boot_all(host, &vec![name.clone(); MANY])?;
        let init = host.running(&name)?.init_pid();
        let is_running = format!("is running already, with init {init}");
        let who = ["another command is starting or stopping it", &format!("is running, with init {init}")];
        let mut won = 0;
        for outcome in &outcomes {
            let said = &outcome.stderr;
            if outcome.code == 0 && said.contains(&is_running) {
                ran += 1;
            } else if outcome.code == 0 {
                won += 1;
            } else {
                let is_told = outcome.code == 2 && who.iter().any(|who| said.contains(who));
                assert!(is_told, "round {round}: {outcome}");
                refused += 1;
            }
        }
        assert_eq!(won, 1, "round {round}: {outcomes:?}");
        stop_all(host, &before).map_err(|error| format!("round {round}: {error}"))?;
    }
    let events = host.done(&["--json", "events", &name])?;
    let boots = events.lines().filter(|line| line.contains("\"event\":\"boot\"")).count();
    assert_eq!(boots, usize::try_from(ONE_NAME.now())?, "{events}");
    eprintln!("{FIGURE}of {MANY} boots of one name each {ran} found it running, {refused} being started");
    Ok(())
}

fn reached(host: &Host) -> Verdict {
    host.bridge("br0", "10.80.0.1/16")?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let mut places = Vec::new();
    for index in 0..REACHED.now() {
        let (high, low) = (u8::try_from(1 + index / 250)?, u8::try_from(1 + index % 250)?);
        let name = host.name(&format!("n{index}x"));
        config(host, &name, &image, &format!("br0:06:a7:dd:b4:{high:02x}:{low:02x}"))?;
        places.push((name, address_of(0, [0x06, 0xa7, 0xdd, 0xb4, high, low])));
    }
    let before = Snapshot::take(&host.scope())?;
    let begun = Instant::now();
    let names: Vec<String> = places.iter().map(|(name, _)| name.clone()).collect();
    for outcome in boot_all(host, &names)? {
        assert_eq!(outcome.code, 0, "{outcome}");
    }
    let booted = begun.elapsed();
    for (name, address) in &places {
        assert_eq!(wire::page((*address, 80).into(), PATIENCE)?, format!("This is {name}, a subhost.\n"));
    }
    let all = begun.elapsed();
    let stopped = stop_all(host, &before)?;
    let [booted, all, stopped] = [booted, all, stopped].map(|time| time.as_millis());
    eprintln!(
        "{FIGURE}{} booted in {booted} ms, all pages fetched after {all} ms, stopped in {stopped} ms",
        names.len()
    );
    Ok(())
}
