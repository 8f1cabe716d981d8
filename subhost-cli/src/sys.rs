//! Two functions of the C library that a static program does better without. Its own are not linked where these are.

use std::ffi::{c_char, c_int, c_void};

const ENOENT: c_int = 2;
const ENOSYS: c_int = 38;

/// Finds no user: glibc's loads shared libraries to look, of the same version as it was built with. Who asks here wants a home
/// directory for `~` in completions, and has `$HOME`.
#[unsafe(no_mangle)]
extern "C" fn getpwuid_r(
    _uid: u32,
    _entry: *mut c_void,
    _buffer: *mut c_char,
    _length: usize,
    _found: *mut *mut c_void,
) -> c_int {
    ENOENT
}

/// Knows nothing of a thread: glibc's reads `/proc/self/maps` at each start. Who asks is Rust's runtime, to say of a segmentation
/// fault that it was a stack overflow; it ends the program in any case.
#[unsafe(no_mangle)]
extern "C" fn pthread_getattr_np(_thread: usize, _attributes: *mut c_void) -> c_int {
    ENOSYS
}
