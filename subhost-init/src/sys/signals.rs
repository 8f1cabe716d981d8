//! Signals by number; actions, mask and keyring of a child before it executes something.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// The highest signal number of Linux.
const LAST_SIGNAL: i32 = 64;

/// Gives every signal its default action: exec keeps what is ignored, and Rust programs ignore SIGPIPE.
pub(crate) fn reset_dispositions() {
    // Larger than the kernel's structure on any machine; all zeros is SIG_DFL without flags.
    let default = [0_u64; 8];
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: the kernel reads a sigaction from the buffer, which is large enough, and its mask has 8 bytes. It refuses
        // SIGKILL and SIGSTOP, which never have another action.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<libc::c_void>(),
                8_usize,
            )
        };
    }
}

/// Unblocks every signal.
pub(crate) fn unblock_all() -> io::Result<()> {
    let empty = 0_u64;
    // SAFETY: the kernel reads a mask of 8 bytes.
    check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            std::ptr::from_ref(&empty),
            std::ptr::null_mut::<libc::c_void>(),
            8_usize,
        )
    })?;
    Ok(())
}

/// Leaves the session keyring for a new one: whoever has the caller's keyring possesses its keys.
pub(crate) fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_ulong = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    check(unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    })?;
    Ok(())
}

/// The wait status of a process that was reaped, where the kernel keeps it (Linux 6.15 and newer).
pub(crate) fn wait_status(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    /// `_IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)`, in its first version.
    const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0b_u32 as libc::Ioctl;
    /// `struct pidfd_info`.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        status: i32,
    }
    const { assert!(size_of::<Info>() == 64) };
    let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
    // SAFETY: the kernel writes no more than the 64 bytes that are part of the number.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, std::ptr::from_mut(&mut info)) };
    check(libc::c_long::from(result))?;
    Ok((info.mask & PIDFD_INFO_EXIT != 0).then_some(info.status))
}

/// `pidfd_send_signal`, with a plain number: rustix knows the real-time signals only as the C library counts them.
pub(crate) fn send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo asks for the one of kill(2).
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })?;
    Ok(())
}
