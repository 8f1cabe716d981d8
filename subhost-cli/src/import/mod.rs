//! Configurations of others, as far as they can be carried over.
//!
//! Each format is read into a [`Draft`]. What is read may come from anybody: it is bounded, it executes nothing, and every
//! value is quoted.

pub mod disk;
pub mod draft;
pub mod ganeti;
#[cfg(test)]
mod hostile;
pub mod libvirt;
pub mod lxc;
pub mod nspawn;
pub mod oci;
pub mod overlay_boot;
pub mod qemu;
#[cfg(test)]
mod witness;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::error::{Complaint, Context, Error};
use draft::Draft;

/// Larger descriptions are refused; real ones have some kilobytes.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// What a description is refused with.
pub type Refused = String;

/// Reads a description: a regular file, a pipe, or standard input for `-`.
///
/// # Errors
/// It cannot be read, is something else, or too large.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let shown = path.display();
    if path.as_os_str() == "-" {
        return read_bounded(std::io::stdin().lock(), "standard input");
    }
    let step = || format!("read {shown}");
    let kind = std::fs::metadata(path).step(step())?.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        return Err(refused(format!("read {shown}: it is neither a file nor a pipe")));
    }
    read_bounded(File::open(path).step(step())?, &shown.to_string())
}

/// Reads at most [`MAX_BYTES`].
///
/// # Errors
/// There is more, or it cannot be read.
pub fn read_bounded(from: impl Read, what: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes).step(format!("read {what}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refused(format!("read {what}: larger than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

/// A description as text.
///
/// # Errors
/// It holds a NUL byte, or is no UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, Refused> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| format!("is no UTF-8 at byte {}", error.valid_up_to()))?;
    match text.find('\0') {
        Some(at) => Err(format!("holds a NUL byte at byte {at}")),
        None => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
    }
}

fn refused(message: String) -> Error {
    Error::refused(Complaint::new(message))
}

/// Whether it is one of these words.
fn has(words: &str, word: &str) -> bool {
    words.split(' ').any(|one| one == word)
}

/// `yes`, `true`, `on`, `1`, and `no` and its like.
fn yes_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// Sets a setting to yes, where the value is that.
fn yes(draft: &mut Draft, name: &'static str, value: &str, from: &str) {
    match yes_no(value) {
        Some(true) => draft.set(name, "yes", from),
        Some(false) => {}
        None => draft.leave(from, "is neither yes nor no"),
    }
}

/// A variable for PID 1.
fn environment(draft: &mut Draft, variable: &str, from: &str) {
    if variable.contains('=') {
        draft.add("ENVIRONMENT", variable, from);
    } else {
        draft.leave(from, "is a variable of the caller's, whose value is not known here");
    }
}
