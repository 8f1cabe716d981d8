//! User namespaces with a range of host ids, held by file descriptor alone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::Result;

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
    /// Makes a user namespace with this map.
    ///
    /// # Errors
    /// The step and errno.
    pub fn create(map: IdMap) -> Result<UserNamespace> {
        let _ = map;
        todo!()
    }

    /// Takes a file descriptor of `/proc/PID/ns/user` or from `NS_GET_USERNS`.
    ///
    /// # Errors
    /// When it is none of a user namespace.
    pub fn from_fd(fd: OwnedFd) -> Result<UserNamespace> {
        Ok(UserNamespace { fd })
    }

    /// Inode number of the namespace: its identity until the next boot of the host, while it lives.
    ///
    /// # Errors
    /// Of `fstat`.
    pub fn inode(&self) -> Result<u64> {
        todo!()
    }
}

impl AsFd for UserNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
