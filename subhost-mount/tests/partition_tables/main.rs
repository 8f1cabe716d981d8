//! Partition tables without root: those that lie, those that are odd, and what holds of all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod corpus;
mod counted;
mod disk;
mod fuzzed;
mod hostile;
mod odd;
mod properties;
mod selection;
#[expect(unsafe_code, reason = "an allocator is")]
mod sys;

#[global_allocator]
static ALLOCATOR: sys::Counting = sys::Counting;
