//! System calls by number. Nothing here decides anything.

use std::ffi::{c_int, c_long};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
}

/// The value, or errno.
pub(crate) fn call(number: c_long, arguments: [usize; 6]) -> Result<c_long, i32> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the kernel checks what it is given, and what these calls write they write to memory that is theirs: the
    // callers pass null, text, or buffers that are larger than anything that is written.
    let result = unsafe { syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(result) }
}

/// Runs something in a child, whose exit status is what it gives back: the wait status of the child.
pub(crate) fn in_child(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the process has a single thread.
    let pid = unsafe { fork() };
    if pid == 0 {
        let status = body();
        // SAFETY: _exit has no preconditions.
        unsafe { _exit(status) }
    }
    let mut status = 0;
    // SAFETY: the status is written to a variable that lives as long.
    unsafe { waitpid(pid, &raw mut status, 0) };
    status
}

/// `clone` of the old kind with these flags and SIGCHLD: a child ends at once.
pub(crate) fn clone(number: c_long, flags: usize) -> Result<(), i32> {
    const SIGCHLD: usize = 17;
    // On every machine the first argument has the flags, and null for the stack is a copy of the caller's.
    match call(number, [flags | SIGCHLD, 0, 0, 0, 0, 0])? {
        // SAFETY: _exit has no preconditions.
        0 => unsafe { _exit(0) },
        _ => Ok(()),
    }
}

/// A child that is not waited for.
pub(crate) fn clone_and(number: c_long, body: impl FnOnce() -> i32) -> Result<(), i32> {
    match call(number, [17, 0, 0, 0, 0, 0])? {
        0 => {
            let status = body();
            // SAFETY: _exit has no preconditions.
            unsafe { _exit(status) }
        }
        _ => Ok(()),
    }
}

/// `getpid` of i386.
#[cfg(target_arch = "x86_64")]
pub(crate) fn getpid_of_i386() -> i64 {
    let result: i64;
    // SAFETY: the call takes no arguments and touches no memory; the kernel clears r8 to r11.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => result, out("r8") _, out("r9") _, out("r10") _,
            out("r11") _, options(nostack));
    }
    result
}
