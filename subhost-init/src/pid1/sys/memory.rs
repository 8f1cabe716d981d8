//! The memory functions that the compiler calls by name, where no C library has them.
//!
//! The loops stand in assembly, as the compiler may turn a loop that copies into a call of `memcpy`: itself.

use core::ffi::{c_int, c_void};

use super::arch;

/// # Safety
///
/// As C has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, n: usize) -> *mut c_void {
    // SAFETY: by the caller.
    unsafe { arch::copy(to.cast(), from.cast(), n) };
    to
}

/// # Safety
///
/// As C has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut c_void, byte: c_int, n: usize) -> *mut c_void {
    // C hands the byte over as an int and takes its low eight bits.
    // SAFETY: by the caller.
    unsafe { arch::fill(to.cast(), byte as u8, n) };
    to
}

/// # Safety
///
/// As C has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, n: usize) -> *mut c_void {
    let (target, source) = (to.cast::<u8>(), from.cast::<u8>());
    if (target as usize).wrapping_sub(source as usize) >= n {
        // SAFETY: by the caller; a copy upwards never reaches a byte that it has still to read.
        unsafe { arch::copy(target, source, n) };
    } else {
        for i in (0..n).rev() {
            // SAFETY: by the caller, `i` is inside both ranges. Volatile, so that the loop stays one.
            let byte = unsafe { source.add(i).read_volatile() };
            // SAFETY: as above.
            unsafe { target.add(i).write_volatile(byte) };
        }
    }
    to
}

/// # Safety
///
/// As C has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const c_void, right: *const c_void, n: usize) -> c_int {
    for i in 0..n {
        // SAFETY: by the caller, `i` is inside both ranges. Volatile, so that the loop stays one.
        let left = unsafe { left.cast::<u8>().add(i).read_volatile() };
        // SAFETY: as above.
        let right = unsafe { right.cast::<u8>().add(i).read_volatile() };
        if left != right {
            return c_int::from(left) - c_int::from(right);
        }
    }
    0
}

/// # Safety
///
/// As C has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const c_void, right: *const c_void, n: usize) -> c_int {
    // SAFETY: by the caller.
    unsafe { memcmp(left, right, n) }
}

/// # Safety
///
/// As C has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_void) -> usize {
    let mut n = 0;
    loop {
        // SAFETY: by the caller, nothing before the NUL was seen yet. Volatile, so that the loop stays one.
        if unsafe { text.cast::<u8>().add(n).read_volatile() } == 0 {
            return n;
        }
        n += 1;
    }
}

/// The name is asked for by unwinding tables of `core`, and never called: a panic ends the program.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
