//! Which file system is there: recognised by its superblock, in safe Rust, and named as blkid names it.

mod bytes;
mod container;
mod ext;
mod foreign;
mod mount;
mod native;

use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom};

use crate::{Error, Result};
use bytes::Bytes;

pub use mount::AllowedTypes;

/// What must be read to see every superblock known here: btrfs has its own at 64 KiB.
const HEAD_BYTES: u64 = 68 * 1024;

/// What a superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Superblock {
    /// The type as blkid names it: `ext4`, `xfs`, `swap`, `crypto_LUKS`.
    pub kind: String,
    /// The label. A guest may have put anything there: escape it before showing it on a terminal.
    pub label: Option<String>,
    /// The UUID as blkid prints it.
    pub uuid: Option<String>,
    refusal: Option<String>,
}

impl Superblock {
    fn new(kind: &str, label: Option<String>, uuid: Option<String>) -> Superblock {
        Superblock { kind: kind.to_owned(), label, uuid, refusal: None }
    }

    fn refused(mut self, reason: impl Into<String>) -> Superblock {
        self.refusal.get_or_insert(reason.into());
        self
    }

    /// Refused when it has a feature that nothing may mount it without knowing, beyond those that are known.
    fn knowing(self, incompat: u64, known: u64) -> Superblock {
        match incompat & !known {
            0 => self,
            unknown => self.refused(format!("it has features that are not known: {unknown:#x}")),
        }
    }

    /// Why this must not be mounted, if it must not: since it is no file system at all, or would make the kernel
    /// open another device that the image names.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.refusal.clone()
    }
}

/// Recognises the file system that begins at byte `start`; `None` when there is none that is known here.
///
/// Reads at most 68 KiB from `start`; of a reader that ends before, what there is. Where `start` is 0, what the old
/// kinds of RAID have in the last 128 KiB is looked for too. Known are ext2, ext3, ext4, xfs, btrfs, erofs,
/// squashfs, f2fs, nilfs2, jfs, reiserfs, vfat, exfat, ntfs, udf and iso9660, and what is no file system: swap,
/// crypto_LUKS, LVM2_member and linux_raid_member. Of udf neither label nor UUID is read. Those of exfat and ntfs are
/// elsewhere, which is read too: 4 KiB at most.
///
/// ```no_run
/// use std::path::Path;
/// use subhost_mount::{Image, fstype};
///
/// let image = Image::open_unlocked(Path::new("/disks/disk1.raw"))?;
/// let partition = image.range(1)?;
/// if let Some(found) = fstype::probe(image.reader(partition), 0)? {
///     println!("{} {}", found.kind, found.uuid.unwrap_or_default());
/// }
/// # Ok::<(), subhost_mount::Error>(())
/// ```
///
/// # Errors
/// [`Error::System`] when the reader fails.
pub fn probe(mut reader: impl Read + Seek, start: u64) -> Result<Option<Superblock>> {
    let mut head = Vec::new();
    reader
        .seek(SeekFrom::Start(start))
        .and_then(|_| reader.by_ref().take(HEAD_BYTES).read_to_end(&mut head))
        .map_err(|source| Error::system("read superblock", format!("at byte {start}"), source))?;
    if start == 0
        && let Some(found) = raid_at_end(&mut reader)?
    {
        return Ok(Some(found));
    }
    let head = Bytes::new(&head);
    let Some(mut found) = recognise(&head) else { return Ok(None) };
    let place = match found.kind.as_str() {
        "exfat" => foreign::exfat_label(&head),
        "ntfs" => foreign::ntfs_label(&head),
        _ => None,
    };
    if let Some((at, len, read)) = place
        && let Some(at) = start.checked_add(at)
    {
        let mut bytes = Vec::new();
        reader
            .seek(SeekFrom::Start(at))
            .and_then(|_| reader.take(len as u64).read_to_end(&mut bytes))
            .map_err(|source| Error::system("read superblock", format!("at byte {at}"), source))?;
        found.label = read(&Bytes::new(&bytes));
    }
    Ok(Some(found))
}

/// A member of a RAID 1 of these kinds looks like what it holds from its beginning on.
fn raid_at_end(reader: &mut (impl Read + Seek)) -> Result<Option<Superblock>> {
    let failed = |source| Error::system("read superblock", "at the end", source);
    let end = reader.seek(SeekFrom::End(0)).map_err(failed)?;
    for (place, recogniser) in container::RAIDS_AT_END {
        let Some(at) = place(end) else { continue };
        let mut bytes = [0; container::RAID_BYTES];
        let read = reader.seek(SeekFrom::Start(at)).and_then(|_| reader.read_exact(&mut bytes));
        match read {
            Ok(()) => {}
            // It has become shorter meanwhile.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(failed(error)),
        }
        if let Some(found) = recogniser(&Bytes::new(&bytes), at) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What the first bytes of a file system are. What wraps a file system comes first: its insides may show too.
fn recognise(head: &Bytes<'_>) -> Option<Superblock> {
    const RECOGNISERS: [fn(&Bytes<'_>) -> Option<Superblock>; 17] = [
        container::luks,
        container::lvm,
        container::raid,
        container::swap,
        ext::recognise,
        native::xfs,
        native::btrfs,
        native::erofs,
        native::squashfs,
        native::f2fs,
        native::nilfs2,
        native::jfs_or_reiserfs,
        foreign::exfat,
        foreign::ntfs,
        foreign::vfat,
        foreign::udf,
        foreign::iso9660,
    ];
    RECOGNISERS.iter().find_map(|recogniser| recogniser(head))
}

/// The kernel's type that mounts a type as blkid names it: ext4 for ext2 and ext3 too, since it gives other ids
/// ([`Mount::idmap`](crate::Mount::idmap)) only to what is mounted by that name.
#[must_use]
pub fn kernel_type(kind: &str) -> &str {
    match kind {
        "ext2" | "ext3" => "ext4",
        other => other,
    }
}

/// The mount options that a file system from a guest's image always gets: [`FileSystem::of_image`] forces them.
///
/// [`FileSystem::of_image`]: crate::FileSystem::of_image
#[must_use]
pub fn safe_options(kind: &str) -> &'static [(&'static str, Option<&'static str>)] {
    match kind {
        // A superblock may say errors=panic, which would stop the host.
        "ext2" | "ext3" | "ext4" => &[("errors", Some("remount-ro"))],
        // Copies of one image share their UUID.
        "xfs" => &[("nouuid", None)],
        // Nobody can write there, and without it the kernel refuses a device that is read-only.
        "erofs" | "squashfs" => &[("ro", None)],
        _ => &[],
    }
}

/// Whether the kernel knows this type now. When it does not, mounting may still load a module: only
/// [`Error::UnknownFileSystem`] from the mount is the last word.
///
/// # Errors
/// [`Error::System`] when `/proc/filesystems` cannot be read.
pub fn kernel_knows(kind: &str) -> Result<bool> {
    Ok(read_filesystems()?.lines().any(|line| line.split('\t').next_back() == Some(kind)))
}

/// The types on block devices that the kernel knows now.
pub(crate) fn known_to_kernel() -> Result<Vec<String>> {
    let text = read_filesystems()?;
    let mut known: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix('\t')).map(str::to_owned).collect();
    known.sort();
    Ok(known)
}

fn read_filesystems() -> Result<String> {
    let path = "/proc/filesystems";
    fs::read_to_string(path).map_err(|source| Error::system("read", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn zeros_and_nothing_are_no_file_system() {
        assert_eq!(probe(Cursor::new(vec![0; 100_000]), 0).unwrap(), None);
        assert_eq!(probe(Cursor::new(Vec::new()), 0).unwrap(), None);
        assert_eq!(probe(Cursor::new(vec![0; 10]), 5000).unwrap(), None);
    }

    #[test]
    fn the_kernel_knows_proc_and_not_nonsense() {
        assert!(kernel_knows("proc").unwrap());
        assert!(!kernel_knows("nonsensefs").unwrap());
        assert!(!kernel_knows("nodev").unwrap());
    }
}
