//! Namespaces: what the kernel tells about the file of one, and the kind that others have no call for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// `NS_GET_NSTYPE`: the `CLONE_NEW…` flag of the namespace's kind (ioctl_ns(2)).
pub(crate) fn namespace_type(namespace: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    // SAFETY: this ioctl takes no argument.
    let result = unsafe { libc::ioctl(namespace.as_raw_fd(), libc::NS_GET_NSTYPE as _) };
    check(result.into())?;
    Ok(result)
}

/// A new time namespace for the children of the calling process; it stays in its own itself.
pub(crate) fn new_time_namespace() -> io::Result<()> {
    // SAFETY: with this flag alone nothing of the calling process changes.
    check(unsafe { libc::unshare(libc::CLONE_NEWTIME) }.into())?;
    Ok(())
}
