//! The calls of the floor that only `libc` has, and the children that make the rest.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_int, c_long, c_void};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use linux_raw_sys::general::{MOUNT_ATTR_IDMAP, clone_args, mount_attr};
use linux_raw_sys::loop_device::{LO_FLAGS_AUTOCLEAR, LOOP_CONFIGURE, LOOP_CTL_GET_FREE, loop_config};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::Pid;

/// Puts part of a file behind a free loop device that goes with its last user. Gives it, and its path.
pub(super) fn loop_attach(file: impl AsFd, offset: u64, size: u64) -> io::Result<(OwnedFd, CString)> {
    let control = open("/dev/loop-control", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    loop {
        // SAFETY: the request takes no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE.into()) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let path = CString::new(format!("/dev/loop{number}")).map_err(io::Error::other)?;
        let device = open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        // SAFETY: loop_config is integers and arrays of them, for which zero is a value.
        let mut config: loop_config = unsafe { mem::zeroed() };
        config.fd = u32::try_from(file.as_fd().as_raw_fd()).map_err(io::Error::other)?;
        config.block_size = 512;
        config.info.lo_offset = offset;
        config.info.lo_sizelimit = size;
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR as u32;
        // SAFETY: the request reads one loop_config, which lives until after the call.
        let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE.into(), &raw const config) };
        match io::Error::last_os_error() {
            _ if result == 0 => return Ok((device, path)),
            // Another was faster.
            error if error.raw_os_error() == Some(libc::EBUSY) => {}
            error => return Err(error),
        }
    }
}

const STACK: usize = 256 * 1024;

/// A child in new namespaces, which shares this process's memory; comes back when it has executed a program or ended.
pub(super) fn vfork(flags: c_int, body: &mut dyn FnMut() -> c_int) -> io::Result<Pid> {
    let mut stack = vec![0_u8; STACK];
    let mut body: &mut dyn FnMut() -> c_int = body;
    let argument: *mut c_void = (&raw mut body).cast();
    // SAFETY: one past the end of the vector's own bytes.
    let top = unsafe { stack.as_mut_ptr().add(STACK) };
    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: CLONE_VFORK stops this thread until the child has executed or ended, so the stack and `body` live longer
    // than the child uses them, and nobody else uses them meanwhile.
    let pid = unsafe { libc::clone(enter, top.cast(), flags, argument) };
    let error = io::Error::last_os_error();
    drop(stack);
    if pid < 0 { Err(error) } else { Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::NotFound.into()) }
}

/// Where the child begins.
extern "C" fn enter(argument: *mut c_void) -> c_int {
    // SAFETY: `vfork` passed a pointer to this reference, which lives as long as it waits for this child.
    let body = unsafe { &mut *argument.cast::<&mut dyn FnMut() -> c_int>() };
    exit(body())
}

/// A child with a copy of this process's memory, in the cgroup given.
pub(super) fn fork(
    flags: c_int,
    cgroup: Option<BorrowedFd<'_>>,
    body: &mut dyn FnMut() -> c_int,
) -> io::Result<Pid> {
    // SAFETY: clone_args is integers, for which zero is a value.
    let mut arguments: clone_args = unsafe { mem::zeroed() };
    arguments.flags = u64::from(flags.cast_unsigned());
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    if let Some(cgroup) = cgroup {
        // CLONE_INTO_CGROUP
        arguments.flags |= 0x2_0000_0000;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: the structure lives for the length of the call and has the size given; without CLONE_VM the child goes on
    // from here on a copy of this stack.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<clone_args>()) };
    match pid {
        0 => exit(body()),
        -1 => Err(io::Error::last_os_error()),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            pid.ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }
}

/// Ends this process at once; nothing of its parent is run.
fn exit(status: c_int) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Closes a descriptor of a child that is a copy of its parent: of the parent's nothing is dropped in it.
pub(super) fn close(fd: RawFd) {
    // SAFETY: the child ends by `_exit`, so that its copy of the descriptor's owner is never used.
    unsafe { libc::close(fd) };
}

/// Gives the calling process, which has one thread, a network namespace of its own.
pub(super) fn unshare_network() -> io::Result<()> {
    // SAFETY: no pointers.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

/// Maps the ids of a detached mount as a user namespace does.
pub(super) fn idmap(mount: impl AsFd, users: impl AsFd) -> io::Result<()> {
    let attributes = mount_attr {
        attr_set: MOUNT_ATTR_IDMAP.into(),
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::from(users.as_fd().as_raw_fd().cast_unsigned()),
    };
    // SAFETY: the empty path is terminated, and the structure lives for the length of the call and has the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes capabilities out of the calling thread's bounding set.
pub(super) fn drop_capabilities(numbers: &[c_long]) -> io::Result<()> {
    for number in numbers {
        // SAFETY: the request takes one number.
        checked(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, *number, 0, 0, 0) })?;
    }
    Ok(())
}

/// How many instructions the program's filters have together.
const FILTER: usize = 250;

/// Loads a system call filter as long as the program's, which allows everything.
pub(super) fn filter() -> io::Result<()> {
    let instruction = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    // BPF_LD | BPF_W | BPF_ABS of the call's number; comparisons with numbers that none has; BPF_RET | BPF_K.
    let mut program = vec![instruction(0x20, 0)];
    program.resize(FILTER - 1, instruction(0x15, u32::MAX));
    program.push(instruction(0x06, libc::SECCOMP_RET_ALLOW));
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: the request reads one program of that length, which lives until after the call.
    checked(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0) })
}

fn checked(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets a link of this namespace up. Not by netlink: the closing of a netlink socket keeps its network namespace for
/// a grace period of the kernel, 16 ms, and the closing of this one does not.
pub(super) fn up(name: &[u8]) -> io::Result<()> {
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and is nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: ifreq is integers and pointers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_UP | libc::IFF_BROADCAST | libc::IFF_MULTICAST;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).unwrap_or(0);
    // SAFETY: the request reads one ifreq, which lives until after the call.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })
}

/// Becomes a program; returns only when that fails.
pub(super) fn execute([path, word]: [&CStr; 2]) -> io::Result<()> {
    let args = [path.as_ptr(), word.as_ptr(), ptr::null()];
    let environment = [c"PATH=/bin".as_ptr(), ptr::null()];
    // SAFETY: the path and both lists are terminated, and live until after the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), environment.as_ptr()) };
    Err(io::Error::last_os_error())
}

/// The processor time of this process and of all its children that it has waited for.
pub(super) fn cpu_time() -> io::Result<Duration> {
    let mut sum = Duration::ZERO;
    for who in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN] {
        // SAFETY: rusage is integers, for which zero is a value.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        // SAFETY: the call writes one rusage, which lives until after it.
        checked(unsafe { libc::getrusage(who, &raw mut usage) })?;
        for time in [usage.ru_utime, usage.ru_stime] {
            let (seconds, micros) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec));
            sum += Duration::from_secs(seconds.unwrap_or(0)) + Duration::from_micros(micros.unwrap_or(0));
        }
    }
    Ok(sum)
}
