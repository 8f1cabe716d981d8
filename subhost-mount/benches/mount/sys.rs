//! The ioctls of loop devices, as bare as can be, and a mount namespace.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::loop_device as raw;

/// The number of a free loop device.
pub(crate) fn get_free(control: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: this request takes no argument and touches no memory of ours.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), raw::LOOP_CTL_GET_FREE as libc::Ioctl) };
    u32::try_from(number).map_err(|_| io::Error::last_os_error())
}

/// Attaches a whole file, with autoclear.
pub(crate) fn configure(device: BorrowedFd<'_>, backing: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all zeros are a value of this structure of plain numbers.
    let mut config: raw::loop_config = unsafe { std::mem::zeroed() };
    config.fd = u32::try_from(backing.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput)?;
    config.info.lo_flags = raw::LO_FLAGS_AUTOCLEAR as u32;
    // SAFETY: the structure is what this request reads, and lives until the call is over.
    let result =
        unsafe { libc::ioctl(device.as_raw_fd(), raw::LOOP_CONFIGURE as libc::Ioctl, &raw const config) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A mount namespace for this thread alone.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    // SAFETY: takes a number only; this program has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
