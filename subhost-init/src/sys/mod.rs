//! The system calls that have no safe wrapper elsewhere. Nothing here decides anything.
//!
//! What a child calls between clone and exec (all of `clone`, `exec`, `files`, `idle`, `link`, `seccomp` and `signals`) neither allocates nor
//! takes a lock, as another thread of the caller may have held the allocator's when the child was cloned.
#![allow(unsafe_code)]

pub(crate) mod bpf;
pub(crate) mod clone;
pub(crate) mod exec;
pub(crate) mod files;
pub(crate) mod idle;
pub(crate) mod link;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod probe;
pub(crate) mod seccomp;
pub(crate) mod signals;

use std::io;

/// The result of a raw system call: its value, or errno.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
