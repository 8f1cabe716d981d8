//! Which system calls there are.

/// Those that came late, by name and number. There is another way without openat2, so it is none of them.
pub(crate) const SYSTEM_CALLS: [(&str, libc::c_long); 10] = [
    ("clone3", libc::SYS_clone3),
    ("close_range", libc::SYS_close_range),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("fsopen", libc::SYS_fsopen),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("move_mount", libc::SYS_move_mount),
    ("open_tree", libc::SYS_open_tree),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
];

/// Whether one of [`SYSTEM_CALLS`] is not there.
pub(crate) fn is_missing(number: libc::c_long) -> bool {
    // SAFETY: with these arguments each of them is refused before it does anything: -1 is no descriptor, no pid, no address
    // and above any last number, and 0 is the size of no structure.
    let result = unsafe { libc::syscall(number, -1_isize, 0_usize, 0_usize, 0_usize, 0_usize, 0_usize) };
    result < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
}
