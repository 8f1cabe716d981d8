//! A seccomp filter that kills the process at every system call that is not on a short list, and calls to try it with.

use std::io;

use libc::{c_int, c_long, sock_filter, sock_fprog};

/// Calls that may be made: those for memory, for the end, and for writing to what is open already as 1 or 2.
const ALLOWED: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mprotect,
    libc::SYS_futex,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    // The seeds of hash maps.
    libc::SYS_getrandom,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls by which files are looked at. `openat` is apart, as its flags can be seen.
const READING: &[c_long] = &[
    // Its flags are in memory, where no filter sees them; the evaluator uses it below its directories.
    libc::SYS_openat2,
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_getdents64,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_fcntl,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

// Offsets in `struct seccomp_data`; of the 64 bits of an argument, the lower half.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENT_0: u32 = 16;
const ARGUMENT_2: u32 = 16 + 2 * 8;
const ARGUMENT_3: u32 = 16 + 3 * 8;

/// Installs the filter in the calling thread, for good.
pub(crate) fn allow_memory_only() -> io::Result<()> {
    install(filter(false))
}

/// The same, but files may be opened for reading, and be looked at.
pub(crate) fn allow_memory_and_reading() -> io::Result<()> {
    install(filter(true))
}

fn install(mut filter: Vec<sock_filter>) -> io::Result<()> {
    let program =
        sock_fprog { len: u16::try_from(filter.len()).expect("a short filter"), filter: filter.as_mut_ptr() };
    // SAFETY: takes plain numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: the program and its filter live until the call is over, and the kernel copies them.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) })
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn filter(reading: bool) -> Vec<sock_filter> {
    let number = |number: c_long| u32::try_from(number).expect("numbers of system calls are small");
    let map_anonymous = u32::try_from(libc::MAP_ANONYMOUS).expect("a flag");
    let allow = give(libc::SECCOMP_RET_ALLOW);
    let kill = give(libc::SECCOMP_RET_KILL_PROCESS);

    let mut filter = vec![load(ARCH), unless_equal(ARCHITECTURE, 2), load(NUMBER), skip(1), kill];
    for &call in ALLOWED {
        filter.extend([unless_equal(number(call), 1), allow]);
    }
    if reading {
        for &call in READING {
            filter.extend([unless_equal(number(call), 1), allow]);
        }
        let writing = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
        let writing = u32::try_from(writing).expect("flags");
        filter.extend([unless_equal(number(libc::SYS_openat), 4), load(ARGUMENT_2)]);
        filter.extend([unless_set(writing, 1), kill, allow]);
    }
    // Memory, not a file.
    filter.extend([
        unless_equal(number(libc::SYS_mmap), 4),
        load(ARGUMENT_3),
        unless_set(map_anonymous, 1),
        allow,
        kill,
    ]);
    filter.extend([unless_equal(number(libc::SYS_write), 5), load(ARGUMENT_0), unless_equal(1, 1), allow]);
    filter.extend([unless_equal(2, 1), allow, kill]);
    filter
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("codes have 16 bits"), jt: 0, jf: 0, k }
}

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn give(result: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, result)
}

fn skip(count: u32) -> sock_filter {
    statement(libc::BPF_JMP | libc::BPF_JA, count)
}

fn unless_equal(value: u32, skip: u8) -> sock_filter {
    sock_filter { jf: skip, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value) }
}

fn unless_set(bits: u32, skip: u8) -> sock_filter {
    sock_filter { jf: skip, ..statement(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits) }
}

/// Calls that would start, open or change something, all with arguments that the kernel refuses: without the filter
/// they do nothing.
pub(crate) const FORBIDDEN: &[(&str, c_long)] = &[
    ("execve", libc::SYS_execve),
    ("execveat", libc::SYS_execveat),
    ("clone", libc::SYS_clone),
    ("clone3", libc::SYS_clone3),
    ("socket", libc::SYS_socket),
    ("connect", libc::SYS_connect),
    ("bind", libc::SYS_bind),
    ("sendto", libc::SYS_sendto),
    ("openat", libc::SYS_openat),
    ("openat2", libc::SYS_openat2),
    ("read", libc::SYS_read),
    ("write", libc::SYS_write),
    ("mmap", libc::SYS_mmap),
    ("ftruncate", libc::SYS_ftruncate),
    ("unlinkat", libc::SYS_unlinkat),
    ("renameat2", libc::SYS_renameat2),
    ("mkdirat", libc::SYS_mkdirat),
    ("mknodat", libc::SYS_mknodat),
    ("linkat", libc::SYS_linkat),
    ("symlinkat", libc::SYS_symlinkat),
    ("fchmodat", libc::SYS_fchmodat),
    ("fchownat", libc::SYS_fchownat),
    ("newfstatat", libc::SYS_newfstatat),
    ("faccessat", libc::SYS_faccessat),
    ("getdents64", libc::SYS_getdents64),
    ("chdir", libc::SYS_chdir),
    ("mount", libc::SYS_mount),
    ("kill", libc::SYS_kill),
    ("ptrace", libc::SYS_ptrace),
    ("pipe2", libc::SYS_pipe2),
    ("uname", libc::SYS_uname),
];

/// Makes the call with arguments that are all wrong: -1 as descriptors, addresses and flags. To `mmap` it is a file.
pub(crate) fn call(number: c_long) {
    let fourth = if number == libc::SYS_mmap { libc::MAP_PRIVATE } else { -1 };
    // SAFETY: no argument is an address of ours: the kernel gives an error.
    unsafe { libc::syscall(number, -1, -1, -1, fourth, -1, -1) };
}
