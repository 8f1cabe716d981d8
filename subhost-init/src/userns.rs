//! User namespaces with a range of host ids, held by file descriptor alone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;

use crate::child::{Channel, keep_list, wait};
use crate::{Error, Result, sys};

/// Which host ids a user namespace gets: `0..count` inside are `first..first + count` outside, for users
/// and groups alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let (ours, theirs) = Channel::pair().map_err(|source| Error::System {
            operation: "make a socket for",
            object: object(),
            source,
        })?;
        let keep = keep_list(&[theirs.as_fd()]);
        // Ends when the caller closes its end, even by dying; of that end the child must not have a copy, nor of
        // anything else.
        let idle = || {
            let _ = sys::files::close_all_but(&keep).and_then(|()| theirs.await_go());
            0
        };
        let child = {
            let all = SigSet::all();
            let mask = all.thread_swap_mask(SigmaskHow::SIG_SETMASK);
            let child = sys::clone::fork_with(libc::CLONE_NEWUSER.cast_unsigned(), None, &idle);
            if let Ok(mask) = mask {
                let _ = mask.thread_set_mask();
            }
            child.map_err(|source| Error::System {
                operation: "clone a child into",
                object: object(),
                source,
            })?
        };
        let namespace = adopt(child.pid, map);
        drop(ours);
        let _ = rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL);
        wait(child.pidfd.as_fd()).map_err(|source| Error::System {
            operation: "wait for the child in",
            object: object(),
            source,
        })?;
        namespace
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
