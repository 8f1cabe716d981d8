//! File descriptors by number: what a child between clone and exec does with them, and what it hands to its parent.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::check;

/// Closes all descriptors but these, which have to be sorted. In a child alone: whoever owns a descriptor that is closed here
/// must never use it again.
pub(crate) fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut first = 0;
    for &fd in keep {
        if fd > first {
            close_range(first.cast_unsigned(), (fd - 1).cast_unsigned())?;
        }
        first = fd + 1;
    }
    close_range(first.cast_unsigned(), u32::MAX)
}

/// Marks all descriptors from this number on as closed on exec.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: with this flag close_range closes nothing, and touches no memory.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })?;
    Ok(())
}

/// Lets whatever is executed next inherit this descriptor.
pub(crate) fn keep_on_exec(number: RawFd) -> io::Result<()> {
    // SAFETY: this touches no memory, and leaves the descriptor open.
    check(libc::c_long::from(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }))?;
    Ok(())
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: close_range touches no memory; that the descriptors are not used again is the contract of the caller.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
    Ok(())
}

/// Puts a copy of a descriptor at this very number, to be inherited by the program executed.
pub(crate) fn place(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: dup2 touches no memory; in a child nobody owns what was at that number, as close_all_but was called.
    check(libc::c_long::from(unsafe { libc::dup2(fd.as_raw_fd(), number) }))?;
    Ok(())
}

/// Takes over a descriptor that a child which shares our table has opened for us and told us about.
pub(crate) fn adopt(number: RawFd) -> OwnedFd {
    // SAFETY: the child has given up the descriptor (`into_raw_fd`) and ended; nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(number) }
}
