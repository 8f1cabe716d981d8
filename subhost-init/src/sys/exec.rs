//! Executing a program, with everything allocated before.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Strings with the null-terminated array of pointers that `execve` wants.
#[derive(Debug)]
pub(crate) struct StringArray {
    /// What the pointers point to.
    _strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl StringArray {
    pub(crate) fn new(strings: Vec<CString>) -> StringArray {
        // The bytes of a CString are on the heap and stay where they are when the vector moves.
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        StringArray { _strings: strings, pointers }
    }
}

/// `execve`; returns only what went wrong.
pub(crate) fn execve(path: &CStr, argv: &StringArray, environment: &StringArray) -> io::Error {
    // SAFETY: the path is null-terminated, and so are both arrays and all their strings, by construction.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), environment.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// `execveat` of an open file; returns only what went wrong.
pub(crate) fn fexecve(file: BorrowedFd<'_>, argv: &StringArray, environment: &StringArray) -> io::Error {
    // SAFETY: the path is null-terminated, and so are both arrays and all their strings, by construction.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}
