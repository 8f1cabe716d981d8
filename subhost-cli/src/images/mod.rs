//! Commands that make, change and open images and trees, while nothing runs from them.

pub mod args;
mod clone;
pub mod create;
pub mod disk;
pub mod jail;
pub mod layers;
pub mod leftover;
pub mod oci;
pub mod progress;
pub mod repair;
pub mod rescue;
pub mod resize;
pub mod setup;
pub mod site;
pub mod snapshots;
pub mod source;
mod table;
pub mod tool;
pub mod unpack;

pub use clone::{Source, clone};
