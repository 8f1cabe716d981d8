//! Network namespaces: made by fd, inside a user namespace or not; entered; pinned to a name and unpinned.

mod list;
mod pin;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, fstat};

pub use self::list::{Listed, list};
pub use self::pin::{Pin, PinState, RUN_NETNS, Unpinned, pinned_inode, unpin};
use crate::socket::Socket;
use crate::sys::{self, Step};
use crate::{Error, Result, message, observe};

/// A network namespace, held by a file descriptor: it lives at least as long as this does.
///
/// When the last holder (descriptor, process, pin) is gone, the kernel ends the namespace, and every cable in it.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    inode: u64,
}

impl Netns {
    /// Makes a network namespace, owned by `user_namespace` or else by the caller's user namespace.
    ///
    /// Only what a user namespace owns can its root configure: without that, the guest can neither mount sysfs nor
    /// bring up `lo`. The calling thread stays where it is. It works in processes with many threads.
    /// Needs CAP_SYS_ADMIN in `user_namespace`.
    ///
    /// # Errors
    /// The step that was refused and its errno: ENOSPC beyond `user.max_net_namespaces`, EINVAL for a descriptor that
    /// is no user namespace or is the caller's own.
    pub fn create(user_namespace: Option<BorrowedFd<'_>>) -> Result<Self> {
        let fd = sys::new_netns(user_namespace).map_err(|(step, error)| {
            let (operation, object) = match step {
                Step::Clone => ("start child for", "new netns"),
                Step::EnterUserNamespace => ("enter user namespace for", "new netns"),
                Step::Unshare => ("create", "netns"),
                Step::OpenNamespace => ("open", "new netns"),
            };
            Error::os(operation, object, error)
        })?;
        Self::from_fd(fd)
    }

    /// Takes a file descriptor that refers to a network namespace.
    ///
    /// # Errors
    /// [`Error::NotANetns`].
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        Self::checked(fd, || "the file descriptor".to_owned())
    }

    /// Opens the namespace that `ip netns` knows as `name`.
    ///
    /// # Errors
    /// As [`Netns::open_pinned`].
    pub fn open_named(name: &str) -> Result<Self> {
        Self::open_pinned(Path::new(RUN_NETNS), name)
    }

    /// Opens the namespace that is pinned as `name` in `dir`.
    ///
    /// # Errors
    /// ENOENT; [`Error::NotANetns`] if something else has that name.
    pub fn open_pinned(dir: &Path, name: &str) -> Result<Self> {
        pin::open_netns(dir, name)
    }

    /// The network namespace of the calling thread.
    ///
    /// # Errors
    /// If `/proc` is not there.
    pub fn current() -> Result<Self> {
        const OWN: &str = "/proc/thread-self/ns/net";
        let fd = open(OWN, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|errno| Error::os("open netns", OWN, errno))?;
        Self::checked(fd, || OWN.to_owned())
    }

    /// The inode that identifies the namespace for as long as it lives, as `stat` and `lsns` show it.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// The user namespace that owns this one.
    ///
    /// # Errors
    /// EPERM if that lies outside the caller's own.
    pub fn user_namespace(&self) -> Result<OwnedFd> {
        sys::owning_user_namespace(self.fd.as_fd())
            .map_err(|error| Error::os("find user namespace of", format!("netns {}", self.inode), error))
    }

    /// The id of this network namespace in the calling thread's, as [`Link::peer_netnsid`](crate::observe::Link) has
    /// it; none if it has none there. Needs no privilege.
    ///
    /// # Errors
    /// Of the netlink socket.
    pub fn id_here(&self) -> Result<Option<i32>> {
        let request = message::get_netns_id(self.fd.as_fd(), format!("netns {}", self.inode));
        let answer = Socket::open()?.request(request)?;
        Ok(observe::decode_netns_id(&answer))
    }

    /// Gives the namespace the name `name` in `dir`, which keeps it alive until [`unpin`].
    ///
    /// In [`RUN_NETNS`] it is then what `ip netns` shows and enters. The name is a bind mount in the mount namespace of
    /// the calling thread, on a file of mode 0; `dir` is made, with mode 755, if only its last part is missing.
    /// Needs CAP_SYS_ADMIN and `/proc`. If it fails, the file is removed.
    ///
    /// # Errors
    /// [`Error::PinExists`], [`Error::InvalidName`] for what is not a plain file name, or the step and its errno.
    pub fn pin(&self, dir: &Path, name: &str) -> Result<Pin> {
        pin::add(self, dir, name)
    }

    /// Runs `f` on a fresh thread inside the namespace, and returns what it returned.
    ///
    /// Needs CAP_SYS_ADMIN, here and in the user namespace that owns it. A panic of `f` goes on in the caller.
    ///
    /// # Errors
    /// If the thread cannot be started or the namespace not be entered; `f` has not run then.
    pub fn run_inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        let object = || format!("netns {}", self.inode);
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, || {
                setns(&self.fd, CloneFlags::CLONE_NEWNET)
                    .map_err(|errno| Error::os("enter", object(), errno))?;
                Ok(f())
            });
            let thread = thread.map_err(|error| Error::os("start thread for", object(), error))?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn checked(fd: OwnedFd, object: impl FnOnce() -> String) -> Result<Self> {
        match sys::is_netns(fd.as_fd()) {
            Ok(true) => {}
            Ok(false) => return Err(Error::NotANetns { object: object() }),
            Err(error) => return Err(Error::os("look at", object(), error)),
        }
        let inode = fstat(&fd).map_err(|errno| Error::os("stat", "netns", errno))?.st_ino;
        Ok(Self { fd, inode })
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
