//! Loop devices over a range of an image, which the kernel frees by itself.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::shown;
use crate::image::{Access, Image, holder};
use crate::partition::ByteRange;
use crate::{Error, Result, sys};

const CONTROL: &str = "/dev/loop-control";

/// The kernel's major number of loop devices.
const LOOP_MAJOR: u32 = 7;

/// The size of a sector, where nothing else is said.
const SECTOR: u32 = 512;

/// How often a free device may be snatched away before it is ours. Each time somebody got one.
const ATTEMPTS: u32 = 1000;

/// How a loop device is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoopOptions {
    /// Refuse writes.
    pub read_only: bool,
    /// Logical block size in bytes, a power of two from 512; 512 where it is not given. A file system with smaller
    /// blocks cannot be mounted then.
    pub block_size: Option<u32>,
    /// Go past the page cache of the image's file system, where that can do so in steps of the block size and from
    /// this offset: [`LoopDevice::is_direct`] tells. [`Image::prefers_direct_io`] says where it pays;
    /// [`LoopDevice::set_direct`] changes it later.
    pub direct_io: bool,
}

/// An attached loop device, held by an open fd.
///
/// It is attached with autoclear: when the last user of the device is gone, which is this value or a mount of
/// it, the kernel detaches it, however the process ended. It holds the image's own fd, and with it the lock.
#[derive(Debug)]
pub struct LoopDevice {
    file: File,
    number: u32,
    device: u64,
}

impl LoopDevice {
    /// Attaches `range` of `image` to a free loop device. Needs root, and Linux 5.8 for `LOOP_CONFIGURE`.
    ///
    /// # Errors
    /// [`Error::BadRange`] when the range is not one of whole sectors inside the image, or all of a block device has been
    /// handed out,
    /// [`Error::NotOpenedFor`] when the image is unlocked, or read-only and is to be written,
    /// [`Error::System`] when the kernel refuses.
    pub fn attach(image: &Image, range: ByteRange, options: &LoopOptions) -> Result<LoopDevice> {
        check(image, range, options)?;
        let handed_out = || bad_range(image, "the whole device has been handed out".to_owned());
        let backing = image.backing().ok_or_else(handed_out)?;
        let control = rustix::fs::open(CONTROL, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error::system("open", CONTROL, errno))?;
        for _ in 0..ATTEMPTS {
            let number = sys::loop_get_free(control.as_fd())
                .map_err(|source| Error::system("find a free loop device for", image.path(), source))?;
            // Another may take or remove it before we come: then there is another free one.
            let Some((file, device)) = open_device(number, options)? else { continue };
            let config = sys::LoopConfig {
                backing: backing.as_fd(),
                offset: range.start,
                size_limit: range.len,
                // Or with direct I/O the kernel would take what the image's own disk has.
                block_size: options.block_size.unwrap_or(SECTOR),
                read_only: options.read_only,
                direct_io: options.direct_io,
                name: image.path().as_os_str().as_bytes(),
            };
            match sys::loop_configure(file.as_fd(), &config) {
                Ok(()) => {
                    let attached = LoopDevice { file, number, device };
                    attached.verify(image)?;
                    return Ok(attached);
                }
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(source) => return Err(Error::system("attach loop device to", image.path(), source)),
            }
        }
        Err(Error::system("attach loop device to", image.path(), Errno::BUSY))
    }

    /// The nodes of the loop devices over the image at `path`, whoever attached them. Without root none is seen.
    ///
    /// # Errors
    /// [`Error::System`] when there is nothing at `path`, or devices cannot be listed.
    pub fn over(path: &Path) -> Result<Vec<PathBuf>> {
        let stat = rustix::fs::stat(path).map_err(|errno| Error::system("stat", path, errno))?;
        let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
        let found = holder::loops_on((stat.st_dev, stat.st_ino), is_device.then_some(stat.st_rdev))?;
        Ok(found.into_iter().map(|found| node(found.number)).collect())
    }

    /// N of `/dev/loopN`.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// `/dev/loopN`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        node(self.number)
    }

    /// The device number, as `st_rdev` has it.
    #[must_use]
    pub fn device(&self) -> u64 {
        self.device
    }

    /// The device number in its two parts, for [`RootDir::make_node`](crate::RootDir::make_node).
    #[must_use]
    pub fn major_minor(&self) -> (u32, u32) {
        (rustix::fs::major(self.device), rustix::fs::minor(self.device))
    }

    /// Whether it goes past the page cache of the image's file system.
    ///
    /// # Errors
    /// [`Error::System`] when the kernel does not tell.
    pub fn is_direct(&self) -> Result<bool> {
        Ok(self.status()?.direct_io)
    }

    /// Has it go past the page cache of the image's file system from now on, or through it, also while it is mounted.
    ///
    /// # Errors
    /// [`Error::System`] when the file system cannot do that.
    pub fn set_direct(&self, direct: bool) -> Result<()> {
        sys::loop_set_direct_io(self.as_fd(), direct)
            .map_err(|source| Error::system("set direct I/O of loop device", self.path(), source))
    }

    fn status(&self) -> Result<sys::LoopStatus> {
        sys::loop_status(self.as_fd())
            .map_err(|source| Error::system("look at loop device", self.path(), source))
    }

    /// That the device shows the image and no other file.
    fn verify(&self, image: &Image) -> Result<()> {
        let status = self.status()?;
        if status.backing != image.id() || status.number != self.number {
            let source = io::Error::other("it shows another file");
            return Err(Error::system("look at loop device", self.path(), source));
        }
        Ok(())
    }
}

impl AsFd for LoopDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn bad_range(image: &Image, problem: String) -> Error {
    Error::BadRange { object: shown(image.path()), problem }
}

fn check(image: &Image, range: ByteRange, options: &LoopOptions) -> Result<()> {
    let bad = |problem| bad_range(image, problem);
    let ByteRange { start, len } = range;
    if !image.is_locked() {
        return Err(Error::NotOpenedFor { image: image.path().to_owned(), opened: "without a lock" });
    }
    if image.access() == Access::ReadOnly && !options.read_only {
        return Err(Error::NotOpenedFor { image: image.path().to_owned(), opened: "for reading only" });
    }
    let block = options.block_size.unwrap_or(SECTOR);
    if block < SECTOR || !block.is_power_of_two() {
        return Err(bad(format!("{block} bytes are no block size: it is a power of two from 512")));
    }
    // The kernel would leave out the rest.
    if start % u64::from(SECTOR) != 0 || len % u64::from(block) != 0 {
        return Err(bad(format!("{len} bytes from byte {start} are not whole sectors of {block} bytes")));
    }
    // A limit of 0 would mean no limit.
    if len == 0 {
        return Err(bad("there is nothing to attach".to_owned()));
    }
    if range.end().is_none_or(|end| end > image.len_bytes()) {
        let size = image.len_bytes();
        return Err(bad(format!("{len} bytes from byte {start} go beyond its end at {size}")));
    }
    Ok(())
}

fn node(number: u32) -> PathBuf {
    Path::new("/dev").join(format!("loop{number}"))
}

/// Opens a loop device; `None` when it is gone.
fn open_device(number: u32, options: &LoopOptions) -> Result<Option<(File, u64)>> {
    let path = node(number);
    let access = if options.read_only { OFlags::RDONLY } else { OFlags::RDWR };
    let fd = match rustix::fs::open(&path, access | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) if Path::new("/sys/block").join(format!("loop{number}")).exists() => {
            let source = io::Error::other("the kernel has it, but /dev does not: is devtmpfs mounted there?");
            return Err(Error::system("open", path, source));
        }
        Err(Errno::NOENT | Errno::NXIO | Errno::NODEV) => return Ok(None),
        Err(errno) => return Err(Error::system("open", path, errno)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|errno| Error::system("stat", &path, errno))?;
    let is_loop = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice
        && rustix::fs::major(stat.st_rdev) == LOOP_MAJOR;
    if !is_loop {
        return Err(Error::system("open", path, io::Error::other("it is not a loop device")));
    }
    Ok(Some((File::from(fd), stat.st_rdev)))
}
