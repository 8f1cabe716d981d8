//! Starts a guest's PID 1 in fresh namespaces, enters them again later, and carries the static PID 1 itself.
#![deny(unsafe_code)]

pub mod handoff;
pub mod pid1;
