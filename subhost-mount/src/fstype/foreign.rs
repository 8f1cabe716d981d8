//! File systems of other systems.

use super::Superblock;
use super::bytes::Bytes;

pub(super) fn vfat(head: &Bytes<'_>) -> Option<Superblock> {
    if !head.has(510, &[0x55, 0xaa]) {
        return None;
    }
    // Where the serial number and the label are depends on the width of the table.
    let (serial, label) = if head.has(82, b"FAT32   ") {
        (67, 71)
    } else if [&b"FAT12   "[..], b"FAT16   ", b"FAT     "].iter().any(|name| head.has(54, name)) {
        (39, 43)
    } else {
        return None;
    };
    let sector_size = head.le16(11)?;
    let cluster_sectors = head.u8(13)?;
    let is_sane = (512..=4096).contains(&sector_size)
        && sector_size.is_power_of_two()
        && cluster_sectors.is_power_of_two()
        && head.le16(14)? != 0
        && head.u8(16)? != 0;
    let label = head.text(label, 11).filter(|label| label != "NO NAME");
    is_sane.then(|| Superblock::new("vfat", label, short_serial(head, serial)))
}

pub(super) fn exfat(head: &Bytes<'_>) -> Option<Superblock> {
    (head.has(3, b"EXFAT   ") && head.has(510, &[0x55, 0xaa]))
        .then(|| Superblock::new("exfat", None, short_serial(head, 100)))
}

pub(super) fn ntfs(head: &Bytes<'_>) -> Option<Superblock> {
    if !head.has(3, b"NTFS    ") || !head.has(510, &[0x55, 0xaa]) {
        return None;
    }
    let serial = head.le64(72)?;
    Some(Superblock::new("ntfs", None, Some(format!("{serial:016X}"))))
}

/// Where a label is that is too deep inside for the head: the first byte, how many, and what finds it there.
pub(super) type LabelPlace = (u64, usize, fn(&Bytes<'_>) -> Option<String>);

/// The label of an exfat is an entry of its root directory, mostly the first.
pub(super) fn exfat_label(head: &Bytes<'_>) -> Option<LabelPlace> {
    const LOOK_AT: usize = 4096;
    let (sector_shift, cluster_shift) = (head.u8(108)?, head.u8(109)?);
    if !(9..=12).contains(&sector_shift) || cluster_shift > 25 - sector_shift {
        return None;
    }
    let cluster = u64::from(head.le32(96)?).checked_sub(2)?;
    let heap = u64::from(head.le32(88)?) << sector_shift;
    let len = LOOK_AT.min(1 << (sector_shift + cluster_shift));
    Some((heap + (cluster << (sector_shift + cluster_shift)), len, |directory| {
        const ENTRY: usize = 32;
        let entries = (0..LOOK_AT / ENTRY).map(|number| number * ENTRY);
        let at = entries
            .take_while(|&at| directory.u8(at) != Some(0))
            .find(|&at| directory.u8(at) == Some(0x83))?;
        directory.text16(at + 2, directory.u8(at + 1)?.min(11).into())
    }))
}

/// The label of an ntfs is an attribute of the fourth file of its table of files.
pub(super) fn ntfs_label(head: &Bytes<'_>) -> Option<LabelPlace> {
    const VOLUME: u64 = 3;
    let sector = u64::from(head.le16(11)?);
    // From 0x80 on these two are negative: the powers of two of what they count.
    let cluster = match head.u8(13)? {
        sectors @ 1..=0x80 => sector * u64::from(sectors),
        power => sector.checked_shl(u32::from(power.wrapping_neg()))?,
    };
    let record = match head.u8(64)? {
        clusters @ 1..=0x7f => cluster.checked_mul(u64::from(clusters))?,
        power => 1_u64.checked_shl(u32::from(power.wrapping_neg()))?,
    };
    if !(512..=4096).contains(&record) {
        return None;
    }
    let at = head.le64(48)?.checked_mul(cluster)?.checked_add(VOLUME * record)?;
    Some((at, usize::try_from(record).ok()?, |record| {
        const NAME: u32 = 0x60;
        let mut at = usize::from(record.le16(20).filter(|_| record.has(0, b"FILE"))?);
        while record.le32(at)? != NAME {
            // Attributes end with one of no length that is read: its type is all ones.
            at += usize::try_from(record.le32(at + 4)?).ok().filter(|len| (16..=4096).contains(len))?;
        }
        let len = usize::try_from(record.le32(at + 16)?).ok()?;
        record.text16(at + usize::from(record.le16(at + 20)?), len / 2)
    }))
}

/// Before [`iso9660`], as a disc may be both, and udf is then what the kernel mounts.
pub(super) fn udf(head: &Bytes<'_>) -> Option<Superblock> {
    const SECTOR: usize = 2048;
    // Its descriptors stand one in a sector behind those of ISO 9660, between two that begin and end them.
    let names: Vec<_> = (16..32).map_while(|sector| head.at(sector * SECTOR + 1, 5)).collect();
    let begin = names.iter().position(|name| *name == b"BEA01")?;
    let is_udf = names.iter().skip(begin).any(|name| *name == b"NSR02" || *name == b"NSR03");
    is_udf.then(|| Superblock::new("udf", None, None))
}

pub(super) fn iso9660(head: &Bytes<'_>) -> Option<Superblock> {
    const AT: usize = 32 * 1024;
    if !head.has(AT + 1, b"CD001") {
        return None;
    }
    // The time of the last change, else that of its making, in digits; what is missing is zeros.
    let uuid = [830, 813].into_iter().find_map(|place| {
        let digits = head.text(AT + place, 16).filter(|text| text.len() == 16 && text.is_ascii())?;
        let parts = [0..4, 4..6, 6..8, 8..10, 10..12, 12..14, 14..16].map(|part| &digits[part]);
        digits.bytes().any(|digit| digit != b'0').then(|| parts.join("-"))
    });
    Some(Superblock::new("iso9660", head.text(AT + 40, 32), uuid))
}

fn short_serial(head: &Bytes<'_>, at: usize) -> Option<String> {
    let serial = head.le32(at)?;
    (serial != 0).then(|| format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff))
}

#[cfg(test)]
mod tests {
    use super::super::probe;
    use std::io::Cursor;

    #[test]
    fn labels_that_cannot_be_are_none() {
        for magic in [b"EXFAT   ", b"NTFS    "] {
            // Every field at its largest, and each byte of the geometry in turn at each value.
            for (filler, place) in (0..=255_u8).flat_map(|filler| (0..4).map(move |place| (filler, place))) {
                let mut head = vec![0xff; 70_000];
                head[3..11].copy_from_slice(magic);
                head[510..512].copy_from_slice(&[0x55, 0xaa]);
                head[[13, 64, 108, 109][place]] = filler;
                let found = probe(Cursor::new(head), 0).unwrap().unwrap();
                assert_eq!(found.label, None);
            }
        }
    }
}
