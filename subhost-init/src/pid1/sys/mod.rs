//! System calls without a C library, one function each; named after a system call, it behaves like it.

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;
#[cfg(not(clippy))]
mod memory;
mod words;

use core::ffi::CStr;

use arch::syscall;
pub(crate) use words::{Args, List, Pointers};

pub(crate) const ENOENT: i32 = 2;
pub(crate) const ESRCH: i32 = 3;
pub(crate) const EINTR: i32 = 4;
pub(crate) const ENOEXEC: i32 = 8;
pub(crate) const EAGAIN: i32 = 11;
pub(crate) const EACCES: i32 = 13;
pub(crate) const ENOTDIR: i32 = 20;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const ENAMETOOLONG: i32 = 36;

pub(crate) const SIGHUP: u32 = 1;
pub(crate) const SIGINT: u32 = 2;
pub(crate) const SIGUSR1: u32 = 10;
pub(crate) const SIGUSR2: u32 = 12;
pub(crate) const SIGTERM: u32 = 15;
pub(crate) const SIGCHLD: u32 = 17;
pub(crate) const SIGCONT: u32 = 18;
pub(crate) const SIGPWR: u32 = 30;

pub(crate) const POLLIN: i16 = 1;

pub(crate) const POWER_OFF: usize = 0x4321_fedc;
pub(crate) const RESTART: usize = 0x0123_4567;

const AT_FDCWD: usize = (-100_isize).cast_unsigned();
const AT_EMPTY_PATH: usize = 0x1000;
const AT_SYMLINK_NOFOLLOW: usize = 0x100;
const O_RDWR: usize = 0o2;
const O_CREAT: usize = 0o100;
const O_NOCTTY: usize = 0o400;
const O_NONBLOCK: usize = 0o4000;
const O_CLOEXEC: usize = 0o2_000_000;

/// A system call's error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

pub(crate) type Result<T> = core::result::Result<T, Errno>;

/// A descriptor that is closed with it.
#[derive(PartialEq, Eq)]
pub(crate) struct Fd(i32);

/// What tells one file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: [u32; 2],
    inode: u64,
    mode: u16,
}

/// `struct pollfd`.
#[repr(C)]
pub(crate) struct Poll {
    fd: i32,
    events: i16,
    pub(crate) seen: i16,
}

impl Poll {
    /// Waits for input on a descriptor; for nothing without one.
    pub(crate) fn input(fd: Option<i32>) -> Self {
        Self { fd: fd.unwrap_or(-1), events: POLLIN, seen: 0 }
    }
}

impl Fd {
    pub(crate) fn raw(&self) -> i32 {
        self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        close(self.0);
    }
}

impl Identity {
    pub(crate) fn is_fifo(self) -> bool {
        self.mode & 0o170_000 == 0o010_000
    }

    /// Whether its owner may execute it.
    pub(crate) fn is_executable(self) -> bool {
        self.mode & 0o100 != 0
    }
}

/// Where the kernel starts, with the stack that it made.
extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: only `_start` calls this, with the stack pointer as the kernel left it.
    super::run::run(unsafe { Args::from_stack(stack) })
}

pub(crate) fn getpid() -> i32 {
    call(arch::GETPID, [0; 6]).map_or(0, number)
}

pub(crate) fn exit(status: u8) -> ! {
    loop {
        let _ = call(arch::EXIT_GROUP, [usize::from(status), 0, 0, 0, 0, 0]);
    }
}

/// Gives every signal its default action.
pub(crate) fn reset_signals() {
    // A kernel `struct sigaction` of zeros: SIG_DFL, no flags, no mask.
    let action = [0_usize; 4];
    for signal in 1..=64 {
        let _ = call(arch::RT_SIGACTION, [signal, address(&action), 0, 8, 0, 0]);
    }
}

/// Whether the kernel reaps each child as it ends, so that nobody learns its status. SIGCHLD comes all the same when it is
/// blocked; but one that is pending now is lost.
pub(crate) fn let_kernel_reap(yes: bool) {
    const SA_NOCLDWAIT: usize = 2;
    // A kernel `struct sigaction`: SIG_DFL, flags, nothing else.
    let action = [0, if yes { SA_NOCLDWAIT } else { 0 }, 0, 0];
    let _ = call(arch::RT_SIGACTION, [SIGCHLD as usize, address(&action), 0, 8, 0, 0]);
}

/// The mask bit of a signal.
pub(crate) const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// Sets the mask of blocked signals.
pub(crate) fn block_signals(mask: u64) {
    const SIG_SETMASK: usize = 2;
    let _ = call(arch::RT_SIGPROCMASK, [SIG_SETMASK, address(&mask), 0, 8, 0, 0]);
}

pub(crate) fn signalfd(mask: u64) -> Result<Fd> {
    let args = [usize::MAX, address(&mask), 8, O_CLOEXEC | O_NONBLOCK, 0, 0];
    call(arch::SIGNALFD4, args).map(|fd| Fd(number(fd)))
}

pub(crate) fn ppoll(polls: &mut [Poll], timeout_ms: Option<u64>) -> Result<usize> {
    let time = timeout_ms.map(|ms| [ms / 1_000, ms % 1_000 * 1_000_000]);
    let time = time.as_ref().map_or(0, address);
    call(arch::PPOLL, [polls.as_mut_ptr() as usize, polls.len(), time, 0, 8, 0])
}

pub(crate) fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    call(arch::READ, [descriptor(fd), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0])
}

pub(crate) fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    call(arch::WRITE, [descriptor(fd), bytes.as_ptr() as usize, bytes.len(), 0, 0, 0])
}

pub(crate) fn pread(fd: i32, buffer: &mut [u8], offset: usize) -> Result<usize> {
    call(arch::PREAD64, [descriptor(fd), buffer.as_mut_ptr() as usize, buffer.len(), offset, 0, 0])
}

pub(crate) fn pwrite(fd: i32, bytes: &[u8], offset: usize) -> Result<usize> {
    call(arch::PWRITE64, [descriptor(fd), bytes.as_ptr() as usize, bytes.len(), offset, 0, 0])
}

/// Sends one packet; never waits, and no SIGPIPE comes of it.
pub(crate) fn send(fd: i32, packet: &[u8]) -> Result<usize> {
    const MSG_DONTWAIT_NOSIGNAL: usize = 0x4040;
    call(arch::SENDTO, [descriptor(fd), packet.as_ptr() as usize, packet.len(), MSG_DONTWAIT_NOSIGNAL, 0, 0])
}

/// Receives one packet; never waits.
pub(crate) fn receive(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    const MSG_DONTWAIT: usize = 0x40;
    call(arch::RECVFROM, [descriptor(fd), buffer.as_mut_ptr() as usize, buffer.len(), MSG_DONTWAIT, 0, 0])
}

/// Two ends of a socket that keeps packets apart.
pub(crate) fn packet_sockets() -> Result<[Fd; 2]> {
    const AF_UNIX: usize = 1;
    const SOCK_SEQPACKET: usize = 5;
    let mut ends = [0_i32; 2];
    call(arch::SOCKETPAIR, [AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC, 0, address_mut(&mut ends), 0, 0])?;
    Ok(ends.map(Fd))
}

/// Makes another number stand for what a descriptor stands for, closed on exec.
pub(crate) fn duplicate(fd: i32, number: i32) -> Result<()> {
    call(arch::DUP3, [descriptor(fd), descriptor(number), O_CLOEXEC, 0, 0, 0]).map(drop)
}

/// Closes a descriptor on exec.
pub(crate) fn close_on_exec(fd: i32) -> Result<()> {
    const F_SETFD: usize = 2;
    call(arch::FCNTL, [descriptor(fd), F_SETFD, 1, 0, 0, 0]).map(drop)
}

/// Makes reads of a descriptor never wait.
pub(crate) fn nonblocking(fd: i32) -> Result<()> {
    const F_GETFL: usize = 3;
    const F_SETFL: usize = 4;
    let flags = call(arch::FCNTL, [descriptor(fd), F_GETFL, 0, 0, 0, 0])?;
    call(arch::FCNTL, [descriptor(fd), F_SETFL, flags | O_NONBLOCK, 0, 0, 0]).map(drop)
}

/// Whether a descriptor is the controlling end of a pseudo-terminal.
pub(crate) fn is_pty_master(fd: i32) -> bool {
    const TIOCGPTN: usize = 0x8004_5430;
    let mut index = 0_u32;
    call(arch::IOCTL, [descriptor(fd), TIOCGPTN, address_mut(&mut index), 0, 0, 0]).is_ok()
}

/// Opens for reading and writing, without waiting, without following a link at the end.
pub(crate) fn open(path: &CStr, create_mode: Option<usize>) -> Result<Fd> {
    let flags = O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | arch::O_NOFOLLOW;
    let flags = if create_mode.is_some() { flags | O_CREAT } else { flags };
    let args = [AT_FDCWD, path.as_ptr() as usize, flags, create_mode.unwrap_or(0), 0, 0];
    call(arch::OPENAT, args).map(|fd| Fd(number(fd)))
}

pub(crate) fn close(fd: i32) {
    let _ = call(arch::CLOSE, [descriptor(fd), 0, 0, 0, 0, 0]);
}

/// Closes this descriptor and all above it.
pub(crate) fn close_from(fd: i32) {
    let _ = call(arch::CLOSE_RANGE, [descriptor(fd), u32::MAX as usize, 0, 0, 0, 0]);
}

pub(crate) fn mkfifo(path: &CStr, mode: usize) -> Result<()> {
    const S_IFIFO: usize = 0o010_000;
    call(arch::MKNODAT, [AT_FDCWD, path.as_ptr() as usize, S_IFIFO | mode, 0, 0, 0]).map(drop)
}

pub(crate) fn unlink(path: &CStr) -> Result<()> {
    call(arch::UNLINKAT, [AT_FDCWD, path.as_ptr() as usize, 0, 0, 0, 0]).map(drop)
}

/// The file at a path, of which a link at the end is not followed.
pub(crate) fn identify(path: &CStr) -> Result<Identity> {
    statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)
}

/// The file at a path, behind all links.
pub(crate) fn identify_target(path: &CStr) -> Result<Identity> {
    statx(AT_FDCWD, path, 0)
}

pub(crate) fn identify_fd(fd: i32) -> Result<Identity> {
    statx(descriptor(fd), c"", AT_EMPTY_PATH)
}

fn statx(directory: usize, path: &CStr, flags: usize) -> Result<Identity> {
    const STATX_TYPE_MODE_INO: usize = 0x103;
    /// `struct statx`, up to the device numbers.
    #[repr(C)]
    #[derive(Default)]
    struct Statx {
        head: [u32; 7],
        mode: u16,
        spare: u16,
        inode: u64,
        middle: [u64; 12],
        device: [u32; 2],
        tail: [u64; 14],
    }
    const { assert!(size_of::<Statx>() == 256) };
    let mut found = Statx::default();
    let args = [directory, path.as_ptr() as usize, flags, STATX_TYPE_MODE_INO, address_mut(&mut found), 0];
    call(arch::STATX, args)?;
    Ok(Identity { device: found.device, inode: found.inode, mode: found.mode })
}

/// Goes on twice: with 0 in the child, with the child's pid here.
pub(crate) fn fork() -> Result<i32> {
    call(arch::CLONE, [SIGCHLD as usize, 0, 0, 0, 0, 0]).map(number)
}

/// Returns only when it has failed.
pub(crate) fn execve(path: &CStr, argv: &Pointers<'_>, envp: &Pointers<'_>) -> Errno {
    match call(arch::EXECVE, [path.as_ptr() as usize, argv.address(), envp.address(), 0, 0, 0]) {
        Err(errno) => errno,
        Ok(_) => Errno(0),
    }
}

/// Reaps one child that has ended: its pid, and its exit status, 128 + n for signal n. `None` when there is none.
pub(crate) fn reap() -> Option<(i32, u8)> {
    const ANY: usize = usize::MAX;
    const WNOHANG: usize = 1;
    let mut status = 0_u32;
    let pid =
        call(arch::WAIT4, [ANY, address_mut(&mut status), WNOHANG, 0, 0, 0]).ok().filter(|pid| *pid > 0)?;
    let [low, high, ..] = status.to_le_bytes();
    Some((number(pid), if low & 0x7f == 0 { high } else { 128 + (low & 0x7f) }))
}

pub(crate) fn kill(pid: i32, signal: i32) -> Result<()> {
    call(arch::KILL, [descriptor(pid), descriptor(signal), 0, 0, 0, 0]).map(drop)
}

pub(crate) fn setsid() {
    let _ = call(arch::SETSID, [0; 6]);
}

/// Makes the terminal behind a descriptor the controlling one of this session.
pub(crate) fn take_terminal(fd: i32) -> Result<()> {
    const TIOCSCTTY: usize = 0x540e;
    call(arch::IOCTL, [descriptor(fd), TIOCSCTTY, 0, 0, 0, 0]).map(drop)
}

pub(crate) fn chdir(path: &CStr) -> Result<()> {
    call(arch::CHDIR, [path.as_ptr() as usize, 0, 0, 0, 0, 0]).map(drop)
}

pub(crate) fn umask(mask: u32) {
    let _ = call(arch::UMASK, [mask as usize, 0, 0, 0, 0, 0]);
}

/// Names this process in `ps` and `/proc/PID/comm`.
pub(crate) fn set_name(name: &CStr) {
    const PR_SET_NAME: usize = 15;
    let _ = call(arch::PRCTL, [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0, 0]);
}

/// Milliseconds of a clock that only goes forward.
pub(crate) fn monotonic_ms() -> u64 {
    let [seconds, nanoseconds] = clock(1);
    seconds * 1_000 + nanoseconds / 1_000_000
}

/// Seconds since 1970, and nanoseconds.
pub(crate) fn realtime() -> [u64; 2] {
    clock(0)
}

fn clock(id: usize) -> [u64; 2] {
    let mut time = [0_u64; 2];
    let _ = call(arch::CLOCK_GETTIME, [id, address_mut(&mut time), 0, 0, 0, 0]);
    time
}

/// The kernel's release, padded with NULs.
pub(crate) fn release() -> [u8; 65] {
    let mut names = [[0_u8; 65]; 6];
    let _ = call(arch::UNAME, [address_mut(&mut names), 0, 0, 0, 0, 0]);
    names[2]
}

/// Writes out the file system that a descriptor is on.
pub(crate) fn syncfs(fd: i32) {
    let _ = call(arch::SYNCFS, [descriptor(fd), 0, 0, 0, 0, 0]);
}

/// Opens a directory, to name it.
pub(crate) fn open_directory(path: &CStr) -> Result<Fd> {
    // O_RDONLY; nothing is read.
    let args = [AT_FDCWD, path.as_ptr() as usize, O_CLOEXEC, 0, 0, 0];
    call(arch::OPENAT, args).map(|fd| Fd(number(fd)))
}

/// Ends the PID namespace, so that the parent of PID 1 sees which command it was. Returns only when it has failed.
pub(crate) fn reboot(command: usize) -> Errno {
    const MAGIC1: usize = 0xfee1_dead;
    const MAGIC2: usize = 672_274_793;
    call(arch::REBOOT, [MAGIC1, MAGIC2, command, 0, 0, 0]).err().unwrap_or(Errno(EINVAL))
}

fn call(number: usize, args: [usize; 6]) -> Result<usize> {
    // SAFETY: the functions above are the only callers. Each fills the arguments as its call is documented, and every
    // pointer among them comes from a reference, slice, `CStr` or `Pointers` that lives until the call returns, with
    // its own length or the size that the kernel expects.
    let result = unsafe { syscall(number, args) };
    if (-4095..0).contains(&result) { Err(Errno(-number_of(result))) } else { Ok(result.cast_unsigned()) }
}

fn address<T>(value: &T) -> usize {
    core::ptr::from_ref(value) as usize
}

fn address_mut<T>(value: &mut T) -> usize {
    core::ptr::from_mut(value) as usize
}

/// A descriptor, pid or signal as a register: sign-extended.
fn descriptor(number: i32) -> usize {
    (number as isize).cast_unsigned()
}

/// A descriptor or pid that the kernel returned; they are below 2³¹.
fn number(register: usize) -> i32 {
    i32::try_from(register).unwrap_or(-1)
}

fn number_of(result: isize) -> i32 {
    i32::try_from(result).unwrap_or(-EINVAL)
}
