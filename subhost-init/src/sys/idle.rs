//! A child that is there and does nothing.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::io::retry_on_intr;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::clone::Child;

/// It makes three system calls.
const STACK_BYTES: usize = 16 * 1024;

/// Clones a child into new namespaces, which lives until `with` returns. It shares the caller's memory and descriptors, so
/// that nothing is copied, and touches neither; it dies with the calling thread.
///
/// `flags` are those of the namespaces. The child has no exit signal, and all signals blocked. It cannot be traced from
/// inside of a new user namespace, as its ids stay those of the caller.
pub(crate) fn beside<T>(flags: c_int, with: impl FnOnce(&Child) -> T) -> io::Result<T> {
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let mut pidfd: RawFd = -1;
    let mut parent = rustix::process::getpid().as_raw_pid();
    let flags = flags | libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_PIDFD;
    let all = SigSet::all();
    let mask = all.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    // SAFETY: the child gets a stack of its own, aligned to 16 bytes, which outlives it: `Idle` waits for its end before the
    // stack is dropped. It reads `parent`, which does as well; the kernel stores a descriptor in `pidfd` before it returns.
    let pid = unsafe { libc::clone(idle, top, flags, (&raw mut parent).cast(), &raw mut pidfd) };
    let pid = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    // Cannot fail: the mask is one that the kernel gave.
    let _ = mask.thread_set_mask();
    let pid = u32::try_from(pid?).map_err(io::Error::other)?;
    // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor here, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // Dropped before the stack, also when `with` panics.
    let idle = Idle(Child { pid, pidfd });
    Ok(with(&idle.0))
}

/// Ends, and is reaped, when it is dropped.
struct Idle(Child);

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.0.pidfd, Signal::KILL);
        let all = WaitIdOptions::from_bits_retain(libc::__WALL.cast_unsigned());
        // It is ours, and nobody else waits for it.
        let _ = retry_on_intr(|| waitid(WaitId::PidFd(self.0.pidfd.as_fd()), WaitIdOptions::EXITED | all));
    }
}

/// In the child: raw system calls only, which touch nothing that belongs to the caller's thread.
extern "C" fn idle(parent: *mut c_void) -> c_int {
    // SAFETY: the pointer is the one that `beside` gave to clone, to a number that lives as long as this child.
    let parent = unsafe { *parent.cast::<libc::pid_t>() };
    // SAFETY: plain system call; it changes this child alone.
    unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: plain system call without arguments.
    while unsafe { libc::syscall(libc::SYS_getppid) } == libc::c_long::from(parent) {
        // SAFETY: no descriptors, no time, no mask: it waits for a signal, and all but SIGKILL and SIGSTOP are blocked.
        unsafe { libc::syscall(libc::SYS_ppoll, 0, 0, 0, 0, 0) };
    }
    0
}
