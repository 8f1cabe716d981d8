//! The mounts of a process, as `/proc/PID/mountinfo` tells them.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::Result;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// Its id.
    pub id: u32,
    /// The id of the mount that it is on.
    pub parent: u32,
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// What of the file system is mounted.
    pub root: PathBuf,
    /// Where, seen from the process's root.
    pub mount_point: PathBuf,
    /// The mount's options: `rw,nodev,relatime`.
    pub options: String,
    /// The optional fields: `shared:1`, `idmapped`.
    pub tags: Vec<String>,
    /// The file system type.
    pub kind: String,
    /// The source.
    pub source: OsString,
    /// The file system's options.
    pub super_options: OsString,
}

/// The mounts of one mount namespace, in the kernel's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountTable {
    /// The mounts.
    pub entries: Vec<MountEntry>,
}

impl MountTable {
    /// Reads the mounts of process `pid`, or of the calling thread.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn read(pid: Option<u32>) -> Result<MountTable> {
        let _ = pid;
        unimplemented!()
    }
}

/// Reads the text of a mountinfo file; lines that are none are left out.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<MountEntry> {
    let _ = text;
    unimplemented!()
}
