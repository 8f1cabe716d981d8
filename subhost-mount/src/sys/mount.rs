//! `mount_setattr(2)`, and leaving the mount namespace of the other threads.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::general::{MOUNT_ATTR_IDMAP, mount_attr};
use rustix::thread::UnshareFlags;

/// What `mount_setattr(2)` is to change.
#[derive(Default)]
pub(crate) struct MountChange<'a> {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    /// One of the `MS_` constants of propagation, or 0.
    pub(crate) propagation: u64,
    pub(crate) userns: Option<BorrowedFd<'a>>,
    pub(crate) recursive: bool,
}

/// Changes the mount that `mount` is the root of.
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, change: &MountChange<'_>) -> io::Result<()> {
    let mut attr = mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    if let Some(userns) = change.userns {
        attr.attr_set |= u64::from(MOUNT_ATTR_IDMAP);
        attr.userns_fd = u64::try_from(userns.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput)?;
    }
    let flags = libc::AT_EMPTY_PATH | if change.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated literal, `attr` lives across the call and its size is given,
    // and the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives the calling thread a mount namespace, and a working directory and umask, of its own.
pub(crate) fn unshare_mount_namespace() -> io::Result<()> {
    // SAFETY: the file descriptor table stays shared, which is what the function is unsafe about.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.map_err(io::Error::from)
}
