//! Network namespaces and veth cables to bridges, synchronously.
#![deny(unsafe_code)]

pub mod bridge;
pub mod cable;
mod decode;
mod error;
pub mod mac;
mod message;
pub mod name;
pub mod netns;
pub mod observe;
mod socket;
#[expect(unsafe_code, reason = "the one place for it")]
mod sys;

pub use error::{Error, Result};
