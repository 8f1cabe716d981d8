//! Locks that the kernel gives back when their holder ends: names of subhosts, and id ranges.
//!
//! All are open-file-description locks on bytes of one root-only file, so a killed command leaves nothing to clean up, and no
//! file has to be made or removed for each subhost.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::layout::{Layout, Name};

/// First byte of the file that stands for names; the bytes below stand for the ids of the host with these numbers.
const NAMES: i64 = 1 << 32;

/// How long another command may hold a name: a boot may have to replay a journal.
const PATIENCE: Duration = Duration::from_secs(30);

/// A held lock; dropping it gives it back.
#[derive(Debug)]
pub struct Lock(File);

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Lock {
    /// A lock that the program had which has executed this one.
    fn from(fd: OwnedFd) -> Lock {
        Lock(fd.into())
    }
}

/// Makes a directory of the run-time state, for root only.
///
/// # Errors
/// It cannot be made, or it belongs to another user.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    let meta = std::fs::symlink_metadata(path)?;
    if !meta.is_dir() || meta.uid() != 0 || meta.mode() & 0o022 != 0 {
        return Err(io::Error::other("is not a directory that only root may write"));
    }
    Ok(())
}

/// Takes the lock of a name; `None` when another command holds it.
///
/// # Errors
/// The lock file cannot be made or locked.
pub fn lock_name(layout: &Layout, name: &Name) -> io::Result<Option<Lock>> {
    try_lock(layout, byte_of(name), 1)
}

/// Takes the lock of a name, waiting for a command that holds it.
///
/// # Errors
/// The lock file cannot be made or locked, or the other command holds it for too long.
pub fn await_name(layout: &Layout, name: &Name) -> io::Result<Lock> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(lock) = lock_name(layout, name)? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            return Err(io::Error::other(format!("{}, for too long", held_by_another(layout, name))));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// True while a command holds the lock of a name: it is just being started or stopped.
///
/// # Errors
/// The lock file cannot be read; that it is missing is an answer.
pub fn name_is_held(layout: &Layout, name: &Name) -> io::Result<bool> {
    let file =
        match OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(layout.lock()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
    // Asked for and not taken, so that no command is turned away by a look.
    let mut range = range_of(byte_of(name), 1);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut range))?;
    Ok(i32::from(range.l_type) != libc::F_UNLCK)
}

/// What is said of a name whose lock another command has, with the process where it can be found.
pub fn held_by_another(layout: &Layout, name: &Name) -> String {
    let who = holder(layout, name).map_or_else(String::new, |pid| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
        format!(": process {pid} ({words})")
    });
    format!("another command is starting or stopping it{who}")
}

/// The process that has the lock: the kernel tells it with each open file only, as such a lock belongs to no process.
fn holder(layout: &Layout, name: &Name) -> Option<u32> {
    let (inode, byte) = (std::fs::metadata(layout.lock()).ok()?.ino(), byte_of(name));
    let holds = |info: &str| {
        let locks = info.lines().filter_map(|line| line.strip_prefix("lock:"));
        locks.map(|lock| lock.split_whitespace().rev().take(3).collect::<Vec<_>>()).any(|words| {
            let [end, start, file] = words[..] else { return false };
            let is_within = start.parse().is_ok_and(|start: i64| start <= byte)
                && end.parse().is_ok_and(|end: i64| byte <= end);
            is_within && file.rsplit(':').next().and_then(|it| it.parse().ok()) == Some(inode)
        })
    };
    let numbers = |directory: &Path| -> Vec<u32> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    };
    numbers(Path::new("/proc")).into_iter().find(|pid| {
        let directory = format!("/proc/{pid}/fdinfo");
        let infos = numbers(Path::new(&directory)).into_iter();
        infos
            .filter_map(|fd| std::fs::read_to_string(format!("{directory}/{fd}")).ok())
            .any(|info| holds(&info))
    })
}

fn byte_of(name: &Name) -> i64 {
    NAMES + i64::from(hash(name.as_str()) >> 1)
}

/// Takes the lock of a range of ids; `None` when another command holds one of them.
///
/// # Errors
/// The lock file cannot be made or locked.
pub fn lock_ids(layout: &Layout, first: u32, count: u32) -> io::Result<Option<Lock>> {
    try_lock(layout, i64::from(first), i64::from(count))
}

fn try_lock(layout: &Layout, byte: i64, count: i64) -> io::Result<Option<Lock>> {
    let file = open(layout)?;
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&range_of(byte, count))) {
        Ok(_) => Ok(Some(Lock(file))),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn open(layout: &Layout) -> io::Result<File> {
    make_private_dir(&layout.run_dir)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(layout.lock())
}

#[expect(clippy::cast_possible_truncation, reason = "constants of the C interface that fit its fields")]
fn range_of(byte: i64, count: i64) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: count,
        l_pid: 0,
    }
}

/// FNV-1a, 32 bits: two names that share a value only wait for each other.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
