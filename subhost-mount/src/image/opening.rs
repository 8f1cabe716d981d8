//! How an image's fds come about, and what of them a loop device gets.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::RwLockReadGuard;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::{Access, holder};
use crate::{Error, Result};

/// What of `fstat(2)` matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stat {
    /// Device and inode.
    pub(super) id: (u64, u64),
    /// The device number, if it is a block device.
    pub(super) block_device: Option<u64>,
    pub(super) len_bytes: u64,
}

/// An image that was opened, and is not locked yet.
pub(super) struct Opened {
    pub(super) fd: OwnedFd,
    /// Of a block device that is to be written to.
    pub(super) claim: Option<OwnedFd>,
    pub(super) stat: Stat,
}

/// How often a file that somebody has a lease on is tried to be opened, a millisecond apart.
const LEASE_ATTEMPTS: u32 = 1000;

/// Opens a regular file or a block device. To `lock` it, nobody may have claimed the device.
pub(super) fn open(path: &Path, access: Access, lock: bool) -> Result<Opened> {
    let refused = |errno: Errno| Error::system("open image", path, errno);
    let flags = OFlags::CLOEXEC
        | match access {
            Access::ReadOnly => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
    // Not to wait for a writer if it is a FIFO, nor for a medium if it is a drive.
    let careful = OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = open_patiently(path, flags | careful).map_err(refused)?;
    let stat = rustix::fs::fstat(&fd).map_err(refused)?;
    let block_device = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::BlockDevice => Some(stat.st_rdev),
        other => {
            return Err(Error::NotAnImage { image: path.to_owned(), found: found_instead(other) });
        }
    };
    // Loop devices get this fd, and its flags with it.
    rustix::fs::fcntl_setfl(&fd, flags).map_err(refused)?;
    // A block device has no size of its own; its end tells.
    let len_bytes = rustix::fs::seek(&fd, SeekFrom::End(0)).map_err(refused)?;
    let stat = Stat { id: (stat.st_dev, stat.st_ino), block_device, len_bytes };
    if block_device.is_none() || !lock {
        return Ok(Opened { fd, claim: None, stat });
    }
    match claim(&fd, path, flags)? {
        Some(claim) if access == Access::ReadWrite => Ok(Opened { fd, claim: Some(claim), stat }),
        // A reader lets go of it again, as readers share: it has seen that nobody writes.
        Some(_) => Ok(Opened { fd, claim: None, stat }),
        None => {
            // Or this process would count as one that has it open.
            drop(fd);
            let holders = holder::find(stat.id, block_device, true)?;
            Err(Error::ImageInUse { image: path.to_owned(), holders })
        }
    }
}

/// Opens a file that another `Image::open` may just have a lease on, which it holds for an instant.
fn open_patiently(path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    for _ in 0..LEASE_ATTEMPTS {
        match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(1)),
            other => return other,
        }
    }
    Err(Errno::WOULDBLOCK)
}

/// What a loop device gets of an image.
pub(crate) struct Backing<'a> {
    pub(super) file: &'a File,
    pub(super) claim: Option<RwLockReadGuard<'a, Option<OwnedFd>>>,
}

impl AsFd for Backing<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.claim.as_ref().and_then(|claim| claim.as_ref()).map_or(self.file.as_fd(), AsFd::as_fd)
    }
}

/// Opens the device behind `fd` once more, this time claimed; `None` while it is mounted or claimed by another.
fn claim(fd: &OwnedFd, path: &Path, flags: OFlags) -> Result<Option<OwnedFd>> {
    let same = format!("/proc/self/fd/{}", fd.as_raw_fd());
    match rustix::fs::open(&same, flags | OFlags::EXCL, Mode::empty()) {
        Ok(claimed) => Ok(Some(claimed)),
        Err(Errno::BUSY) => Ok(None),
        Err(errno) => Err(Error::system("claim block device", path, errno)),
    }
}

fn found_instead(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        _ => "something else",
    }
}
