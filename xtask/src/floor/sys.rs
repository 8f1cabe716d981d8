//! The calls of the floor that only `libc` has, and the child that makes the rest.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_void};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use linux_raw_sys::loop_device::{LO_FLAGS_AUTOCLEAR, LOOP_CONFIGURE, LOOP_CTL_GET_FREE, loop_config};
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mkdir, mknodat, open, symlink};
use rustix::mount::{MountFlags, MoveMountFlags, UnmountFlags, mount, move_mount, unmount};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, fchdir, pidfd_open, pivot_root, waitid};
use rustix::system::sethostname;

use super::link;

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

/// What the child needs. It only reads it.
pub(super) struct Child<'a, R, N> {
    pub(super) root: &'a R,
    pub(super) netlink: &'a N,
    pub(super) cable: &'a [u8],
}

const STACK: usize = 256 * 1024;

impl<R: AsFd, N: AsFd> Child<'_, R, N> {
    /// Runs `/bin/true` of the root as PID 1 of new namespaces, to its end. Gives its exit status, or the number of
    /// the step that failed.
    pub(super) fn run(&self) -> io::Result<i32> {
        let namespaces = libc::CLONE_NEWPID
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWNET;
        let flags = namespaces | libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let mut stack = vec![0_u8; STACK];
        let argument: *const Self = self;
        // SAFETY: one past the end of the vector's own bytes.
        let top = unsafe { stack.as_mut_ptr().add(STACK) };
        // SAFETY: CLONE_VFORK stops this thread until the child has executed or ended, so the stack and `self` live
        // longer than the child uses them; `enter` allocates nothing and never returns into this frame.
        let pid = unsafe { libc::clone(enter::<R, N>, top.cast(), flags, argument.cast_mut().cast()) };
        drop(stack);
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?;
        Ok(status.and_then(|status| status.exit_status()).unwrap_or(-1))
    }

    /// The child's way to its program: `Err` has the number of the step that failed.
    fn enter(&self) -> Result<(), c_int> {
        sethostname(b"sub").map_err(step(1))?;
        move_mount(self.root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(step(2))?;
        fchdir(self.root).map_err(step(3))?;
        pivot_root(".", ".").map_err(step(4))?;
        unmount(".", UnmountFlags::DETACH).map_err(step(5))?;
        let tmpfs = MountFlags::NOSUID | MountFlags::NODEV;
        mount("proc", "/proc", "proc", tmpfs | MountFlags::NOEXEC, None).map_err(step(6))?;
        mount("sysfs", "/sys", "sysfs", tmpfs | MountFlags::NOEXEC | MountFlags::RDONLY, None)
            .map_err(step(7))?;
        mount("tmpfs", "/dev", "tmpfs", MountFlags::NOSUID, c"mode=755").map_err(step(8))?;
        for (path, major, minor) in [
            (c"/dev/null", 1, 3),
            (c"/dev/zero", 1, 5),
            (c"/dev/full", 1, 7),
            (c"/dev/random", 1, 8),
            (c"/dev/urandom", 1, 9),
            (c"/dev/tty", 5, 0),
        ] {
            let device = makedev(major, minor);
            mknodat(CWD, path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), device)
                .map_err(step(9))?;
        }
        mkdir("/dev/pts", Mode::from_raw_mode(0o755)).map_err(step(10))?;
        mkdir("/dev/shm", Mode::from_raw_mode(0o1777)).map_err(step(10))?;
        let pts = c"newinstance,ptmxmode=0666,mode=620";
        mount("devpts", "/dev/pts", "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, pts)
            .map_err(step(11))?;
        symlink("pts/ptmx", "/dev/ptmx").map_err(step(12))?;
        mount("tmpfs", "/dev/shm", "tmpfs", tmpfs, None).map_err(step(13))?;
        mount("tmpfs", "/run", "tmpfs", tmpfs, c"mode=755").map_err(step(14))?;
        link::transact(self.netlink, self.cable).map_err(step(15))?;
        up(c"lo".to_bytes_with_nul()).map_err(step(16))?;
        up(c"eth0".to_bytes_with_nul()).map_err(step(17))?;
        execute().map_err(step(18))
    }
}

/// Makes of any error the number of its step: the child has no other way to tell.
fn step<E>(number: c_int) -> impl FnOnce(E) -> c_int {
    move |_| number
}

/// Where the child begins.
extern "C" fn enter<R: AsFd, N: AsFd>(argument: *mut c_void) -> c_int {
    // SAFETY: `run` passed a pointer to a `Child` of these types, which lives as long as it waits for this child.
    let child = unsafe { &*argument.cast::<Child<'_, R, N>>() };
    let step = child.enter().err().unwrap_or(0);
    // SAFETY: ends this process at once; nothing of the parent, whose memory this is, is run.
    unsafe { libc::_exit(step) }
}

/// Sets a link of this namespace up. Not by netlink: the closing of a netlink socket keeps its network namespace for
/// a grace period of the kernel, 16 ms, and the closing of this one does not.
fn up(name: &[u8]) -> io::Result<()> {
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
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Becomes `/bin/true`; returns only when that fails.
fn execute() -> io::Result<()> {
    let path = c"/bin/true".as_ptr();
    let (args, environment) = ([path, ptr::null()], [c"PATH=/bin".as_ptr(), ptr::null()]);
    // SAFETY: the path and both lists are terminated, and live until after the call.
    unsafe { libc::execve(path, args.as_ptr(), environment.as_ptr()) };
    Err(io::Error::last_os_error())
}
