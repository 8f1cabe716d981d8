//! Which file system is there: recognised by its superblock, in safe Rust, as blkid names it.

use std::io::{Read, Seek};

use crate::Result;

/// What a superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// The type as blkid names it: `ext4`, `xfs`, `swap`, `crypto_LUKS`.
    pub kind: String,
    /// The label.
    pub label: Option<String>,
    /// The UUID as blkid prints it.
    pub uuid: Option<String>,
    refusal: Option<String>,
}

impl Superblock {
    /// Why this file system must not be mounted, if it must not.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.refusal.clone()
    }
}

/// Recognises the file system that begins at byte `start`; `None` when there is none that is known here.
///
/// # Errors
/// When the reader fails.
pub fn probe(reader: impl Read + Seek, start: u64) -> Result<Option<Superblock>> {
    let _ = (reader, start);
    unimplemented!()
}

/// The mount options that a file system from a guest's image always gets.
#[must_use]
pub fn safe_options(kind: &str) -> &'static [(&'static str, Option<&'static str>)] {
    match kind {
        // A superblock may say errors=panic, which would stop the host.
        "ext2" | "ext3" | "ext4" => &[("errors", Some("remount-ro"))],
        // Copies of one image share their UUID.
        "xfs" => &[("nouuid", None)],
        _ => &[],
    }
}

/// Whether the kernel knows this type now. A module may still be loaded when it is mounted.
///
/// # Errors
/// When `/proc/filesystems` cannot be read.
pub fn kernel_knows(kind: &str) -> Result<bool> {
    let _ = kind;
    unimplemented!()
}
