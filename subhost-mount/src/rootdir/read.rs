//! Reading inside a tree, without being made to wait or to read without end.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, OFlags, ResolveFlags};

use super::{FileKind, RootDir, resolve};
use crate::{Error, Result};

/// The most names that are taken from a directory.
const MAX_ENTRIES: usize = 65_536;

impl RootDir {
    /// Opens a regular file for reading, following links inside the tree.
    ///
    /// # Errors
    /// [`Error::WrongKind`] for anything but a regular file, [`Error::System`] when there is nothing.
    pub fn open_file(&self, path: &Path) -> Result<File> {
        let fd = self.look("open", path, OFlags::PATH, FileKind::File)?;
        Ok(resolve::reopen("open", &fd, path, OFlags::RDONLY)?.into())
    }

    /// Reads a regular file of at most `max_bytes`, following links inside the tree.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when there is more, else as [`RootDir::open_file`].
    pub fn read_small(&self, path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
        let file = self.open_file(path)?;
        let mut contents = Vec::new();
        // One more, to see that there is more.
        file.take(max_bytes.saturating_add(1))
            .read_to_end(&mut contents)
            .map_err(|source| Error::system("read", path, source))?;
        if u64::try_from(contents.len()).is_ok_and(|len| len <= max_bytes) {
            return Ok(contents);
        }
        Err(Error::TooLarge { operation: "read", path: path.to_owned(), limit: max_bytes, unit: "bytes" })
    }

    /// Opens a FIFO for writing. It never waits: not for a reader, and writing not for room (`O_NONBLOCK`). A link
    /// at `path` is not followed.
    ///
    /// # Errors
    /// [`Error::WrongKind`] for anything but a FIFO, [`Error::System`] with `ENXIO` when nobody reads it, and when
    /// there is nothing.
    pub fn open_fifo_for_write(&self, path: &Path) -> Result<File> {
        let fd = self.look("open for writing", path, OFlags::PATH | OFlags::NOFOLLOW, FileKind::Fifo)?;
        Ok(resolve::reopen("open for writing", &fd, path, OFlags::WRONLY)?.into())
    }

    /// The names in a directory but `.` and `..`, in no order, following links inside the tree.
    ///
    /// # Errors
    /// [`Error::TooLarge`] with more than 65,536 of them, [`Error::System`] when there is no directory.
    pub fn list_dir(&self, path: &Path) -> Result<Vec<OsString>> {
        const OPERATION: &str = "list";
        let failed = |errno| Error::system(OPERATION, path, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.resolve(OPERATION, path, flags, ResolveFlags::empty())?;
        let mut names = Vec::new();
        for entry in Dir::new(fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == MAX_ENTRIES {
                let limit = MAX_ENTRIES as u64;
                return Err(Error::TooLarge {
                    operation: OPERATION,
                    path: path.to_owned(),
                    limit,
                    unit: "entries",
                });
            }
            names.push(OsStr::from_bytes(name).to_owned());
        }
        Ok(names)
    }

    /// Where the symbolic link at `path` points, as it stands there.
    ///
    /// # Errors
    /// [`Error::WrongKind`] for anything but a symbolic link, [`Error::System`] when there is nothing.
    pub fn read_link(&self, path: &Path) -> Result<PathBuf> {
        let fd = self.look("read link", path, OFlags::PATH | OFlags::NOFOLLOW, FileKind::Symlink)?;
        let target = rustix::fs::readlinkat(&fd, "", Vec::new())
            .map_err(|errno| Error::system("read link", path, errno))?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// An `O_PATH` fd of what `path` leads to, which is of the kind `wanted`.
    fn look(&self, operation: &'static str, path: &Path, flags: OFlags, wanted: FileKind) -> Result<OwnedFd> {
        let fd = self.resolve(operation, path, flags, ResolveFlags::empty())?;
        let found = resolve::stat(operation, &fd, path)?.kind;
        if found == wanted {
            return Ok(fd);
        }
        Err(Error::WrongKind { operation, path: path.to_owned(), found: found.noun(), wanted: wanted.noun() })
    }
}
