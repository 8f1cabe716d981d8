//! The leak check: what a host holds before and after, compared.
//!
//! Made for a host in namespaces of its own (see [`crate::isolate`]): there every process, mount, namespace, link, rule
//! and IPC object is the test's. Loop devices and cgroups belong to the whole machine, so they are narrowed by the words
//! of a [`Scope`]; of the kernel's log only what tells of a defect counts.
//!
//! ```no_run
//! use std::time::Duration;
//! use subhost_tests::leak::{Scope, Snapshot};
//!
//! let scope = Scope::of("/tmp/demo-7f3a").word("demo7f3a");
//! let before = Snapshot::take(&scope)?;
//! // boot something, end it
//! let difference = before.settle(&scope, Duration::from_secs(3))?;
//! assert!(difference.is_empty(), "{difference}");
//! # Ok::<(), std::io::Error>(())
//! ```

mod ipc;
mod kernel_log;
mod links;
mod observe;
mod supervisors;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::program::slowness;

use kernel_log::Log;
use supervisors::Supervisors;

/// What kind of thing a host holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A mount in any mount namespace that a process of this host is in.
    Mount,
    /// A namespace of any kind, held by a thread or an open file. What is mounted of them is a mount.
    Namespace,
    /// A loop device with a backing file.
    Loop,
    /// A link of the current network namespace, with what passes there if it is a port of a bridge.
    Link,
    /// An address of such a link, unless the kernel gives each link one of its kind by itself.
    Address,
    /// The id of another network namespace, which is there as long as that, whoever holds it.
    Peer,
    /// A table, chain, set or rule of nftables in the current network namespace.
    Rule,
    /// A queueing discipline there that was set, one of its classes or filters.
    Queue,
    /// An object of System V IPC, or a message queue, in the current IPC namespace.
    Ipc,
    /// A directory in a cgroup hierarchy.
    Cgroup,
    /// A process, a zombie too.
    Process,
    /// A file under `/run/subhost`, `/run/netns` or a directory of the scope.
    File,
    /// An open descriptor of a supervisor that was there before.
    Descriptor,
    /// Memory of such a supervisor.
    Memory,
    /// A line of the kernel's log that tells of a defect, or of an error of a file system on a loop device of ours.
    KernelLog,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mount => "mount",
            Self::Namespace => "namespace",
            Self::Loop => "loop device",
            Self::Link => "link",
            Self::Address => "address",
            Self::Peer => "id of another network namespace",
            Self::Rule => "nftables",
            Self::Queue => "traffic control",
            Self::Ipc => "ipc object",
            Self::Cgroup => "cgroup",
            Self::Process => "process",
            Self::File => "file",
            Self::Descriptor => "descriptor of",
            Self::Memory => "memory of",
            Self::KernelLog => "kernel log",
        })
    }
}

/// What is looked at where the machine is shared with others.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    words: Vec<String>,
    directories: Vec<PathBuf>,
}

impl Scope {
    /// Everything on the machine.
    pub fn machine() -> Self {
        Self::default()
    }

    /// Loop devices on files below `directory`.
    pub fn of(directory: impl AsRef<Path>) -> Self {
        Self::default().word(directory.as_ref().to_string_lossy())
    }

    /// The files below `directory` too.
    pub fn watch(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directories.push(directory.into());
        self
    }

    /// Loop devices and cgroups with `word` in their path as well.
    pub fn word(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    fn covers(&self, text: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| text.contains(word.as_str()))
    }
}

/// One observed thing: its kind, and a line that identifies and describes it.
type Thing = (Kind, String);

/// All that a host holds at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    things: BTreeSet<Thing>,
    supervisors: Supervisors,
    log: Log,
}

impl Snapshot {
    /// Looks at the host. Needs root, so that every process can be read, and `ip`, `tc` and `nft`.
    pub fn take(scope: &Scope) -> io::Result<Self> {
        Self::complete(observe::all(scope)?)
    }

    /// With what takes the runs of tools.
    fn complete(mut things: BTreeSet<Thing>) -> io::Result<Self> {
        things.extend(traffic::all()?);
        Ok(Self { things, supervisors: supervisors::all()?, log: Log::from_now()? })
    }

    /// How many there are of each kind.
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for (kind, _) in &self.things {
            *counts.entry(*kind).or_default() += 1;
        }
        counts
    }

    /// What changed between this snapshot and `later`.
    pub fn difference(&self, later: &Self) -> Difference {
        let mut difference = compare(self.things.iter(), &later.things);
        difference.left.extend(supervisors::grown(&self.supervisors, &later.supervisors));
        let things = || self.things.iter().chain(&later.things);
        let loops = things().filter(|(kind, _)| *kind == Kind::Loop);
        let devices: BTreeSet<_> = loops.filter_map(|(_, line)| line.split(' ').next()).collect();
        difference.left.extend(self.log.defects(&devices));
        difference
    }

    /// What differs from this snapshot once the host has come to rest, or at the deadline.
    ///
    /// The kernel takes network namespaces and their links, loop devices and mounts away some time after their
    /// last user has gone. No event says that all of that is over, so this looks again every few milliseconds; at
    /// what takes long to see, only when the rest is as it was.
    pub fn settle(&self, scope: &Scope, within: Duration) -> io::Result<Difference> {
        let deadline = Instant::now() + within * slowness();
        let seen_late = |kind: Kind| matches!(kind, Kind::Peer | Kind::Rule | Kind::Queue);
        loop {
            let is_over = Instant::now() >= deadline;
            let early = self.things.iter().filter(|(kind, _)| !seen_late(*kind));
            let things = observe::all(scope)?;
            if is_over || compare(early, &things).is_empty() {
                let difference = self.difference(&Self::complete(things)?);
                if is_over || difference.is_empty() {
                    return Ok(difference);
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn compare<'a>(before: impl Iterator<Item = &'a Thing>, later: &BTreeSet<Thing>) -> Difference {
    // A process or a namespace that ended in the meantime is no loss.
    let may_end = |kind: Kind| matches!(kind, Kind::Process | Kind::Namespace | Kind::Peer);
    let before: BTreeSet<&Thing> = before.collect();
    let later: BTreeSet<&Thing> = later.iter().collect();
    let lost = before.difference(&later).filter(|(kind, _)| !may_end(*kind));
    Difference {
        left: later.difference(&before).map(|thing| (*thing).clone()).collect(),
        lost: lost.map(|thing| (*thing).clone()).collect(),
    }
}

/// What a host has more, and what it has no longer. Its display is one line a thing.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    left: Vec<Thing>,
    lost: Vec<Thing>,
}

impl Difference {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty() && self.lost.is_empty()
    }

    /// Lines of the things that were left behind, of one kind.
    pub fn left(&self, kind: Kind) -> Vec<&str> {
        self.left.iter().filter(|thing| thing.0 == kind).map(|thing| thing.1.as_str()).collect()
    }

    /// Lines of the things that were there before and are gone, of one kind.
    pub fn lost(&self, kind: Kind) -> Vec<&str> {
        self.lost.iter().filter(|thing| thing.0 == kind).map(|thing| thing.1.as_str()).collect()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing left behind");
        }
        for (kind, line) in &self.left {
            writeln!(f, "left behind: {kind} {line}")?;
        }
        for (kind, line) in &self.lost {
            writeln!(f, "no longer there: {kind} {line}")?;
        }
        Ok(())
    }
}
