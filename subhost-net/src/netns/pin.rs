//! Pins: names that keep a network namespace alive, as `ip netns` makes and understands them.
//!
//! A pin is an empty file with the namespace's nsfs file bound onto it. Any root tool may put another namespace there
//! at any time, so that the inode is compared before a pin is taken away, and it is the mount that was compared which
//! is taken off, found through its descriptor.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::Netns;
use crate::{Error, Result};

/// Where `ip netns` keeps its names.
pub const RUN_NETNS: &str = "/run/netns";

/// How long to wait for another program that is just making the directory of pins shared. Any user can hold that lock,
/// so that it must not be waited for without end.
const SHARE_LOCK_WAIT: Duration = Duration::from_secs(1);

/// A name given to a network namespace by [`Netns::pin`]; plain data, dropping it does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Where the name is.
    pub path: PathBuf,
    /// The namespace's inode, to be given to [`unpin`].
    pub inode: u64,
}

/// What stands under a name in a directory of pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinState {
    /// A network namespace with this inode.
    Netns {
        /// The inode that identifies it.
        inode: u64,
    },
    /// An empty plain file, left by a crash between the two halves of pinning.
    Leftover,
    /// Anything else, none of our business.
    Foreign,
}

/// What [`unpin`] found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpinned {
    /// The name was there and is gone now.
    Removed,
    /// There was no such name.
    AlreadyGone,
}

/// Looks at the name `name` in `dir`; none if there is no such file. Needs no privilege.
///
/// # Errors
/// [`Error::InvalidName`] for what is not a plain file name; the step and its errno.
pub fn pinned_inode(dir: &Path, name: &str) -> Result<Option<PinState>> {
    Ok(Directory::open(dir)?
        .map(|directory| directory.look(name))
        .transpose()?
        .flatten()
        .map(|(state, _)| state))
}

/// Takes the name `name` in `dir` away, once what is there is proved to be the namespace with `expected_inode`, or an
/// empty plain file.
///
/// The namespace lives on if anything else holds it. Needs CAP_SYS_ADMIN and `/proc`.
///
/// # Errors
/// [`Error::PinMismatch`] for another namespace and [`Error::NotANetns`] for anything else: those are left alone.
pub fn unpin(dir: &Path, name: &str, expected_inode: u64) -> Result<Unpinned> {
    check_name(name)?;
    let Some(directory) = Directory::open(dir)? else { return Ok(Unpinned::AlreadyGone) };
    let path = dir.join(name);
    let mut result = Unpinned::AlreadyGone;
    // A second turn shows what was under the mount: the empty file, or the same namespace bound twice.
    while let Some((state, file)) = directory.look(name)? {
        result = Unpinned::Removed;
        match state {
            PinState::Netns { inode } if inode == expected_inode => {
                umount2(descriptor_path(&file).as_str(), MntFlags::MNT_DETACH)
                    .map_err(|errno| at("unmount", &path, errno))?;
            }
            PinState::Netns { inode } => {
                return Err(Error::PinMismatch { path, expected: expected_inode, found: inode });
            }
            PinState::Leftover => directory.remove(name)?,
            PinState::Foreign => return Err(Error::NotANetns { object: path.display().to_string() }),
        }
    }
    Ok(result)
}

pub(super) fn add(netns: &Netns, dir: &Path, name: &str) -> Result<Pin> {
    check_name(name)?;
    make_directory(dir)?;
    if dir == Path::new(RUN_NETNS) {
        share(dir)?;
    }
    let Some(directory) = Directory::open(dir)? else { return Err(at("open", dir, Errno::ENOENT)) };
    let path = dir.join(name);
    let flags = OFlag::O_RDONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = match openat(&directory.fd, name, flags, Mode::empty()) {
        Err(Errno::EEXIST) => return Err(Error::PinExists { path }),
        other => other.map_err(|errno| at("create", &path, errno))?,
    };
    let (source, target) = (descriptor_path(netns), descriptor_path(&file));
    let bound = mount(Some(source.as_str()), target.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>);
    if let Err(errno) = bound {
        let first = at("bind netns to", &path, errno);
        return Err(match directory.remove(name) {
            Ok(()) => first,
            Err(cleanup) => Error::WithCleanup { first: Box::new(first), cleanup: Box::new(cleanup) },
        });
    }
    Ok(Pin { path, inode: netns.inode })
}

pub(super) fn open_netns(dir: &Path, name: &str) -> Result<Netns> {
    check_name(name)?;
    let path = dir.join(name);
    let found = Directory::open(dir)?.map(|directory| directory.look(name)).transpose()?.flatten();
    match found {
        None => Err(at("open netns", &path, Errno::ENOENT)),
        Some((PinState::Netns { .. }, file)) => {
            let fd = reopen(&file).map_err(|errno| at("open netns", &path, errno))?;
            Netns::checked(fd, || path.display().to_string())
        }
        Some(_) => Err(Error::NotANetns { object: path.display().to_string() }),
    }
}

/// A directory of pins.
struct Directory<'a> {
    fd: OwnedFd,
    path: &'a Path,
}

impl<'a> Directory<'a> {
    /// None if there is no such directory.
    fn open(path: &'a Path) -> Result<Option<Self>> {
        match open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(at("open", path, errno)),
        }
    }

    /// What has this name, and a descriptor of it (O_PATH: nothing is opened that may have effects).
    fn look(&self, name: &str) -> Result<Option<(PinState, OwnedFd)>> {
        check_name(name)?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = match openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            other => other.map_err(|errno| at("open", &self.path.join(name), errno))?,
        };
        let state = self.state(&file).map_err(|errno| at("stat", &self.path.join(name), errno))?;
        Ok(Some((state, file)))
    }

    fn state(&self, file: &OwnedFd) -> nix::Result<PinState> {
        let stat = fstat(file)?;
        if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() || stat.st_size != 0 {
            return Ok(PinState::Foreign);
        }
        if fstatfs(file)?.filesystem_type() != NSFS_MAGIC {
            return Ok(PinState::Leftover);
        }
        let is_netns = crate::sys::is_netns(reopen(file)?.as_fd())
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
        Ok(if is_netns { PinState::Netns { inode: stat.st_ino } } else { PinState::Foreign })
    }

    fn remove(&self, name: &str) -> Result<()> {
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(at("remove", &self.path.join(name), errno)),
        }
    }
}

fn make_directory(dir: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o755).create(dir) {
        // The mode is not left to the umask.
        Ok(()) => std::fs::set_permissions(dir, Permissions::from_mode(0o755))
            .map_err(|error| at("chmod", dir, error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(at("create directory", dir, error)),
    }
}

/// Makes the directory a shared mount of itself, as `ip netns add` does where that was not done before.
///
/// Not for sharing's sake: were it left to a later `ip netns add`, that one would bind a copy of our pins over them,
/// and the covered ones could neither be unmounted nor removed.
fn share(dir: &Path) -> Result<()> {
    let shared = MsFlags::MS_SHARED | MsFlags::MS_REC;
    let _lock = share_lock(dir);
    // Of the directory alone: the kernel would look at each pin there is.
    match mount(None::<&str>, dir, None::<&str>, MsFlags::MS_SHARED, None::<&str>) {
        Ok(()) => return Ok(()),
        Err(Errno::EINVAL) => {} // not a mount point yet
        Err(errno) => return Err(at("share", dir, errno)),
    }
    mount(Some(dir), dir, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .and_then(|()| mount(None::<&str>, dir, None::<&str>, shared, None::<&str>))
        .map_err(|errno| at("share", dir, errno))
}

/// The lock that `ip netns add` takes for the same purpose. Without it, two makers could bind the directory over each
/// other; that is rare enough to go on without it when somebody just holds it.
fn share_lock(dir: &Path) -> Option<OwnedFd> {
    let deadline = Instant::now() + SHARE_LOCK_WAIT;
    let fd = open(dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    loop {
        match crate::sys::try_lock(fd.as_fd()) {
            Ok(()) => return Some(fd),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock || Instant::now() >= deadline => {
                return None;
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// A descriptor to read from, for what an O_PATH one refers to.
fn reopen(file: &OwnedFd) -> nix::Result<OwnedFd> {
    open(descriptor_path(file).as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
}

/// The path by which mount and open reach exactly what a descriptor refers to.
fn descriptor_path(fd: &impl AsFd) -> String {
    format!("/proc/thread-self/fd/{}", fd.as_fd().as_raw_fd())
}

fn check_name(name: &str) -> Result<()> {
    let why = match name {
        "" => "is empty",
        "." | ".." => "is a directory",
        _ if name.len() > 255 => "is longer than 255 bytes",
        _ if name.contains('/') => "has a slash",
        _ if name.chars().any(char::is_control) => "has a control character",
        _ => return Ok(()),
    };
    Err(Error::InvalidName { name: name.to_owned(), why })
}

fn at(operation: &'static str, path: &Path, error: impl Into<io::Error>) -> Error {
    Error::os(operation, path.display().to_string(), error)
}
