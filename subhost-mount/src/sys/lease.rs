//! Leases (`fcntl(2)`, `F_SETLEASE`), which are given only while nobody else has a file open.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::general as raw;

/// Takes a lease on a regular file and lets it go at once: `EAGAIN` while anybody else has it open, or with `shared`,
/// for which `file` must be open for reading only, while anybody has it open for writing. Other errors tell nothing.
///
/// Who opens the file in between waits, or with `O_NONBLOCK` gets `EAGAIN`.
pub(crate) fn try_lease(file: BorrowedFd<'_>, shared: bool) -> io::Result<()> {
    let number = |number: u32| number.cast_signed();
    let kind = if shared { raw::F_RDLCK } else { raw::F_WRLCK };
    // The holder of a lease that is in somebody's way gets a signal, by default one that ends it. This one does not.
    for (command, value) in [
        (number(raw::F_SETSIG), libc::SIGURG),
        (number(raw::F_SETLEASE), number(kind)),
        (number(raw::F_SETLEASE), number(raw::F_UNLCK)),
    ] {
        // SAFETY: these commands take a number and touch no memory of ours.
        if unsafe { libc::fcntl(file.as_raw_fd(), command, value) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
