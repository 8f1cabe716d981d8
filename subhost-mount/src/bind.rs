//! Bind mounts: another view of a directory or a file that is there.

use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::mount::OpenTreeFlags;

use crate::error::shown;
use crate::filesystem::Mount;
use crate::{Error, Result};

/// A detached bind of `path`, a directory or a file that only the host controls, with what is mounted below it if
/// `recursive`.
///
/// # Errors
/// [`Error::System`] when the kernel refuses.
pub fn bind(path: &Path, recursive: bool) -> Result<Mount> {
    open_tree(rustix::fs::CWD, path, &shown(path), recursive)
}

/// A detached bind of what `fd` is open on, also with `O_PATH`. Its mount must be in the calling thread's mount
/// namespace.
///
/// # Errors
/// [`Error::System`] when the kernel refuses.
pub fn bind_fd(fd: BorrowedFd<'_>, recursive: bool) -> Result<Mount> {
    open_tree(fd, Path::new(""), &format!("{fd:?}"), recursive)
}

pub(crate) fn open_tree(
    directory: BorrowedFd<'_>,
    path: &Path,
    name: &str,
    recursive: bool,
) -> Result<Mount> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    let fd = rustix::mount::open_tree(directory, path, flags)
        .map_err(|errno| Error::system("bind", name, errno))?;
    Ok(Mount::new(fd, name.to_owned()))
}
