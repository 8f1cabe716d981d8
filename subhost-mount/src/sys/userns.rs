//! A process that is nothing but a user namespace.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::general::{CLONE_NEWUSER, clone_args};

/// Makes a child in a user namespace of its own, which stays until all copies of `writer` are closed but its own.
/// It sends no signal when it ends, and only [`wait_for_clone`] sees it.
pub(crate) fn clone_user_namespace(
    reader: BorrowedFd<'_>,
    writer: BorrowedFd<'_>,
) -> io::Result<libc::pid_t> {
    // SAFETY: it is integers, for which zero is a value.
    let mut args: clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_NEWUSER.into();
    // SAFETY: `args` lives across the call, and its size is given. Memory is copied, as by `fork(2)`; of the other
    // threads the child has none, so it only makes system calls below.
    let child = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<clone_args>()) };
    if child == 0 {
        stay(reader, writer);
    }
    match libc::pid_t::try_from(child) {
        Ok(child) if child > 0 => Ok(child),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The life of the child.
fn stay(reader: BorrowedFd<'_>, writer: BorrowedFd<'_>) -> ! {
    // SAFETY: this is the child's own copy, and nothing of the child uses it.
    unsafe { libc::close(writer.as_raw_fd()) };
    let mut byte = 0_u8;
    // SAFETY: `byte` is one byte that may be written.
    unsafe { libc::read(reader.as_raw_fd(), (&raw mut byte).cast(), 1) };
    // SAFETY: ends the process without running anything of the parent's.
    unsafe { libc::_exit(0) }
}

/// Waits until the child is gone.
pub(crate) fn wait_for_clone(child: libc::pid_t) -> io::Result<()> {
    loop {
        // SAFETY: no status is asked for, so nothing is written.
        if unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::__WALL) } == child {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
