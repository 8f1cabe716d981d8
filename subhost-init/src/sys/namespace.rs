//! What the kernel tells about a namespace file.

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
