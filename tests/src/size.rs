//! How much of something a test does: little with every change, much in a long run.

use std::env;

/// Set to 1, a long run: see `cargo xtask torture --long`.
const LONG: &str = "SUBHOST_LONG";

/// A number of what a test repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// What is counted, such as `kills`.
    pub unit: &'static str,
    /// With every change.
    pub short: u32,
    /// In a long run.
    pub long: u32,
}

impl Size {
    /// How many now.
    pub fn now(self) -> u32 {
        if is_long() { self.long } else { self.short }
    }
}

/// Whether this is a long run.
pub fn is_long() -> bool {
    env::var_os(LONG).is_some_and(|value| value == "1")
}
