//! Reading what a host holds from the kernel, never from the program under test.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Kind, Scope, Thing};

/// As the kernel names their inodes.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Everything of every kind.
pub(super) fn all(scope: &Scope) -> io::Result<BTreeSet<Thing>> {
    let mut things = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for pid in pids()? {
        // A process that ends while it is read is not there: each of these is then empty.
        let proc = PathBuf::from(format!("/proc/{pid}"));
        processes(&proc, pid, &mut things);
        namespaces(&proc, pid, &mut things);
        if let Ok(namespace) = fs::read_link(proc.join("ns/mnt"))
            && seen.insert(namespace.clone())
        {
            mounts(&proc, &namespace.to_string_lossy(), &mut things);
        }
    }
    loop_devices(scope, &mut things)?;
    things.extend(super::links::all()?);
    super::ipc::all(&mut things)?;
    cgroups(scope, &mut things)?;
    for directory in [Path::new("/run/subhost"), Path::new("/run/netns")] {
        files(directory, &mut things)?;
    }
    for directory in &scope.directories {
        files(directory, &mut things)?;
    }
    Ok(things)
}

/// Names of files and of processes need not be text, and are seen all the same.
pub(super) fn text_of(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

pub(super) fn pids() -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?.filter_map(Result::ok);
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Pid and start time together are a process's identity.
fn processes(proc: &Path, pid: u32, things: &mut BTreeSet<Thing>) {
    let Some(Stat { name, state, start }) = stat_of(proc) else { return };
    let zombie = if state == "Z" { " (zombie)" } else { "" };
    things.insert((Kind::Process, format!("{pid} {name}{zombie}, started at tick {start}")));
}

pub(super) struct Stat {
    name: String,
    state: String,
    pub(super) start: String,
}

pub(super) fn stat_of(proc: &Path) -> Option<Stat> {
    let stat = text_of(&proc.join("stat")).ok()?;
    // The name stands in parentheses and may hold anything, so count from the last one.
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let rest: Vec<&str> = stat[close + 1..].split_whitespace().collect();
    let (state, start) = (rest.first()?, rest.get(19)?);
    let [state, start] = [state, start].map(|word| (*word).to_owned());
    Some(Stat { name: stat[open + 1..close].to_owned(), state, start })
}

/// Namespaces that a thread is in, has ready for its children, or that its process holds open. Whose it is stands not in
/// the line: the namespace is the thing.
fn namespaces(proc: &Path, pid: u32, things: &mut BTreeSet<Thing>) {
    let own = entries(&proc.join("task")).flat_map(|thread| entries(&thread.join("ns")));
    // The observer's own descriptors come and go.
    let open = entries(&proc.join("fd")).filter(|_| pid != std::process::id());
    for link in own.chain(open) {
        let Ok(target) = fs::read_link(link) else { continue };
        let target = target.to_string_lossy();
        if NAMESPACES.iter().any(|kind| target.strip_prefix(kind).is_some_and(|rest| rest.starts_with(":[")))
        {
            things.insert((Kind::Namespace, target.into_owned()));
        }
    }
}

/// The paths in a directory; none of one that is not there.
pub(super) fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path())
}

/// The mounts of the namespace that `proc` is in; equal ones stacked on each other are numbered.
fn mounts(proc: &Path, namespace: &str, things: &mut BTreeSet<Thing>) {
    let Ok(table) = text_of(&proc.join("mountinfo")) else { return };
    for line in table.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let (Some(root), Some(point), Some(kind), Some(source)) =
            (left.get(3), left.get(4), right.first(), right.get(1))
        else {
            continue;
        };
        let text = format!("{point} ({kind} {source}, root {root}) in {namespace}");
        insert_each(things, Kind::Mount, &text);
    }
}

/// Adds one more thing, numbered if an equal one is there.
pub(super) fn insert_each(things: &mut BTreeSet<Thing>, kind: Kind, text: &str) {
    let mut numbered = text.to_owned();
    let mut number = 1;
    while !things.insert((kind, numbered)) {
        number += 1;
        numbered = format!("{text} #{number}");
    }
}

fn loop_devices(scope: &Scope, things: &mut BTreeSet<Thing>) -> io::Result<()> {
    // Where the links of `/sys/block` lead to: there are hundreds, and this is looked at often.
    for entry in fs::read_dir("/sys/devices/virtual/block")?.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("loop") {
            continue;
        }
        // The directory `loop` is there only while a file is behind the device.
        let directory = entry.path().join("loop");
        let Ok(file) = text_of(&directory.join("backing_file")) else { continue };
        let offset = text_of(&directory.join("offset")).unwrap_or_default();
        let (file, offset) = (file.trim_end(), offset.trim_end());
        if scope.covers(file) {
            things.insert((Kind::Loop, format!("{name} on {file} at {offset}")));
        }
    }
    Ok(())
}

fn cgroups(scope: &Scope, things: &mut BTreeSet<Thing>) -> io::Result<()> {
    for line in text_of(Path::new("/proc/self/mountinfo"))?.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        if !right.starts_with("cgroup") {
            continue;
        }
        let Some(point) = left.split(' ').nth(4) else { continue };
        walk(Path::new(point), &mut |path, kind| {
            // A hierarchy mounted in a directory of ours is the whole machine's all the same.
            let below = path.strip_prefix(point).unwrap_or(path);
            if kind.is_dir() && scope.covers(&below.to_string_lossy()) {
                things.insert((Kind::Cgroup, path.to_string_lossy().into_owned()));
            }
        })?;
    }
    Ok(())
}

fn files(directory: &Path, things: &mut BTreeSet<Thing>) -> io::Result<()> {
    walk(directory, &mut |path, kind| {
        if !is_permanent(path, kind) {
            things.insert((Kind::File, path.to_string_lossy().into_owned()));
        }
    })
}

/// What the program keeps from its first use until the next boot of the machine: the directories, the lock of its
/// records, and the copy of PID 1 that all guests share.
fn is_permanent(path: &Path, kind: fs::FileType) -> bool {
    let Ok(below) = path.strip_prefix("/run/subhost") else { return false };
    match below.to_str() {
        Some("" | "record" | "lingering" | "ids" | "control") => kind.is_dir(),
        Some("lock") => kind.is_file(),
        Some(name) => name.starts_with("pid1-") && !name.contains('/') && kind.is_file(),
        None => false,
    }
}

/// Calls `visit` for everything below `directory`, which need not be there. Links are not followed.
fn walk(directory: &Path, visit: &mut dyn FnMut(&Path, fs::FileType)) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(kind) = entry.file_type() else { continue };
        visit(&entry.path(), kind);
        if kind.is_dir() {
            walk(&entry.path(), visit)?;
        }
    }
    Ok(())
}
