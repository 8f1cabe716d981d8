//! Entry and system calls of x86_64.

use core::arch::{asm, global_asm};

// The kernel enters with the stack pointer at argc and no return address; the frame pointer is cleared to end
// backtraces (System V ABI, "Process Initialization").
global_asm!(
    ".globl _start",
    ".type _start, @function",
    "_start:",
    "xor %ebp, %ebp",
    "mov %rsp, %rdi",
    "and $-16, %rsp",
    "call {entry}",
    "ud2",
    entry = sym super::entry,
    options(att_syntax)
);

/// # Safety
///
/// The arguments are what the kernel expects for this call, and any memory that they point to is valid for it.
pub(super) unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: by the caller; the kernel clobbers rcx and r11 and leaves the stack alone.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number.cast_signed() => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
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
    // SAFETY: by the caller; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
    }
}

/// # Safety
///
/// As for `memset`: the range is valid.
#[cfg(not(clippy))]
pub(super) unsafe fn fill(to: *mut u8, byte: u8, n: usize) {
    // SAFETY: by the caller; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte, options(nostack, preserves_flags));
    }
}

pub(super) const READ: usize = 0;
pub(super) const WRITE: usize = 1;
pub(super) const CLOSE: usize = 3;
pub(super) const RT_SIGACTION: usize = 13;
pub(super) const RT_SIGPROCMASK: usize = 14;
pub(super) const IOCTL: usize = 16;
pub(super) const PREAD64: usize = 17;
pub(super) const PWRITE64: usize = 18;
pub(super) const GETPID: usize = 39;
pub(super) const SENDTO: usize = 44;
pub(super) const RECVFROM: usize = 45;
pub(super) const SOCKETPAIR: usize = 53;
pub(super) const CLONE: usize = 56;
pub(super) const EXECVE: usize = 59;
pub(super) const WAIT4: usize = 61;
pub(super) const KILL: usize = 62;
pub(super) const UNAME: usize = 63;
pub(super) const FCNTL: usize = 72;
pub(super) const CHDIR: usize = 80;
pub(super) const UMASK: usize = 95;
pub(super) const SETSID: usize = 112;
pub(super) const PRCTL: usize = 157;
pub(super) const REBOOT: usize = 169;
pub(super) const CLOCK_GETTIME: usize = 228;
pub(super) const EXIT_GROUP: usize = 231;
pub(super) const OPENAT: usize = 257;
pub(super) const MKNODAT: usize = 259;
pub(super) const UNLINKAT: usize = 263;
pub(super) const PPOLL: usize = 271;
pub(super) const SIGNALFD4: usize = 289;
pub(super) const SYNCFS: usize = 306;
pub(super) const DUP3: usize = 292;
pub(super) const STATX: usize = 332;
pub(super) const CLOSE_RANGE: usize = 436;

pub(super) const O_NOFOLLOW: usize = 0o400_000;
