//! Bridges: found by name, listed, made.

use crate::Result;
use crate::observe::Link;

/// The ifindex of the bridge `name` in the calling thread's network namespace.
///
/// # Errors
/// [`crate::Error::BridgeMissing`] with the names of those that exist, [`crate::Error::NotABridge`].
pub fn find(_name: &str) -> Result<u32> {
    unimplemented!()
}

/// All bridges of the calling thread's network namespace.
pub fn list() -> Result<Vec<Link>> {
    unimplemented!()
}

/// Makes a bridge, up, with an address of its own.
pub fn create(_name: &str) -> Result<u32> {
    unimplemented!()
}
