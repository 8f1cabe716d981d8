//! The DOS partition table in the master boot record, with its chain of logical partitions.
//!
//! Numbered and tolerated as Linux does (`block/partitions/msdos.c`), but refused where Linux carries on
//! with what it can make of a lie.

use std::collections::HashSet;
use std::io::{Read, Seek};

use super::source::{Source, u32_at};
use super::{ByteRange, Found, MAX_PARTITIONS, Partition, check};
use crate::{Error, Result, TableProblem};

/// The most extended boot records that are followed.
const MAX_CHAIN: usize = 128;

/// The protective entry of a GPT.
const PROTECTIVE: u8 = 0xee;

/// One of the four entries of a boot record.
#[derive(Clone, Copy)]
struct Entry {
    flag: u8,
    code: u8,
    start: u32,
    count: u32,
}

impl Entry {
    fn is_extended(self) -> bool {
        matches!(self.code, 0x05 | 0x0f | 0x85)
    }

    fn is_used(self) -> bool {
        self.count != 0
    }
}

/// Whether a type as `sfdisk` prints it is one of the three of an extended partition.
pub(super) fn is_extended_code(code: &str) -> bool {
    matches!(code, "5" | "f" | "85")
}

/// Whether the first sector protects a GPT.
pub(super) fn is_protective(sector: &[u8]) -> bool {
    has_magic(sector) && entries(sector).iter().any(|entry| entry.code == PROTECTIVE && entry.start == 1)
}

/// The number of an entry that protects a GPT from elsewhere than the second sector: to Linux that is neither a GPT
/// nor an MBR.
pub(super) fn misplaced_protection(sector: &[u8]) -> Option<usize> {
    entries(sector).iter().position(|entry| entry.code == PROTECTIVE).map(|slot| slot + 1)
}

/// Whether a protective first sector has partitions of its own too, which makes it a hybrid.
pub(super) fn is_hybrid(sector: &[u8]) -> bool {
    entries(sector).iter().any(|entry| entry.code != PROTECTIVE && entry.code != 0 && entry.is_used())
}

/// Whether the first sector is a partition table, and not the boot sector of a file system.
pub(super) fn is_table(sector: &[u8]) -> bool {
    if !has_magic(sector) || entries(sector).iter().any(|entry| !matches!(entry.flag, 0 | 0x80)) {
        return false;
    }
    let is_boot_sector = sector[3..11] == *b"NTFS    "
        || sector[3..11] == *b"EXFAT   "
        || sector[54..57] == *b"FAT"
        || sector[82..85] == *b"FAT";
    !(is_boot_sector && entries(sector).iter().all(|entry| !entry.is_used()))
}

/// Reads the table that begins with `sector`.
pub(super) fn read<R: Read + Seek>(source: &mut Source<R>, sector: &[u8], sector_size: u32) -> Result<Found> {
    let disk_id = u32_at(sector, 440);
    let mut found = Found {
        disk_id: Some(format!("{disk_id:#010x}")),
        partitions: Vec::new(),
        from_backup: false,
        notes: Vec::new(),
        sector_size,
        table: vec![ByteRange { start: 0, len: u64::from(sector_size) }],
    };
    let mut extended = None;
    for (index, entry) in (1..).zip(entries(sector)) {
        if !entry.is_used() {
            if entry.code != 0 {
                found.notes.push(format!("partition {index} is empty and left out"));
            }
            continue;
        }
        // Thirty-two bits of sectors of 4096 bytes are far from the end of 64 bits.
        let start_bytes = u64::from(entry.start) * u64::from(sector_size);
        let partition = partition(disk_id, index, start_bytes, entry, sector_size);
        if entry.is_extended() && extended.replace(partition.clone()).is_some() {
            return Err(Error::BadTable(TableProblem::TwoExtended));
        }
        found.partitions.push(partition);
    }
    if let Some(extended) = extended {
        check::inside_image(&extended, source.len_bytes()).map_err(Error::BadTable)?;
        read_chain(source, disk_id, extended.range(), &mut found)?;
    }
    Ok(found)
}

/// Follows the chain of extended boot records inside `extended`.
fn read_chain<R: Read + Seek>(
    source: &mut Source<R>,
    disk_id: u32,
    extended: ByteRange,
    found: &mut Found,
) -> Result<()> {
    let sector_size = u64::from(found.sector_size);
    let extended_end = extended.start.saturating_add(extended.len);
    let mut visited = HashSet::new();
    let mut index = 5;
    let mut at = extended.start;
    loop {
        if !visited.insert(at) {
            return Err(Error::BadTable(TableProblem::ChainLoops { at }));
        }
        if visited.len() > MAX_CHAIN {
            return Err(Error::BadTable(TableProblem::ChainTooLong { limit: MAX_CHAIN }));
        }
        if at >= extended_end {
            return Err(Error::BadTable(TableProblem::ChainLeavesExtended { at }));
        }
        let record = source.read(at, 512)?;
        let Some(record) = record.filter(|record| has_magic(record)) else {
            // Linux stops here too; a fresh extended partition has no record yet.
            if at != extended.start {
                found.notes.push(format!("the chain of logical partitions breaks off at byte {at}"));
            }
            return Ok(());
        };
        found.table.push(ByteRange { start: at, len: sector_size });
        for (slot, entry) in entries(&record).into_iter().enumerate() {
            if !entry.is_used() || entry.is_extended() {
                continue;
            }
            let start_bytes = at.saturating_add(u64::from(entry.start) * sector_size);
            let logical = partition(disk_id, index, start_bytes, entry, found.sector_size);
            // The last two entries of a record are sometimes garbage: Linux checks only those.
            if slot >= 2 && (start_bytes < extended.start || logical.range().end() > Some(extended_end)) {
                found.notes.push(format!("entry {} of the record at byte {at} is left out", slot + 1));
                continue;
            }
            found.partitions.push(logical);
            if found.partitions.len() > MAX_PARTITIONS {
                return Err(Error::BadTable(TableProblem::TooManyPartitions { limit: MAX_PARTITIONS }));
            }
            index += 1;
        }
        let link = entries(&record).into_iter().find(|entry| entry.is_used() && entry.is_extended());
        let Some(link) = link else { return Ok(()) };
        at = extended.start.saturating_add(u64::from(link.start) * sector_size);
    }
}

fn partition(disk_id: u32, index: u32, start_bytes: u64, entry: Entry, sector_size: u32) -> Partition {
    Partition {
        index,
        start_bytes,
        len_bytes: u64::from(entry.count) * u64::from(sector_size),
        type_code: format!("{:x}", entry.code),
        uuid: Some(format!("{disk_id:08x}-{index:02x}")),
        name: None,
        bootable: entry.flag == 0x80,
    }
}

fn has_magic(sector: &[u8]) -> bool {
    sector[510..512] == [0x55, 0xaa]
}

/// The four entries of a record of 512 bytes.
fn entries(sector: &[u8]) -> [Entry; 4] {
    [446, 462, 478, 494].map(|at| Entry {
        flag: sector[at],
        code: sector[at + 4],
        start: u32_at(sector, at + 8),
        count: u32_at(sector, at + 12),
    })
}
