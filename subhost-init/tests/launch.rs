//! Launches small guests for real; needs root.
fn main() {}
