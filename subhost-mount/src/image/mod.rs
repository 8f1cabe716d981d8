//! A disk image: opened once, locked, and refused when somebody else holds it.

mod format;
pub(crate) mod holder;
mod opening;
mod reader;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::partition::{ByteRange, PartitionTable, Selected, Selector};
use crate::{Error, Result, fstype, sys};

pub(crate) use opening::Backing;
use opening::{Opened, Stat};

pub use holder::Holder;
pub use reader::ImageReader;

/// What an image is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading, beside other readers.
    ReadOnly,
    /// Writing, alone.
    ReadWrite,
}

/// An open disk image: a regular file or a block device.
///
/// It is opened once, and everything is done through that one fd: the lock is taken on it, the table and the
/// superblocks are read through it, and the loop devices get it. So no exchange of the path in between
/// matters, and the lock stays for as long as anything of the image is attached or mounted, also when the
/// `Image` and its process are gone.
///
/// # Block devices
///
/// `flock(2)` says nothing to programs that do not ask, and each node of a device has a lock of its own. So a block
/// device that is opened for writing is claimed too, as a mount, LVM or `mkfs` claims it: by an fd with `O_EXCL`,
/// opened through the first one. Loop devices over its partitions get that fd, and keep the claim when all else is
/// gone; the loop driver itself claims nothing. What holds then, whatever was killed: neither the device, nor a
/// partition that the kernel has made of it, can be mounted, claimed, or opened here again, not even for reading.
///
/// What does not hold: who opens it without `O_EXCL`, as `dd` does, is not kept from writing. Of several readers none
/// can keep a claim, as a claim is not shared: each sees that nobody has one, and from then on only `flock(2)` keeps
/// writers away.
///
/// As a whole it is given to a mount without a loop device: see [`Device`](crate::Device).
///
/// ```no_run
/// use std::path::Path;
/// use subhost_mount::{Access, Device, Image, LoopOptions};
///
/// let image = Image::open(Path::new("/disks/disk1.raw"), Access::ReadWrite)?;
/// let first = Device::attach(&image, image.range(1)?, &LoopOptions::default())?;
/// println!("{}", first.path().display());
/// # Ok::<(), subhost_mount::Error>(())
/// ```
#[derive(Debug)]
pub struct Image {
    file: File,
    /// Of a block device that is written to: an fd with `O_EXCL`, until the whole device is handed out.
    claim: RwLock<Option<OwnedFd>>,
    path: PathBuf,
    access: Access,
    locked: bool,
    stat: Stat,
}

impl Image {
    /// Opens and locks an image: with `flock(2)`, alone for writing, beside others for reading. A block
    /// device opened for writing is claimed with `O_EXCL` too; one that another has claimed is refused to readers as
    /// well.
    ///
    /// Whether somebody else has a file open is seen by a lease (`fcntl(2)`) of an instant, in which others who open it
    /// wait, or with `O_NONBLOCK` get `EAGAIN`.
    ///
    /// # Errors
    /// [`Error::System`] when it cannot be opened, [`Error::NotAnImage`] and [`Error::ForeignFormat`] for what
    /// is no raw image, and [`Error::ImageInUse`] when another holds its lock, or a loop device that came
    /// without our lock is writing to it, or would be written under.
    pub fn open(path: &Path, access: Access) -> Result<Image> {
        let image = Image::open_as(path, access, true)?;
        let operation = match access {
            Access::ReadOnly => FlockOperation::NonBlockingLockShared,
            Access::ReadWrite => FlockOperation::NonBlockingLockExclusive,
        };
        match rustix::fs::flock(&image.file, operation) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let stat = image.stat;
                // Or this process would count as one that has it open.
                drop(image);
                let holders = holder::find(stat.id, stat.block_device, true)?;
                return Err(Error::ImageInUse { image: path.to_owned(), holders });
            }
            Err(errno) => return Err(Error::system("lock image", path, errno)),
        }
        // Whoever had the lock may have put another file in its place, which then is the image.
        let now = rustix::fs::stat(path).map_err(|errno| Error::system("open image", path, errno))?;
        if (now.st_dev, now.st_ino) != image.stat.id {
            drop(image);
            return Image::open(path, access);
        }
        // A loop device has its image open. That nobody has costs one look, whereas there may be hundreds of them.
        if sys::try_lease(image.as_fd(), access == Access::ReadOnly).is_ok() {
            return Ok(image);
        }
        // Ours come with our lock, so whatever loop device is there now is somebody else's.
        let mut loops = holder::loops_on(image.stat.id, image.stat.block_device)?;
        if access == Access::ReadOnly {
            loops.retain(|found| !found.read_only);
        }
        if !loops.is_empty() {
            let holders = holder::describe_loops(loops)?;
            return Err(Error::ImageInUse { image: path.to_owned(), holders });
        }
        Ok(image)
    }

    /// Opens an image for looking at its table and superblocks only, without a lock: for a plan or a check.
    ///
    /// # Errors
    /// As [`Image::open`], but for [`Error::ImageInUse`].
    pub fn open_unlocked(path: &Path) -> Result<Image> {
        Image::open_as(path, Access::ReadOnly, false)
    }

    /// Its size.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.stat.len_bytes
    }

    /// The path that it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode number, `st_dev` and `st_ino`, which tell whether two paths are one image.
    #[must_use]
    pub fn id(&self) -> (u64, u64) {
        self.stat.id
    }

    /// What it was opened for.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether it is locked: not so after [`Image::open_unlocked`].
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// Whether it is a block device.
    #[must_use]
    pub fn is_block_device(&self) -> bool {
        self.stat.block_device.is_some()
    }

    /// Whether direct I/O pays for loop devices over it: so it is for a regular file on ext4 or xfs.
    ///
    /// With it what is read or written is cached once, by the mounted file system, and not again in the image's own. On
    /// Linux 6.18, ext4 over ext4, medians of three: reading 512 MiB cold left 512 MiB in memory instead of 1049 and
    /// took 0.16 s instead of 0.5 to 0.8; reading a tree of 44 MiB left 44 MiB instead of 138; 3,000 reads of 4 KiB took
    /// 0.16 s instead of 0.27, writing 512 MiB 0.2 s instead of 0.3, 400 small files with `fsync(2)` 0.25 s instead of
    /// 0.23. What is lost is that a second mount finds what the first has read still in memory: who mounts for a short
    /// while begins without it, and calls [`LoopDevice::set_direct`](crate::LoopDevice::set_direct) when it goes on. On other file systems
    /// it is not used: with checksums, as on btrfs, a page that changes while it is written breaks them.
    #[must_use]
    pub fn prefers_direct_io(&self) -> bool {
        const EXT4: u64 = 0xef53;
        const XFS: u64 = 0x5846_5342;
        let on = rustix::fs::fstatfs(&self.file).map(|it| u64::try_from(it.f_type).unwrap_or(0));
        !self.is_block_device() && matches!(on, Ok(EXT4 | XFS))
    }

    /// The device number of a block device, as `st_rdev` has it.
    pub(crate) fn block_device(&self) -> Option<u64> {
        self.stat.block_device
    }

    /// What a loop device is to get; `None` when the whole device has been handed out.
    pub(crate) fn backing(&self) -> Option<Backing<'_>> {
        if !self.is_claimed_kind() {
            return Some(Backing { file: &self.file, claim: None });
        }
        let claim = self.claim.read().unwrap_or_else(PoisonError::into_inner);
        claim.is_some().then(|| Backing { file: &self.file, claim: Some(claim) })
    }

    /// Gives the claim away, which happens once.
    pub(crate) fn take_claim(&self) -> Option<OwnedFd> {
        self.claim.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether it is a block device that has to be claimed.
    pub(crate) fn is_claimed_kind(&self) -> bool {
        self.is_block_device() && self.locked && self.access == Access::ReadWrite
    }

    /// Reads its partition table; a block device says itself how large its sectors are.
    ///
    /// # Errors
    /// As [`PartitionTable::read`].
    pub fn partition_table(&self) -> Result<PartitionTable> {
        let reader = self.reader(ByteRange { start: 0, len: self.len_bytes() });
        if self.is_block_device() {
            let sector_size = rustix::fs::ioctl_blksszget(&self.file)
                .map_err(|errno| Error::system("ask for the sector size of", &self.path, errno))?;
            return PartitionTable::read_with_sector_size(reader, self.len_bytes(), sector_size);
        }
        PartitionTable::read(reader, self.len_bytes())
    }

    /// Where partition `index` is. 0 is the whole image, whatever a table in it may say.
    ///
    /// # Errors
    /// As [`PartitionTable::read`] and [`PartitionTable::find`].
    pub fn range(&self, index: u32) -> Result<ByteRange> {
        if index == 0 {
            return Ok(ByteRange::whole(self.len_bytes()));
        }
        self.partition_table()?.find(index)
    }

    /// Chooses a partition by number, label, UUID or type.
    ///
    /// ```no_run
    /// use std::path::Path;
    /// use subhost_mount::{Access, Device, Image, LoopOptions};
    ///
    /// let image = Image::open(Path::new("/disks/disk1.raw"), Access::ReadWrite)?;
    /// let data = image.select(&"LABEL=data".parse()?)?;
    /// let device = Device::attach(&image, data.range, &LoopOptions::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`PartitionTable::read`] and [`PartitionTable::select`].
    pub fn select(&self, selector: &Selector) -> Result<Selected> {
        if *selector == Selector::Index(0) {
            return Ok(Selected { index: 0, range: self.range(0)? });
        }
        self.partition_table()?.select(selector, |range| fstype::probe(self.reader(range), 0))
    }

    /// Reads at `offset`, as `pread(2)`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    /// A reader of `range` alone, with a position of its own.
    #[must_use]
    pub fn reader(&self, range: ByteRange) -> ImageReader<'_> {
        ImageReader::new(self, range)
    }

    fn open_as(path: &Path, access: Access, lock: bool) -> Result<Image> {
        let Opened { fd, claim, stat } = opening::open(path, access, lock)?;
        let image = Image {
            file: fd.into(),
            claim: RwLock::new(claim),
            path: path.to_owned(),
            access,
            locked: lock,
            stat,
        };
        format::refuse_foreign(&image)?;
        Ok(image)
    }
}

impl AsFd for Image {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FileType, Mode};
    use std::io::{Read, Seek, SeekFrom, Write};

    fn image_of(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_directory_is_not_an_image() {
        let directory = tempfile::tempdir().unwrap();
        let error = Image::open_unlocked(directory.path()).unwrap_err();
        assert!(matches!(error, Error::NotAnImage { found: "a directory", .. }), "{error}");
    }

    #[test]
    fn a_fifo_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0).unwrap();
        let error = Image::open_unlocked(&path).unwrap_err();
        assert!(matches!(error, Error::NotAnImage { found: "a FIFO", .. }), "{error}");
    }

    #[test]
    fn what_is_locked_is_what_has_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let (path, next) = (directory.path().join("image"), directory.path().join("next"));
        std::fs::write(&path, [0; 512]).unwrap();
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    // Another file in its place, by who has its lock.
                    let Ok(_lock) = Image::open(&path, Access::ReadWrite) else { continue };
                    std::fs::write(&next, [0; 512]).unwrap();
                    std::fs::rename(&next, &path).unwrap();
                }
            });
            let mut opened = 0;
            while opened < 500 {
                let Ok(image) = Image::open(&path, Access::ReadWrite) else { continue };
                let now = rustix::fs::stat(&path).unwrap();
                let is_same = (now.st_dev, now.st_ino) == image.id();
                is_done.store(!is_same || opened == 499, std::sync::atomic::Ordering::Relaxed);
                assert!(is_same, "after {opened}");
                opened += 1;
            }
        });
    }

    #[test]
    fn a_missing_image_is_named() {
        let error = Image::open_unlocked(Path::new("/no/such.raw")).unwrap_err();
        assert_eq!(error.to_string(), "open image /no/such.raw: No such file or directory (os error 2)");
    }

    #[test]
    fn a_qcow2_image_is_refused_with_the_command_that_converts_it() {
        let file = image_of(b"QFI\xfb\0\0\0\x03 and so on");
        let error = Image::open_unlocked(file.path()).unwrap_err();
        let path = file.path().display();
        assert_eq!(
            error.to_string(),
            format!(
                "{path} is a qcow2 image, not a raw one; convert it: qemu-img convert -O raw {path} {path}.raw"
            )
        );
    }

    #[test]
    fn a_reader_stays_inside_its_range() {
        let file = image_of(b"0123456789");
        let image = Image::open_unlocked(file.path()).unwrap();
        let mut reader = image.reader(ByteRange { start: 2, len: 5 });
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "23456");
        reader.seek(SeekFrom::End(-2)).unwrap();
        text.clear();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "56");
        assert!(reader.seek(SeekFrom::Current(-9)).is_err());
    }

    #[test]
    fn index_zero_is_the_whole_image_also_when_its_table_lies() {
        let mut sector = vec![0; 2048];
        sector[510..512].copy_from_slice(&[0x55, 0xaa]);
        sector[450] = 0x83;
        sector[454..458].copy_from_slice(&[0xff; 4]);
        sector[458..462].copy_from_slice(&[0xff; 4]);
        let file = image_of(&sector);
        let image = Image::open_unlocked(file.path()).unwrap();
        assert!(matches!(image.range(1), Err(Error::BadTable(_))));
        assert_eq!(image.range(0).unwrap(), ByteRange { start: 0, len: 2048 });
    }
}
