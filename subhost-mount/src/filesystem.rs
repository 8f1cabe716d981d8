//! Mounts file systems with the new mount API, detached until they are attached.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use crate::Result;
use crate::rootdir::RootDir;

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
}

/// A file system to be mounted.
#[derive(Debug, Clone)]
pub struct FileSystem {
    kind: String,
    source: Option<OsString>,
    options: Vec<(String, Option<OsString>)>,
    attributes: MountAttributes,
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
    pub fn option(mut self, key: impl Into<String>, value: impl AsRef<OsStr>) -> FileSystem {
        self.options.push((key.into(), Some(value.as_ref().to_owned())));
        self
    }

    /// An option without a value, as `ro`.
    #[must_use]
    pub fn flag(mut self, key: impl Into<String>) -> FileSystem {
        self.options.push((key.into(), None));
        self
    }

    /// The attributes of the mount.
    #[must_use]
    pub fn attributes(mut self, attributes: MountAttributes) -> FileSystem {
        self.attributes = attributes;
        self
    }

    /// Mounts it, detached.
    ///
    /// # Errors
    /// When the kernel refuses, with its own words.
    pub fn mount(&self) -> Result<Mount> {
        let _ = (&self.kind, &self.source, &self.options, self.attributes);
        unimplemented!()
    }
}

/// A mount held by its fd.
#[derive(Debug)]
pub struct Mount {
    fd: OwnedFd,
    name: String,
}

impl Mount {
    /// Sets and clears attributes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_attributes(
        &self,
        set: MountAttributes,
        clear: MountAttributes,
        recursive: bool,
    ) -> Result<()> {
        let _ = (set, clear, recursive, &self.name);
        unimplemented!()
    }

    /// Makes propagation private.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_private(&self, recursive: bool) -> Result<()> {
        let _ = recursive;
        unimplemented!()
    }

    /// Attaches it on `target`, an `O_PATH` fd of a directory or file.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach(&self, target: BorrowedFd<'_>) -> Result<()> {
        let _ = target;
        unimplemented!()
    }

    /// Attaches it at a path that only the host controls.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach_at(&self, target: &Path) -> Result<()> {
        let _ = target;
        unimplemented!()
    }

    /// The tree that it holds.
    ///
    /// # Errors
    /// When no fd is left.
    pub fn root(&self) -> Result<RootDir> {
        unimplemented!()
    }
}

impl AsFd for Mount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
