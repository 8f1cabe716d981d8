//! A child that is there and does nothing.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::io::retry_on_intr;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::clone::Child;

/// It makes three system calls.
const STACK_BYTES: usize = 16 * 1024;

/// What the child is told.
struct Task {
    parent: libc::pid_t,
    /// Not zero once it is to end; the child waits for that as for a futex.
    end: AtomicU32,
}

/// Clones a child into new namespaces, which lives until `with` returns. It shares the caller's memory and descriptors, so
/// that nothing is copied, and changes neither; it dies with the calling thread.
///
/// `flags` are those of the namespaces. The child has no exit signal, and all signals blocked. While it lives it is alone in
/// a new user namespace: whoever has capabilities there could trace it, and with it the caller's memory.
pub(crate) fn beside<T>(flags: c_int, with: impl FnOnce(&Child) -> T) -> io::Result<T> {
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let task = Box::new(Task { parent: rustix::process::getpid().as_raw_pid(), end: AtomicU32::new(0) });
    let mut pidfd: RawFd = -1;
    let flags = flags | libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_PIDFD;
    let all = SigSet::all();
    let mask = all.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let argument = (&raw const *task).cast_mut().cast();
    // SAFETY: the child gets a stack of its own, aligned to 16 bytes, and only reads `task`; both outlive it, as `Idle` waits
    // for its end. The kernel stores a descriptor in `pidfd` before the call returns.
    let pid = unsafe { libc::clone(idle, top, flags, argument, &raw mut pidfd) };
    let pid = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    // Cannot fail: the mask is one that the kernel gave.
    let _ = mask.thread_set_mask();
    let pid = pid?.cast_unsigned();
    // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor here, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let idle = Idle { child: Child { pid, pidfd }, memory: Some((task, stack)) };
    Ok(with(&idle.child))
}

/// Ends, and is reaped, when it is dropped, also when the caller panics.
struct Idle {
    child: Child,
    /// Its task and its stack; none once it is dropped.
    memory: Option<(Box<Task>, Vec<u128>)>,
}

impl Drop for Idle {
    fn drop(&mut self) {
        let memory = self.memory.take();
        if let Some((task, _)) = &memory {
            task.end.store(1, Ordering::Release);
            futex(&task.end, libc::FUTEX_WAKE, 1);
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::from_bits_retain(libc::__WALL.cast_unsigned());
        // It is ours, and nobody else waits for it.
        let ended = retry_on_intr(|| waitid(WaitId::PidFd(self.child.pidfd.as_fd()), options));
        if ended.is_err() {
            // It may be there still.
            std::mem::forget(memory);
        }
    }
}

/// In the child: raw system calls only, which touch nothing that belongs to the caller's thread. A wait that ends at once, as
/// it is to end already, does set that thread's errno, which then looks at none.
extern "C" fn idle(task: *mut c_void) -> c_int {
    // SAFETY: the pointer is the one that `beside` gave to clone, to a task that lives as long as this child.
    let task = unsafe { &*task.cast::<Task>() };
    // SAFETY: plain system call; it changes this child alone.
    unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: plain system call without arguments.
    let parent = unsafe { libc::syscall(libc::SYS_getppid) };
    // One that was born as its parent died waits for nobody.
    while parent == libc::c_long::from(task.parent) && task.end.load(Ordering::Acquire) == 0 {
        if !futex(&task.end, libc::FUTEX_WAIT, 0) {
            break;
        }
    }
    0
}

/// False when the call was refused, or `FUTEX_WAIT` finds another value.
fn futex(word: &AtomicU32, operation: c_int, value: c_int) -> bool {
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word lives for the length of the call; there is no time.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, 0) >= 0 }
}
