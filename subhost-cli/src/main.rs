//! subhostctl
fn main() {}
