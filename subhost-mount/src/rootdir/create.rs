//! Making things inside a tree: always a new name in a directory that is held by fd.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use super::{NodeKind, RootDir};
use crate::{Error, Result};

/// How often a name that we made up may be taken already. It can be, as the tree is somebody else's.
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
        let (folder, name) = self.parent(OPERATION, path)?;
        rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(mode))
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

    /// Writes a file under another name beside it, and then gives it its own: `path` has the old contents or the new,
    /// on the disk, whatever happens to us. What was there before is gone, also a link, which is not followed. Who may
    /// write in the folder can still put something else there, before and after.
    ///
    /// # Errors
    /// [`Error::System`], with `EISDIR` where a directory is; then the old contents are as they were.
    pub fn write_file(&self, path: &Path, mode: u32, contents: &[u8]) -> Result<()> {
        const OPERATION: &str = "write";
        let failed = |errno: Errno| Error::system(OPERATION, path, errno);
        let (folder, name) = self.parent(OPERATION, path)?;
        let (other, mut file) = create_beside(&folder, mode).map_err(failed)?;
        let written = file
            .write_all(contents)
            .and_then(|()| file.sync_all())
            .and_then(|()| rustix::fs::renameat(&folder, &other, &folder, name).map_err(Into::into));
        if let Err(source) = written {
            // It may be somebody else's by now; then there is nothing of ours left.
            let _ = rustix::fs::unlinkat(&folder, &other, AtFlags::empty());
            return Err(Error::system(OPERATION, path, source));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&folder, ".", flags, Mode::empty()).map_err(failed)?;
        match rustix::fs::fsync(folder) {
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

/// Makes a file under a name that nobody uses, and tells it.
fn create_beside(folder: &OwnedFd, mode: u32) -> Result<(String, File), Errno> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut result = Err(Errno::EXIST);
    for _ in 0..ATTEMPTS {
        // Told apart from those of other processes, also in other PID namespaces, and not to be guessed beforehand.
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".subhost-{}-{number}-{now:x}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        result = rustix::fs::openat(folder, &*name, flags, Mode::from_raw_mode(mode))
            .map(|fd| (name, File::from(fd)));
        if !matches!(result, Err(Errno::EXIST)) {
            break;
        }
    }
    result
}
