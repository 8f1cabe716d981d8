//! Which network namespaces there are: those that have a process or a name.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::pin::{PinState, pinned_inode};
use crate::{Error, Result};

/// A network namespace that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The inode that identifies it.
    pub inode: u64,
    /// Its names in the directory that was looked at, sorted.
    pub pins: Vec<PathBuf>,
    /// The processes in it, sorted; by their first thread.
    pub processes: Vec<u32>,
}

/// Lists the network namespaces that have a process, or a name in `dir`, by inode.
///
/// One that is held by a descriptor, a socket or a mount elsewhere alone is not seen. Of other users' processes only root
/// sees the namespace.
///
/// # Errors
/// When `/proc` or `dir` cannot be listed; a `dir` that is not there has no names.
pub fn list(dir: &Path) -> Result<Vec<Listed>> {
    let mut found: BTreeMap<u64, Listed> = BTreeMap::new();
    let failed = |path: &Path, error| Error::os("list", path.display().to_string(), error);
    let proc = Path::new("/proc");
    for entry in fs::read_dir(proc).map_err(|error| failed(proc, error))? {
        let entry = entry.map_err(|error| failed(proc, error))?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended, or be somebody else's.
        let Ok(namespace) = fs::metadata(entry.path().join("ns/net")) else { continue };
        found.entry(namespace.ino()).or_default().processes.push(pid);
    }
    let names = match fs::read_dir(dir) {
        Ok(names) => {
            names.map(|entry| entry.map(|entry| entry.file_name())).collect::<std::io::Result<Vec<_>>>()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    for name in names.map_err(|error| failed(dir, error))? {
        // What is no plain name, or goes away meanwhile, is none of ours.
        let state = name.to_str().map(|name| pinned_inode(dir, name));
        if let Some(Ok(Some(PinState::Netns { inode }))) = state {
            found.entry(inode).or_default().pins.push(dir.join(&name));
        }
    }
    let finished = |(inode, mut netns): (u64, Listed)| {
        netns.inode = inode;
        netns.processes.sort_unstable();
        netns.pins.sort_unstable();
        netns
    };
    Ok(found.into_iter().map(finished).collect())
}
