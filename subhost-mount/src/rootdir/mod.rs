//! Paths inside a tree that somebody else controls: resolved by the kernel, never leaving the tree.

mod create;
mod named;
mod read;
mod remove;
mod resolve;
mod walk;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};

use crate::{Error, Result};

/// The root of a tree that somebody else controls, as a guest does its own.
///
/// Every path given to it means a place inside: `/etc/passwd` is the tree's, a symbolic link to `/` is one to its
/// root, and `..` stops there. The kernel sees to it (`openat2(2)` with `RESOLVE_IN_ROOT` and
/// `RESOLVE_NO_MAGICLINKS`, Linux 5.6), also while the tree is being changed. Where a seccomp filter has taken that call
/// away, or renames do not let it end, the path is walked a name at a time, with the same results. Whatever is opened is first looked at
/// without opening, so that neither a FIFO nor a device can do anything to the caller. The fds given out are
/// close-on-exec.
///
/// Reading goes through `/proc/self/fd`, so that `/proc` must be mounted on the host.
///
/// ```
/// use std::path::Path;
/// use subhost_mount::RootDir;
///
/// let directory = tempfile::tempdir()?;
/// std::os::unix::fs::symlink("/etc/passwd", directory.path().join("link"))?;
/// let tree = RootDir::open(directory.path())?;
/// tree.create_dir(Path::new("etc"), 0o755)?;
/// tree.create_file(Path::new("etc/passwd"), 0o644, b"the tree's own")?;
/// assert_eq!(tree.read_small(Path::new("link"), 1024)?, b"the tree's own");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RootDir {
    fd: OwnedFd,
}

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
    /// The device that it lies on, `st_dev`.
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

impl RootDir {
    /// Opens the directory `path` of the host as the root of a tree.
    ///
    /// # Errors
    /// [`Error::System`] when it is not there or no directory.
    pub fn open(path: &Path) -> Result<RootDir> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| Error::system("open root directory", path, errno))?;
        Ok(RootDir { fd })
    }

    /// The tree whose root `fd` is open on; `O_PATH` is enough.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> RootDir {
        RootDir { fd }
    }

    /// An `O_PATH` fd of what `path` leads to, following links inside the tree.
    ///
    /// # Errors
    /// [`Error::System`] when there is nothing.
    pub fn open_path(&self, path: &Path) -> Result<OwnedFd> {
        self.resolve("open", path, OFlags::PATH, ResolveFlags::empty())
    }

    /// An `O_PATH` fd to mount on. No symbolic link is followed anywhere on the way, as a link is how a guest
    /// turns a mount away from where it belongs.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when there is anything but a real directory or regular file, as `wanted`, or a symbolic
    /// link before it; [`Error::System`] when there is nothing.
    pub fn mount_point(&self, path: &Path, wanted: MountPoint) -> Result<OwnedFd> {
        const OPERATION: &str = "mount on";
        let (kind, wanted) = match wanted {
            MountPoint::Directory => (FileKind::Directory, "a directory"),
            MountPoint::File => (FileKind::File, "a regular file"),
        };
        let wrong = |found| Error::WrongKind { operation: OPERATION, path: path.to_owned(), found, wanted };
        let fd = match self.resolve(OPERATION, path, OFlags::PATH, ResolveFlags::NO_SYMLINKS) {
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                return Err(wrong("a symbolic link, or behind one"));
            }
            other => other?,
        };
        let found = resolve::stat(OPERATION, &fd, path)?.kind;
        if found == kind { Ok(fd) } else { Err(wrong(found.noun())) }
    }

    /// What is at `path`, following links inside the tree.
    ///
    /// # Errors
    /// [`Error::System`] when there is nothing.
    pub fn metadata(&self, path: &Path) -> Result<Metadata> {
        resolve::stat("stat", &self.resolve("stat", path, OFlags::PATH, ResolveFlags::empty())?, path)
    }

    /// What is at `path`, not following a link there.
    ///
    /// # Errors
    /// [`Error::System`] when there is nothing.
    pub fn symlink_metadata(&self, path: &Path) -> Result<Metadata> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        resolve::stat("stat", &self.resolve("stat", path, flags, ResolveFlags::empty())?, path)
    }

    /// The kind of what `path` leads to, following links inside the tree; `None` if there is nothing.
    ///
    /// # Errors
    /// [`Error::System`] when that cannot be told.
    pub fn kind(&self, path: &Path) -> Result<Option<FileKind>> {
        match self.metadata(path) {
            Ok(metadata) => Ok(Some(metadata.kind)),
            // A loop of links leads nowhere either.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether `path` leads to something inside the tree.
    ///
    /// # Errors
    /// As [`RootDir::kind`].
    pub fn exists(&self, path: &Path) -> Result<bool> {
        Ok(self.kind(path)?.is_some())
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl FileKind {
    fn of(kind: FileType) -> FileKind {
        match kind {
            FileType::Directory => FileKind::Directory,
            FileType::RegularFile => FileKind::File,
            FileType::Symlink => FileKind::Symlink,
            FileType::Fifo => FileKind::Fifo,
            FileType::Socket => FileKind::Socket,
            FileType::CharacterDevice => FileKind::CharDevice,
            FileType::BlockDevice => FileKind::BlockDevice,
            FileType::Unknown => FileKind::Unknown,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            FileKind::Directory => "a directory",
            FileKind::File => "a regular file",
            FileKind::Symlink => "a symbolic link",
            FileKind::Fifo => "a FIFO",
            FileKind::Socket => "a socket",
            FileKind::CharDevice => "a character device",
            FileKind::BlockDevice => "a block device",
            FileKind::Unknown => "something else",
        }
    }
}

impl Metadata {
    /// What `fd` is open on, also with `O_PATH`.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn of_fd(fd: impl AsFd) -> Result<Metadata> {
        let fd = fd.as_fd();
        rustix::fs::fstat(fd)
            .map(|stat| Metadata::of(&stat))
            .map_err(|errno| Error::system("stat", format!("fd {}", fd.as_raw_fd()), errno))
    }

    fn of(stat: &Stat) -> Metadata {
        Metadata {
            kind: FileKind::of(FileType::from_raw_mode(stat.st_mode)),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            // The kernel never says a negative size.
            len_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            device: stat.st_dev,
            inode: stat.st_ino,
            rdev: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        }
    }
}
