//! Commands that make, change and open images and trees, while nothing runs from them.

pub mod args;
pub mod jail;
pub mod repair;
pub mod rescue;
