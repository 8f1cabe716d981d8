//! The floor: what the kernel alone needs for a root, network namespaces, cables, and a program that ends.
//!
//! These are the calls that no implementation can do without, made in one process with no checks and no records. The
//! demo and the benchmarks hold the program against them, in the same run on the same machine. There are two: the plain
//! one has no user namespace, no filter, no cgroup; the isolated one makes all that the program isolates a guest with.

mod isolated;
mod kept;
mod link;
mod plain;
mod sys;

use std::ffi::{CStr, CString, c_int};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mkdirat, mknodat, open, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use rustix::process::{Pid, WaitOptions, waitpid};
use subhost_tests::case::CLEAN_UP;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;

use crate::Outcome;
pub(crate) use kept::Kept;

const MIB: u64 = 1 << 20;

/// Medians of rounds that took turns.
pub(crate) struct Comparison {
    pub(crate) rounds: usize,
    pub(crate) floor: Duration,
    pub(crate) program: Duration,
}

/// Runs `/bin/true` of the small guest's MBR image by raw calls and by the program, in turns.
pub(crate) fn compare(
    host: &Host,
    image: &Path,
    bridge: &str,
    mac: [u8; 6],
    rounds: usize,
) -> Outcome<Comparison> {
    let floor = Floor {
        root: Root::Image(CString::new(image.as_os_str().as_bytes())?),
        bridge: index_of(bridge)?,
        macs: vec![mac],
        isolated: false,
        payload: TRUE,
    };
    let disk = format!("vda:1:{}", image.display());
    let cable = format!("{bridge}={}", mac.map(|byte| format!("{byte:02x}")).join(":"));
    let args = ["run", "--disk", &disk, "--cable", &cable, "--", "/bin/true"];
    let before = Snapshot::take(&host.scope())?;
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let started = Instant::now();
        floor.round()?;
        let took = [started.elapsed(), program(host, &before, &args)?];
        settled(host, &before)?;
        // The first round fills the caches.
        if round > 0 {
            raw.push(took[0]);
            ours.push(took[1]);
        }
    }
    Ok(Comparison { rounds, floor: median(raw), program: median(ours) })
}

fn program(host: &Host, before: &Snapshot, args: &[&str]) -> Outcome<Duration> {
    settled(host, before)?;
    let started = Instant::now();
    let status = host.command(args).status()?;
    let took = started.elapsed();
    if status.success() { Ok(took) } else { Err(format!("subhostctl {}: {status}", args.join(" ")).into()) }
}

/// The clean-up of the round before is not charged to the next, and each finds the kernel at rest, as a host is when
/// something is started on it: right after another start everything is faster.
fn settled(host: &Host, before: &Snapshot) -> Outcome {
    let difference = before.settle(&host.scope(), CLEAN_UP)?;
    if !difference.is_empty() {
        return Err(difference.to_string().into());
    }
    thread::sleep(Duration::from_millis(80));
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The index of a bridge of this network namespace.
pub(crate) fn index_of(bridge: &str) -> Outcome<u32> {
    let index = subhost_tests::wire::link(bridge)?.and_then(|link| link["ifindex"].as_u64());
    index
        .and_then(|index| u32::try_from(index).ok())
        .ok_or_else(|| format!("{bridge}: no such bridge").into())
}

/// The processor time of this process and of all its children that it has waited for.
pub(crate) fn cpu_time() -> Outcome<Duration> {
    Ok(sys::cpu_time()?)
}

/// What a round mounts as the root.
pub(crate) enum Root {
    /// A directory.
    Tree(CString),
    /// A directory below a layer in memory.
    Overlay(CString),
    /// The first partition of the small guest's MBR image.
    Image(CString),
    /// The same, and nothing is written to it.
    ReadOnlyImage(CString),
}

/// One start and end of a program by raw calls. The host ends of its cables are left to the kernel, as they die with
/// the network namespace.
pub(crate) struct Floor {
    pub(crate) root: Root,
    /// Index of the bridge that each cable is plugged into.
    pub(crate) bridge: u32,
    /// One cable each. With none there is no network namespace, unless it is isolated.
    pub(crate) macs: Vec<[u8; 6]>,
    /// With all that the program isolates a guest with, and with a PID 1 that waits for its child; else the program is
    /// PID 1, with nothing but namespaces.
    pub(crate) isolated: bool,
    /// The program, and the word that it gets.
    pub(crate) payload: [&'static CStr; 2],
}

/// It ignores the word.
pub(crate) const TRUE: [&CStr; 2] = [c"/bin/true", c""];

impl Floor {
    pub(crate) fn round(&self) -> Outcome {
        match self.run()? {
            0 => Ok(()),
            step => Err(format!("the raw system calls stopped at step {step}").into()),
        }
    }

    /// The program's exit status, or the number of the step that failed; -1 where a signal ended it.
    fn run(&self) -> Outcome<c_int> {
        if self.isolated { isolated::run(self) } else { plain::run(self) }
    }
}

impl Root {
    /// Mounts it, detached, with the ids of a user namespace, if there is one.
    fn mount(&self, users: Option<&OwnedFd>) -> Outcome<OwnedFd> {
        let idmapped = |mount: OwnedFd| -> Outcome<OwnedFd> {
            users.map_or(Ok(()), |users| sys::idmap(&mount, users))?;
            Ok(mount)
        };
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        match self {
            Root::Tree(path) => idmapped(open_tree(CWD, path, clone)?),
            Root::Overlay(lower) => {
                let upper = detached("tmpfs", &[], MountAttrFlags::empty())?;
                let directory = |name| {
                    mkdirat(&upper, name, Mode::from_raw_mode(0o755))?;
                    openat(&upper, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                };
                let (upper_dir, work_dir) = (directory("upper")?, directory("work")?);
                let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
                // It is a mount as long as it is open.
                let lower = idmapped(open_tree(CWD, lower, clone)?)?;
                fsconfig_set_fd(&fs, "lowerdir+", lower.as_fd())?;
                fsconfig_set_fd(&fs, "upperdir", upper_dir.as_fd())?;
                fsconfig_set_fd(&fs, "workdir", work_dir.as_fd())?;
                fsconfig_create(&fs)?;
                Ok(fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
            }
            Root::Image(path) => idmapped(image(path, OFlags::RDWR)?),
            Root::ReadOnlyImage(path) => idmapped(image(path, OFlags::RDONLY)?),
        }
    }
}

/// The first partition of an image, mounted nowhere; a loop device can do what its file was opened for.
fn image(path: &CStr, access: OFlags) -> Outcome<OwnedFd> {
    let file = open(path, access | OFlags::CLOEXEC, Mode::empty())?;
    let (device, path) = sys::loop_attach(&file, MIB, 8 * MIB)?;
    drop(file);
    let fs = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&fs, "source", &path)?;
    let mut attributes = MountAttrFlags::empty();
    if !access.contains(OFlags::RDWR) {
        fsconfig_set_flag(&fs, "ro")?;
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    fsconfig_create(&fs)?;
    drop(device);
    Ok(fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// A new file system, mounted nowhere.
fn detached(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        fsconfig_set_string(&fs, *name, *value)?;
    }
    fsconfig_create(&fs)?;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Mounts a new file system at a path below an open directory.
fn mount_at(
    root: impl AsFd,
    path: &str,
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<()> {
    let mount = detached(kind, options, attributes)?;
    move_mount(&mount, "", root, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// What each guest has below its root: `/dev` with its nodes, `/run`. `Err` has the number of the step that failed.
fn furnish(root: impl AsFd) -> Result<(), c_int> {
    let root = root.as_fd();
    let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    mount_at(root, "dev", "tmpfs", &[("mode", "755")], MountAttrFlags::MOUNT_ATTR_NOSUID).map_err(step(8))?;
    for (path, major, minor) in [
        ("dev/null", 1, 3),
        ("dev/zero", 1, 5),
        ("dev/full", 1, 7),
        ("dev/random", 1, 8),
        ("dev/urandom", 1, 9),
        ("dev/tty", 5, 0),
    ] {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(root, path, FileType::CharacterDevice, mode, makedev(major, minor)).map_err(step(9))?;
    }
    mkdirat(root, "dev/pts", Mode::from_raw_mode(0o755)).map_err(step(10))?;
    mkdirat(root, "dev/shm", Mode::from_raw_mode(0o1777)).map_err(step(10))?;
    let pts = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "620")];
    let no_exec = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount_at(root, "dev/pts", "devpts", &pts[1..], no_exec).map_err(step(11))?;
    symlinkat("pts/ptmx", root, "dev/ptmx").map_err(step(12))?;
    mount_at(root, "dev/shm", "tmpfs", &[], quiet).map_err(step(13))?;
    mount_at(root, "run", "tmpfs", &[("mode", "755")], quiet).map_err(step(14))
}

/// Sets `lo` and the cables' ends up.
fn links_up(cables: usize) -> Result<(), c_int> {
    sys::up(c"lo".to_bytes_with_nul()).map_err(step(16))?;
    for index in 0..cables {
        let name = [&b"eth"[..], index.to_string().as_bytes(), b"\0"].concat();
        sys::up(&name).map_err(step(17))?;
    }
    Ok(())
}

/// Makes of any error the number of its step: a child has no other way to tell.
fn step<E>(number: c_int) -> impl FnOnce(E) -> c_int {
    move |_| number
}

/// The exit status of a child.
fn wait(pid: Pid) -> rustix::io::Result<c_int> {
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status.exit_status().unwrap_or(-1)),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
