//! A copy of an image that is changed in its stead, beside it, and takes its name in the end: there is the one or the other.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, ioctl_ficlone, statvfs};
use subhost_mount::image::Image;

use super::super::tool::Copying;
use crate::error::{Complaint, Context, Error};

/// What the name of a copy begins with.
const PREFIX: &str = ".resize-";

const IN_PLACE: &str = "--in-place does without a copy, but then a crash may cost the file system";

/// The copy. Dropping it removes it.
pub(super) struct Copy {
    pub(super) path: PathBuf,
}

impl Copy {
    /// Makes it, where there is room for it.
    ///
    /// # Errors
    /// There is none, the image has other names that would not follow, or the copy fails.
    pub(super) fn make(image: &Path, copying: Copying<'_>) -> Result<Copy, Error> {
        let step = || format!("copy {}", image.display());
        let refused = |what: String| {
            Error::refused(Complaint::new(format!("image {}: {what}", image.display())).hint(IN_PLACE))
        };
        let (meta, path) =
            (fs::metadata(image).step(step())?, copy_of(image).ok_or("it has no name").step(step())?);
        if meta.nlink() > 1 {
            return Err(refused("has other names, which a copy would not have".to_owned()));
        }
        if !remove_copy(&path)? {
            return Err(refused(format!("{} is in use", path.display())));
        }
        let above = path.parent().unwrap_or(Path::new("/"));
        let room = statvfs(above).map_err(io::Error::from).step(step())?;
        let (needed, free) = (meta.blocks() * 512, room.f_bavail * room.f_frsize);
        if free < needed && !shares_blocks(above, image) {
            let (needed, free) = (needed >> 20, free >> 20);
            return Err(refused(format!(
                "is copied before it is made smaller, which needs {needed} MiB in {}, where {free} MiB are free",
                above.display()
            )));
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path).step(step())?;
        let copy = Copy { path };
        // Who looks for what is left sees that this is not.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from).step(step())?;
        copying.copy(image, &copy.path)?;
        Ok(copy)
    }

    /// Opens it as an image.
    pub(super) fn open(&self) -> Result<Image, Error> {
        super::open(&self.path)
    }

    /// Gives it the name of the image.
    pub(super) fn take_place(self, image: &Path) -> Result<(), Error> {
        let step = || format!("replace {}", image.display());
        File::open(&self.path).and_then(|file| file.sync_all()).step(step())?;
        fs::rename(&self.path, image).step(step())?;
        let above = image.parent().unwrap_or(Path::new("/"));
        File::open(above).and_then(|directory| directory.sync_all()).step(step())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It has the image's name, or `recover` tries again.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a copy in a directory takes no room.
fn shares_blocks(directory: &Path, image: &Path) -> bool {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let nameless = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR);
    nameless.is_ok_and(|file| File::open(image).is_ok_and(|image| ioctl_ficlone(file, image).is_ok()))
}

/// What the copy of an image is called.
pub fn copy_of(image: &Path) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(PREFIX);
    name.push(image.file_name()?);
    Some(image.with_file_name(name))
}

/// Whether nobody is at work on a copy that is there.
pub fn is_unused(path: &Path) -> bool {
    unused(path).is_ok_and(|file| file.is_some())
}

/// Removes a copy, if there is one. False if somebody is at work on it.
///
/// # Errors
/// It cannot be removed.
pub fn remove_copy(path: &Path) -> Result<bool, Error> {
    let step = || format!("remove {}", path.display());
    match unused(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        found => match found.step(step())? {
            Some(_file) => fs::remove_file(path).step(step()).map(|()| true),
            None => Ok(false),
        },
    }
}

/// The copy, locked; none where another has it.
fn unused(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is not a file"));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
