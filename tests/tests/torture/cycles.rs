//! The same again and again: nothing grows, and what is to stay stays.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use subhost_tests::case::{self, Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::{Fixture, address_of};
use subhost_tests::guest::{Guest, booted_again};
use subhost_tests::host::Host;
use subhost_tests::leak::{Kind, Snapshot};
use subhost_tests::size::Size;
use subhost_tests::wire;

use crate::Torture;

const MBR: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];
const TREE: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];

pub(crate) const CASES: &[Torture] = &[
    Torture {
        case: Case { name: "cycles_of_boot_and_stop_leave_nothing", needs: MBR, body: boots },
        size: BOOTS,
    },
    Torture {
        case: Case {
            name: "cycles_of_reboots_from_inside_keep_all_that_is_to_stay",
            needs: MBR,
            body: reboots,
        },
        size: REBOOTS,
    },
    Torture {
        case: Case { name: "cycles_of_start_and_stop_leave_nothing", needs: TREE, body: starts },
        size: STARTS,
    },
];

const BOOTS: Size = Size { unit: "boots", short: 300, long: 10_000 };
const REBOOTS: Size = Size { unit: "reboots", short: 20, long: 1000 };
const STARTS: Size = Size { unit: "starts", short: 30, long: 1000 };

/// How many cycles there are from one leak check to the next.
const CHECKED: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(30);
const BRIDGE: &str = "br0";
/// Of the one that runs all the time.
const MAC: [u8; 6] = [0x06, 0xa7, 0xdd, 0xb4, 0x02, 0xf2];

fn mac() -> String {
    MAC.map(|byte| format!("{byte:02x}")).join(":")
}

/// A subhost with a cable to the bridge, one to nowhere, and a cgroup.
fn config(host: &Host, name: &str, image: &Path, more: &str) -> io::Result<()> {
    let image = image.display();
    host.config(name, &format!("DISKS=( vda:1:{image} )\nTASKS=200\n{more}\n"))
}

fn boots(host: &Host) -> Verdict {
    host.bridge(BRIDGE, "10.80.0.1/16")?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let (name, bystander) = (host.name("tiny"), host.name("stays"));
    config(host, &bystander, &image, &format!("EPHEMERAL=yes\nBRIDGES=( {BRIDGE}:{} )", mac()))?;
    host.done(&["boot", "--detach", &bystander])?;
    host.running(&bystander)?.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    let own = host.directory().join("own.raw");
    fs::copy(&image, &own)?;
    config(host, &name, &own, &format!("BRIDGES=( {BRIDGE} : )"))?;
    // The first one makes what is there until the machine boots.
    cycle(host, &name)?;
    let (before, open) = (Snapshot::take(&host.scope())?, open_here()?);
    let (count, begun) = (BOOTS.now(), Instant::now());
    for round in 1..=count {
        cycle(host, &name)?;
        if round % CHECKED == 0 || round == count {
            let checked = case::nothing_left(host, &before).and_then(|()| no_more_open_here(open));
            checked.map_err(|error| format!("after {round} boots: {error}"))?;
        }
    }
    eprintln!("{FIGURE}{count} boots in {} s", begun.elapsed().as_secs());
    let page = wire::page((address_of(0, MAC), 80).into(), PATIENCE)?;
    assert_eq!(page, format!("This is {bystander}, a subhost.\n"));
    host.done(&["stop", &bystander])?;
    Ok(())
}

/// Comes back from the boot when rc 2 is done.
fn cycle(host: &Host, name: &str) -> io::Result<()> {
    host.done(&["boot", "--detach", name])?;
    host.done(&["stop", name])?;
    Ok(())
}

/// How many descriptors the test itself has open.
fn open_here() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

/// What reads the output of a command that has ended closes it in its own time.
fn no_more_open_here(before: usize) -> Verdict {
    let deadline = Instant::now() + case::CLEAN_UP;
    loop {
        let open = open_here()?;
        if open <= before {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!("the test has {open} descriptors open, and not {before}").into());
        }
        std::thread::yield_now();
    }
}

/// What a reboot keeps.
#[derive(Debug, PartialEq)]
struct Kept {
    supervisor: Value,
    /// The user and the network namespace, and what is pinned of the latter.
    namespaces: Vec<String>,
    /// Names, indexes and hardware addresses of both ends of both cables.
    cables: Vec<String>,
    /// How much there is of each kind.
    counts: BTreeMap<Kind, usize>,
}

impl Kept {
    fn of(host: &Host, name: &str) -> Result<Kept, Box<dyn Error>> {
        let guest = host.running(name)?;
        let namespace = |kind| fs::read_link(format!("/proc/{}/ns/{kind}", guest.init_pid()));
        let mut namespaces =
            vec![namespace("user")?.display().to_string(), namespace("net")?.display().to_string()];
        namespaces.push(format!("net:[{}]", fs::metadata(Path::new("/run/netns").join(name))?.ino()));
        let outside = host.witness("ip", &["-j", "link"])?;
        let inside = host.witness("ip", &["-n", name, "-j", "link"])?;
        let mut cables = Vec::new();
        for link in [outside, inside].iter().map(|text| serde_json::from_str::<Vec<Value>>(text)) {
            let keys = ["ifindex", "ifname", "address", "master", "mtu", "link_index"];
            cables.extend(link?.iter().map(|link| keys.map(|key| format!("{key}={}", link[key])).join(" ")));
        }
        let counts = Snapshot::take(&host.scope())?.counts();
        Ok(Kept { supervisor: guest.field("supervisor_pid").clone(), namespaces, cables, counts })
    }
}

fn reboots(host: &Host) -> Verdict {
    host.bridge(BRIDGE, "10.80.0.1/16")?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    config(host, &name, &image, &format!("BRIDGES=( {BRIDGE}:{} : )", mac()))?;
    host.done(&["boot", "--detach", &name])?;
    let mut guest = host.running(&name)?;
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    let first = Kept::of(host, &name)?;
    let (count, begun) = (REBOOTS.now(), Instant::now());
    let mut early = None;
    for round in 1..=count {
        guest = reboot(host, &name, &guest)?;
        stays(host, &name, &first).map_err(|error| format!("after {round} reboots: {error}"))?;
        // What is held more than before, also by the supervisor. It does not yet look at its first run.
        if round == 10 {
            early = Some((Snapshot::take(&host.scope())?, open_here()?, private(&guest)?));
        }
        if round > 10 && (round % CHECKED == 0 || round == count) {
            let (snapshot, open, _) = early.as_ref().ok_or("no tenth reboot")?;
            grows_not(host, snapshot).map_err(|error| format!("after {round} reboots: {error}"))?;
            no_more_open_here(*open)?;
        }
    }
    let (_, _, early) = early.ok_or("no tenth reboot")?;
    let took = begun.elapsed().as_secs();
    eprintln!(
        "{FIGURE}{count} reboots in {took} s; of the supervisor's memory {early} KiB are its own after 10, {} KiB at the end",
        private(&guest)?
    );
    let page = wire::page((address_of(0, MAC), 80).into(), PATIENCE)?;
    assert_eq!(page, format!("This is {name}, a subhost.\n"));
    host.done(&["stop", &name])?;
    Ok(())
}

/// Reboots from inside, and waits until it is ready.
fn reboot(host: &Host, name: &str, guest: &Guest) -> Result<Guest, Box<dyn Error>> {
    // Its status cannot come back: it dies with the guest.
    host.subhostctl(&["enter", name, "--", "reboot", "-f"])?;
    let next = booted_again(host, name, guest)?;
    host.done(&["wait", "--ready", name])?;
    Ok(next)
}

/// Waits until all is as it was at first: the pin comes after the record, and processes of a start go in their own time.
fn stays(host: &Host, name: &str, first: &Kept) -> Verdict {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Kept::of(host, name) {
            Ok(now) if now == *first => return Ok(()),
            now if Instant::now() >= deadline => return Err(format!("{now:?}\nand not\n{first:?}").into()),
            _ => {}
        }
    }
}

/// Of what a reboot makes anew as much was there before; this is the rest.
fn grows_not(host: &Host, before: &Snapshot) -> Verdict {
    let difference = before.difference(&Snapshot::take(&host.scope())?);
    for kind in [Kind::Descriptor, Kind::Memory, Kind::KernelLog, Kind::File, Kind::Link, Kind::Cgroup] {
        if !difference.left(kind).is_empty() {
            return Err(difference.to_string().into());
        }
    }
    Ok(())
}

/// The memory that its supervisor has written to, in KiB.
fn private(guest: &Guest) -> Result<u64, Box<dyn Error>> {
    let table = fs::read_to_string(format!("/proc/{}/smaps_rollup", guest.field("supervisor_pid")))?;
    let lines = table.lines().filter(|line| line.starts_with("Private_Dirty"));
    Ok(lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum())
}

/// All that there can be: an image with the upper layer of an overlay, a cable, limits.
fn starts(host: &Host) -> Verdict {
    host.bridge(BRIDGE, "10.80.0.1/16")?;
    let base = host.copy_of(Fixture::TinyTree)?;
    let name = host.name("tree");
    let directory = host.subhost_dir().join(&name);
    fs::create_dir_all(&directory)?;
    let text = format!("BASE={}\nBRIDGES=( {BRIDGE} )\nRATE=100mbit\nTASKS=200\n", base.display());
    fs::write(directory.join("config"), text)?;
    let content = host.directory().join("content");
    fs::create_dir_all(content.join("root"))?;
    fs::rename(host.ext4_of(&content, "content.ext4")?, directory.join(format!("{name}.img")))?;
    for place in ["live", "mnt"] {
        fs::create_dir(directory.join(place))?;
    }
    let start = |script: &str| host.done(&["start", &name, "--", "sh", "-c", script]);
    let identity = || Ok::<_, io::Error>(host.guest(&name)?.map(|guest| guest.field("netns_inode").clone()));
    start("true")?;
    host.done(&["stop", "--wait", &name])?;
    let (before, open) = (Snapshot::take(&host.scope())?, open_here()?);
    let (count, begun) = (STARTS.now(), Instant::now());
    for round in 1..=count {
        start(&format!("echo {round} >/round"))?;
        let lingers = identity()?;
        assert_eq!(start("cat /round")?, format!("{round}\n"));
        assert_eq!(identity()?, lingers, "made anew in round {round}");
        host.done(&["stop", &name])?;
        if round % CHECKED == 0 || round == count {
            let checked = case::nothing_left(host, &before).and_then(|()| no_more_open_here(open));
            checked.map_err(|error| format!("after {round} starts: {error}"))?;
        }
    }
    eprintln!("{FIGURE}{count} starts, entered again and stopped, in {} s", begun.elapsed().as_secs());
    Ok(())
}
