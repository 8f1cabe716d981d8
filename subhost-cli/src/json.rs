//! Paths in JSON, which is text: what of a path is not UTF-8 is shown as U+FFFD.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Serialize as _, Serializer};

/// The version of `docs/json.md` that all output is of. It rises when a field goes or means something else, and not when
/// one is added.
pub const VERSION: u32 = 1;

/// A path as text.
///
/// # Errors
/// Those of the serializer.
pub fn path<S: Serializer>(path: impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().to_string_lossy().serialize(serializer)
}

/// Any text as text.
///
/// # Errors
/// Those of the serializer.
pub fn maybe_text<S: Serializer>(text: &Option<OsString>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_ref().map(|text| text.to_string_lossy()).serialize(serializer)
}

/// Any texts as texts.
///
/// # Errors
/// Those of the serializer.
pub fn texts<S: Serializer>(texts: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| text.to_string_lossy()))
}

/// Paths as text.
///
/// # Errors
/// Those of the serializer.
pub fn paths<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}
