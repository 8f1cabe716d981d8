//! The other file systems that Linux has of its own.

use super::Superblock;
use super::bytes::Bytes;

pub(super) fn xfs(head: &Bytes<'_>) -> Option<Superblock> {
    if !head.has(0, b"XFSB") {
        return None;
    }
    let found = Superblock::new("xfs", head.text(108, 12), head.uuid(32));
    // sb_logstart: the log has a block of this device unless it is on another.
    Some(if head.be64(48)? == 0 { found.refused("its log is on another device") } else { found })
}

pub(super) fn btrfs(head: &Bytes<'_>) -> Option<Superblock> {
    const AT: usize = 64 * 1024;
    if !head.has(AT + 0x40, b"_BHRfS_M") {
        return None;
    }
    let found = Superblock::new("btrfs", head.text(AT + 0x12b, 256), head.uuid(AT + 0x20));
    let devices = head.le64(AT + 0x88)?;
    Some(match devices {
        0 | 1 => found,
        _ => found.refused(format!("it is spread over {devices} devices")),
    })
}

pub(super) fn erofs(head: &Bytes<'_>) -> Option<Superblock> {
    const AT: usize = 1024;
    const INCOMPAT_DEVICE_TABLE: u32 = 0x8;
    if head.le32(AT)? != 0xe0f5_e1e2 {
        return None;
    }
    let found = Superblock::new("erofs", head.text(AT + 64, 16), head.uuid(AT + 48));
    Some(match head.le32(AT + 80)? & INCOMPAT_DEVICE_TABLE {
        0 => found,
        _ => found.refused("some of its data is on another device"),
    })
}

pub(super) fn squashfs(head: &Bytes<'_>) -> Option<Superblock> {
    // Before version 4 it was another file system, which the kernel no longer reads.
    (head.has(0, b"hsqs") && head.le16(28)? >= 4).then(|| Superblock::new("squashfs", None, None))
}

pub(super) fn f2fs(head: &Bytes<'_>) -> Option<Superblock> {
    const AT: usize = 1024;
    (head.le32(AT)? == 0xf2f5_2010)
        .then(|| Superblock::new("f2fs", head.text16(AT + 124, 512), head.uuid(AT + 108)))
}

pub(super) fn jfs_or_reiserfs(head: &Bytes<'_>) -> Option<Superblock> {
    const JFS_AT: usize = 32 * 1024;
    const REISERFS_AT: usize = 64 * 1024;
    if head.has(JFS_AT, b"JFS1") {
        return Some(Superblock::new("jfs", head.text(JFS_AT + 152, 16), head.uuid(JFS_AT + 136)));
    }
    let is_reiserfs = head.has(REISERFS_AT + 0x34, b"ReIsErFs")
        || head.has(REISERFS_AT + 0x34, b"ReIsEr2Fs")
        || head.has(REISERFS_AT + 0x34, b"ReIsEr3Fs");
    is_reiserfs
        .then(|| Superblock::new("reiserfs", head.text(REISERFS_AT + 100, 16), head.uuid(REISERFS_AT + 84)))
}
