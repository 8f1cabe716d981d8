//! Raising `lo`, without netlink: two ioctls.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// Brings `lo` up in the network namespace that the socket was made in. Any socket will do, one of AF_UNIX too.
pub(crate) fn raise_loopback(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: ifreq is plain old data, for which all zeros is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from.cast_signed();
    }
    // SAFETY: the pointer is to an ifreq with a null-terminated name, which the kernel fills.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, std::ptr::from_mut(&mut request)) };
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
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, std::ptr::from_mut(&mut request)) };
    check(result.into())?;
    Ok(())
}
