//! Cgroups for virtual machines that have none of their own, and controllers that count for those of subhosts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use subhost_init::cgroup::Hierarchies;

use super::process::Processes;
use super::vm::{self, PARENT, Vm};

/// The controllers that count. Processor time is counted without one.
const COUNTING: [&str; 2] = ["memory", "io"];
/// How often it is tried to enter one that others take away.
const TRIES: u32 = 100;
/// Those of version 1.
const LEGACY: [&str; 3] = ["cpuacct", "memory", "blkio"];

/// The cgroup that those of all subhosts are below, and what does not count for them yet, though this host has it.
pub fn uncounted(hierarchies: &Hierarchies) -> Option<(PathBuf, Vec<&'static str>)> {
    let unified = hierarchies.unified.as_ref()?;
    let parent = unified.mount_point.join(subhost_init::cgroup::PARENT);
    let on = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
    let is_off = |it: &&str| {
        unified.controllers.iter().any(|controller| controller == it)
            && on.split_whitespace().all(|on| on != *it)
    };
    let off: Vec<&str> = COUNTING.into_iter().filter(is_off).collect();
    (!off.is_empty()).then_some((parent, off))
}

/// What becomes of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The machine.
    pub vm: Vm,
    /// The directories that it is put into; none if it is alone in one already.
    pub into: Vec<PathBuf>,
}

/// What is to be done: machines that share their cgroup with others get one of their own. One that libvirt or systemd has put into
/// its own stays there.
pub fn plan(hierarchies: &Hierarchies) -> Vec<Adoption> {
    let vms = vm::all(&Processes::observe());
    let adoption = |vm: Vm| {
        let mut into = Vec::new();
        for (point, path) in places(vm.pid, hierarchies) {
            let place = point.join(path.strip_prefix("/").unwrap_or(&path));
            if path == Path::new("/") || !is_alone(&place, vm.pid) {
                into.push(point.join(PARENT).join(directory_name(&vm)));
            }
        }
        Adoption { vm, into }
    };
    vms.into_iter().map(adoption).collect()
}

/// Puts one into its cgroups. That it is there already is success.
///
/// # Errors
/// The directory that cannot be made or entered, and why. Of a machine that has ended meanwhile there is none.
pub fn apply(adoption: &Adoption, hierarchies: &Hierarchies) -> Result<(), (PathBuf, io::Error)> {
    for path in &adoption.into {
        let step = |result: io::Result<()>| result.map_err(|error| (path.clone(), error));
        let parent = path.parent().unwrap_or(path);
        step(fs::create_dir(parent).or_else(is_there))?;
        if hierarchies.unified.as_ref().is_some_and(|it| parent.parent() == Some(&it.mount_point)) {
            // What is not to be had here is done without.
            let _ = count_below(parent);
        }
        step(enter(parent, path, adoption.vm.pid))?;
    }
    Ok(())
}

/// Makes a cgroup and puts a process into it. Somebody else who sweeps takes an empty one away, which is made again.
fn enter(parent: &Path, path: &Path, pid: u32) -> io::Result<()> {
    for _ in 0..TRIES {
        for place in [parent, path] {
            match fs::create_dir(place).or_else(is_there) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                made => made?,
            }
        }
        match fs::write(path.join("cgroup.procs"), pid.to_string()) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                // It has ended meanwhile.
                let _ = fs::remove_dir(path);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {}
            entered => return entered,
        }
    }
    Err(io::Error::other("it is taken away again and again"))
}

/// Removes the directories of machines that have ended: the kernel refuses it for others.
pub fn sweep(hierarchies: &Hierarchies) {
    let legacy = hierarchies.legacy.iter().map(|it| &it.mount_point);
    for point in hierarchies.unified.iter().map(|it| &it.mount_point).chain(legacy) {
        let entries = fs::read_dir(point.join(PARENT)).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let _ = fs::remove_dir(entry.path());
        }
        let _ = fs::remove_dir(point.join(PARENT));
    }
}

/// In which cgroup a process is: of each hierarchy that counts, where it is mounted, and the path in it.
pub fn places(pid: u32, hierarchies: &Hierarchies) -> Vec<(PathBuf, PathBuf)> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    places_of(&text, hierarchies)
}

/// Reads `/proc/PID/cgroup` (cgroups(7)).
fn places_of(text: &str, hierarchies: &Hierarchies) -> Vec<(PathBuf, PathBuf)> {
    let place = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let point = match (number, controllers) {
            ("0", "") => &hierarchies.unified.as_ref()?.mount_point,
            _ => {
                let controller = controllers.split(',').find(|it| LEGACY.contains(it))?;
                &hierarchies.legacy_with(controller)?.mount_point
            }
        };
        Some((point.clone(), PathBuf::from(path)))
    };
    text.lines().filter_map(place).collect()
}

/// Whether nobody else is in a cgroup.
fn is_alone(place: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(place.join("cgroup.procs")).unwrap_or_default();
    text.lines().all(|line| line.parse() == Ok(pid))
}

/// Turns on what counts below a cgroup, which is made where it is not there.
///
/// # Errors
/// It cannot be made, or the kernel refuses; what is on by then stays on.
pub fn count_below(parent: &Path) -> io::Result<()> {
    fs::create_dir(parent).or_else(is_there)?;
    for controller in COUNTING {
        for place in parent.parent().into_iter().chain([parent]) {
            fs::write(place.join("cgroup.subtree_control"), format!("+{controller}"))?;
        }
    }
    Ok(())
}

/// A name for a directory that says which machine it is, and is no other's.
fn directory_name(vm: &Vm) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let name: String = vm.name.chars().take(64).map(plain).collect();
    format!("{name}-{}", vm.pid)
}

fn is_there(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::process::Process;

    #[test]
    fn a_directory_is_named_by_nothing_but_harmless_letters() {
        let vm = |name: &str| Vm { pid: 7, process: Process::default(), name: name.to_owned() };
        assert_eq!(directory_name(&vm("../we b\n\u{e9}")), "___we_b__-7");
        assert_eq!(directory_name(&vm(&"x".repeat(200))), format!("{}-7", "x".repeat(64)));
    }

    #[test]
    fn places_are_those_of_hierarchies_that_count() {
        let hybrid = Hierarchies::parse(
            b"1 0 0:1 / /cg/acct rw - cgroup x rw,cpuacct\n2 0 0:2 / /cg/two rw - cgroup2 x rw\n\
              3 0 0:3 / /cg/pids rw - cgroup x rw,pids\n",
        );
        let places = places_of("9:pids:/a\n8:memory:/a\n2:cpuacct:/b:c\n0::/d\nbroken\n", &hybrid);
        let paths = |point: &str, path: &str| (PathBuf::from(point), PathBuf::from(path));
        assert_eq!(places, [paths("/cg/acct", "/b:c"), paths("/cg/two", "/d")]);
    }
}
