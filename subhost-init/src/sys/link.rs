//! Raising `lo`, without netlink: two ioctls.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::ioctl::{SIOCGIFFLAGS, SIOCSIFFLAGS};

use super::check;

/// Brings `lo` up in the network namespace that the socket was made in. Any socket will do, one of AF_UNIX too.
pub(crate) fn raise_loopback(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: ifreq is plain old data, for which all zeros is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // From a literal of C, whose character has the sign that the architecture gives it.
    let name = c"lo";
    // SAFETY: both are valid for three bytes (the name and its zero), and apart; ifr_name has sixteen.
    unsafe {
        std::ptr::copy_nonoverlapping(name.as_ptr(), request.ifr_name.as_mut_ptr(), name.count_bytes() + 1)
    };
    // SAFETY: the pointer is to an ifreq with a null-terminated name, which the kernel fills.
    let result = unsafe {
        libc::ioctl(socket.as_raw_fd(), SIOCGIFFLAGS as libc::Ioctl, std::ptr::from_mut(&mut request))
    };
    check(result.into())?;
    // SAFETY: SIOCGIFFLAGS has just stored the flags in this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    #[expect(clippy::cast_possible_truncation, reason = "IFF_UP is 1")]
    let up = libc::IFF_UP as libc::c_short;
    if flags & up == up {
        return Ok(());
    }
    request.ifr_ifru.ifru_flags = flags | up;
    // SAFETY: as above; the kernel only reads it.
    let result = unsafe {
        libc::ioctl(socket.as_raw_fd(), SIOCSIFFLAGS as libc::Ioctl, std::ptr::from_mut(&mut request))
    };
    check(result.into())?;
    Ok(())
}
