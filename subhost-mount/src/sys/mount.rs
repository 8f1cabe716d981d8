//! `mount_setattr(2)`, and what makes a thread differ from the others: its mount namespace, and its ids.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::general::{MOUNT_ATTR_IDMAP, mount_attr};
use rustix::thread::UnshareFlags;

/// From `linux/securebits.h`: capabilities stay when ids change.
const SECBIT_NO_SETUID_FIXUP: libc::c_ulong = 1 << 2;

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

/// Gives the calling thread, which must be one that ends soon, the ids that it makes files with. It keeps its
/// capabilities.
pub(crate) fn set_fs_ids(uid: u32, gid: u32) -> io::Result<()> {
    let dumpable = prctl(libc::PR_GET_DUMPABLE, 0)?;
    let bits = prctl(libc::PR_GET_SECUREBITS, 0)?;
    prctl(libc::PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP)?;
    // SAFETY: takes a number, and changes the calling thread alone.
    unsafe { libc::setfsgid(gid) };
    // SAFETY: as above.
    unsafe { libc::setfsuid(uid) };
    // They say nothing about failure; -1 changes nothing and returns what is.
    // SAFETY: as above.
    let has_gid = unsafe { libc::setfsgid(u32::MAX) };
    // SAFETY: as above.
    let has_uid = unsafe { libc::setfsuid(u32::MAX) };
    // The kernel takes core dumps and ptrace from the whole process when ids change.
    if dumpable == 1 {
        prctl(libc::PR_SET_DUMPABLE, dumpable)?;
    }
    if has_uid.cast_unsigned() == uid && has_gid.cast_unsigned() == gid {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}

fn prctl(option: libc::c_int, value: libc::c_ulong) -> io::Result<libc::c_ulong> {
    // SAFETY: the options above take and return numbers; unused arguments are 0.
    let result = unsafe { libc::prctl(option, value, 0_u64, 0_u64, 0_u64) };
    libc::c_ulong::try_from(result).map_err(|_| io::Error::last_os_error())
}
