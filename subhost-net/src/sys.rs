//! The system calls that need `unsafe`: the child that makes a network namespace, and the ioctls of nsfs.

use std::ffi::{c_int, c_ulong, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use nix::sys::prctl::{get_dumpable, set_dumpable};
use nix::sys::signal::{SigSet, SigmaskHow};

/// `_IO(0xb7, 1)`: the user namespace that owns a namespace.
const NS_GET_USERNS: c_ulong = 0xb701;
/// `_IO(0xb7, 3)`: which kind of namespace it is, as its CLONE_NEW flag.
const NS_GET_NSTYPE: c_ulong = 0xb703;
/// The network namespace of a socket.
const SIOCGSKNS: c_ulong = 0x894c;

/// The child calls five functions that keep little on the stack.
const STACK_BYTES: usize = 64 * 1024;

/// Which step of making a namespace was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Clone,
    EnterUserNamespace,
    Unshare,
    OpenNamespace,
}

/// What the child is told, and where it writes what became of it.
struct Task {
    /// -1 for none.
    user_namespace: RawFd,
    outcome: Result<RawFd, (Step, c_int)>,
}

/// Makes a network namespace, owned by `user_namespace` or else by the caller's user namespace.
///
/// A thread of a process with several cannot enter a user namespace (EINVAL), so that a child does it. It shares our
/// memory and file descriptors and has us wait (as vfork does), so that nothing is copied, and the descriptor that
/// it opens is ours already. Its credentials and namespaces are its own, and end with it.
pub(crate) fn new_netns(user_namespace: Option<BorrowedFd<'_>>) -> Result<OwnedFd, (Step, io::Error)> {
    if user_namespace.is_none() {
        return clone_netns(user_namespace);
    }
    // Whoever has capabilities in that user namespace could trace the child once it is inside, and with it read and
    // write the memory that it shares with us, were that not marked as not to be dumped. Where another user owns the
    // namespace the kernel marks it by itself, and for good. One at a time, so that none takes the mark of another one's
    // child for the state before.
    static CHILD: Mutex<()> = Mutex::new(());
    let _one_at_a_time = CHILD.lock().unwrap_or_else(PoisonError::into_inner);
    let unmarked = get_dumpable() == Ok(true);
    // Neither call can fail with these values.
    let _ = set_dumpable(false);
    let result = clone_netns(user_namespace);
    if unmarked {
        let _ = set_dumpable(true);
    }
    result
}

fn clone_netns(user_namespace: Option<BorrowedFd<'_>>) -> Result<OwnedFd, (Step, io::Error)> {
    let mut task = Task {
        user_namespace: user_namespace.map_or(-1, |fd| fd.as_raw_fd()),
        outcome: Err((Step::Clone, libc::ECHILD)),
    };
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    // A signal handler that runs in the child would run in our memory, with the child's identity.
    let all = SigSet::all();
    let before =
        all.thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(|errno| (Step::Clone, errno.into()))?;
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES;
    // SAFETY: `child` gets a stack of its own, aligned to 16 bytes, and the only reference to `task`; both outlive it,
    // as CLONE_VFORK has this thread wait until it has exited. It neither allocates, nor locks, nor unwinds.
    let pid = unsafe { libc::clone(child, top, flags, (&raw mut task).cast()) };
    let cloned = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    // Cannot fail: the mask is one that the kernel gave.
    let _ = before.thread_set_mask();
    let pid = cloned.map_err(|error| (Step::Clone, error))?;
    reap(pid);

    match task.outcome {
        // SAFETY: the child opened it in the table that it shared with us, and nobody else knows of it.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err((step, errno)) => Err((step, io::Error::from_raw_os_error(errno))),
    }
}

extern "C" fn child(task: *mut c_void) -> c_int {
    // SAFETY: the pointer is the one that `new_netns` gave to clone, to a Task that nobody else uses meanwhile.
    let task = unsafe { &mut *task.cast::<Task>() };
    task.outcome = make_netns(task.user_namespace);
    0
}

/// In the child: system calls only. errno is that of the waiting thread, whose thread-local storage the child has.
fn make_netns(user_namespace: RawFd) -> Result<RawFd, (Step, c_int)> {
    if user_namespace >= 0 {
        // SAFETY: plain system call; the descriptor is borrowed by the waiting caller.
        check(Step::EnterUserNamespace, unsafe { libc::setns(user_namespace, libc::CLONE_NEWUSER) })?;
    }
    // SAFETY: plain system call; it changes this child alone.
    check(Step::Unshare, unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    // Through a socket rather than /proc/self/ns/net, as there need not be a /proc that knows this process. A Unix
    // socket, since closing a netlink one keeps the namespace alive for a grace period.
    // SAFETY: plain system call without pointers.
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(Step::OpenNamespace, socket)?;
    // SAFETY: SIOCGSKNS takes no argument; it returns a new descriptor, close-on-exec.
    let netns = check(Step::OpenNamespace, unsafe { libc::ioctl(socket, SIOCGSKNS as _) });
    // SAFETY: the socket was opened above and is known to nobody else.
    unsafe { libc::close(socket) };
    netns
}

fn check(step: Step, result: c_int) -> Result<c_int, (Step, c_int)> {
    if result < 0 { Err((step, nix::errno::Errno::last_raw())) } else { Ok(result) }
}

/// The child has exited; it sends no signal and no other wait sees it but one with __WALL, whose success is as good.
fn reap(pid: libc::pid_t) {
    loop {
        // SAFETY: a null status pointer is allowed.
        let result = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) };
        if result >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// The user namespace that owns the namespace `fd`.
pub(crate) fn owning_user_namespace(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: NS_GET_USERNS takes no argument; it returns a new descriptor, close-on-exec.
    let owner = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_USERNS as _) };
    if owner < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and known to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(owner) })
}

/// Takes the exclusive flock(2) of what `fd` has open, if nobody has one. Closing gives it back, which cannot fail.
pub(crate) fn try_lock(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: flock takes a descriptor and flags, and touches no memory of ours.
    match unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether `fd` refers to a network namespace.
pub(crate) fn is_netns(fd: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: NS_GET_NSTYPE takes no argument; on anything but a namespace it fails.
    let kind = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE as _) };
    if kind >= 0 {
        return Ok(kind == libc::CLONE_NEWNET);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOTTY) { Ok(false) } else { Err(error) }
}
