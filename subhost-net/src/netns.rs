//! Network namespaces: made by fd, inside a user namespace or not; pinned to a name and unpinned; entered.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::Result;

/// Where `ip netns` looks for names.
pub const RUN_NETNS: &str = "/run/netns";

/// A network namespace, held by a file descriptor: it lives at least as long as this does.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    inode: u64,
}

/// A name given to a network namespace by [`Netns::pin`]; plain data, dropping it does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Where the name is.
    pub path: PathBuf,
    /// The namespace's inode, to be given to [`unpin`].
    pub inode: u64,
}

/// What stands under a name in a folder of pins.
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

impl Netns {
    /// Makes a network namespace, owned by the given user namespace or else by the caller's.
    pub fn create(_user_namespace: Option<BorrowedFd<'_>>) -> Result<Self> {
        unimplemented!()
    }

    /// Takes a file descriptor that refers to a network namespace.
    pub fn from_fd(_fd: OwnedFd) -> Result<Self> {
        unimplemented!()
    }

    /// Opens the namespace that `ip netns` knows as `name`.
    pub fn open_named(_name: &str) -> Result<Self> {
        unimplemented!()
    }

    /// Opens the namespace that is pinned as `name` in `dir`.
    pub fn open_pinned(_dir: &Path, _name: &str) -> Result<Self> {
        unimplemented!()
    }

    /// The network namespace of the calling thread.
    pub fn current() -> Result<Self> {
        unimplemented!()
    }

    /// The inode that identifies the namespace for as long as it lives.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// The user namespace that owns this one (NS_GET_USERNS).
    pub fn user_namespace(&self) -> Result<OwnedFd> {
        unimplemented!()
    }

    /// Gives the namespace the name `name` in `dir`.
    pub fn pin(&self, _dir: &Path, _name: &str) -> Result<Pin> {
        unimplemented!()
    }

    /// Runs `f` on a fresh thread inside the namespace.
    pub fn run_inside<T: Send>(&self, _f: impl FnOnce() -> T + Send) -> Result<T> {
        unimplemented!()
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Netns> for OwnedFd {
    fn from(netns: Netns) -> Self {
        netns.fd
    }
}

/// Looks at the name `name` in `dir`; none if there is no such file.
pub fn pinned_inode(_dir: &Path, _name: &str) -> Result<Option<PinState>> {
    unimplemented!()
}

/// Takes the name away again, once what is there is proved to be the namespace with `expected_inode`.
pub fn unpin(_dir: &Path, _name: &str, _expected_inode: u64) -> Result<Unpinned> {
    unimplemented!()
}
