//! The upper layer of a subhost that `start` starts: what it changes of its base, and its way back.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, RenameFlags, chmodat, fgetxattr, fsync, openat, renameat_with};
use rustix::io::Errno;
use serde::Serialize;
use subhost_mount::filesystem::{Mount, MountAttributes};
use subhost_mount::overlay::{Layer, Upper, merge};
use subhost_mount::rootdir::{FileKind, Metadata, RootDir};

use crate::error::{Context, Error};
use crate::json;
use crate::sorted::sort_by;

/// How overlayfs marks what it keeps, in names of attributes that no guest can set.
const OPAQUE: &str = "trusted.overlay.opaque";
const WHITEOUT: &str = "trusted.overlay.whiteout";
const REDIRECT: &str = "trusted.overlay.redirect";

/// What comes in the place of an upper layer, beside it.
pub const FRESH: &str = ".reset";

/// What happened to a path of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is not in the base.
    Added,
    /// It is another file, or has another owner or mode.
    Changed,
    /// It is in the base alone.
    Removed,
}

/// A path that is not as in the base.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// The path in the guest.
    #[serde(serialize_with = "json::path")]
    pub path: PathBuf,
    /// What happened to it.
    pub change: Kind,
}

/// The layers of a base as one tree, with what keeps it.
///
/// # Errors
/// One of them cannot be opened.
pub fn open_base(layers: &[PathBuf]) -> Result<(RootDir, Option<Mount>), Error> {
    let step = "open the base";
    if let [only] = layers {
        return Ok((RootDir::open(only).step(step)?, None));
    }
    let lower = layers.iter().map(|layer| Layer::open(layer)).collect::<Result<Vec<_>, _>>().step(step)?;
    let attributes = MountAttributes::NODEV | MountAttributes::NOSUID;
    let merged = merge(lower, Upper::Nothing, "subhost-base", attributes).step(step)?;
    Ok((merged.root().step(step)?, Some(merged)))
}

/// What differs between a base and the overlay of an upper layer over it, in order, and notes on what is odd.
///
/// # Errors
/// Something cannot be read.
pub fn diff(base: &RootDir, upper: &RootDir) -> Result<(Vec<Change>, Vec<String>), Error> {
    let mut walk = Walk { base, upper, changes: Vec::new(), notes: Vec::new() };
    let mut directories = vec![Directory { path: PathBuf::from("."), in_base: true, covers: false }];
    while let Some(directory) = directories.pop() {
        let found = walk.directory(&directory).step(format!("look at {}", directory.path.display()))?;
        directories.extend(found);
    }
    sort_by(&mut walk.changes, Ord::cmp);
    Ok((walk.changes, walk.notes))
}

/// A directory of the upper layer.
struct Directory {
    path: PathBuf,
    /// Whether the base has a directory of that name.
    in_base: bool,
    /// Whether nothing of that one is seen through it.
    covers: bool,
}

struct Walk<'a> {
    base: &'a RootDir,
    upper: &'a RootDir,
    changes: Vec<Change>,
    notes: Vec<String>,
}

impl Walk<'_> {
    fn tell(&mut self, path: &Path, change: Kind) {
        let path = Path::new("/").join(path.strip_prefix(".").unwrap_or(path));
        self.changes.push(Change { path, change });
    }

    fn in_base(&self, path: &Path) -> io::Result<Option<Metadata>> {
        match self.base.symlink_metadata(path) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Compares what is in a directory of the upper layer, and returns the directories in it.
    fn directory(&mut self, directory: &Directory) -> io::Result<Vec<Directory>> {
        let Directory { path: above, in_base, covers } = directory;
        let fd = match open(self.upper, above, OFlags::DIRECTORY) {
            Err(error) if is_gone(error.raw_os_error()) => return Ok(Vec::new()),
            other => other?,
        };
        let covers = *covers || attribute(&fd, OPAQUE)?.is_some_and(|value| value == b"y");
        if attribute(&fd, REDIRECT)?.is_some() {
            // It hides nothing that is the host's: no overlay here follows it.
            let path = above.strip_prefix(".").unwrap_or(above).display();
            self.notes.push(format!("/{path}: says that it is another directory, which is not believed"));
        }
        let names = names_in(&fd)?;
        if *in_base && covers {
            for name in names_in(&open(self.base, above, OFlags::DIRECTORY)?)? {
                if !names.contains(&name) {
                    self.tell(&above.join(name), Kind::Removed);
                }
            }
        }
        let mut directories = Vec::new();
        for name in names {
            let path = above.join(name);
            let found = match self.upper.symlink_metadata(&path) {
                Err(error) if is_gone(error.raw_os_error()) => continue,
                other => other.map_err(io::Error::other)?,
            };
            let before = if *in_base { self.in_base(&path)? } else { None };
            if self.is_whiteout(&path, &found)? {
                if before.is_some() {
                    self.tell(&path, Kind::Removed);
                }
                continue;
            }
            let is_directory = |it: &Metadata| it.kind == FileKind::Directory;
            match &before {
                None => self.tell(&path, Kind::Added),
                Some(before) if is_directory(&found) && is_directory(before) => {
                    if (before.mode, before.uid, before.gid) != (found.mode, found.uid, found.gid) {
                        self.tell(&path, Kind::Changed);
                    }
                }
                Some(_) => self.tell(&path, Kind::Changed),
            }
            if is_directory(&found) {
                directories.push(Directory {
                    path,
                    in_base: before.as_ref().is_some_and(is_directory),
                    covers,
                });
            }
        }
        Ok(directories)
    }

    /// Whether it stands for a name that is gone.
    fn is_whiteout(&self, path: &Path, found: &Metadata) -> io::Result<bool> {
        Ok(match found.kind {
            FileKind::CharDevice => found.rdev == (0, 0),
            FileKind::File if found.len_bytes == 0 => match open(self.upper, path, OFlags::empty()) {
                Err(error) if is_gone(error.raw_os_error()) => false,
                other => attribute(&other?, WHITEOUT)?.is_some(),
            },
            _ => false,
        })
    }
}

/// Whether a name has gone, or stands for something else now: only where a subhost that runs changes its layer meanwhile.
fn is_gone(code: Option<i32>) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].iter().any(|errno| code == Some(errno.raw_os_error()))
}

fn names_in(directory: &OwnedFd) -> io::Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.insert(OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
        }
    }
    Ok(names)
}

/// Opens a file or directory that was looked at, to be read.
fn open(root: &RootDir, path: &Path, kind: OFlags) -> io::Result<OwnedFd> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = match root.open_path(above) {
        Err(error) if is_gone(error.raw_os_error()) => return Err(Errno::NOENT.into()),
        other => other.map_err(io::Error::other)?,
    };
    let name = path.file_name().unwrap_or(OsStr::new("."));
    let flags = kind | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat(directory, name, flags, Mode::empty())?)
}

fn attribute(fd: &OwnedFd, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 4096];
    match fgetxattr(fd, name, &mut value[..]) {
        Ok(len) => {
            value.truncate(len);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        // It is there, and longer than any that overlayfs writes.
        Err(Errno::RANGE) => Ok(Some(Vec::new())),
        Err(errno) => Err(errno.into()),
    }
}

/// Puts an empty directory beside an upper layer, that looks as the root of its base.
///
/// # Errors
/// It cannot be made.
pub fn make_fresh(above: &RootDir, like: &Metadata) -> Result<(), Error> {
    let fresh = Path::new(FRESH);
    let make = || -> Result<(), subhost_mount::Error> {
        above.create_dir(fresh, 0o700)?;
        above.chown(fresh, like.uid, like.gid)
    };
    make().step("make an empty layer")?;
    chmodat(above, fresh, Mode::from_raw_mode(like.mode), rustix::fs::AtFlags::empty())
        .map_err(io::Error::from)
        .step("make an empty layer")
}

/// Removes what a command that was killed has left beside an upper layer, or this one has taken away from there.
///
/// # Errors
/// It cannot be removed.
pub fn remove_fresh(above: &RootDir) -> Result<(), Error> {
    let step = "remove the old layer";
    match above.symlink_metadata(Path::new(FRESH)) {
        Ok(_) => above.remove_tree(Path::new(FRESH)).step(step),
        Err(_) => Ok(()),
    }
}

/// Has an upper layer, and what was put beside it, change places: there is the one or the other, at any moment.
///
/// # Errors
/// The file system cannot do that.
pub fn exchange(above: &RootDir, name: &Path) -> Result<(), Error> {
    let step = "exchange the layers";
    let directory = openat(above, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let directory = directory.map_err(io::Error::from).step(step)?;
    renameat_with(&directory, name, &directory, FRESH, RenameFlags::EXCHANGE)
        .map_err(io::Error::from)
        .step(step)?;
    fsync(directory).map_err(io::Error::from).step(step)
}

/// Removes a file or directory, whatever it is, unless there is nothing.
///
/// # Errors
/// It cannot be removed.
pub fn remove(path: &Path) -> Result<(), Error> {
    let step = || format!("remove {}", path.display());
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).step(step()),
        Ok(meta) if !meta.is_dir() => fs::remove_file(path).step(step()),
        Ok(_) => {
            let (above, name) = path.parent().zip(path.file_name()).ok_or("it has no name").step(step())?;
            RootDir::open(above).and_then(|above| above.remove_tree(Path::new(name))).step(step())
        }
    }
}
