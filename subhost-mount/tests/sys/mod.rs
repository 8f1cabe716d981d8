//! Takes a system call away, as the filters of container managers do; takes loop devices away, and leases.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::thread;

/// Runs `job` on a thread on which `openat2` fails with `errno`.
pub(crate) fn without_openat2<T: Send>(errno: i32, job: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            forbid_openat2(errno);
            job()
        });
        thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    })
}

/// From now on `openat2` fails with `errno` on this thread and those that it starts.
fn forbid_openat2(errno: i32) {
    let number = u32::try_from(libc::SYS_openat2).unwrap();
    let code = |code: u32| u16::try_from(code).unwrap();
    let statement = |of, k| libc::sock_filter { code: code(of), jt: 0, jf: 0, k };
    let mut filter = [
        // The number is the first thing in `seccomp_data`.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter {
            code: code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
            jt: 0,
            jf: 1,
            k: number,
        },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: u16::try_from(filter.len()).unwrap(), filter: filter.as_mut_ptr() };
    // Without it a filter needs root.
    rustix::thread::set_no_new_privs(true).unwrap();
    // SAFETY: the program and the filter that it points to live across the call, and are only read.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    let (flags, resolve) = (rustix::fs::OFlags::PATH, rustix::fs::ResolveFlags::empty());
    let error =
        rustix::fs::openat2(rustix::fs::CWD, "/", flags, rustix::fs::Mode::empty(), resolve).unwrap_err();
    assert_eq!(error.raw_os_error(), errno);
}

/// Device and inode of the file behind a loop device, as the kernel says them.
pub(crate) fn inode_behind(device: std::os::fd::BorrowedFd<'_>) -> (u64, u64) {
    use std::os::fd::AsRawFd;
    let mut info = std::mem::MaybeUninit::<linux_raw_sys::loop_device::loop_info64>::zeroed();
    let request = linux_raw_sys::loop_device::LOOP_GET_STATUS64 as libc::Ioctl;
    // SAFETY: this request writes one structure of this type.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), request, info.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: any bytes are a value of this type, zeros too.
    let info = unsafe { info.assume_init() };
    (info.lo_device, info.lo_inode)
}

/// Takes away a loop device that nothing is attached to. False if there is something, or no such device.
pub(crate) fn remove_loop_device(control: std::os::fd::BorrowedFd<'_>, number: u32) -> bool {
    use std::os::fd::AsRawFd;
    let request = linux_raw_sys::loop_device::LOOP_CTL_REMOVE as libc::Ioctl;
    // SAFETY: this request takes a number and touches no memory of ours.
    unsafe { libc::ioctl(control.as_raw_fd(), request, libc::c_ulong::from(number)) >= 0 }
}

/// Takes a lease on a file that nobody else has open. Whoever opens it has to wait, and a signal says so that does nothing.
pub(crate) fn take_lease(file: std::os::fd::BorrowedFd<'_>) {
    use linux_raw_sys::general as raw;
    use std::os::fd::AsRawFd;
    let [set_signal, set_lease] = [raw::F_SETSIG, raw::F_SETLEASE].map(u32::cast_signed);
    for (command, value) in [(set_signal, libc::SIGURG), (set_lease, libc::F_WRLCK)] {
        // SAFETY: these commands take a number and touch no memory of ours.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), command, value) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }
}
