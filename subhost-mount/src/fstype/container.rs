//! What holds no files itself, or wraps what does.

use super::Superblock;
use super::bytes::Bytes;

pub(super) fn luks(head: &Bytes<'_>) -> Option<Superblock> {
    if !head.has(0, b"LUKS\xba\xbe") {
        return None;
    }
    let label = if head.be16(6)? == 2 { head.text(24, 48) } else { None };
    let found = Superblock::new("crypto_LUKS", label, head.text(168, 40));
    Some(found.refused("it is encrypted: open it on the host and give the opened device"))
}

pub(super) fn lvm(head: &Bytes<'_>) -> Option<Superblock> {
    // The label is in one of the first four sectors.
    let at = (0..4).map(|sector| sector * 512).find(|&at| head.has(at, b"LABELONE"))?;
    if !head.has(at + 24, b"LVM2 001") {
        return None;
    }
    let uuid = head.text(at + 32, 32).map(|id| lvm_uuid(&id));
    let found = Superblock::new("LVM2_member", None, uuid);
    Some(found.refused("it is a physical volume of LVM: give one of its logical volumes"))
}

/// A volume's id with its dashes: six characters, five times four, six.
fn lvm_uuid(id: &str) -> String {
    let mut text = String::new();
    for (position, character) in id.chars().enumerate() {
        if matches!(position, 6 | 10 | 14 | 18 | 22 | 26) {
            text.push('-');
        }
        text.push(character);
    }
    text
}

const RAID_MAGIC: u32 = 0xa92b_4efc;

/// What must be read of a RAID's superblock.
pub(super) const RAID_BYTES: usize = 256;

/// Where a superblock at the end begins on a device that ends at some byte, and what recognises it there.
type AtEnd = (fn(u64) -> Option<u64>, fn(&Bytes<'_>, u64) -> Option<Superblock>);

/// Versions 1.0 and 0.90.
pub(super) const RAIDS_AT_END: [AtEnd; 2] = [
    (|end| Some(end.checked_sub(8192)? & !4095), raid_1_0),
    (|end| (end & !0xffff).checked_sub(0x1_0000), raid_0_90),
];

pub(super) fn raid(head: &Bytes<'_>) -> Option<Superblock> {
    // Versions 1.1 and 1.2; those at the end of a device look like what they hold.
    let at = [0, 4096].into_iter().find(|&at| head.le32(at) == Some(RAID_MAGIC))?;
    Some(raid_member(head.text(at + 32, 32), head.uuid(at + 16)))
}

fn raid_1_0(bytes: &Bytes<'_>, at: u64) -> Option<Superblock> {
    // It says where it is.
    (bytes.le32(0)? == RAID_MAGIC && bytes.le32(4)? == 1 && bytes.le64(144)?.checked_mul(512) == Some(at))
        .then(|| raid_member(bytes.text(32, 32), bytes.uuid(16)))
}

fn raid_0_90(bytes: &Bytes<'_>, _: u64) -> Option<Superblock> {
    // In the order of bytes of the machine that made it.
    let word = match (bytes.le32(0)?, bytes.be32(0)?) {
        (RAID_MAGIC, _) => Bytes::le32,
        (_, RAID_MAGIC) => Bytes::be32,
        _ => return None,
    };
    if word(bytes, 4)? != 0 {
        return None;
    }
    // It came in four pieces.
    let mut uuid = Vec::new();
    for place in [20, 52, 56, 60] {
        uuid.extend(word(bytes, place)?.to_be_bytes());
    }
    Some(raid_member(None, Bytes::new(&uuid).uuid(0)))
}

fn raid_member(label: Option<String>, uuid: Option<String>) -> Superblock {
    Superblock::new("linux_raid_member", label, uuid)
        .refused("it is a member of a RAID: give the assembled device")
}

pub(super) fn swap(head: &Bytes<'_>) -> Option<Superblock> {
    // The mark is at the end of the first page, of whatever size that is.
    let is_swap = [4, 8, 16, 32, 64]
        .into_iter()
        .map(|kib| kib * 1024 - 10)
        .any(|at| head.has(at, b"SWAPSPACE2") || head.has(at, b"SWAP-SPACE"));
    let found = is_swap.then(|| Superblock::new("swap", head.text(1052, 16), head.uuid(1036)))?;
    Some(found.refused("it is swap space"))
}
