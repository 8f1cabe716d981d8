//! Starts a guest's PID 1 in fresh namespaces, enters them again later, and carries the static PID 1 itself.
#![deny(unsafe_code)]

pub mod capability;
mod child;
pub mod console;
pub mod enter;
mod error;
pub mod handoff;
pub mod launch;
pub mod pid1;
pub mod process;
mod sys;
pub mod userns;

pub use error::{Error, Result, Step};
