//! Commands that make, change and open images and trees, while nothing runs from them.

pub mod args;
pub mod create;
pub mod disk;
pub mod jail;
pub mod oci;
pub mod progress;
pub mod repair;
pub mod rescue;
pub mod setup;
pub mod site;
pub mod source;
pub mod tool;
pub mod unpack;
