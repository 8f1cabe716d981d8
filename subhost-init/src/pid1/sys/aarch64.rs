//! Entry and system calls of aarch64.

use core::arch::{asm, global_asm};

// The kernel enters with the stack pointer at argc, aligned; frame pointer and link register are cleared to end
// backtraces.
global_asm!(
    ".globl _start",
    ".type _start, %function",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "bl {entry}",
    "brk #1",
    entry = sym super::entry,
);

/// # Safety
///
/// The arguments are what the kernel expects for this call, and any memory that they point to is valid for it.
pub(super) unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: by the caller; the kernel preserves all other registers and the stack.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a.cast_signed() => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack)
        );
    }
    result
}

/// # Safety
///
/// As for `memcpy`: both ranges are valid and do not overlap.
#[cfg(not(clippy))]
pub(super) unsafe fn copy(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "cbz {n}, 3f",
            "2: ldrb {byte:w}, [{from}], #1",
            "strb {byte:w}, [{to}], #1",
            "subs {n}, {n}, #1",
            "b.ne 2b",
            "3:",
            n = inout(reg) n => _, to = inout(reg) to => _, from = inout(reg) from => _, byte = out(reg) _,
            options(nostack)
        );
    }
}

/// # Safety
///
/// As for `memset`: the range is valid.
#[cfg(not(clippy))]
pub(super) unsafe fn fill(to: *mut u8, byte: u8, n: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "cbz {n}, 3f",
            "2: strb {byte:w}, [{to}], #1",
            "subs {n}, {n}, #1",
            "b.ne 2b",
            "3:",
            n = inout(reg) n => _, to = inout(reg) to => _, byte = in(reg) u32::from(byte),
            options(nostack)
        );
    }
}

pub(super) const DUP3: usize = 24;
pub(super) const FCNTL: usize = 25;
pub(super) const IOCTL: usize = 29;
pub(super) const MKNODAT: usize = 33;
pub(super) const UNLINKAT: usize = 35;
pub(super) const CHDIR: usize = 49;
pub(super) const OPENAT: usize = 56;
pub(super) const CLOSE: usize = 57;
pub(super) const READ: usize = 63;
pub(super) const WRITE: usize = 64;
pub(super) const PREAD64: usize = 67;
pub(super) const PWRITE64: usize = 68;
pub(super) const PPOLL: usize = 73;
pub(super) const SIGNALFD4: usize = 74;
pub(super) const EXIT_GROUP: usize = 94;
pub(super) const CLOCK_GETTIME: usize = 113;
pub(super) const KILL: usize = 129;
pub(super) const RT_SIGACTION: usize = 134;
pub(super) const RT_SIGPROCMASK: usize = 135;
pub(super) const REBOOT: usize = 142;
pub(super) const SETSID: usize = 157;
pub(super) const UNAME: usize = 160;
pub(super) const UMASK: usize = 166;
pub(super) const PRCTL: usize = 167;
pub(super) const GETPID: usize = 172;
pub(super) const SOCKETPAIR: usize = 199;
pub(super) const SENDTO: usize = 206;
pub(super) const RECVFROM: usize = 207;
pub(super) const CLONE: usize = 220;
pub(super) const EXECVE: usize = 221;
pub(super) const WAIT4: usize = 260;
pub(super) const SYNCFS: usize = 267;
pub(super) const STATX: usize = 291;
pub(super) const CLOSE_RANGE: usize = 436;

pub(super) const O_NOFOLLOW: usize = 0o100_000;
