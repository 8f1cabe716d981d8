//! The snapshots of a subhost that `start` starts: directories in its own one, each with what was its upper layer.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use subhost_mount::image::{Access, Image};
use subhost_mount::mountinfo::MountTable;

use super::layers::remove;
use super::tool::Copying;
use crate::error::{Complaint, Context, Error};
use crate::layout::Name;
use crate::observe::complaint_of;
use crate::tree::Tree;

/// Where they are, in the subhost's directory.
const DIRECTORY: &str = "snapshot";

/// One that is not whole, and one that is no more; neither is a name of a subhost, as those of snapshots are.
pub const NOT_WHOLE: [&str; 2] = [UNFINISHED, REMOVED];
const UNFINISHED: &str = ".unfinished";
const REMOVED: &str = ".removed";

/// A snapshot.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub made: i64,
    /// What it takes of its file system, with the blocks that it shares with others. None where it cannot be told.
    pub bytes: Option<u64>,
}

/// The directory of all of them.
pub fn directory(tree: &Path) -> PathBuf {
    tree.join(DIRECTORY)
}

/// The file or directory that holds all that is the subhost's own, and what it is called in a snapshot.
pub fn own(tree: &Tree) -> (PathBuf, PathBuf) {
    let path = tree.image.clone().unwrap_or_else(|| tree.root.clone());
    let name = if tree.image.is_some() { "image" } else { "root" };
    (path, name.into())
}

/// Those that there are, by name.
///
/// # Errors
/// The directory cannot be read. That it is missing is an empty list.
pub fn list(tree: &Tree) -> Result<Vec<Snapshot>, Error> {
    let step = || format!("list the snapshots in {}", tree.directory.display());
    let entries = match fs::read_dir(directory(&tree.directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.step(step())?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.step(step())?;
        let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<Name>().ok()) else {
            continue;
        };
        let meta = entry.path().symlink_metadata().step(step())?;
        if meta.is_dir() {
            let bytes = bytes_of(&entry.path()).ok();
            found.push(Snapshot { name: name.to_string(), made: meta.mtime(), bytes });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// What is below a directory, links not followed.
fn bytes_of(directory: &Path) -> io::Result<u64> {
    let (mut bytes, mut directories) = (0, vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            bytes += meta.blocks() * 512;
            if meta.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    Ok(bytes)
}

/// Makes one, and returns where it is. The lock of the subhost's name is the caller's.
///
/// # Errors
/// There is one of that name, or the copy fails; then nothing is left.
pub fn make(tree: &Tree, subhost: &Name, name: &Name, copying: Copying<'_>) -> Result<PathBuf, Error> {
    let directory = directory(&tree.directory);
    let (place, unfinished) = (directory.join(name.as_str()), directory.join(UNFINISHED));
    let step = || format!("make {}", place.display());
    if place.symlink_metadata().is_ok() {
        return Err(Error::refused(
            Complaint::new(format!("snapshot {name}: exists already"))
                .hint(format!("subhostctl snapshot --remove {subhost} {name} removes it")),
        ));
    }
    sweep(tree)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&unfinished).step(step())?;
    let (path, own) = own(tree);
    let made = copying.copy(&path, &unfinished.join(own));
    let made = made.and_then(|()| fs::rename(&unfinished, &place).step(step()));
    if let Err(error) = made {
        remove(&unfinished)?;
        return Err(error);
    }
    sync(&directory)?;
    Ok(place)
}

/// Where one of that name is.
///
/// # Errors
/// There is none.
pub fn find(tree: &Tree, subhost: &Name, name: &Name) -> Result<PathBuf, Error> {
    let place = directory(&tree.directory).join(name.as_str());
    if place.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return Ok(place);
    }
    let complaint = Complaint::new(format!("snapshot {name}: is not there: {}", place.display()));
    Err(Error::refused(complaint.hint(format!("subhostctl snapshot --list {subhost} shows those there"))))
}

/// Demands that nothing is mounted in it, or of its image, and that it is in no base of `others`: of these the names, and the layers.
///
/// # Errors
/// Somebody uses it.
pub fn demand_unused(place: &Path, others: &[(Name, Vec<PathBuf>)]) -> Result<(), Error> {
    let shown = place.display();
    let refused = |what: String| Error::refused(Complaint::new(format!("snapshot {shown}: {what}")));
    let real = place.canonicalize().step(format!("look at {shown}"))?;
    let table = MountTable::read(None).step("list the mounts")?;
    if let Some(mount) = table.entries.iter().find(|mount| mount.mount_point.starts_with(&real)) {
        return Err(refused(format!("is in use by what is mounted at {}", mount.mount_point.display())));
    }
    let is_in = |layer: &PathBuf| layer.canonicalize().is_ok_and(|layer| layer.starts_with(&real));
    if let Some((name, _)) = others.iter().find(|(_, base)| base.iter().any(is_in)) {
        return Err(refused(format!("is in the base of {name}")));
    }
    match Image::open(&real.join("image"), Access::ReadWrite) {
        Err(error @ subhost_mount::Error::ImageInUse { .. }) => {
            Err(Error::refused(complaint_of(&format!("snapshot {shown}"), &error)))
        }
        // There is none, or it is none.
        _ => Ok(()),
    }
}

/// Removes one: at once it has no name, so that there never is half of it. The lock of the subhost's name is the caller's.
///
/// # Errors
/// It cannot be removed.
pub fn take_away(tree: &Tree, place: &Path) -> Result<(), Error> {
    sweep(tree)?;
    let directory = directory(&tree.directory);
    fs::rename(place, directory.join(REMOVED)).step(format!("remove {}", place.display()))?;
    sync(&directory)?;
    sweep(tree)
}

/// Removes what commands have left that were killed. The lock of the subhost's name is the caller's.
///
/// # Errors
/// It cannot be removed.
pub fn sweep(tree: &Tree) -> Result<(), Error> {
    NOT_WHOLE.iter().try_for_each(|left| remove(&directory(&tree.directory).join(left)))
}

fn sync(directory: &Path) -> Result<(), Error> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .step(format!("write {}", directory.display()))
}
