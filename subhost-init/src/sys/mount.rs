//! `mount_setattr`, which no library has.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::general::mount_attr;

use super::check;

/// Sets and clears attributes (`MOUNT_ATTR_*`) of the mount that this descriptor is the root of.
pub(crate) fn set_mount_attributes(mount: BorrowedFd<'_>, set: u32, clear: u32) -> io::Result<()> {
    let attributes =
        mount_attr { attr_set: set.into(), attr_clr: clear.into(), propagation: 0, userns_fd: 0 };
    // SAFETY: the path is null-terminated and the structure has the size given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&attributes),
            size_of::<mount_attr>(),
        )
    })?;
    Ok(())
}
