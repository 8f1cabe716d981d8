//! System calls that have no safe wrapper elsewhere: those of an enemy, and of a kernel that lacks something.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The number of a system call that newer kernels brought, by its name.
pub fn system_call(name: &str) -> Option<u32> {
    let number = match name {
        "clone3" => libc::SYS_clone3,
        "close_range" => libc::SYS_close_range,
        "fsconfig" => libc::SYS_fsconfig,
        "fsmount" => libc::SYS_fsmount,
        "fsopen" => libc::SYS_fsopen,
        // These two have no name yet, and one number everywhere.
        "statmount" => 457,
        "listmount" => 458,
        "mount_setattr" => libc::SYS_mount_setattr,
        "move_mount" => libc::SYS_move_mount,
        "open_tree" => libc::SYS_open_tree,
        "openat2" => libc::SYS_openat2,
        "pidfd_getfd" => libc::SYS_pidfd_getfd,
        "pidfd_open" => libc::SYS_pidfd_open,
        "pidfd_send_signal" => libc::SYS_pidfd_send_signal,
        _ => return None,
    };
    u32::try_from(number).ok()
}

/// From now on the system call fails with `ENOSYS` in this thread and all that it starts, as before the kernel had it.
pub fn take_away(number: u32) -> io::Result<()> {
    let statement = |code: u32, jf, k| libc::sock_filter { code: code.try_into().unwrap_or(0), jt: 0, jf, k };
    let errno = libc::ENOSYS.cast_unsigned();
    let mut filter = [
        // The number is the first thing in `seccomp_data`.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, number),
        statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | errno),
        statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the program and the filter that it points to live across the call, and are only read.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives this thread a UTS namespace of its own.
pub fn own_host_name() -> io::Result<()> {
    // SAFETY: no memory is touched, and this namespace belongs to the thread alone.
    let result = unsafe { libc::unshare(libc::CLONE_NEWUTS) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts a byte into the input of a terminal, by `TIOCSTI` with these high bits, which the kernel does not look at.
pub fn push_input(terminal: BorrowedFd<'_>, byte: u8, high: u64) -> io::Result<()> {
    let request = libc::TIOCSTI | (high << 32);
    // SAFETY: the kernel reads one byte from the pointer.
    let result =
        unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_raw_fd(), request, std::ptr::from_ref(&byte)) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
