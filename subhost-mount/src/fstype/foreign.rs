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
