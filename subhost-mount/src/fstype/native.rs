//! The other file systems that Linux has of its own.

use super::Superblock;
use super::bytes::Bytes;

/// What Linux 6.18 can read of xfs: ftype, sparse inodes, metadata UUID, bigtime, (needs repair), large extent
/// counters, exchange of ranges, parent pointers, metadata directory, zones, gaps of zones.
const XFS_INCOMPAT: u32 = 0x7ff;

pub(super) fn xfs(head: &Bytes<'_>) -> Option<Superblock> {
    const NEEDS_REPAIR: u32 = 0x10;
    const ZONED: u32 = 0x200;
    if !head.has(0, b"XFSB") {
        return None;
    }
    let found = Superblock::new("xfs", head.text(108, 12), head.uuid(32));
    let version = head.be16(100)? & 0xf;
    // Before version 5 the field is something else.
    let incompat = if version == 5 { head.be32(216)? } else { 0 };
    // sb_logstart: the log has a block of this device unless it is on another.
    Some(if head.be64(48)? == 0 {
        found.refused("its log is on another device")
    } else if head.be64(16)? != 0 && incompat & ZONED == 0 {
        found.refused("its realtime section is on another device")
    } else if !(4..=5).contains(&version) {
        found.refused(format!("its version {version} is not known"))
    } else if incompat & NEEDS_REPAIR != 0 {
        found.refused("it says that it needs xfs_repair")
    } else {
        found.knowing(incompat.into(), XFS_INCOMPAT.into())
    })
}

/// What Linux 6.18 can read of btrfs; the bits in between are those of an extent tree that never came.
const BTRFS_INCOMPAT: u64 = 0x1fff | 0x4000 | 0x1_0000;

pub(super) fn btrfs(head: &Bytes<'_>) -> Option<Superblock> {
    const AT: usize = 64 * 1024;
    if !head.has(AT + 0x40, b"_BHRfS_M") {
        return None;
    }
    let found = Superblock::new("btrfs", head.text(AT + 0x12b, 256), head.uuid(AT + 0x20));
    let devices = head.le64(AT + 0x88)?;
    Some(match devices {
        0 | 1 => found.knowing(head.le64(AT + 0xbc)?, BTRFS_INCOMPAT),
        _ => found.refused(format!("it is spread over {devices} devices")),
    })
}

/// What Linux 6.18 can read of erofs. A bit may have two meanings; that of other devices has a number of its own.
const EROFS_INCOMPAT: u32 = 0x1ff;

pub(super) fn erofs(head: &Bytes<'_>) -> Option<Superblock> {
    const AT: usize = 1024;
    if head.le32(AT)? != 0xe0f5_e1e2 {
        return None;
    }
    let found = Superblock::new("erofs", head.text(AT + 64, 16), head.uuid(AT + 48));
    Some(match head.le16(AT + 86)? {
        0 => found.knowing(head.le32(AT + 80)?.into(), EROFS_INCOMPAT.into()),
        _ => found.refused("some of its data is on another device"),
    })
}

pub(super) fn squashfs(head: &Bytes<'_>) -> Option<Superblock> {
    // Before version 4 it was another file system, which the kernel no longer reads.
    let version = head.le16(28)?;
    if !head.has(0, b"hsqs") || version < 4 {
        return None;
    }
    let found = Superblock::new("squashfs", None, None);
    let compression = head.le16(20)?;
    Some(if version > 4 {
        found.refused(format!("its version {version} is not known"))
    } else if !(1..=6).contains(&compression) {
        found.refused(format!("its compression {compression} is not known"))
    } else {
        found
    })
}

pub(super) fn f2fs(head: &Bytes<'_>) -> Option<Superblock> {
    const AT: usize = 1024;
    if head.le32(AT)? != 0xf2f5_2010 {
        return None;
    }
    let found = Superblock::new("f2fs", head.text16(AT + 124, 512), head.uuid(AT + 108));
    // The path of the first of its devices: the kernel would open it, and the others.
    Some(match head.u8(AT + 2201)? {
        0 => found,
        _ => found.refused("it is spread over several devices"),
    })
}

pub(super) fn nilfs2(head: &Bytes<'_>) -> Option<Superblock> {
    const AT: usize = 1024;
    // Two bytes are few: the size that it says it has goes with them.
    (head.le16(AT + 6)? == 0x3434 && (280..=1024).contains(&head.le16(AT + 8)?))
        .then(|| Superblock::new("nilfs2", head.text(AT + 168, 80), head.uuid(AT + 152)))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The places and values that make one, and what it is refused for.
    type Built<'a> = (fn(&Bytes<'_>) -> Option<Superblock>, &'a [(usize, &'a [u8])], Option<&'a str>);

    #[test]
    fn what_is_elsewhere_or_not_known_is_refused_with_its_reason() {
        const XFS: (usize, &[u8]) = (0, b"XFSB");
        const LOG: (usize, &[u8]) = (48, &[0, 0, 0, 0, 0, 0, 1, 0]);
        const V5: (usize, &[u8]) = (100, &[0xb4, 0xa5]);
        const REALTIME: (usize, &[u8]) = (16, &[0, 0, 0, 0, 0, 1, 0, 0]);
        const BTRFS: (usize, &[u8]) = (0x1_0040, b"_BHRfS_M");
        const EROFS: (usize, &[u8]) = (1024, &[0xe2, 0xe1, 0xf5, 0xe0]);
        const F2FS: (usize, &[u8]) = (1024, &[0x10, 0x20, 0xf5, 0xf2]);
        const SQUASHFS: (usize, &[u8]) = (0, b"hsqs");
        let built: &[Built<'_>] = &[
            (xfs, &[XFS, LOG, V5, (216, &[0, 0, 0, 0xb])], None),
            (xfs, &[XFS, LOG, (100, &[0xb4, 0xb4]), (216, &[0xff; 4])], None),
            (xfs, &[XFS, V5], Some("its log is on another device")),
            (xfs, &[XFS, LOG, V5, REALTIME], Some("its realtime section is on another device")),
            (xfs, &[XFS, LOG, V5, REALTIME, (216, &[0, 0, 3, 0xb])], None),
            (xfs, &[XFS, LOG, (100, &[0xb4, 0xa6])], Some("its version 6 is not known")),
            (xfs, &[XFS, LOG, V5, (216, &[0, 0, 0, 0x1b])], Some("it says that it needs xfs_repair")),
            (
                xfs,
                &[XFS, LOG, V5, (216, &[0x80, 0, 8, 0xb])],
                Some("it has features that are not known: 0x80000800"),
            ),
            (btrfs, &[BTRFS, (0x1_0088, &[1]), (0x1_00bc, &[0x61, 3])], None),
            (btrfs, &[BTRFS, (0x1_0088, &[3])], Some("it is spread over 3 devices")),
            (
                btrfs,
                &[BTRFS, (0x1_0088, &[1]), (0x1_00bc, &[0, 0x20, 2, 0, 0, 0, 0, 1])],
                Some("it has features that are not known: 0x100000000022000"),
            ),
            (erofs, &[EROFS, (1104, &[0x29])], None),
            (erofs, &[EROFS, (1104, &[8]), (1110, &[1])], Some("some of its data is on another device")),
            (erofs, &[EROFS, (1104, &[0, 2])], Some("it has features that are not known: 0x200")),
            (squashfs, &[SQUASHFS, (20, &[6]), (28, &[4])], None),
            (squashfs, &[SQUASHFS, (20, &[1]), (28, &[5])], Some("its version 5 is not known")),
            (squashfs, &[SQUASHFS, (20, &[7]), (28, &[4])], Some("its compression 7 is not known")),
            (f2fs, &[F2FS], None),
            (f2fs, &[F2FS, (1024 + 2201, b"/dev/sda")], Some("it is spread over several devices")),
        ];
        for (recognise, changes, refusal) in built {
            let mut head = vec![0; 68 * 1024];
            for (at, bytes) in *changes {
                head[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            let found = recognise(&Bytes::new(&head)).unwrap();
            assert_eq!(found.refusal().as_deref(), *refusal, "{} {changes:x?}", found.kind);
        }
    }
}
