//! Loop devices over a range of an image, which the kernel frees by itself.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use crate::Result;
use crate::image::Image;
use crate::partition::ByteRange;

/// How a loop device is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoopOptions {
    /// Refuse writes.
    pub read_only: bool,
    /// Logical block size in bytes; 512 where it is not given.
    pub block_size: Option<u32>,
    /// Go past the page cache of the image's file system, where the kernel can.
    pub direct_io: bool,
}

/// An attached loop device, held by an open fd.
#[derive(Debug)]
pub struct LoopDevice {
    file: File,
    number: u32,
}

impl LoopDevice {
    /// Attaches `range` of `image` to a free loop device.
    ///
    /// # Errors
    /// When the range is not one of whole sectors inside the image, or the kernel refuses.
    pub fn attach(image: &Image, range: ByteRange, options: &LoopOptions) -> Result<LoopDevice> {
        let _ = (image, range, options);
        unimplemented!()
    }

    /// N of `/dev/loopN`.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// `/dev/loopN`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/dev/loop{}", self.number))
    }

    /// The device number, as `st_rdev` has it.
    #[must_use]
    pub fn device(&self) -> u64 {
        unimplemented!()
    }

    /// The device number in its two parts.
    #[must_use]
    pub fn major_minor(&self) -> (u32, u32) {
        unimplemented!()
    }
}

impl AsFd for LoopDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
