//! Paths inside a tree that somebody else controls: resolved by the kernel, never leaving the tree.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::Result;

/// What a name in a tree stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// Something else.
    Unknown,
}

/// What `stat(2)` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Its kind.
    pub kind: FileKind,
    /// Its permission bits with set-id and sticky bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its size.
    pub len_bytes: u64,
    /// The device that it lies on.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// Which device it is, if it is one: major and minor number.
    pub rdev: (u32, u32),
}

/// What [`RootDir::make_node`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A FIFO; the device number is ignored.
    Fifo,
}

/// What is to be mounted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountPoint {
    /// A directory.
    Directory,
    /// A regular file.
    File,
}

/// The root of a tree that somebody else controls.
#[derive(Debug)]
pub struct RootDir {
    fd: OwnedFd,
}

#[expect(clippy::missing_errors_doc, reason = "skeleton")]
impl RootDir {
    /// Opens the directory `path` of the host.
    pub fn open(path: &Path) -> Result<RootDir> {
        let _ = path;
        unimplemented!()
    }

    /// The tree whose root `fd` is open on.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> RootDir {
        RootDir { fd }
    }

    /// An `O_PATH` fd of what `path` names.
    pub fn open_path(&self, path: &Path) -> Result<OwnedFd> {
        let _ = path;
        unimplemented!()
    }

    /// Opens a regular file for reading.
    pub fn open_file(&self, path: &Path) -> Result<File> {
        let _ = path;
        unimplemented!()
    }

    /// Reads a regular file of at most `max_bytes`.
    pub fn read_small(&self, path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
        let _ = (path, max_bytes);
        unimplemented!()
    }

    /// What is at `path`, following links inside the tree.
    pub fn metadata(&self, path: &Path) -> Result<Metadata> {
        let _ = path;
        unimplemented!()
    }

    /// What is at `path`, not following a link there.
    pub fn symlink_metadata(&self, path: &Path) -> Result<Metadata> {
        let _ = path;
        unimplemented!()
    }

    /// Whether `path` leads to something inside the tree.
    pub fn exists(&self, path: &Path) -> Result<bool> {
        let _ = path;
        unimplemented!()
    }

    /// The kind of what `path` leads to, `None` if there is nothing.
    pub fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        let _ = path;
        unimplemented!()
    }

    /// Makes a directory.
    pub fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        let _ = (path, mode);
        unimplemented!()
    }

    /// Makes a new file.
    pub fn create_file(&self, path: &Path, mode: u32, contents: &[u8]) -> Result<()> {
        let _ = (path, mode, contents);
        unimplemented!()
    }

    /// Makes a symbolic link at `path` to `target`.
    pub fn symlink(&self, target: &Path, path: &Path) -> Result<()> {
        let _ = (target, path);
        unimplemented!()
    }

    /// Makes a device node or FIFO.
    pub fn make_node(&self, path: &Path, kind: NodeKind, mode: u32, major: u32, minor: u32) -> Result<()> {
        let _ = (path, kind, mode, major, minor);
        unimplemented!()
    }

    /// Changes the owner of what is at `path`, not following a link there.
    pub fn chown(&self, path: &Path, uid: u32, gid: u32) -> Result<()> {
        let _ = (path, uid, gid);
        unimplemented!()
    }

    /// An `O_PATH` fd to mount on; no symbolic link is followed anywhere.
    pub fn mount_point(&self, path: &Path, wanted: MountPoint) -> Result<OwnedFd> {
        let _ = (path, wanted);
        unimplemented!()
    }

    /// Opens a FIFO for writing, without waiting for a reader.
    pub fn open_fifo_for_write(&self, path: &Path) -> Result<File> {
        let _ = path;
        unimplemented!()
    }

    /// The names in a directory.
    pub fn list_dir(&self, path: &Path) -> Result<Vec<OsString>> {
        let _ = path;
        unimplemented!()
    }

    /// Where the symbolic link at `path` points.
    pub fn read_link(&self, path: &Path) -> Result<PathBuf> {
        let _ = path;
        unimplemented!()
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
