//! What commands for images and trees have left that were killed: `doctor` tells it, `recover` removes it.

use std::path::{Path, PathBuf};

use super::layers::{self, FRESH};
use super::{resize, site, snapshots};
use crate::config::{How, Loaded};
use crate::error::{Context, Error};
use crate::layout::{Layout, Name};
use crate::lock::{lock_name, name_is_held};

/// Something that nobody needs.
#[derive(Debug)]
pub struct Leftover {
    /// The subhost that it is of.
    pub name: Name,
    /// Where it is.
    pub path: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of `create` and `clone`.
    Site,
    /// Of `snapshot` and `reset`.
    Layer,
    /// Of `resize`: the copy of an image.
    Copy,
}

impl Leftover {
    /// What has left it.
    pub fn command(&self) -> &'static str {
        match self.kind {
            Kind::Site => "create or clone",
            Kind::Layer => "snapshot or reset",
            Kind::Copy => "resize",
        }
    }
}

/// All that is left, of names at which nobody is at work. What `reset` leaves inside an image is seen by the next one alone.
///
/// # Errors
/// A directory cannot be read.
pub fn find(layout: &Layout, how: How) -> Result<Vec<Leftover>, Error> {
    let mut found = Vec::new();
    for (name, path) in site::left(layout)? {
        found.push(Leftover { name, path, kind: Kind::Site });
    }
    for name in layout.trees().step("list the subhosts")? {
        let directory = layout.tree(&name);
        let layers = snapshots::NOT_WHOLE.map(|left| snapshots::directory(&directory).join(left));
        let layers = layers.into_iter().chain([directory.join(FRESH)]);
        for path in layers.filter(|path| is_there(path)) {
            found.push(Leftover { name: name.clone(), path, kind: Kind::Layer });
        }
        let image = directory.join(format!("{name}.img"));
        found.extend(copy_of(&name, &image));
    }
    for name in layout.configured().step("list the configurations")? {
        let loaded = Loaded::of(layout, None, &name, &Default::default(), how).ok();
        let disks = loaded.and_then(|loaded| loaded.config).map(|config| config.disks.value);
        for disk in disks.into_iter().flatten() {
            let copy = copy_of(&name, &disk.image);
            found.extend(copy.filter(|copy| found.iter().all(|there| there.path != copy.path)));
        }
    }
    let mut left = Vec::new();
    for it in found {
        if !name_is_held(layout, &it.name).step(format!("look at {}", it.name))? {
            left.push(it);
        }
    }
    Ok(left)
}

/// Removes it, unless somebody is at work on it by now. True if it was removed.
///
/// # Errors
/// It cannot be removed.
pub fn remove(layout: &Layout, left: &Leftover) -> Result<bool, Error> {
    let name = &left.name;
    let Some(_lock) = lock_name(layout, name).step(format!("lock the name {name}"))? else {
        return Ok(false);
    };
    match left.kind {
        Kind::Site => site::remove_left(&left.path)?,
        Kind::Layer => layers::remove(&left.path)?,
        Kind::Copy => return resize::remove_copy(&left.path),
    }
    Ok(true)
}

fn copy_of(name: &Name, image: &Path) -> Option<Leftover> {
    let path = resize::copy_of(&image.canonicalize().ok()?)?;
    let is_left = is_there(&path) && resize::is_unused(&path);
    is_left.then(|| Leftover { name: name.clone(), path, kind: Kind::Copy })
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
