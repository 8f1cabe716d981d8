//! Making things inside a tree: always a new name in a directory that is held by fd.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::{NodeKind, RootDir};
use crate::{Error, Result};

/// All of these are about a name that is not there yet; links before it are followed inside the tree. Modes lose
/// the bits of the calling thread's umask, which is 0 on a [`Staging`](crate::Staging) thread.
impl RootDir {
    /// Makes a directory.
    ///
    /// # Errors
    /// [`Error::System`], with `EEXIST` when the name is taken.
    pub fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        const OPERATION: &str = "create directory";
        let (folder, name) = self.parent(OPERATION, path)?;
        rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(mode))
            .map_err(|errno| Error::system(OPERATION, path, errno))
    }

    /// Makes a new file with `contents`.
    ///
    /// # Errors
    /// [`Error::System`], with `EEXIST` when the name is taken, also by a symbolic link.
    pub fn create_file(&self, path: &Path, mode: u32, contents: &[u8]) -> Result<()> {
        const OPERATION: &str = "create file";
        let (folder, name) = self.parent(OPERATION, path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(mode))
            .map_err(|errno| Error::system(OPERATION, path, errno))?;
        File::from(fd).write_all(contents).map_err(|source| Error::system("write", path, source))
    }

    /// Makes a symbolic link at `path` to `target`, which may be any text.
    ///
    /// # Errors
    /// [`Error::System`], with `EEXIST` when the name is taken.
    pub fn symlink(&self, target: &Path, path: &Path) -> Result<()> {
        const OPERATION: &str = "create symbolic link";
        let (folder, name) = self.parent(OPERATION, path)?;
        rustix::fs::symlinkat(target, folder, name).map_err(|errno| Error::system(OPERATION, path, errno))
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
        let (folder, name) = self.parent(OPERATION, path)?;
        rustix::fs::mknodat(folder, name, kind, Mode::from_raw_mode(mode), device)
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
        let (folder, name) = self.parent(OPERATION, path)?;
        rustix::fs::chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
    }
}
