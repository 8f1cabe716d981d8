//! Mounts file systems with the new mount API, detached until they are attached.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::mount::{self, FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags};

use crate::error::shown;
use crate::rootdir::RootDir;
use crate::{Error, Result, fstype, sys};

bitflags::bitflags! {
    /// What a mount forbids, and how it keeps access times.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct MountAttributes: u64 {
        /// No writing.
        const RDONLY = 0x1;
        /// No set-user-id.
        const NOSUID = 0x2;
        /// No device nodes.
        const NODEV = 0x4;
        /// No executing.
        const NOEXEC = 0x8;
        /// No access times at all.
        const NOATIME = 0x10;
        /// Every access time.
        const STRICTATIME = 0x20;
        /// No access times of directories.
        const NODIRATIME = 0x80;
        /// No symbolic links are followed.
        const NOSYMFOLLOW = 0x20_0000;
    }
}

impl MountAttributes {
    /// Access times at most once a day: what the kernel does when nothing is said.
    pub const RELATIME: MountAttributes = MountAttributes::empty();

    /// The field of the kinds of access times, to be cleared where one of them is set on a mount that is there.
    pub const ATIME_KINDS: MountAttributes = MountAttributes::from_bits_retain(0x70);
}

/// Which mounts and unmounts are passed on between a mount and those that it was copied from or to
/// (`mount_namespaces(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Propagation {
    /// None comes in, none goes out.
    Private,
    /// Those of the original come in, none goes out: the kernel's *slave*.
    Receive,
    /// They come in and go out.
    Shared,
    /// None, and it cannot be bound elsewhere.
    Unbindable,
}

/// A file system to be mounted.
#[derive(Debug, Clone)]
pub struct FileSystem {
    kind: String,
    source: Option<OsString>,
    options: Vec<(String, OptionValue)>,
    attributes: MountAttributes,
    /// Given after the others: the last one holds.
    forced: Vec<(String, OptionValue)>,
    forced_attributes: MountAttributes,
    exclusive: bool,
}

/// What an option is set to.
#[derive(Debug, Clone)]
pub(crate) enum OptionValue {
    Nothing,
    Text(OsString),
    Fd(Arc<OwnedFd>),
}

impl FileSystem {
    /// A file system of type `kind`, as in `/proc/filesystems`.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> FileSystem {
        FileSystem {
            kind: kind.into(),
            source: None,
            options: Vec::new(),
            attributes: MountAttributes::empty(),
            forced: Vec::new(),
            forced_attributes: MountAttributes::empty(),
            exclusive: false,
        }
    }

    /// The source: a device path, resolved where [`FileSystem::mount`] runs, or any name for a virtual one.
    #[must_use]
    pub fn source(mut self, source: impl AsRef<OsStr>) -> FileSystem {
        self.source = Some(source.as_ref().to_owned());
        self
    }

    /// An option with a value, as `errors=remount-ro`.
    #[must_use]
    pub fn option(self, key: impl Into<String>, value: impl AsRef<OsStr>) -> FileSystem {
        self.value(key, OptionValue::Text(value.as_ref().to_owned()))
    }

    /// An option without a value, as `ro`.
    #[must_use]
    pub fn flag(self, key: impl Into<String>) -> FileSystem {
        self.value(key, OptionValue::Nothing)
    }

    pub(crate) fn value(mut self, key: impl Into<String>, value: OptionValue) -> FileSystem {
        self.options.push((key.into(), value));
        self
    }

    /// The attributes of the mount.
    #[must_use]
    pub fn attributes(mut self, attributes: MountAttributes) -> FileSystem {
        self.attributes = attributes;
        self
    }

    pub(crate) fn force(&mut self, key: &str, value: OptionValue) {
        self.forced.push((key.to_owned(), value));
    }

    pub(crate) fn force_attributes(&mut self, attributes: MountAttributes) {
        self.forced_attributes |= attributes;
    }

    /// That a mount of the device that is there already is not joined, where the kernel can tell (6.6, for most types).
    pub(crate) fn exclusive(mut self) -> FileSystem {
        self.exclusive = true;
        self
    }

    /// Mounts it, detached: it is nowhere until it is attached, and gone when the [`Mount`] is dropped before.
    ///
    /// Needs `CAP_SYS_ADMIN`. A source or value takes at most 255 bytes.
    ///
    /// # Errors
    /// [`Error::UnknownFileSystem`] when the kernel has no such type, [`Error::Mount`] when it refuses, with its own
    /// words where it has some.
    pub fn mount(&self) -> Result<Mount> {
        let source = self.source.as_deref().unwrap_or(OsStr::new("none"));
        let object = shown(Path::new(source));
        let context = match mount::fsopen(&self.kind, FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(context) => context,
            Err(Errno::NODEV) => {
                return Err(Error::UnknownFileSystem {
                    kind: self.kind.clone(),
                    object,
                    known: fstype::known_to_kernel()?,
                });
            }
            Err(errno) => return Err(self.refused(&object, errno, Vec::new())),
        };
        self.configure(&context, source)
            .and_then(|()| {
                let attributes = MountAttrFlags::from_bits_retain(self.kernel_attributes());
                mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            })
            .map(|fd| Mount::new(fd, format!("{} from {object}", self.kind)))
            .map_err(|errno| self.refused(&object, errno, read_log(&context)))
    }

    fn configure(&self, context: &OwnedFd, source: &OsStr) -> rustix::io::Result<()> {
        mount::fsconfig_set_string(context, "source", source)?;
        for (key, value) in self.options.iter().chain(&self.forced) {
            match value {
                OptionValue::Text(value) => {
                    mount::fsconfig_set_string(context, key.as_str(), value.as_os_str())?;
                }
                OptionValue::Fd(fd) => mount::fsconfig_set_fd(context, key.as_str(), fd)?,
                OptionValue::Nothing => mount::fsconfig_set_flag(context, key.as_str())?,
            }
        }
        if self.exclusive {
            match mount::fsconfig_create_exclusive(context) {
                Err(Errno::OPNOTSUPP) => {}
                other => return other,
            }
        }
        mount::fsconfig_create(context)
    }

    fn kernel_attributes(&self) -> u32 {
        // All attributes have a place in 32 bits.
        u32::try_from((self.attributes | self.forced_attributes).bits()).unwrap_or(u32::MAX)
    }

    fn refused(&self, object: &str, errno: Errno, log: Vec<String>) -> Error {
        Error::Mount { kind: self.kind.clone(), object: object.to_owned(), source: errno.into(), log }
    }
}

/// The messages that the kernel left in a file system context, without the letter that tells their weight.
fn read_log(context: &OwnedFd) -> Vec<String> {
    let mut log = Vec::new();
    let mut buffer = [0; 1024];
    // Each read takes one message; the kernel keeps eight.
    while let Ok(read) = rustix::io::read(context, &mut buffer) {
        if read == 0 {
            break;
        }
        let message = String::from_utf8_lossy(&buffer[..read]);
        let message = message.trim_end();
        let words = message.strip_prefix("e ").or_else(|| message.strip_prefix("w "));
        log.extend(words.map(|words| shown(Path::new(words))));
    }
    log
}

/// A mount held by its fd: detached at first, then attached somewhere.
///
/// A detached mount is gone when this is dropped; an attached one stays where it is.
#[derive(Debug)]
pub struct Mount {
    fd: OwnedFd,
    name: String,
}

impl Mount {
    pub(crate) fn new(fd: OwnedFd, name: String) -> Mount {
        Mount { fd, name }
    }

    /// What it is, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sets and clears attributes, of the mounts below it too if `recursive`. The kinds of access times exclude
    /// each other, so that one is set only where another is cleared: [`MountAttributes::ATIME_KINDS`].
    ///
    /// # Errors
    /// [`Error::System`] when the kernel refuses: attributes that are locked cannot be cleared.
    pub fn set_attributes(
        &self,
        set: MountAttributes,
        clear: MountAttributes,
        recursive: bool,
    ) -> Result<()> {
        let change =
            sys::MountChange { set: set.bits(), clear: clear.bits(), recursive, ..Default::default() };
        sys::mount_setattr(self.fd.as_fd(), &change)
            .map_err(|source| Error::system("set attributes of", &self.name, source))
    }

    /// Says how mounts come in and go out, of the mounts below it too if `recursive`.
    ///
    /// # Errors
    /// [`Error::System`] when the kernel refuses.
    pub fn set_propagation(&self, propagation: Propagation, recursive: bool) -> Result<()> {
        let propagation = match propagation {
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::Receive => libc::MS_SLAVE,
            Propagation::Shared => libc::MS_SHARED,
            Propagation::Unbindable => libc::MS_UNBINDABLE,
        };
        let change = sys::MountChange { propagation, recursive, ..Default::default() };
        sys::mount_setattr(self.fd.as_fd(), &change)
            .map_err(|source| Error::system("set propagation of", &self.name, source))
    }

    /// Attaches it on `target`, an `O_PATH` fd of a directory or file, as
    /// [`RootDir::mount_point`](crate::RootDir::mount_point) gives it: no path is walked any more.
    ///
    /// # Errors
    /// [`Error::System`] when the kernel refuses: a directory goes on directories only, and the calling thread
    /// must be in the mount namespace of `target`.
    pub fn attach(&self, target: BorrowedFd<'_>) -> Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        mount::move_mount(&self.fd, "", target, "", flags)
            .map_err(|errno| Error::system("attach", &self.name, errno))
    }

    /// Attaches it at a path that only the host controls.
    ///
    /// # Errors
    /// As [`Mount::attach`].
    pub fn attach_at(&self, target: &Path) -> Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        mount::move_mount(&self.fd, "", rustix::fs::CWD, target, flags)
            .map_err(|errno| Error::system("attach", format!("{} at {}", self.name, shown(target)), errno))
    }

    /// Whether nothing can be written there: the mount is read-only, or the file system in it.
    ///
    /// # Errors
    /// [`Error::System`] when the kernel refuses.
    pub fn is_read_only(&self) -> Result<bool> {
        let stat =
            rustix::fs::fstatvfs(&self.fd).map_err(|errno| Error::system("statfs", &self.name, errno))?;
        Ok(stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    }

    /// The tree that it holds, also while it is detached.
    ///
    /// # Errors
    /// [`Error::System`] when the process has no fd left.
    pub fn root(&self) -> Result<RootDir> {
        let fd = self.fd.try_clone().map_err(|source| Error::system("hold", &self.name, source))?;
        Ok(RootDir::from_fd(fd))
    }
}

/// A detached mount that another library made, such as a clone by `open_tree(2)`.
impl From<OwnedFd> for Mount {
    fn from(fd: OwnedFd) -> Mount {
        Mount::new(fd, "a detached mount".to_owned())
    }
}

impl AsFd for Mount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
