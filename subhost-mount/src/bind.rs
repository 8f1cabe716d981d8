//! Bind mounts: another view of a directory or a file that is there.

use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::Result;
use crate::filesystem::Mount;

/// A detached bind of `path`, with what is mounted below it if `recursive`.
///
/// # Errors
/// When the kernel refuses.
pub fn bind(path: &Path, recursive: bool) -> Result<Mount> {
    let _ = (path, recursive);
    unimplemented!()
}

/// A detached bind of what `fd` is open on.
///
/// # Errors
/// When the kernel refuses.
pub fn bind_fd(fd: BorrowedFd<'_>, recursive: bool) -> Result<Mount> {
    let _ = (fd, recursive);
    unimplemented!()
}
