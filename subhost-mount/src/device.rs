//! The device that a range of an image is mounted from.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{major, minor};

use crate::filesystem::{FileSystem, Mount};
use crate::image::{Holder, Image, holder};
use crate::loopdev::{LoopDevice, LoopOptions};
use crate::partition::ByteRange;
use crate::{Error, Result};

/// How often a claimed device is tried to be mounted, a millisecond apart.
const ATTEMPTS: u32 = 100;

/// A range of an image, ready to be mounted: a loop device, or a block device itself where all of it is meant.
///
/// ```no_run
/// use std::path::Path;
/// use subhost_mount::{Access, Device, FileSystem, Image, LoopOptions};
///
/// // Of a file this is a loop device, of a logical volume the volume.
/// let image = Image::open(Path::new("/dev/vg/web"), Access::ReadWrite)?;
/// let device = Device::attach(&image, image.range(0)?, &LoopOptions::default())?;
/// let mount = device.mount(FileSystem::new("ext4").source(device.path()))?;
/// # Ok::<(), subhost_mount::Error>(())
/// ```
#[derive(Debug)]
pub struct Device(Kind);

#[derive(Debug)]
enum Kind {
    Loop(LoopDevice),
    Block {
        path: PathBuf,
        id: (u64, u64),
        device: u64,
        /// Until it is mounted.
        claim: Mutex<Option<OwnedFd>>,
    },
}

impl Device {
    /// Makes a device of `range` of `image`. A block device that was opened for writing is taken itself, where `range`
    /// is all of it and nothing is asked of `options`: it takes the claim out of the image, so that this can be done
    /// once. Readers get a loop device also of a whole one: that cannot be written to, whereas a mount with `ro` may
    /// still replay a journal, and would keep other readers out.
    ///
    /// # Errors
    /// As [`LoopDevice::attach`].
    pub fn attach(image: &Image, range: ByteRange, options: &LoopOptions) -> Result<Device> {
        let itself =
            Device::is_whole(image, range) && image.is_claimed_kind() && *options == LoopOptions::default();
        let Some(device) = image.block_device().filter(|_| itself) else {
            return LoopDevice::attach(image, range, options).map(Kind::Loop).map(Device);
        };
        let path = image.path().to_owned();
        match image.take_claim() {
            Some(claim) => {
                Ok(Device(Kind::Block { path, id: image.id(), device, claim: Some(claim).into() }))
            }
            None => Err(Error::ImageInUse { image: path, holders: vec![Holder::ourselves()] }),
        }
    }

    /// Whether `range` is all of a block device, which needs no loop device.
    #[must_use]
    pub fn is_whole(image: &Image, range: ByteRange) -> bool {
        image.is_block_device() && range == ByteRange::whole(image.len_bytes())
    }

    /// Its node on this host: `/dev/loopN`, or the block device as it was named.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match &self.0 {
            Kind::Loop(device) => device.path(),
            Kind::Block { path, .. } => path.clone(),
        }
    }

    /// As [`LoopDevice::set_direct`]; a block device itself is left as it is.
    ///
    /// # Errors
    /// As there.
    pub fn set_direct(&self, direct: bool) -> Result<()> {
        match &self.0 {
            Kind::Loop(device) => device.set_direct(direct),
            Kind::Block { .. } => Ok(()),
        }
    }

    /// N of `/dev/loopN`, if it is one.
    #[must_use]
    pub fn loop_number(&self) -> Option<u32> {
        match &self.0 {
            Kind::Loop(device) => Some(device.number()),
            Kind::Block { .. } => None,
        }
    }

    /// The device number in its two parts, for [`RootDir::make_node`](crate::RootDir::make_node).
    #[must_use]
    pub fn major_minor(&self) -> (u32, u32) {
        match &self.0 {
            Kind::Loop(device) => device.major_minor(),
            Kind::Block { device, .. } => (major(*device), minor(*device)),
        }
    }

    /// Mounts `file_system`, whose source is a node of this device.
    ///
    /// Of a claimed block device the claim passes to the mount, which keeps it for as long as it lives, whatever
    /// becomes of this process. In between the device is nobody's for an instant, but for the image's `flock(2)`: when
    /// somebody else claims or mounts it then, this fails. On kernels before 6.6 a mount of the same file system that
    /// is made in that instant is joined instead. Later on any kernel lets others mount the same file system from there
    /// too: they share what the first mount has in memory, which harms nothing.
    ///
    /// # Errors
    /// As [`FileSystem::mount`], and [`Error::ImageInUse`] when somebody else has the block device.
    pub fn mount(&self, file_system: FileSystem) -> Result<Mount> {
        let Kind::Block { path, id, device, claim } = &self.0 else { return file_system.mount() };
        drop(claim.lock().unwrap_or_else(PoisonError::into_inner).take());
        let file_system = file_system.exclusive();
        for _ in 0..ATTEMPTS {
            match file_system.mount() {
                // A child that another thread has just started shares our fds, and so the claim, until it has become itself.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => sleep(Duration::from_millis(1)),
                other => return other,
            }
        }
        // We have it open because the image is ours.
        let holders = holder::find(*id, Some(*device), false)?;
        Err(Error::ImageInUse { image: path.clone(), holders })
    }
}
