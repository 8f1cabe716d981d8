//! From a superblock to a mount: the one way, which forgets neither a refusal nor an option.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;

use super::{Superblock, kernel_type, probe, safe_options};
use crate::filesystem::{FileSystem, Mount, MountAttributes, OptionValue};
use crate::image::Image;
use crate::{Error, Result};

/// The types of file system that may be mounted from an image.
///
/// A file system's code in the kernel is what a hostile image attacks, so those that few look after are left out
/// unless they are asked for.
///
/// ```
/// use subhost_mount::fstype::AllowedTypes;
///
/// let allowed = AllowedTypes::default().and(["vfat"]);
/// assert!(allowed.contains("ext4") && allowed.contains("vfat") && !allowed.contains("ntfs"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedTypes(BTreeSet<String>);

/// ext2, ext3, ext4, xfs, btrfs, erofs and squashfs.
impl Default for AllowedTypes {
    fn default() -> Self {
        ["ext2", "ext3", "ext4", "xfs", "btrfs", "erofs", "squashfs"].into_iter().collect()
    }
}

/// These, and no others.
impl<T: Into<String>> FromIterator<T> for AllowedTypes {
    fn from_iter<I: IntoIterator<Item = T>>(types: I) -> Self {
        AllowedTypes(types.into_iter().map(Into::into).collect())
    }
}

impl AllowedTypes {
    /// These too, named as blkid names them.
    #[must_use]
    pub fn and<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> AllowedTypes {
        self.0.extend(types.into_iter().map(Into::into));
        self
    }

    /// Whether this type is one of them.
    #[must_use]
    pub fn contains(&self, kind: &str) -> bool {
        self.0.contains(kind)
    }

    /// The types, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// That what was found may be mounted.
    ///
    /// # Errors
    /// [`Error::FileSystemRefused`] for what must not be mounted at all, [`Error::FileSystemNotAllowed`] for a type
    /// that is not one of these.
    pub fn check(&self, found: &Superblock) -> Result<()> {
        let kind = found.kind.clone();
        if let Some(reason) = found.refusal() {
            return Err(Error::FileSystemRefused { kind, reason });
        }
        if !self.contains(&kind) {
            return Err(Error::FileSystemNotAllowed {
                kind,
                allowed: self.iter().map(str::to_owned).collect(),
            });
        }
        Ok(())
    }
}

impl FileSystem {
    /// What an image holds: `found`, on `device`, mounted by its [`kernel_type`] as [`FileSystem::source`] says.
    ///
    /// Whatever is set on it besides, `nodev` and [`safe_options`] hold: those are given to the kernel last. Ask for
    /// `nosuid` and the like by [`FileSystem::attributes`]. A device that is read-only needs `.flag("ro")` too.
    ///
    /// ```no_run
    /// use std::path::Path;
    /// use subhost_mount::fstype::{AllowedTypes, probe};
    /// use subhost_mount::{Access, FileSystem, Image, LoopDevice, LoopOptions, MountAttributes};
    ///
    /// let image = Image::open(Path::new("/disks/disk1.raw"), Access::ReadWrite)?;
    /// let range = image.range(1)?;
    /// if let Some(found) = probe(image.reader(range), 0)? {
    ///     let device = LoopDevice::attach(&image, range, &LoopOptions::default())?;
    ///     FileSystem::of_image(&found, device.path(), &AllowedTypes::default())?
    ///         .attributes(MountAttributes::NOSUID)
    ///         .mount()?
    ///         .attach_at(Path::new("/mnt"))?;
    /// }
    /// # Ok::<(), subhost_mount::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`AllowedTypes::check`].
    pub fn of_image(
        found: &Superblock,
        device: impl AsRef<OsStr>,
        allowed: &AllowedTypes,
    ) -> Result<FileSystem> {
        allowed.check(found)?;
        let mut system = FileSystem::new(kernel_type(&found.kind)).source(device);
        system.force_attributes(MountAttributes::NODEV);
        for (key, value) in safe_options(&found.kind) {
            system.force(key, value.map_or(OptionValue::Nothing, |text| OptionValue::Text(text.into())));
        }
        Ok(system)
    }

    /// Mounts an image that is an erofs as a whole straight from its file, without a loop device, read-only and
    /// `nodev`; `None` where the kernel cannot do that (before Linux 6.12, without `CONFIG_EROFS_FS_BACKED_BY_FILE`,
    /// or from what holds the file), so that a loop device has to do.
    ///
    /// The kernel reads the very file that the image was opened as, whatever its path is by now, but through an open
    /// file of its own. So **the lock of the image lasts only as long as the [`Image`]**, and not as long as the mount:
    /// keep it, or another may open the image for writing under the mount. A loop device needs no such care.
    ///
    /// # Errors
    /// As [`probe`], [`AllowedTypes::check`] and [`FileSystem::mount`]; [`Error::FileSystemRefused`] when it is not
    /// an erofs.
    pub fn mount_erofs_file(image: &Image, allowed: &AllowedTypes) -> Result<Option<Mount>> {
        let found = probe(image.reader(image.range(0)?), 0)?;
        let Some(found) = found.filter(|found| found.kind == "erofs") else {
            return Err(Error::FileSystemRefused {
                kind: "erofs".to_owned(),
                reason: "the image is none".to_owned(),
            });
        };
        // Its own, so that no other file can come by this number meanwhile.
        let file: OwnedFd =
            rustix::io::dup(image).map_err(|errno| Error::system("hold", image.path(), errno))?;
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        match FileSystem::of_image(&found, source, allowed)?.attributes(MountAttributes::RDONLY).mount() {
            Ok(mount) => Ok(Some(mount)),
            Err(error) if error.raw_os_error() == Some(Errno::NOTBLK.raw_os_error()) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_and_what_is_refused_say_why() {
        let vfat = Superblock::new("vfat", None, None);
        let allowed = AllowedTypes::default();
        assert_eq!(
            allowed.check(&vfat).unwrap_err().to_string(),
            "mount vfat: this type of file system is not allowed; allowed are btrfs, erofs, ext2, ext3, ext4, squashfs, xfs"
        );
        assert!(allowed.and(["vfat"]).check(&vfat).is_ok());
        let ext4 = Superblock::new("ext4", None, None);
        let none: AllowedTypes = std::iter::empty::<String>().collect();
        assert_eq!(
            FileSystem::of_image(&ext4, "/dev/vda1", &none).unwrap_err().to_string(),
            "mount ext4: this type of file system is not allowed; none is"
        );
        // Allowing its type does not make it right.
        let elsewhere = ext4.refused("its journal is on another device");
        assert_eq!(
            FileSystem::of_image(&elsewhere, "/dev/vda1", &AllowedTypes::default()).unwrap_err().to_string(),
            "mount ext4: its journal is on another device"
        );
    }
}
