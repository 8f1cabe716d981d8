//! The static PID 1 that the library carries, and the parts of it that decide.
//!
//! PID 1 needs nothing of the guest: no libraries, no `/proc`, no `/dev`. [`IMAGE`] is its program, to be executed from
//! a file that the guest cannot write; [`crate::handoff`] tells with what words and descriptors.
//!
//! The modules here take values and return values. The program's loop and system calls stand beside them (`main.rs`).

pub mod config;
pub mod environment;
pub mod initctl;
pub mod machine;
pub mod message;
pub mod utmp;

// The rest of the program needs no std and is compiled by build.rs alone; clippy and rustfmt see it here.
#[cfg(clippy)]
#[allow(dead_code)]
mod fifo;
#[cfg(clippy)]
#[allow(dead_code)]
mod records;
#[cfg(clippy)]
#[allow(dead_code)]
mod run;
#[cfg(clippy)]
#[allow(dead_code)]
mod spawn;
#[cfg(clippy)]
#[allow(dead_code, unsafe_code)]
mod sys;

/// The program: a static ELF executable for this architecture.
pub const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/subhost-init"));
