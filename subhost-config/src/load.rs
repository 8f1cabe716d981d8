//! Reading a configuration file, and whether it may be trusted.

mod walk;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::span::Source;

/// Larger files are refused; a configuration has a few hundred bytes.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadedConfig {
    /// Its text, named by the path that was asked for.
    pub source: Source,
    /// Whether to apply it.
    pub trust: Trust,
}

/// Whether somebody whom the owner of this machine does not trust could have written a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Only root could.
    Trusted,
    /// Somebody else could; the reason names the file or directory.
    Untrusted(String),
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The path, or a directory or link in it, cannot be opened.
    #[error("open {}: {source}", path.display())]
    Open {
        /// The part of the path that failed.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Reading failed.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// A directory, FIFO, socket or device.
    #[error("open {}: not a regular file", path.display())]
    NotAFile {
        /// What was asked for.
        path: PathBuf,
    },
    /// More than [`MAX_FILE_BYTES`].
    #[error("read {}: larger than {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a configuration file and judges it: trusted is what root owns, nobody else may write, has no second
/// name (hard link), and lies under directories of which the same is true (a sticky directory such as `/tmp` is fine).
///
/// The judgement is of the very file that is read: every directory and link on the way is opened and looked at
/// by file descriptor, so that nobody can exchange one in between.
///
/// # Errors
///
/// If the file cannot be opened or read, is not a regular file, or is larger than [`MAX_FILE_BYTES`].
pub fn load(path: &Path) -> Result<LoadedConfig, LoadError> {
    load_owned_by(path, 0)
}

/// The same where another user is trusted like root.
///
/// # Errors
///
/// As for [`load`](fn@load).
pub fn load_owned_by(path: &Path, owner: u32) -> Result<LoadedConfig, LoadError> {
    let (file, trust) = walk::open(path, owner)?;
    let mut text = Vec::new();
    // One byte more than allowed tells whether there is more, even if the file grows meanwhile.
    let read = std::fs::File::from(file).take(MAX_FILE_BYTES + 1).read_to_end(&mut text);
    let length = read.map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge { path: path.to_owned() });
    }
    Ok(LoadedConfig { source: Source::new(path.to_string_lossy(), text), trust })
}
