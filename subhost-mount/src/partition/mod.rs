//! Reads partition tables, which are hostile until proven otherwise.
//!
//! The kernel is never asked to scan an image: its tables are read here, in safe Rust with checked
//! arithmetic, and a table that contradicts itself or the image is refused as a whole. What comes out
//! is a list of ranges that lie inside the image, do not overlap, and do not cover the table.

mod check;
mod discoverable;
mod gpt;
mod mbr;
mod select;
mod source;

use std::io::{Read, Seek};

use crate::{Error, Result};
use source::Source;

pub use discoverable::discoverable_name;
pub use select::{NoSelector, Selected, Selector};

/// The most partitions that are taken from a table: what Linux numbers.
pub(crate) const MAX_PARTITIONS: usize = 256;

/// A run of bytes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// How many bytes.
    pub len: u64,
}

impl ByteRange {
    /// A whole image of `len_bytes`, down to whole sectors of 512 bytes, as a loop device shows it.
    #[must_use]
    pub fn whole(len_bytes: u64) -> ByteRange {
        ByteRange { start: 0, len: len_bytes - len_bytes % 512 }
    }

    /// One past the last byte, unless that is more than can be counted.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.start.checked_add(self.len)
    }

    /// Whether the two share a byte.
    pub(crate) fn overlaps(&self, other: &ByteRange) -> bool {
        let end = |range: &ByteRange| range.start.saturating_add(range.len);
        self.start < end(other) && other.start < end(self)
    }
}

/// The kind of a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Scheme {
    /// No table: a bare file system, or nothing.
    None,
    /// A DOS table in the master boot record.
    Mbr,
    /// A GUID partition table.
    Gpt,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Partition {
    /// Its number as Linux counts: from 1, logical ones from 5.
    pub index: u32,
    /// Its first byte in the image.
    pub start_bytes: u64,
    /// Its size.
    pub len_bytes: u64,
    /// Its type as `sfdisk --json` prints it: `83`, or a GUID in capitals.
    pub type_code: String,
    /// Its `PARTUUID`: a GUID in capitals, or for MBR the disk's id and the number, as `0a0b0c0d-01`.
    pub uuid: Option<String>,
    /// Its GPT name. A guest may have put anything there: escape it before showing it on a terminal.
    pub name: Option<String>,
    /// The active flag of the MBR, or GPT's *legacy BIOS bootable*.
    pub bootable: bool,
}

impl Partition {
    /// Where it is.
    #[must_use]
    pub fn range(&self) -> ByteRange {
        ByteRange { start: self.start_bytes, len: self.len_bytes }
    }
}

/// A partition table that holds what it says.
///
/// ```no_run
/// use std::fs::File;
/// use subhost_mount::PartitionTable;
///
/// let image = File::open("/disks/disk1.raw")?;
/// let len = image.metadata()?.len();
/// let table = PartitionTable::read(&image, len)?;
/// let root = table.find(1)?;
/// println!("{} bytes from {}", root.len, root.start);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PartitionTable {
    /// The kind of table.
    pub scheme: Scheme,
    /// The unit that the table counts in, in bytes: 512 or 4096.
    pub sector_size: u32,
    /// The disk's id: `0x` and eight hex digits, or a GUID in capitals.
    pub disk_id: Option<String>,
    /// The partitions, by number. An extended partition is listed too, as `sfdisk` does.
    pub partitions: Vec<Partition>,
    /// Whether it is the backup of a GPT, as the primary is damaged. A note says what is wrong with the primary.
    pub from_backup: bool,
    /// What is odd but does no harm, in words.
    pub notes: Vec<String>,
    /// The size of the image.
    pub len_bytes: u64,
}

impl PartitionTable {
    /// Reads the table of an image of `len_bytes`.
    ///
    /// A GPT tells by its place whether sectors are of 512 or 4096 bytes; an MBR cannot, and is read with
    /// 512, as `losetup` and `sfdisk` do. Where the size is known, as for a block device, use [`PartitionTable::read_with_sector_size`].
    ///
    /// As in Linux, a GPT counts only behind a protective MBR, also a hybrid one. Unlike in Linux, its entries may have
    /// more than 128 bytes each, as UEFI allows; a note says so. When the primary GPT is
    /// damaged, the backup at the end of the image is used, and a note says so.
    ///
    /// # Errors
    /// [`Error::System`] when the reader fails, [`Error::BadTable`] when the table lies.
    pub fn read(reader: impl Read + Seek, len_bytes: u64) -> Result<PartitionTable> {
        read_table(reader, len_bytes, &[512, 4096])
    }

    /// Reads the table of an image whose sectors are known to be of `sector_size` bytes, 512 or 4096.
    ///
    /// # Errors
    /// As [`PartitionTable::read`].
    pub fn read_with_sector_size(
        reader: impl Read + Seek,
        len_bytes: u64,
        sector_size: u32,
    ) -> Result<PartitionTable> {
        // Other sizes do not occur; 512 is what all else is in the end.
        let sector_size = if sector_size == 4096 { 4096 } else { 512 };
        read_table(reader, len_bytes, &[sector_size])
    }

    /// Where partition `index` is; 0 is the whole image, down to whole sectors.
    ///
    /// # Errors
    /// [`Error::NoSuchPartition`], which lists those there, and [`Error::ExtendedPartition`].
    pub fn find(&self, index: u32) -> Result<ByteRange> {
        if index == 0 {
            return Ok(ByteRange::whole(self.len_bytes));
        }
        let Some(partition) = self.partitions.iter().find(|partition| partition.index == index) else {
            let present = self.partitions.iter().filter(|partition| !self.is_extended(partition));
            return Err(Error::NoSuchPartition { index, present: present.map(|p| p.index).collect() });
        };
        if self.is_extended(partition) {
            return Err(Error::ExtendedPartition { index });
        }
        Ok(partition.range())
    }

    /// Whether `partition` only contains logical partitions.
    #[must_use]
    pub fn is_extended(&self, partition: &Partition) -> bool {
        self.scheme == Scheme::Mbr && mbr::is_extended_code(&partition.type_code)
    }
}

/// What the reader of one scheme found, before it is checked.
struct Found {
    disk_id: Option<String>,
    partitions: Vec<Partition>,
    from_backup: bool,
    notes: Vec<String>,
    sector_size: u32,
    /// Where the table itself lies.
    table: Vec<ByteRange>,
}

fn read_table(reader: impl Read + Seek, len_bytes: u64, sector_sizes: &[u32]) -> Result<PartitionTable> {
    let mut source = Source::new(reader, len_bytes);
    let sector_size = sector_sizes.first().copied().unwrap_or(512);
    let mut table = PartitionTable {
        scheme: Scheme::None,
        sector_size,
        disk_id: None,
        partitions: Vec::new(),
        from_backup: false,
        notes: Vec::new(),
        len_bytes,
    };
    let Some(sector) = source.read(0, 512)? else { return Ok(table) };
    let found = if mbr::is_protective(&sector) {
        table.scheme = Scheme::Gpt;
        gpt::read(&mut source, &sector, sector_sizes)?
    } else if mbr::is_table(&sector) {
        if let Some(entry) = mbr::misplaced_protection(&sector) {
            table.notes.push(format!(
                "entry {entry} of the MBR protects a GPT, but not from sector 1 on: as in Linux, there is no partition"
            ));
            return Ok(table);
        }
        table.scheme = Scheme::Mbr;
        mbr::read(&mut source, &sector, sector_size)?
    } else {
        return Ok(table);
    };
    check::check(&found, table.scheme, len_bytes).map_err(Error::BadTable)?;
    table.sector_size = found.sector_size;
    table.disk_id = found.disk_id;
    table.partitions = found.partitions;
    table.from_backup = found.from_backup;
    table.notes = found.notes;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn index_zero_is_the_whole_image_in_whole_sectors() {
        let table = PartitionTable::read(Cursor::new(vec![0; 1300]), 1300).unwrap();
        assert_eq!(table.scheme, Scheme::None);
        assert_eq!(table.find(0).unwrap(), ByteRange { start: 0, len: 1024 });
    }

    #[test]
    fn an_empty_image_has_no_table() {
        let table = PartitionTable::read(Cursor::new(Vec::new()), 0).unwrap();
        assert_eq!(table.scheme, Scheme::None);
        assert!(matches!(table.find(1), Err(Error::NoSuchPartition { index: 1, .. })));
    }

    #[test]
    fn an_image_shorter_than_it_says_is_an_error() {
        let result = PartitionTable::read(Cursor::new(vec![0; 100]), 1 << 20);
        assert_eq!(
            result.unwrap_err().to_string(),
            "read partition table at byte 0: failed to fill whole buffer"
        );
    }

    #[test]
    fn ranges_that_touch_do_not_overlap() {
        let range = |start, len| ByteRange { start, len };
        assert!(!range(0, 10).overlaps(&range(10, 10)));
        assert!(range(0, 11).overlaps(&range(10, 10)));
        assert!(range(u64::MAX - 1, 10).overlaps(&range(0, u64::MAX)));
    }
}
