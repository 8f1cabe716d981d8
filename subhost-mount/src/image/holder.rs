//! Finds out who holds an image: loop devices, mounts, and processes with a lock.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};

use crate::mountinfo::{Census, HoldingNamespace, MountTable, Process};
use crate::{Error, Result, error, sys};

/// Who holds an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// A loop device.
    Loop {
        /// N of `/dev/loopN`.
        number: u32,
        /// Where it is mounted, as far as the calling thread's mount namespace shows it.
        mounted_at: Vec<PathBuf>,
    },
    /// A process that has it open and locked.
    Process {
        /// Its id.
        pid: u32,
        /// Its name.
        comm: String,
    },
    /// A mount of the block device itself, or of a partition that the kernel made of it.
    Mount {
        /// Where.
        at: PathBuf,
        /// A process that sees it there, where the calling thread does not.
        seen_by: Option<Process>,
    },
    /// Another block device that is made of it, by LVM, MD and the like.
    Device {
        /// Its node.
        path: PathBuf,
    },
}

impl Holder {
    fn process(pid: u32) -> Holder {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Holder::Process { pid, comm: comm.trim_end().to_owned() }
    }

    /// This process.
    pub(crate) fn ourselves() -> Holder {
        Holder::process(std::process::id())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Loop { number, mounted_at } if mounted_at.is_empty() => write!(f, "/dev/loop{number}"),
            Holder::Loop { number, mounted_at } => {
                let places: Vec<String> = mounted_at.iter().map(|path| error::shown(path)).collect();
                write!(f, "/dev/loop{number} (mounted at {})", places.join(", "))
            }
            Holder::Process { pid, comm } => write!(f, "process {pid} ({})", error::shown(Path::new(comm))),
            Holder::Mount { at, seen_by: None } => write!(f, "the mount at {}", error::shown(at)),
            Holder::Mount { at, seen_by: Some(process) } => {
                write!(f, "the mount at {} of process {process}", error::shown(at))
            }
            Holder::Device { path } => write!(f, "{}", error::shown(path)),
        }
    }
}

/// Where all loop devices are, without the links of `/sys/block`.
const BLOCK_DEVICES: &str = "/sys/devices/virtual/block";

/// A loop device whose backing file is the image.
pub(crate) struct FoundLoop {
    pub(crate) number: u32,
    device: u64,
    pub(super) read_only: bool,
}

/// All that hold the file `id`, or the block device of number `block_device`; this process only if it may be `us`.
pub(crate) fn find(id: (u64, u64), block_device: Option<u64>, us: bool) -> Result<Vec<Holder>> {
    let counts = |holder: &Holder| us || *holder != Holder::ourselves();
    let mut holders = describe_loops(loops_on(id, block_device)?)?;
    holders.extend(lock_holders(id)?);
    if let Some(device) = block_device {
        let census = Census::take()?;
        let family = family(device);
        for device in &family {
            holders.extend(mounts_of(&census, *device)?);
        }
        holders.extend(family.iter().flat_map(|device| made_of(*device)));
        holders.retain(counts);
        // Which of those that have it open has claimed it, the kernel does not tell.
        if holders.is_empty() {
            let is_it = |number: u64| family.contains(&number);
            let open = census.uses.iter().filter(|one| one.block_device.is_some_and(is_it));
            let mut pids: Vec<u32> = open.map(|one| one.pid).collect();
            pids.sort_unstable();
            pids.dedup();
            holders.extend(pids.into_iter().map(Holder::process).filter(counts));
        }
    }
    Ok(holders)
}

/// The loop devices over the file or block device. The kernel's own word is taken, not the path in sysfs, which
/// may have been renamed or be seen from elsewhere.
pub(crate) fn loops_on(id: (u64, u64), block_device: Option<u64>) -> Result<Vec<FoundLoop>> {
    let failed = |errno| Error::system("list", BLOCK_DEVICES, errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let devices = rustix::fs::open(BLOCK_DEVICES, flags, Mode::empty()).map_err(failed)?;
    let mut found = Vec::new();
    for entry in Dir::read_from(&devices).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        // Only a device that is attached has this directory. There may be hundreds that are not.
        let is_attached =
            || rustix::fs::statat(&devices, Path::new(name).join("loop"), AtFlags::empty()).is_ok();
        if !name.as_bytes().starts_with(b"loop") || !is_attached() {
            continue;
        }
        let path = Path::new("/dev").join(name);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // It may be gone or detached by now, which is as good as never having been there.
        let Ok(device) = rustix::fs::open(&path, flags, Mode::empty()) else { continue };
        let Ok(status) = sys::loop_status(device.as_fd()) else { continue };
        let same_device = block_device.is_some_and(|number| number == status.backing_device);
        if status.backing == id || same_device {
            let stat = rustix::fs::fstat(&device).map_err(|errno| Error::system("stat", &path, errno))?;
            found.push(FoundLoop {
                number: status.number,
                device: stat.st_rdev,
                read_only: status.read_only,
            });
        }
    }
    found.sort_by_key(|found| found.number);
    Ok(found)
}

pub(super) fn describe_loops(loops: Vec<FoundLoop>) -> Result<Vec<Holder>> {
    if loops.is_empty() {
        return Ok(Vec::new());
    }
    let mounts = MountTable::read(None)?;
    let describe = |found: FoundLoop| Holder::Loop {
        number: found.number,
        mounted_at: mounts.of_device(found.device).map(|entry| entry.mount_point.clone()).collect(),
    };
    Ok(loops.into_iter().map(describe).collect())
}

/// Where the block device of number `device` is mounted: here, or else elsewhere, once in each namespace.
fn mounts_of(census: &Census, device: u64) -> Result<Vec<Holder>> {
    let here = MountTable::read(None)?;
    let here: Vec<Holder> = here
        .of_device(device)
        .map(|it| Holder::Mount { at: it.mount_point.clone(), seen_by: None })
        .collect();
    if !here.is_empty() {
        return Ok(here);
    }
    let elsewhere = census.of_device(device).namespaces.into_iter();
    let holder = |one: HoldingNamespace| {
        let at = one.mounted_at.into_iter().next()?;
        Some(Holder::Mount { at, seen_by: one.members.into_iter().next() })
    };
    Ok(elsewhere.filter_map(holder).collect())
}

/// A block device with those whose claims exclude its own: its partitions, or what it is a partition of.
fn family(device: u64) -> Vec<u64> {
    let directory = sysfs(device);
    let mut family = vec![device];
    if directory.join("partition").exists() {
        family.extend(number_in(&directory.join("..")));
    } else {
        let inside = fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path());
        family.extend(inside.filter(|it| it.join("partition").exists()).filter_map(|it| number_in(&it)));
    }
    family
}

/// The block devices that are made of this one.
fn made_of(device: u64) -> Vec<Holder> {
    let entries = fs::read_dir(sysfs(device).join("holders")).into_iter().flatten().flatten();
    entries.map(|entry| Holder::Device { path: Path::new("/dev").join(entry.file_name()) }).collect()
}

fn sysfs(device: u64) -> PathBuf {
    PathBuf::from(format!("/sys/dev/block/{}:{}", rustix::fs::major(device), rustix::fs::minor(device)))
}

/// The device number that a directory of sysfs is about.
fn number_in(directory: &Path) -> Option<u64> {
    let text = fs::read_to_string(directory.join("dev")).ok()?;
    let (major, minor) = text.trim_end().split_once(':')?;
    Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// How often the table of locks is read that does not show the lock that is there.
const READS: u32 = 3;

/// The processes that hold a lock on the file `id` and have it open.
fn lock_holders(id: (u64, u64)) -> Result<Vec<Holder>> {
    let mut pids = Vec::new();
    // Read in pieces, it lacks lines where locks before them are let go meanwhile.
    for _ in 0..READS {
        let text = fs::read_to_string("/proc/locks")
            .map_err(|source| Error::system("read", "/proc/locks", source))?;
        pids.extend(lockers(&text, id));
        if !pids.is_empty() {
            break;
        }
    }
    pids.sort_unstable();
    pids.dedup();
    // After its taker died, a lock still shows the old number, which may be somebody else's by now.
    pids.retain(|&pid| has_open(pid, id).unwrap_or(false));
    Ok(pids.into_iter().map(Holder::process).collect())
}

/// The pids in the text of `/proc/locks` that lock the file `id`.
fn lockers(text: &str, (device, inode): (u64, u64)) -> Vec<u32> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    let pid = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        // A line of one who waits has an arrow before the kind.
        match fields.as_slice() {
            [_, "FLOCK" | "POSIX" | "OFDLCK", _, _, pid, at, ..] if *at == place => pid.parse().ok(),
            _ => None,
        }
    };
    text.lines().filter_map(pid).collect()
}

fn has_open(pid: u32, id: (u64, u64)) -> io::Result<bool> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // O_PATH, as the target may be a FIFO; what is closed or dead meanwhile does not count.
        let opened = rustix::fs::open(entry?.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let stat = opened.and_then(rustix::fs::fstat);
        if stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == id) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holders_of_a_lock_are_read_and_those_who_wait_are_not() {
        let text = "\
1: FLOCK  ADVISORY  WRITE 837 fd:01:1234 0 EOF
1: -> FLOCK  ADVISORY  WRITE 900 fd:01:1234 0 EOF
2: POSIX  ADVISORY  READ  12 fd:01:99 128 128
3: FLOCK  ADVISORY  READ  55 00:2a:1234 0 EOF
";
        assert_eq!(lockers(text, (rustix::fs::makedev(0xfd, 1), 1234)), [837]);
        assert_eq!(lockers(text, (rustix::fs::makedev(0, 0x2a), 1234)), [55]);
    }

    #[test]
    fn a_holder_is_named_with_its_mounts() {
        let held = Holder::Loop { number: 4, mounted_at: vec!["/mnt".into(), "/a b".into()] };
        assert_eq!(held.to_string(), "/dev/loop4 (mounted at /mnt, /a b)");
    }
}
