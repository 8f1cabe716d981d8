//! Making things inside a tree: always a new name in a directory that is held by fd.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use super::{NodeKind, RootDir, named};
use crate::{Error, Result};

/// How often others may be in our way. They can, as the tree is somebody else's.
const ATTEMPTS: u32 = 100;

/// Most of these are about a name that is not there yet; links before it are followed inside the tree. Modes lose
/// the bits of the calling thread's umask, which is 0 on a [`Staging`](crate::Staging) thread.
impl RootDir {
    /// Makes a directory.
    ///
    /// # Errors
    /// [`Error::System`], with `EEXIST` when the name is taken.
    pub fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        const OPERATION: &str = "create directory";
        let (directory, name) = self.parent(OPERATION, path)?;
        rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(mode))
            .map_err(|errno| Error::system(OPERATION, path, errno))
    }

    /// Makes a directory and those before it that are missing. One that is there is left as it is; links are followed
    /// inside the tree.
    ///
    /// # Errors
    /// [`Error::System`], with `ENOTDIR` where something else is, and `ENOENT` behind a link that leads nowhere.
    pub fn create_dir_all(&self, path: &Path, mode: u32) -> Result<()> {
        let mut so_far = std::path::PathBuf::new();
        for part in path.components() {
            so_far.push(part);
            if matches!(part, Component::Normal(_)) {
                match self.create_dir(&so_far, mode) {
                    Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
                    other => other?,
                }
            }
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        self.resolve("create directory", path, flags, ResolveFlags::empty()).map(drop)
    }

    /// Writes a file without a name, and then gives it that of `path`: there are the old contents or the new, on the
    /// disk, whatever happens to us. What was there before is gone, also a link, which is not followed. Who may write in
    /// the directory can still put something else there, before and after.
    ///
    /// The new file comes by way of the name `.subhost-` and its own. If we are killed right then, that is left, and
    /// the next one that is written to `path` takes it away.
    ///
    /// # Errors
    /// [`Error::System`], with `EISDIR` where a directory is; then the old contents are as they were. With `EBUSY` where another
    /// is just writing it on a file system where every file has a name, as on FAT, NFS and, before Linux 6.3, an overlay.
    pub fn write_file(&self, path: &Path, mode: u32, contents: &[u8]) -> Result<()> {
        self.write_from(path, mode, &mut &*contents)
    }

    /// As [`RootDir::write_file`], with all that `source` gives.
    ///
    /// # Errors
    /// As [`RootDir::write_file`], and those of `source`.
    pub fn write_from(&self, path: &Path, mode: u32, source: &mut dyn Read) -> Result<()> {
        const OPERATION: &str = "write";
        let failed = |errno: Errno| Error::system(OPERATION, path, errno);
        let (directory, name) = self.parent(OPERATION, path)?;
        let mut beside = OsString::from(".subhost-");
        beside.push(name);
        let remove = || match rustix::fs::unlinkat(&directory, &beside, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => other.map_err(failed),
        };
        let system = |source| Error::system(OPERATION, path, source);
        let mut result = Ok(());
        match nameless(&directory, mode, source) {
            Ok(mut file) => {
                for _ in 0..ATTEMPTS {
                    result = put(&file, &directory, &beside, name);
                    match result.as_ref().err().and_then(Errno::from_io_error) {
                        // Left by one that was killed, or of one that does the same just now, which then tries again.
                        Some(Errno::EXIST) => remove()?,
                        // That one has taken ours away, and a file that has lost its name gets no other.
                        Some(Errno::NOENT) => {
                            file.rewind().map_err(system)?;
                            file = nameless(&directory, mode, &mut file).map_err(system)?;
                        }
                        _ => break,
                    }
                }
            }
            // Nothing is read of the source yet.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                let mut file = named::create(&directory, &beside, mode).map_err(system)?;
                result = fill(&mut file, source)
                    .and_then(|()| Ok(rustix::fs::renameat(&directory, &beside, &directory, name)?));
            }
            Err(error) => return Err(system(error)),
        }
        // It is still there after an error, and where another has renamed ours: one file is not renamed to itself.
        let removed = remove();
        result.map_err(system)?;
        removed?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&directory, ".", flags, Mode::empty()).map_err(failed)?;
        match rustix::fs::fsync(directory) {
            // Not every file system can do that for directories.
            Err(Errno::INVAL) => Ok(()),
            other => other.map_err(failed),
        }
    }

    /// Makes a new file with `contents`.
    ///
    /// # Errors
    /// [`Error::System`], with `EEXIST` when the name is taken, also by a symbolic link.
    pub fn create_file(&self, path: &Path, mode: u32, contents: &[u8]) -> Result<()> {
        const OPERATION: &str = "create file";
        let (directory, name) = self.parent(OPERATION, path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(mode))
            .map_err(|errno| Error::system(OPERATION, path, errno))?;
        File::from(fd).write_all(contents).map_err(|source| Error::system("write", path, source))
    }

    /// Makes a symbolic link at `path` to `target`, which may be any text.
    ///
    /// # Errors
    /// [`Error::System`], with `EEXIST` when the name is taken.
    pub fn symlink(&self, target: &Path, path: &Path) -> Result<()> {
        const OPERATION: &str = "create symbolic link";
        let (directory, name) = self.parent(OPERATION, path)?;
        rustix::fs::symlinkat(target, directory, name).map_err(|errno| Error::system(OPERATION, path, errno))
    }

    /// Makes a device node or FIFO. A device needs `CAP_MKNOD`.
    ///
    /// # Errors
    /// [`Error::System`], with `EEXIST` when the name is taken.
    pub fn make_node(&self, path: &Path, kind: NodeKind, mode: u32, major: u32, minor: u32) -> Result<()> {
        const OPERATION: &str = "create node";
        let (kind, device) = match kind {
            NodeKind::Char => (FileType::CharacterDevice, rustix::fs::makedev(major, minor)),
            NodeKind::Block => (FileType::BlockDevice, rustix::fs::makedev(major, minor)),
            NodeKind::Fifo => (FileType::Fifo, 0),
        };
        let (directory, name) = self.parent(OPERATION, path)?;
        rustix::fs::mknodat(directory, name, kind, Mode::from_raw_mode(mode), device)
            .map_err(|errno| Error::system(OPERATION, path, errno))
    }

    /// Changes the owner of what is at `path`, not following a link there. The tree's root is `/`.
    ///
    /// # Errors
    /// [`Error::System`], with `EINVAL` for the id 4294967295, which means none.
    pub fn chown(&self, path: &Path, uid: u32, gid: u32) -> Result<()> {
        const OPERATION: &str = "change owner of";
        let failed = |errno| Error::system(OPERATION, path, errno);
        if uid == u32::MAX || gid == u32::MAX {
            return Err(failed(Errno::INVAL));
        }
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        if path.as_os_str().is_empty() || path == Path::new("/") || path == Path::new(".") {
            return rustix::fs::chownat(&self.fd, "", uid, gid, AtFlags::EMPTY_PATH).map_err(failed);
        }
        let (directory, name) = self.parent(OPERATION, path)?;
        rustix::fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
    }
}

/// Makes a file that has no name until it is whole.
fn nameless(directory: impl AsFd, mode: u32, source: &mut dyn Read) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(directory, ".", flags, Mode::from_raw_mode(mode))?);
    fill(&mut file, source)?;
    Ok(file)
}

fn fill(file: &mut File, source: &mut dyn Read) -> io::Result<()> {
    io::copy(source, file)?;
    file.sync_all()
}

/// Gives a file its name. Only renaming takes the place of what is there, so it is first named `beside`.
fn put(file: &File, directory: impl AsFd, beside: &OsStr, name: &OsStr) -> io::Result<()> {
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, nameless, &directory, beside, AtFlags::SYMLINK_FOLLOW)?;
    Ok(rustix::fs::renameat(&directory, beside, &directory, name)?)
}
