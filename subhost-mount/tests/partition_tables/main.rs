//! Partition tables without root: those that lie, and what holds of all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod disk;
mod hostile;
mod properties;
