//! A static program for guests, which asks the kernel for what they should not get (`probe/main.rs`).

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/probe"));

/// Writes it to a file that anybody may execute.
pub fn write(path: &Path) -> io::Result<()> {
    fs::write(path, PROGRAM)?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o755))
}
