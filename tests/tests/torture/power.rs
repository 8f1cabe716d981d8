//! The power fails: what a host finds after that where its `/run` is on a disk, and all that ran is gone.
//!
//! Nothing is written in an order that a disk would keep, so any mixture of what is there while subhosts run, of old, new and
//! half written, may be found: not only what was there at one moment.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use subhost_tests::case::{self, Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::program::Running;
use subhost_tests::random::{Random, seed};
use subhost_tests::size::Size;

use crate::Torture;

pub(crate) const CASES: &[Torture] = &[
    Torture {
        case: Case {
            name: "whatever_is_found_after_a_power_failure_it_boots",
            needs: &[Need::Program, Need::Made(Fixture::TinyMbr), Need::Made(Fixture::TinyTree)],
            body: mixtures,
        },
        size: MIXTURES,
    },
    Torture {
        case: Case {
            name: "a_record_that_is_torn_anywhere_is_told_and_removed",
            needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
            body: torn,
        },
        size: TORN,
    },
];

const MIXTURES: Size = Size { unit: "mixtures", short: 40, long: 4000 };
const TORN: Size = Size { unit: "records", short: 40, long: 4000 };

const PATIENCE: Duration = Duration::from_secs(20);
const RUN: &str = "/run/subhost";
const LAST_BOOT: &str = "11111111-2222-3333-4444-555555555555";
const EVENTS: &str = "/var/log/subhost/events";

/// A subhost of each kind, and what there is of it while it runs.
struct Kind {
    name: String,
    /// The words that bring it up, one or the other.
    up: [Vec<String>; 2],
    record: Vec<u8>,
    lingering: Vec<u8>,
}

/// Both kinds, and a process that has the pid of their supervisors by now.
struct Crashed {
    kinds: [Kind; 2],
    stranger: Running,
}

impl Crashed {
    fn new(host: &Host) -> Result<Self, Box<dyn std::error::Error>> {
        let [image, tree] = [host.name("image"), host.name("tree")];
        let disk = host.copy_of(Fixture::TinyMbr)?;
        host.config(
            &image,
            &format!("DISKS=( vda:1:{} )\nBRIDGES=( br0 )\nAUTOSTART=yes\n", disk.display()),
        )?;
        let base = host.copy_of(Fixture::TinyTree)?;
        fs::create_dir_all(host.subhost_dir().join(&tree))?;
        let config = format!("BASE={}\nBRIDGES=( br0 )\n", base.display());
        fs::write(host.subhost_dir().join(&tree).join("config"), config)?;

        let up = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let stranger = Running::start({
            let mut sleep = Command::new("sleep");
            sleep.arg("100000");
            sleep
        })?;
        host.done(&["boot", "--detach", &image])?;
        // Once, and again over what lingers.
        host.done(&["start", &tree, "--", "true"])?;
        let mut inside = host.start(&["start", &tree, "--", "sleep", "100000"])?;
        let lingering = Path::new(RUN).join("lingering").join(&tree);
        while !record_of(&tree).exists() || !lingering.exists() {
            assert!(inside.wait(Duration::from_millis(5))?.is_none(), "it has ended");
        }
        let kinds = [
            Kind {
                up: [up(&["boot", "--detach", &image]), up(&["autostart"])],
                record: of_stranger(&record_of(&image), &stranger)?,
                // None lingers: what is there of another configuration of that name.
                lingering: of_stranger(&record_of(&image), &stranger)?,
                name: image,
            },
            Kind {
                up: [up(&["start", &tree, "--", "true"]), up(&["start", &tree, "--", "ls", "/"])],
                record: of_stranger(&record_of(&tree), &stranger)?,
                lingering: of_stranger(&lingering, &stranger)?,
                name: tree,
            },
        ];
        all_are_known(&kinds)?;
        for kind in &kinds {
            host.done(&["stop", "--wait", &kind.name])?;
        }
        inside.finish(PATIENCE)?;
        Ok(Self { kinds, stranger })
    }
}

/// Nothing of the state is left out of what is mixed.
fn all_are_known(kinds: &[Kind; 2]) -> Verdict {
    for directory in ["", "record", "lingering", "ids", "control"] {
        for entry in fs::read_dir(Path::new(RUN).join(directory))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let is_known = match directory {
                "" => {
                    ["record", "lingering", "ids", "control", "lock", "cgroup"].contains(&&*name)
                        || name.starts_with("pid1-")
                }
                "ids" => {
                    kinds.iter().any(|kind| ids_of(&kind.record).is_ok_and(|path| path.ends_with(&name)))
                }
                _ => kinds.iter().any(|kind| kind.name == name),
            };
            assert!(is_known, "{directory}/{name} is new");
        }
    }
    Ok(())
}

fn record_of(name: &str) -> PathBuf {
    Path::new(RUN).join("record").join(name)
}

/// The other name of a record.
fn ids_of(record: &[u8]) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let value: Value = serde_json::from_slice(record)?;
    Ok(Path::new(RUN).join("ids").join(format!("{}:{}", value["first_id"], value["id_count"])))
}

/// A record as of the boot before this one, whose processes had the pid and the start time that this one has.
fn of_stranger(record: &Path, stranger: &Running) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let pid = stranger.pid();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let start: u64 =
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).ok_or("no start time")?.parse()?;
    let namespace = fs::metadata(format!("/proc/{pid}/ns/pid"))?.ino();
    let mut value: Value = serde_json::from_slice(&fs::read(record)?)?;
    for process in ["init", "supervisor"] {
        value[process]["pid"] = json!(pid);
        value[process]["start_time"] = json!(start);
        value[process]["boot_id"] = json!(LAST_BOOT);
    }
    value["supervisor"]["pid_namespace"] = json!(namespace);
    Ok(serde_json::to_vec(&value)?)
}

/// What is found of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    Nothing,
    Empty,
    Torn,
    Zeros,
    Whole,
}

const ANY: [Found; 5] = [Found::Nothing, Found::Empty, Found::Torn, Found::Zeros, Found::Whole];

impl Found {
    /// Puts it there in the place of what is there.
    fn put(self, path: &Path, whole: &[u8], mode: u32, random: &mut Random) -> Verdict {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let part = whole.get(..random.index(whole.len())).unwrap_or_default();
        let bytes = match self {
            Self::Nothing => return Ok(()),
            Self::Empty => Vec::new(),
            Self::Torn => part.to_vec(),
            // What had been allocated, and not written.
            Self::Zeros => [part, &vec![0; whole.len() - part.len()]].concat(),
            Self::Whole => whole.to_vec(),
        };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        Ok(file.write_all(&bytes)?)
    }
}

fn mixtures(host: &Host) -> Verdict {
    host.bridge("br0", "10.80.0.1/16")?;
    let mut crashed = Crashed::new(host)?;
    let pid1 = fs::read_dir(RUN)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"pid1-")))
        .ok_or("there is no copy of PID 1")?;
    let pid1 = (fs::read(&pid1)?, pid1);
    let before = Snapshot::take(&host.scope())?;
    let seed = seed();
    eprintln!("{FIGURE}SUBHOST_SEED={seed} repeats these mixtures");
    let mut random = Random::new(seed);
    let count = MIXTURES.now();
    for number in 0..count {
        let kind = &crashed.kinds[random.index(2)];
        let what = mix(kind, &pid1, &mut random)?;
        comes_up(host, kind, &mut random).map_err(|error| format!("{number}: {what}: {error}"))?;
        assert!(crashed.stranger.wait(Duration::ZERO)?.is_none(), "{what}: a process of others was ended");
        case::nothing_left(host, &before).map_err(|error| format!("{number}: {what}: {error}"))?;
    }
    eprintln!("{FIGURE}{count} mixtures");
    Ok(())
}

/// Leaves something of each file. Tells what.
fn mix(
    kind: &Kind,
    (pid1, pid1_path): &(Vec<u8>, PathBuf),
    random: &mut Random,
) -> Result<String, Box<dyn std::error::Error>> {
    let run = Path::new(RUN);
    let mut told = kind.name.clone();
    for (path, whole, mode) in [
        (record_of(&kind.name), &kind.record, 0o600),
        (record_of(&format!(".{}", kind.name)), &kind.record, 0o600),
        (run.join("lingering").join(&kind.name), &kind.lingering, 0o600),
        (run.join("lock"), &Vec::new(), 0o600),
        (pid1_path.clone(), pid1, 0o555),
        // The file that a namespace is pinned on is always an empty one.
        (Path::new("/run/netns").join(&kind.name), &Vec::new(), 0o000),
    ] {
        let found = ANY[random.index(ANY.len())];
        found.put(&path, whole, mode, random)?;
        told += &format!(", {} {found:?}", path.display());
    }
    let events = fs::read(EVENTS)?;
    let length = events.len() - random.index(20).min(events.len());
    fs::write(EVENTS, events.get(..length).unwrap_or_default())?;
    let by_ids = ids_of(&kind.record)?;
    // A second name of the record, or what was one.
    match random.index(3) {
        0 if record_of(&kind.name).exists() => {
            told += ", ids";
            fs::hard_link(record_of(&kind.name), by_ids)?;
        }
        1 => {
            told += ", other ids";
            ANY[random.index(ANY.len())].put(&by_ids, &kind.record, 0o600, random)?;
        }
        _ => {}
    }
    if random.index(2) == 0 {
        told += ", control";
        // Nobody listens, as the listener is gone at once.
        drop(UnixListener::bind(run.join("control").join(&kind.name))?);
    }
    Ok(told)
}

/// It is not said to run, and is brought up and down, after nothing or one of the commands that clean up.
fn comes_up(host: &Host, kind: &Kind, random: &mut Random) -> Verdict {
    let list: Vec<Value> = serde_json::from_str(&host.done(&["list", "--json", &kind.name])?)?;
    let state = list.first().and_then(|row| row["state"].as_str()).unwrap_or_default();
    assert!(["stopped", "ended", "unreadable"].contains(&state), "{list:?}");
    if let Some(words) = [&["stop", &kind.name][..], &["recover"]].get(random.index(3)) {
        host.done(words)?;
        let list: Vec<Value> = serde_json::from_str(&host.done(&["list", "--json", &kind.name])?)?;
        assert_eq!(list[0]["state"], "stopped");
    }
    let boots_before = boots(host, &kind.name)?;
    let words: Vec<&str> = kind.up[random.index(2)].iter().map(String::as_str).collect();
    host.done(&words)?;
    let list: Vec<Value> = serde_json::from_str(&host.done(&["list", "--json", &kind.name])?)?;
    let expected = if words.contains(&"start") { "lingering" } else { "running" };
    assert_eq!(list[0]["state"], expected);
    assert_eq!(boots(host, &kind.name)?, boots_before + 1, "an event that was torn has eaten the next one");
    host.done(&["stop", &kind.name])?;
    Ok(())
}

/// How many boots are told of in the events.
fn boots(host: &Host, name: &str) -> std::io::Result<usize> {
    Ok(host
        .done(&["events", "--json", name])?
        .lines()
        .filter(|line| line.contains("\"event\":\"boot\""))
        .count())
}

/// Also one of this boot is clear: each record gets its name when it is whole.
fn torn(host: &Host) -> Verdict {
    host.bridge("br0", "10.80.0.1/16")?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\nBRIDGES=( br0 )\n", image.display()))?;
    host.done(&["boot", "--detach", &name])?;
    let record = record_of(&name);
    let whole = fs::read(&record)?;
    host.done(&["stop", "--wait", &name])?;
    let before = Snapshot::take(&host.scope())?;
    let seed = seed();
    eprintln!("{FIGURE}SUBHOST_SEED={seed} repeats these records");
    let mut random = Random::new(seed);
    let count = TORN.now();
    for number in 0..count {
        let found = [Found::Torn, Found::Zeros, Found::Empty][random.index(3)];
        found.put(&record, &whole, 0o600, &mut random)?;
        let guest = host.guest(&name)?.ok_or("it is not in the list")?;
        assert_eq!(guest.state(), "unreadable", "{number}");
        let refused = host.subhostctl(&["exec", &name, "--", "true"])?;
        let hint = "subhostctl stop removes it";
        assert!(refused.code != 0 && refused.stderr.contains(hint), "{number}: {refused}");
        match random.index(8) {
            0 => drop(host.done(&["boot", "--detach", &name])?),
            number if number % 2 == 0 => drop(host.done(&["recover", &name])?),
            _ => {}
        }
        host.done(&["stop", &name])?;
        case::nothing_left(host, &before).map_err(|error| format!("{number}: {error}"))?;
    }
    // What no crash leaves: then it may run.
    host.witness("ip", &["netns", "add", &name])?;
    Found::Torn.put(&record, &whole, 0o600, &mut random)?;
    for words in [&["stop", &name][..], &["recover", &name], &["boot", "--detach", &name]] {
        let refused = host.subhostctl(words)?;
        let why = "its record is torn, and its network namespace is there";
        assert!(refused.code != 0 && refused.stderr.contains(why) && record.exists(), "{refused}");
    }
    host.witness("ip", &["netns", "delete", &name])?;
    host.done(&["stop", &name])?;
    eprintln!("{FIGURE}{count} records of {} bytes", whole.len());
    Ok(())
}
