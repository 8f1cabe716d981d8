//! A disk image: opened once, locked, and refused when somebody else holds it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use crate::partition::{ByteRange, PartitionTable};
use crate::{Result, error};

/// What an image is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading, beside other readers.
    ReadOnly,
    /// Writing, alone.
    ReadWrite,
}

/// Who holds an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// A loop device, with the places where it is mounted as far as the caller sees them.
    Loop {
        /// N of `/dev/loopN`.
        number: u32,
        /// Where it is mounted.
        mounted_at: Vec<PathBuf>,
    },
    /// A process that has it open and locked.
    Process {
        /// Its id.
        pid: u32,
        /// Its name.
        comm: String,
    },
    /// A mount of the block device itself.
    Mount {
        /// Where.
        at: PathBuf,
    },
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Loop { number, mounted_at } if mounted_at.is_empty() => write!(f, "/dev/loop{number}"),
            Holder::Loop { number, mounted_at } => {
                let places: Vec<String> = mounted_at.iter().map(|path| error::shown(path)).collect();
                write!(f, "/dev/loop{number} (mounted at {})", places.join(", "))
            }
            Holder::Process { pid, comm } => write!(f, "process {pid} ({})", error::shown(Path::new(comm))),
            Holder::Mount { at } => write!(f, "the mount at {}", error::shown(at)),
        }
    }
}

/// An open disk image.
#[derive(Debug)]
pub struct Image {
    file: File,
    path: PathBuf,
    access: Access,
}

impl Image {
    /// Opens and locks an image.
    ///
    /// # Errors
    /// When it is not there, not an image, or in use.
    pub fn open(path: &Path, access: Access) -> Result<Image> {
        let _ = (path, access);
        unimplemented!()
    }

    /// Opens an image for looking only, without a lock.
    ///
    /// # Errors
    /// When it is not there or not an image.
    pub fn open_unlocked(path: &Path) -> Result<Image> {
        let _ = path;
        unimplemented!()
    }

    /// Its size.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// The path that it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode number.
    #[must_use]
    pub fn id(&self) -> (u64, u64) {
        unimplemented!()
    }

    /// What it was opened for.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether it is a block device.
    #[must_use]
    pub fn is_block_device(&self) -> bool {
        unimplemented!()
    }

    /// Reads its partition table.
    ///
    /// # Errors
    /// As [`PartitionTable::read`].
    pub fn partition_table(&self) -> Result<PartitionTable> {
        unimplemented!()
    }

    /// Where partition `index` is. 0 is the whole image, whatever a table may say.
    ///
    /// # Errors
    /// As [`PartitionTable::read`] and [`PartitionTable::find`].
    pub fn range(&self, index: u32) -> Result<ByteRange> {
        let _ = index;
        unimplemented!()
    }

    /// Reads at `offset`, as `pread(2)`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let _ = (buffer, offset);
        unimplemented!()
    }

    /// A reader of `range` alone, with a position of its own.
    #[must_use]
    pub fn reader(&self, range: ByteRange) -> ImageReader<'_> {
        ImageReader { image: self, range, position: 0 }
    }
}

impl AsFd for Image {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Reads a range of an image; position 0 is the start of the range.
#[derive(Debug)]
pub struct ImageReader<'a> {
    image: &'a Image,
    range: ByteRange,
    position: u64,
}

impl Read for ImageReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = (buffer, self.image, self.range, self.position);
        unimplemented!()
    }
}

impl Seek for ImageReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let _ = to;
        unimplemented!()
    }
}
