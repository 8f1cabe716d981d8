//! `clone3` in the manner of `fork`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use linux_raw_sys::general::clone_args;

use super::check;

/// A child, as its parent sees it.
pub(crate) struct Child {
    /// Its pid in the PID namespace of the caller.
    pub(crate) pid: u32,
    /// Its pidfd, close-on-exec.
    pub(crate) pidfd: OwnedFd,
}

/// Clones a child with a copy of the caller's memory, which runs `body` and exits with the status that it returns.
///
/// `flags` are those of clone3 without `CLONE_VM`, `CLONE_THREAD` and `CLONE_SIGHAND`; `CLONE_PIDFD` is added. The exit
/// signal is none, so that the caller's SIGCHLD handling is not disturbed and only a wait with `__WALL` sees the child.
///
/// The child has only the one thread that it was cloned from: `body` must neither allocate nor lock. All signals should
/// be blocked, so that no handler of the caller runs in it.
pub(crate) fn fork_with(
    flags: u32,
    cgroup: Option<BorrowedFd<'_>>,
    body: &dyn Fn() -> i32,
) -> io::Result<Child> {
    assert_eq!(
        flags & libc::CLONE_VM.cast_unsigned(),
        0,
        "the child returns on a copy of this stack, so the memory cannot be shared"
    );
    let mut pidfd: RawFd = -1;
    let mut arguments = clone_args {
        flags: u64::from(flags) | libc::CLONE_PIDFD as u64,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: 0,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(cgroup) = cgroup {
        // CLONE_INTO_CGROUP; libc has it only as a number that does not fit its own type on 32 bits.
        arguments.flags |= 0x2_0000_0000;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: the structure lives for the length of the call and has the size given; without CLONE_VM and without a stack
    // the child goes on from here on a copy of this stack, as after fork.
    let result = unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_mut(&mut arguments), size_of::<clone_args>())
    };
    match check(result)? {
        0 => {
            // Unwinding would run the caller's destructors in the child.
            let guard = ExitOnUnwind;
            let status = body();
            std::mem::forget(guard);
            exit(status)
        }
        pid => {
            let pid = u32::try_from(pid).map_err(io::Error::other)?;
            // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor here, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child { pid, pidfd })
        }
    }
}

/// Ends the process at once, without running anything that was registered for its exit.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

struct ExitOnUnwind;

impl Drop for ExitOnUnwind {
    fn drop(&mut self) {
        exit(125);
    }
}
