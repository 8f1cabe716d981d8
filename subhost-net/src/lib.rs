//! Network namespaces and veth cables to bridges, synchronously.
#![deny(unsafe_code)]

pub mod bridge;
pub mod cable;
mod error;
pub mod mac;
pub mod name;
pub mod netns;
pub mod observe;

pub use error::{Error, Result};
