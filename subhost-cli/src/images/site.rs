//! Where something new is made: beside its place, under a name that is no subhost's, until it is whole.
//!
//! While it is made its lock is held, which a killed command gives back. Whatever is found under such a name without that is
//! left over, and removed by the next command. The name of the directory is the commit point:
//!
//! | step | killed after it |
//! | --- | --- |
//! | directory `.create-NAME`, in it the link `.image` to where the image is going to be made | directory and image are removed |
//! | the image gets its name, as a second one | both names, as they are one file, and the directory |
//! | the directory gets its name | the subhost is there; the image's first name and the link are removed |

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with, syncfs};
use subhost_mount::rootdir::RootDir;

use crate::error::{Complaint, Context, Error};
use crate::layout::{Layout, Name};
use crate::lock::{Lock, held_by_another, lock_name};

/// What names of what is not whole begin with.
const UNFINISHED: &str = ".create-";

/// The link that tells where the image is.
const IMAGE: &str = ".image";

/// What else is in the directory while it is made.
const OURS: [&str; 3] = ["config", IMAGE, "tmp"];

/// How often what was left is tried to be removed: a process of one that was killed may still be ending.
const ATTEMPTS: u32 = 20;

/// A new subhost that is not there yet. Dropping it removes what was made.
pub struct Site {
    /// The directory that it is made in.
    pub directory: PathBuf,
    place: PathBuf,
    image: Option<(PathBuf, PathBuf)>,
    is_whole: bool,
    _lock: Lock,
}

impl Site {
    /// Begins a subhost of that name in the directory `above`.
    ///
    /// # Errors
    /// There is one of that name, or it is just being made.
    pub fn begin(layout: &Layout, name: &Name, above: &Path) -> Result<Site, Error> {
        let refused = |what: String| Error::refused(Complaint::new(format!("subhost {name}: {what}")));
        let step = || format!("make the directory of {name}");
        let lock = lock_name(layout, name).step(format!("lock the name {name}"))?;
        let lock = lock.ok_or_else(|| refused(held_by_another(layout, name)))?;
        for directory in [layout.tree(name), layout.root_dir.join(name.as_str())] {
            if directory.symlink_metadata().is_ok() {
                return Err(refused(format!("exists already: {}", directory.display())));
            }
        }
        DirBuilder::new().recursive(true).mode(0o755).create(above).step(step())?;
        let above = above.canonicalize().step(step())?;
        sweep(layout, name)?;
        let directory = above.join(format!("{UNFINISHED}{name}"));
        DirBuilder::new().mode(0o700).create(&directory).step(step())?;
        let place = above.join(name.as_str());
        Ok(Site { directory, place, image: None, is_whole: false, _lock: lock })
    }

    /// Makes the file of its image, which gets its name in the end: by itself, or in the subhost's directory with that.
    ///
    /// # Errors
    /// There is something of that name already, or the file cannot be made.
    pub fn image(&mut self, place: &Path) -> Result<PathBuf, Error> {
        let step = || format!("make {}", place.display());
        let (above, name) =
            place.parent().zip(place.file_name()).ok_or("it is not a file's name").step(step())?;
        let own_directory = || Some(above.parent()?.canonicalize().ok()?.join(above.file_name()?));
        if own_directory().is_some_and(|directory| directory == self.place) {
            let path = self.directory.join(name);
            if OURS.iter().any(|ours| name == *ours) {
                return Err(Error::refused(Complaint::new(format!(
                    "image {}: is the name of another file",
                    place.display()
                ))));
            }
            new_file(&path).step(step())?;
            return Ok(path);
        }
        let above = above.canonicalize().step(step())?;
        let mut own = self.directory.file_name().unwrap_or_default().to_owned();
        own.push("-");
        own.push(name);
        let (unfinished, place) = (above.join(own), above.join(name));
        if place.symlink_metadata().is_ok() {
            return Err(Error::refused(Complaint::new(format!("image {}: exists already", place.display()))));
        }
        symlink(&unfinished, self.directory.join(IMAGE)).step(step())?;
        // Nobody holds the name's lock, so it is left over.
        remove_file(&unfinished).step(step())?;
        new_file(&unfinished).step(step())?;
        self.image = Some((unfinished.clone(), place));
        Ok(unfinished)
    }

    /// Gives it its name: from now on it is there.
    ///
    /// # Errors
    /// Somebody else has made something of that name meanwhile; then nothing is left.
    pub fn finish(mut self) -> Result<(), Error> {
        let step = || format!("make {}", self.place.display());
        if let Some((unfinished, place)) = &self.image {
            File::open(unfinished).and_then(|file| file.sync_all()).step(step())?;
            fs::hard_link(unfinished, place).step(step())?;
        }
        syncfs(File::open(&self.directory).step(step())?.as_fd()).step(step())?;
        renameat_with(CWD, &self.directory, CWD, &self.place, RenameFlags::NOREPLACE).step(step())?;
        self.is_whole = true;
        tidy(&self.place).step(step())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !self.is_whole {
            // The next command tries again.
            let _ = undo(&self.directory);
        }
    }
}

/// Removes what commands have left that were killed. The lock of `own` is the caller's.
///
/// # Errors
/// Something cannot be removed.
pub fn sweep(layout: &Layout, own: &Name) -> Result<(), Error> {
    for (name, path) in left(layout)? {
        let lock = lock_name(layout, &name).step(format!("lock the name {name}"))?;
        if name == *own || lock.is_some() {
            remove_left(&path)?;
        }
    }
    Ok(())
}

/// The directories that are not whole, or have more in them than a subhost needs, with the names that they are of. Some
/// may be just being made.
///
/// # Errors
/// A directory cannot be read.
pub fn left(layout: &Layout) -> Result<Vec<(Name, PathBuf)>, Error> {
    let mut found = Vec::new();
    for above in [&layout.root_dir, &layout.subhost_dir] {
        let step = || format!("look into {}", above.display());
        let entries = match fs::read_dir(above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.step(step())?,
        };
        for entry in entries {
            let path = entry.step(step())?.path();
            let Some(text) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Ok(name) = text.strip_prefix(UNFINISHED).unwrap_or(text).parse::<Name>() else { continue };
            let is_left = is_unfinished(&path) || path.join(IMAGE).symlink_metadata().is_ok();
            if is_left && is_ours(&path) {
                found.push((name, path));
            }
        }
    }
    Ok(found)
}

/// Removes one of these. The lock of its name is the caller's.
///
/// # Errors
/// Something cannot be removed.
pub fn remove_left(path: &Path) -> Result<(), Error> {
    // It may be whole by now, or gone.
    if !is_ours(path) {
        return Ok(());
    }
    let done = if is_unfinished(path) { undo(path) } else { tidy(path) };
    done.step(format!("remove what is left in {}", path.display()))
}

fn is_unfinished(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED))
}

/// Whether root alone can have made what is in it.
fn is_ours(directory: &Path) -> bool {
    directory
        .symlink_metadata()
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == 0 && meta.mode() & 0o022 == 0)
}

/// Removes an unfinished subhost, with its image.
fn undo(directory: &Path) -> io::Result<()> {
    if let Some((unfinished, place)) = image_of(directory) {
        let id = |path: &Path| path.symlink_metadata().ok().map(|meta| (meta.dev(), meta.ino()));
        if id(&place).is_some() && id(&place) == id(&unfinished) {
            remove_file(&place)?;
        }
        remove_file(&unfinished)?;
    }
    let (above, name) = directory.parent().zip(directory.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
    let above = RootDir::open(above).map_err(io::Error::other)?;
    for attempt in 1.. {
        match above.remove_tree(Path::new(name)) {
            Err(_) if attempt < ATTEMPTS => std::thread::sleep(Duration::from_millis(50)),
            other => return other.map_err(io::Error::other),
        }
    }
    Ok(())
}

/// Removes what a finished subhost does not need.
fn tidy(directory: &Path) -> io::Result<()> {
    if let Some((unfinished, _)) = image_of(directory) {
        remove_file(&unfinished)?;
    }
    remove_file(&directory.join(IMAGE))
}

/// The two names of the image.
fn image_of(directory: &Path) -> Option<(PathBuf, PathBuf)> {
    let unfinished = fs::read_link(directory.join(IMAGE)).ok()?;
    let name = directory.file_name()?.to_str()?;
    let own = format!("{UNFINISHED}{}-", name.strip_prefix(UNFINISHED).unwrap_or(name));
    let place = unfinished.with_file_name(unfinished.file_name()?.to_str()?.strip_prefix(&own)?);
    Some((unfinished, place))
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
