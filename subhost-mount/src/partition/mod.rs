//! Reads partition tables, which are hostile until proven otherwise.

mod gpt;
mod mbr;

use std::io::{Read, Seek};

use crate::Result;

/// A run of bytes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// How many bytes.
    pub len: u64,
}

/// The kind of a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
pub struct Partition {
    /// Its number as Linux counts: from 1, logical ones from 5.
    pub index: u32,
    /// Its first byte in the image.
    pub start_bytes: u64,
    /// Its size.
    pub len_bytes: u64,
    /// Its type as `sfdisk --json` prints it: `83`, or a GUID in capitals.
    pub type_code: String,
    /// Its `PARTUUID`: a GUID in capitals, or for MBR `disk id-number`.
    pub uuid: Option<String>,
    /// Its GPT name.
    pub name: Option<String>,
    /// The active flag of the MBR, or GPT's *legacy BIOS bootable*.
    pub bootable: bool,
}

/// A partition table that holds what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// The kind of table.
    pub scheme: Scheme,
    /// The unit that the table counts in, in bytes.
    pub sector_size: u32,
    /// The disk's id: `0x` and eight hex digits, or a GUID in capitals.
    pub disk_id: Option<String>,
    /// The partitions, by number; an extended partition is listed too.
    pub partitions: Vec<Partition>,
    /// What is odd but does no harm, in words.
    pub notes: Vec<String>,
    /// The size of the image.
    pub len_bytes: u64,
}

impl PartitionTable {
    /// Reads the table of an image of `len_bytes`.
    ///
    /// # Errors
    /// When the reader fails, or the table lies.
    pub fn read(reader: impl Read + Seek, len_bytes: u64) -> Result<PartitionTable> {
        let _ = (reader, len_bytes);
        unimplemented!()
    }

    /// Where partition `index` is; 0 is the whole image.
    ///
    /// # Errors
    /// When there is no such partition, or it is an extended one.
    pub fn find(&self, index: u32) -> Result<ByteRange> {
        let _ = index;
        unimplemented!()
    }
}
