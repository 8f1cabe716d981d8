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

pub(super) fn iso9660(head: &Bytes<'_>) -> Option<Superblock> {
    const AT: usize = 32 * 1024;
    head.has(AT + 1, b"CD001").then(|| Superblock::new("iso9660", head.text(AT + 40, 32), None))
}

fn short_serial(head: &Bytes<'_>, at: usize) -> Option<String> {
    let serial = head.le32(at)?;
    (serial != 0).then(|| format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff))
}
