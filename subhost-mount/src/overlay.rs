//! Overlay mounts, safe against layers that others wrote.

use std::path::PathBuf;

use crate::Result;
use crate::filesystem::{Mount, MountAttributes};

/// The layers of an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The layers that are only read, the topmost first.
    pub lower: Vec<PathBuf>,
    /// The layer that is written.
    pub upper: PathBuf,
    /// An empty directory on the file system of `upper`.
    pub work: PathBuf,
}

impl Overlay {
    /// Mounts it, detached, under the source name `source_name`.
    ///
    /// # Errors
    /// When the kernel refuses, or makes it read-only.
    pub fn mount(&self, source_name: &str, attributes: MountAttributes) -> Result<Mount> {
        let _ = (source_name, attributes);
        unimplemented!()
    }
}
