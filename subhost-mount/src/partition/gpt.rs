//! The GUID partition table (UEFI specification, chapter 5), primary and backup.

use std::io::{Read, Seek};

use super::source::{Source, u32_at, u64_at};
use super::{ByteRange, Found, MAX_PARTITIONS, Partition, mbr};
use crate::{Error, Result, TableProblem};

/// The most bytes that an array of entries may have.
const MAX_ARRAY: u64 = 1 << 20;

/// A table whose sums are right.
struct Gpt {
    sector_size: u32,
    header: Header,
    entries: Vec<u8>,
}

struct Header {
    alternate: u64,
    last_usable: u64,
    disk_guid: [u8; 16],
    array: ByteRange,
    entry_size: usize,
    entries_crc: u32,
}

/// Reads the GPT behind the protective `sector`.
pub(super) fn read<R: Read + Seek>(
    source: &mut Source<R>,
    sector: &[u8],
    sector_sizes: &[u32],
) -> Result<Found> {
    let mut notes = Vec::new();
    let primary = match read_first(source, sector_sizes, |_, _| Some(1))? {
        Ok(primary) => Ok(primary),
        Err(primary) => match read_first(source, sector_sizes, |len, size| (len / size).checked_sub(1))? {
            Ok(backup) => {
                notes.push(format!("the primary GPT is damaged ({primary}): the backup is used"));
                Err(backup)
            }
            Err(backup) => return Err(Error::BadTable(TableProblem::BadGpt { primary, backup })),
        },
    };
    if mbr::is_hybrid(sector) {
        notes.push("the MBR is a hybrid: its own partitions are left out, as Linux does".to_owned());
    }
    let from_backup = primary.is_err();
    let mut table = vec![];
    let gpt = match primary {
        Ok(primary) => {
            look_at_backup(source, &primary, &mut table, &mut notes)?;
            table.push(sectors(1, 1, primary.sector_size));
            primary
        }
        Err(backup) => {
            // The place of the primary, so that a partition cannot lie there.
            table.push(sectors(1, 1, backup.sector_size));
            table.push(sectors(
                source.len_bytes() / u64::from(backup.sector_size) - 1,
                1,
                backup.sector_size,
            ));
            backup
        }
    };
    table.push(sectors(0, 1, gpt.sector_size));
    table.push(gpt.header.array);
    if gpt.header.entry_size != 128 {
        let size = gpt.header.entry_size;
        notes.push(format!(
            "its GPT has entries of {size} bytes: UEFI and sfdisk take them, Linux itself does not"
        ));
    }
    let partitions = gpt.partitions().map_err(Error::BadTable)?;
    Ok(Found {
        disk_id: Some(guid(&gpt.header.disk_guid)),
        partitions,
        from_backup,
        notes,
        sector_size: gpt.sector_size,
        table,
    })
}

/// The first of the sector sizes with which the header at `place(image length, sector size)` is right; else the
/// complaint about the likeliest of them.
fn read_first<R: Read + Seek>(
    source: &mut Source<R>,
    sector_sizes: &[u32],
    place: impl Fn(u64, u64) -> Option<u64>,
) -> Result<std::result::Result<Gpt, String>> {
    let mut complaint: Option<Complaint> = None;
    for &sector_size in sector_sizes {
        let Some(sector) = place(source.len_bytes(), u64::from(sector_size)) else { continue };
        match read_at(source, sector, sector_size)? {
            Ok(gpt) => return Ok(Ok(gpt)),
            Err(Complaint::NoHeader) if complaint.is_some() => {}
            Err(other) => match complaint {
                Some(Complaint::Damaged(_)) => {}
                _ => complaint = Some(other),
            },
        }
    }
    Ok(Err(match complaint {
        Some(Complaint::Damaged(why)) => why,
        _ => "there is no header".to_owned(),
    }))
}

/// Why a header is not taken.
enum Complaint {
    NoHeader,
    Damaged(String),
}

impl From<String> for Complaint {
    fn from(why: String) -> Self {
        Complaint::Damaged(why)
    }
}

/// Reads header and entries, both checked.
fn read_at<R: Read + Seek>(
    source: &mut Source<R>,
    sector: u64,
    sector_size: u32,
) -> Result<std::result::Result<Gpt, Complaint>> {
    let size = u64::from(sector_size);
    let total = source.len_bytes() / size;
    let Some(offset) = sector.checked_mul(size) else { return Ok(Err(Complaint::NoHeader)) };
    let Some(bytes) = source.read(offset, sector_size as usize)? else { return Ok(Err(Complaint::NoHeader)) };
    let header = match Header::parse(&bytes, sector, sector_size, total) {
        Ok(header) => header,
        Err(complaint) => return Ok(Err(complaint)),
    };
    // `Header::parse` has bounded the array.
    let len = usize::try_from(header.array.len).unwrap_or(usize::MAX);
    let Some(entries) = source.read(header.array.start, len)? else {
        return Ok(Err(Complaint::Damaged("its entries are beyond the end of the image".to_owned())));
    };
    if crc32fast::hash(&entries) != header.entries_crc {
        return Ok(Err(Complaint::Damaged("the checksum of its entries is wrong".to_owned())));
    }
    Ok(Ok(Gpt { sector_size, header, entries }))
}

/// Notes what is wrong with the backup of a good primary, and where it lies.
fn look_at_backup<R: Read + Seek>(
    source: &mut Source<R>,
    primary: &Gpt,
    table: &mut Vec<ByteRange>,
    notes: &mut Vec<String>,
) -> Result<()> {
    let last = (source.len_bytes() / u64::from(primary.sector_size)).saturating_sub(1);
    if primary.header.alternate != last {
        notes
            .push("the backup GPT is not at the end of the image: the image has changed its size".to_owned());
    }
    match read_at(source, primary.header.alternate, primary.sector_size)? {
        Ok(backup) => {
            if backup.header.entries_crc != primary.header.entries_crc {
                notes.push("the backup GPT differs from the primary, which is used".to_owned());
            }
            table.push(sectors(primary.header.alternate, 1, primary.sector_size));
            table.push(backup.header.array);
        }
        Err(Complaint::NoHeader) => notes.push("there is no backup GPT".to_owned()),
        Err(Complaint::Damaged(why)) => notes.push(format!("the backup GPT is damaged: {why}")),
    }
    Ok(())
}

impl Header {
    /// Reads the header found in `sector` of an image of `total` sectors.
    fn parse(
        bytes: &[u8],
        sector: u64,
        sector_size: u32,
        total: u64,
    ) -> std::result::Result<Header, Complaint> {
        if bytes.get(..8) != Some(b"EFI PART") {
            return Err(Complaint::NoHeader);
        }
        let header_size = u32_at(bytes, 12);
        if !(92..=sector_size).contains(&header_size) {
            return Err(format!("its header says that it has {header_size} bytes").into());
        }
        let mut summed = bytes[..header_size as usize].to_vec();
        summed[16..20].fill(0);
        if crc32fast::hash(&summed) != u32_at(bytes, 16) {
            return Err("the checksum of its header is wrong".to_owned().into());
        }
        let own = u64_at(bytes, 24);
        if own != sector {
            return Err(format!("its header is in sector {sector} and says {own}").into());
        }
        let (first_usable, last_usable) = (u64_at(bytes, 40), u64_at(bytes, 48));
        if last_usable >= total {
            return Err(format!(
                "its last usable sector is {last_usable}, and the image has {total} sectors"
            )
            .into());
        }
        if first_usable > last_usable {
            return Err(format!("its usable sectors run from {first_usable} to {last_usable}").into());
        }
        let (count, entry_size) = (u32_at(bytes, 80), u32_at(bytes, 84));
        if !(128..=4096).contains(&entry_size) || !entry_size.is_power_of_two() {
            return Err(format!("its entries have {entry_size} bytes each").into());
        }
        // Two numbers of 32 bits cannot overflow one of 64.
        let len = u64::from(count) * u64::from(entry_size);
        if len > MAX_ARRAY {
            return Err(format!("it says that it has {count} entries of {entry_size} bytes").into());
        }
        let Some(start) = u64_at(bytes, 72).checked_mul(u64::from(sector_size)) else {
            return Err("its entries are beyond the end of the image".to_owned().into());
        };
        let array = ByteRange { start, len };
        let alternate = u64_at(bytes, 32);
        let covered = |&place: &u64| sectors(place, 1, sector_size).overlaps(&array);
        if let Some(place) = [0, sector, alternate].iter().find(|place| covered(place)) {
            return Err(format!("its entries lie over sector {place}").into());
        }
        let mut disk_guid = [0; 16];
        disk_guid.copy_from_slice(&bytes[56..72]);
        Ok(Header {
            alternate,
            last_usable,
            disk_guid,
            array,
            entry_size: entry_size as usize,
            entries_crc: u32_at(bytes, 88),
        })
    }
}

impl Gpt {
    fn partitions(&self) -> std::result::Result<Vec<Partition>, TableProblem> {
        let mut partitions = Vec::new();
        for (index, entry) in (1..).zip(self.entries.chunks_exact(self.header.entry_size)) {
            if entry[..16] == [0; 16] {
                continue;
            }
            if partitions.len() == MAX_PARTITIONS {
                return Err(TableProblem::TooManyPartitions { limit: MAX_PARTITIONS });
            }
            partitions.push(self.partition(index, entry)?);
        }
        Ok(partitions)
    }

    fn partition(&self, index: u32, entry: &[u8]) -> std::result::Result<Partition, TableProblem> {
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        if first > last {
            return Err(TableProblem::Reversed { index });
        }
        let size = u64::from(self.sector_size);
        if last > self.header.last_usable {
            let end = last.saturating_add(1).saturating_mul(size);
            // `last_usable` is inside the image, so that this product exists.
            let len_bytes = (self.header.last_usable + 1) * size;
            return Err(TableProblem::BeyondEnd { index, end, len_bytes });
        }
        let mut fields = [[0; 16]; 2];
        fields[0].copy_from_slice(&entry[..16]);
        fields[1].copy_from_slice(&entry[16..32]);
        let name: Vec<u16> =
            entry[56..128].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let name = name.split(|&unit| unit == 0).next().unwrap_or_default();
        Ok(Partition {
            index,
            start_bytes: first * size,
            len_bytes: (last - first + 1) * size,
            type_code: guid(&fields[0]),
            uuid: Some(guid(&fields[1])),
            name: (!name.is_empty()).then(|| String::from_utf16_lossy(name)),
            bootable: u64_at(entry, 48) & 0b100 != 0,
        })
    }
}

/// A GUID as text: the first three fields are little-endian, the rest is as it stands.
fn guid(bytes: &[u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let mut text = format!("{d:02X}{c:02X}{b:02X}{a:02X}-{f:02X}{e:02X}-{h:02X}{g:02X}-");
    for (position, byte) in rest.iter().enumerate() {
        if position == 2 {
            text.push('-');
        }
        text.push_str(&format!("{byte:02X}"));
    }
    text
}

fn sectors(first: u64, count: u64, sector_size: u32) -> ByteRange {
    let size = u64::from(sector_size);
    ByteRange { start: first.saturating_mul(size), len: count.saturating_mul(size) }
}

#[cfg(test)]
mod tests {
    use super::guid;

    #[test]
    fn a_guid_is_written_with_its_first_fields_swapped() {
        let linux =
            [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4];
        assert_eq!(guid(&linux), "0FC63DAF-8483-4772-8E79-3D69D8477DE4");
    }
}
