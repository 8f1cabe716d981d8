//! Privileged tests.
fn main() {}
