//! The one way from a path to an fd, and from an fd to an open file.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Metadata, RootDir, walk};
use crate::{Error, Result};

/// How often the kernel may be disturbed by renames while it walks a path with `..` in it.
const ATTEMPTS: u32 = 100;

/// A directory in a tree.
pub(super) enum Directory<'a> {
    Root(BorrowedFd<'a>),
    Inside(OwnedFd),
}

impl AsFd for Directory<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Directory::Root(fd) => *fd,
            Directory::Inside(fd) => fd.as_fd(),
        }
    }
}

impl RootDir {
    /// Opens what `path` leads to inside the tree.
    pub(super) fn resolve(
        &self,
        operation: &'static str,
        path: &Path,
        flags: OFlags,
        more: ResolveFlags,
    ) -> Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
        let place = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let mut result = Err(Errno::AGAIN);
        for _ in 0..ATTEMPTS {
            result = rustix::fs::openat2(&self.fd, place, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
            if !matches!(result, Err(Errno::AGAIN)) {
                break;
            }
        }
        // Taken away by a seccomp filter, as container managers and service managers install them; or disturbed for ever, as
        // anybody can who renames without end anywhere.
        if matches!(result, Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN)) {
            result = walk::open(self.fd.as_fd(), place, flags, more.contains(ResolveFlags::NO_SYMLINKS));
        }
        result.map_err(|errno| Error::system(operation, path, errno))
    }

    /// The directory that `path` is to be made in, and its last name. Links before that name are followed inside
    /// the tree.
    pub(super) fn parent<'a>(
        &self,
        operation: &'static str,
        path: &'a Path,
    ) -> Result<(Directory<'_>, &'a OsStr)> {
        let Some(Component::Normal(name)) = path.components().next_back() else {
            return Err(Error::system(operation, path, Errno::INVAL));
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        // The tree's own nodes are made one by one, and nearly all of them there.
        if directory.as_os_str().is_empty() {
            return Ok((Directory::Root(self.fd.as_fd()), name));
        }
        let directory =
            self.resolve(operation, directory, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty())?;
        Ok((Directory::Inside(directory), name))
    }
}

/// What the file behind `fd` is; `path` is for messages.
pub(super) fn stat(operation: &'static str, fd: &OwnedFd, path: &Path) -> Result<Metadata> {
    let stat = rustix::fs::fstat(fd).map_err(|errno| Error::system(operation, path, errno))?;
    Ok(Metadata::of(&stat))
}

/// Opens the very file that an `O_PATH` fd stands for, after it has been looked at.
pub(super) fn reopen(operation: &'static str, fd: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty())
        .map_err(|errno| Error::system(operation, path, errno))
}
