//! User namespaces with a range of host ids, held by file descriptor alone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::{Error, Result, sys};
use rustix::fs::{Mode, OFlags};

/// Which host ids a user namespace gets: `0..count` inside are `first..first + count` outside, for users
/// and groups alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IdMap {
    /// The host id of the guest's root.
    pub first: u32,
    /// How many ids.
    pub count: u32,
}

/// A user namespace, alive as long as this (or a process, mount or other namespace in it) is.
#[derive(Debug)]
pub struct UserNamespace {
    fd: OwnedFd,
}

impl UserNamespace {
    /// Makes a user namespace with this map. Needs root of the initial user namespace (`CAP_SETUID`, `CAP_SETGID`).
    ///
    /// A user namespace is born with a process, which here is a child that does nothing; it has ended and
    /// is reaped when this returns. The caller's other children and its SIGCHLD are not touched.
    ///
    /// # Errors
    /// [`Error::System`]: `clone3` gives `ENOSPC` when `/proc/sys/user/max_user_namespaces` is reached, and
    /// `EPERM` where user namespaces are forbidden; writing a map gives `EINVAL` when it is empty or does not fit 32 bits.
    pub fn create(map: IdMap) -> Result<UserNamespace> {
        let object = || format!("user namespace of ids {} to +{}", map.first, map.count);
        sys::idle::beside(libc::CLONE_NEWUSER, |child| adopt(child.pid, map))
            .map_err(|source| Error::System { operation: "clone a child into", object: object(), source })?
    }

    /// Takes a file descriptor of `/proc/PID/ns/user`, or one from the ioctl `NS_GET_USERNS`.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is none of a user namespace.
    pub fn from_fd(fd: OwnedFd) -> Result<UserNamespace> {
        match sys::namespace::namespace_type(fd.as_fd()) {
            Ok(libc::CLONE_NEWUSER) => Ok(UserNamespace { fd }),
            _ => Err(Error::Refused { object: "descriptor".into(), reason: "is not of a user namespace" }),
        }
    }

    /// Inode number of the namespace: its identity while it lives.
    ///
    /// # Errors
    /// Of `fstat`.
    pub fn inode(&self) -> Result<u64> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|e| Error::System {
            operation: "stat",
            object: "user namespace".into(),
            source: e.into(),
        })?;
        Ok(stat.st_ino)
    }
}

impl AsFd for UserNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<UserNamespace> for OwnedFd {
    fn from(namespace: UserNamespace) -> OwnedFd {
        namespace.fd
    }
}

/// Writes the maps of the namespace that this process is in, and opens it.
fn adopt(pid: u32, map: IdMap) -> Result<UserNamespace> {
    for name in ["uid_map", "gid_map"] {
        let path = format!("/proc/{pid}/{name}");
        // A map is written by one write, and only once.
        write_once(&path, &format!("0 {} {}\n", map.first, map.count)).map_err(|source| Error::System {
            operation: "write",
            object: path,
            source,
        })?;
    }
    let path = format!("/proc/{pid}/ns/user");
    let fd = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::System { operation: "open", object: path, source: e.into() })?;
    Ok(UserNamespace { fd })
}

fn write_once(path: &str, text: &str) -> io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::io::retry_on_intr(|| rustix::io::write(&file, text.as_bytes()))? == text.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}
