//! ext2, ext3 and ext4: one superblock, told apart by their features as blkid does it.

use super::Superblock;
use super::bytes::Bytes;

/// Where the superblock is.
const AT: usize = 1024;

const COMPAT_HAS_JOURNAL: u32 = 0x4;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_JOURNAL_DEVICE: u32 = 0x8;

/// What ext2 knows: sparse_super, large_file, btree_dir; filetype, meta_bg.
const EXT2_RO_COMPAT: u32 = 0x1 | 0x2 | 0x4;
const EXT2_INCOMPAT: u32 = 0x2 | 0x10;

/// What the kernel's ext4 can read; the two that it has no code for are compression (0x1) and dirdata (0x1000).
const EXT4_INCOMPAT: u32 = 0x2
    | 0x4
    | 0x8
    | 0x10
    | 0x40
    | 0x80
    | 0x100
    | 0x200
    | 0x400
    | 0x2000
    | 0x4000
    | 0x8000
    | 0x1_0000
    | 0x2_0000;

pub(super) fn recognise(head: &Bytes<'_>) -> Option<Superblock> {
    if head.le16(AT + 0x38)? != 0xef53 {
        return None;
    }
    let (compat, incompat, ro_compat) = (head.le32(AT + 0x5c)?, head.le32(AT + 0x60)?, head.le32(AT + 0x64)?);
    let has_journal = compat & COMPAT_HAS_JOURNAL != 0;
    let only_old_ro_compat = ro_compat & !EXT2_RO_COMPAT == 0;
    let kind = if incompat & INCOMPAT_JOURNAL_DEVICE != 0 {
        "jbd"
    } else if only_old_ro_compat && !has_journal && incompat & !EXT2_INCOMPAT == 0 {
        "ext2"
    } else if only_old_ro_compat && has_journal && incompat & !(EXT2_INCOMPAT | INCOMPAT_RECOVER) == 0 {
        "ext3"
    } else {
        "ext4"
    };
    let found = Superblock::new(kind, head.text(AT + 0x78, 16), head.uuid(AT + 0x68));
    let (journal_inode, journal_device) = (head.le32(AT + 0xe0)?, head.le32(AT + 0xe4)?);
    let options = head.at(AT + 0x200, 64)?;
    Some(if kind == "jbd" {
        found.refused("it is an external journal, not a file system")
    } else if journal_device != 0 || (has_journal && journal_inode == 0) {
        // The kernel would open whatever block device of the host has this number.
        found.refused("its journal is on another device")
    } else if [&b"journal_dev"[..], b"journal_path"].iter().any(|option| has(options, option)) {
        // The kernel takes the superblock's own mount options before those that it is given.
        found.refused("its own mount options name a journal on another device")
    } else {
        found.knowing(incompat.into(), EXT4_INCOMPAT.into())
    })
}

fn has(options: &[u8], option: &[u8]) -> bool {
    options.windows(option.len()).any(|window| window == option)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock(compat: u32, incompat: u32, ro_compat: u32) -> Vec<u8> {
        let mut head = vec![0; 2048];
        head[AT + 0x38..AT + 0x3a].copy_from_slice(&[0x53, 0xef]);
        for (place, value) in [(0x5c, compat), (0x60, incompat), (0x64, ro_compat), (0xe0, 8)] {
            head[AT + place..AT + place + 4].copy_from_slice(&value.to_le_bytes());
        }
        head
    }

    fn found(head: &[u8]) -> Superblock {
        recognise(&Bytes::new(head)).unwrap()
    }

    #[test]
    fn the_features_tell_the_three_apart() {
        for (compat, incompat, ro_compat, kind) in [
            (0x38, 0x2, 0x3, "ext2"),
            (0x3c, 0x2, 0x3, "ext3"),
            (0x3c, 0x6, 0x3, "ext3"),
            (0x3c, 0x2c2, 0x46b, "ext4"),
            (0x38, 0x242, 0x7b, "ext4"),
            (0x3c, 0xa, 0x3, "jbd"),
        ] {
            assert_eq!(found(&superblock(compat, incompat, ro_compat)).kind, kind);
        }
    }

    #[test]
    fn a_journal_elsewhere_is_refused() {
        let mut head = superblock(0x3c, 0x2c2, 0x46b);
        assert_eq!(found(&head).refusal(), None);
        head[AT + 0xe4..AT + 0xe8].copy_from_slice(&0x0801_u32.to_le_bytes());
        assert_eq!(found(&head).refusal().unwrap(), "its journal is on another device");
        head[AT + 0xe0..AT + 0xe8].fill(0);
        assert_eq!(found(&head).refusal().unwrap(), "its journal is on another device");
    }

    #[test]
    fn mount_options_of_its_own_that_name_a_journal_are_refused() {
        let mut head = superblock(0x3c, 0x2c2, 0x46b);
        head[AT + 0x200..][..12].copy_from_slice(b"errors=panic");
        assert_eq!(found(&head).refusal(), None);
        head[AT + 0x200..][..24].copy_from_slice(b"acl,journal_path=/dev/sd");
        assert_eq!(found(&head).refusal().unwrap(), "its own mount options name a journal on another device");
    }

    #[test]
    fn a_feature_that_is_not_known_is_refused() {
        let refusal = found(&superblock(0x3c, 0x4000_0042, 0)).refusal().unwrap();
        assert_eq!(refusal, "it has features that are not known: 0x40000000");
    }
}
