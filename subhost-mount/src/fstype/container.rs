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

pub(super) fn raid(head: &Bytes<'_>) -> Option<Superblock> {
    // Versions 1.1 and 1.2; those at the end of a device look like what they hold.
    let at = [0, 4096].into_iter().find(|&at| head.le32(at) == Some(0xa92b_4efc))?;
    let found = Superblock::new("linux_raid_member", head.text(at + 32, 32), head.uuid(at + 16));
    Some(found.refused("it is a member of a RAID: give the assembled device"))
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
