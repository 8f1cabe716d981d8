//! Loading a system call filter.

use std::io;

use libc::sock_filter;

use super::check;

/// Loads a filter for the calling thread, which needs `CAP_SYS_ADMIN` in its user namespace: there is no `no_new_privs`.
pub(crate) fn load(program: &[sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the structure and the instructions live for the length of the call, and the kernel only reads them.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&program))
    })?;
    Ok(())
}
