//! File systems as their own tools make them, recognised as blkid recognises them.

use std::os::unix::fs::FileExt;
use std::path::Path;

use subhost_mount::Image;
use subhost_mount::fstype::{self, Superblock};

use crate::harness::Case;
use crate::{empty_image, feed, output};

/// A name, the command, where `IMAGE` stands for the file to make the file system in, `OTHER` for a second one and
/// `SOURCES` for a directory with a file, and why it must not be mounted.
type Maker = (&'static str, &'static str, Option<&'static str>);

const FILE_SYSTEMS: &[Maker] = &[
    ("ext2", "mkfs.ext2 -q -L two IMAGE", None),
    ("ext3", "mkfs.ext3 -q -L three IMAGE", None),
    ("ext4", "mkfs.ext4 -q -L sixteen_letters. IMAGE", None),
    ("ext4_without_journal", "mkfs.ext4 -q -O ^has_journal IMAGE", None),
    (
        "ext4_with_all_features",
        "mkfs.ext4 -q -O 64bit,metadata_csum,inline_data,ea_inode,large_dir,quota,project,casefold,encrypt,mmp,bigalloc,verity IMAGE",
        None,
    ),
    ("ext4_of_small_blocks", "mkfs.ext4 -q -b 1024 IMAGE", None),
    ("jbd", "mke2fs -q -O journal_dev IMAGE", Some("it is an external journal, not a file system")),
    ("xfs", "mkfs.xfs -q -L label IMAGE", None),
    ("xfs_of_version_4", "mkfs.xfs -q -m crc=0 IMAGE", None),
    ("xfs_with_its_log_elsewhere", "mkfs.xfs -q -l logdev=OTHER IMAGE", Some("its log is on another device")),
    (
        "xfs_with_a_realtime_section",
        "mkfs.xfs -q -r rtdev=OTHER IMAGE",
        Some("its realtime section is on another device"),
    ),
    ("btrfs", "mkfs.btrfs -q -L a_longer_label IMAGE", None),
    ("btrfs_of_two_devices", "mkfs.btrfs -q IMAGE OTHER", Some("it is spread over 2 devices")),
    ("f2fs", "mkfs.f2fs -q -l label IMAGE", None),
    ("f2fs_of_two_devices", "mkfs.f2fs -q -c OTHER IMAGE", Some("it is spread over several devices")),
    ("nilfs2", "mkfs.nilfs2 -q -L label IMAGE", None),
    ("jfs", "mkfs.jfs -q -L label IMAGE", None),
    ("vfat_12", "mkfs.vfat -F 12 -n LABEL IMAGE", None),
    ("vfat_16", "mkfs.vfat -F 16 IMAGE", None),
    ("vfat_32", "mkfs.vfat -F 32 -n ELEVEN_CHAR IMAGE", None),
    ("exfat", "mkfs.exfat IMAGE", None),
    ("exfat_with_a_label", "mkfs.exfat -L eleven_lett IMAGE", None),
    ("exfat_of_large_clusters", "mkfs.exfat -c 1M -L label IMAGE", None),
    ("ntfs", "mkntfs -q -F -f IMAGE", None),
    ("ntfs_with_a_label", "mkntfs -q -F -f -L a_longer_label IMAGE", None),
    ("ntfs_of_large_clusters", "mkntfs -q -F -f -c 65536 -L label IMAGE", None),
    ("udf", "mkudffs IMAGE", None),
    ("udf_on_a_disc", "genisoimage -quiet -udf -V LABEL -o IMAGE SOURCES", None),
    ("iso9660", "genisoimage -quiet -V LABEL -o IMAGE SOURCES", None),
    ("squashfs", "mksquashfs SOURCES IMAGE -quiet -noappend -no-progress", None),
    ("erofs", "mkfs.erofs IMAGE SOURCES", None),
    ("swap", "mkswap -q -L label IMAGE", Some("it is swap space")),
    ("swap_of_large_pages", "mkswap -q -p 16384 IMAGE", Some("it is swap space")),
    ("luks1", "cryptsetup luksFormat -q --type luks1 --iter-time 1 IMAGE", ENCRYPTED),
    (
        "luks2",
        "cryptsetup luksFormat -q --type luks2 --label two --pbkdf pbkdf2 --pbkdf-force-iterations 1000 IMAGE",
        ENCRYPTED,
    ),
];

const ENCRYPTED: Option<&str> = Some("it is encrypted: open it on the host and give the opened device");

const RAID: Option<&str> = Some("it is a member of a RAID: give the assembled device");

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = FILE_SYSTEMS
        .iter()
        .map(|&(name, command, refusal)| {
            case(name, move |directory| {
                // FAT of 12 bits has room for no more than a few MiB; f2fs and xfs want many.
                let len = if name == "vfat_12" { 4 << 20 } else { 320 << 20 };
                make(directory, command, len);
                compare(directory, refusal);
            })
        })
        .collect();
    cases.push(case("ext4_with_its_journal_elsewhere", |directory| {
        // Only a block device would be taken, so that the superblock is told afterwards.
        make(directory, "mkfs.ext4 -q IMAGE", 320 << 20);
        let image = directory.join("disk.raw");
        output("debugfs", &["-w", "-R", "ssv journal_dev 0x801", image.to_str().unwrap()]);
        compare(directory, Some("its journal is on another device"));
    }));
    for (name, at, superblock) in [
        ("raid_1_2", 4096, raid_1(8)),
        ("raid_1_1", 0, raid_1(0)),
        ("raid_1_0", (320 << 20) - 8192, raid_1((320 << 11) - 16)),
        ("raid_0_90", (320 << 20) - 0x1_0000, raid_0_90(u32::to_le_bytes)),
        ("raid_0_90_of_another_machine", (320 << 20) - 0x1_0000, raid_0_90(u32::to_be_bytes)),
    ] {
        cases.push(case(name, move |directory| {
            // With what it holds, which may not be taken for the whole.
            make(directory, "mkfs.ext4 -q IMAGE", 320 << 20);
            let file = std::fs::File::options().write(true).open(directory.join("disk.raw")).unwrap();
            file.write_all_at(&superblock, at).unwrap();
            compare(directory, RAID);
        }));
    }
    cases
}

fn case(name: &str, run: impl FnOnce(&Path) + Send + 'static) -> Case {
    Case {
        name: format!("{name}_is_recognised_as_blkid_does"),
        needs_root: false,
        programs: &[],
        run: Box::new(move || run(tempfile::tempdir().unwrap().path())),
    }
}

fn make(directory: &Path, command: &str, len: u64) {
    let paths = ["disk.raw", "other.raw", "sources"].map(|name| directory.join(name).display().to_string());
    let [image, other, sources] = &paths;
    std::fs::create_dir(sources).unwrap();
    std::fs::write(format!("{sources}/file"), "content").unwrap();
    empty_image(image.as_ref(), len);
    empty_image(other.as_ref(), len);
    let command = command.replace("IMAGE", image).replace("OTHER", other).replace("SOURCES", sources);
    let words: Vec<&str> = command.split(' ').collect();
    feed(words[0], &words[1..], "passphrase");
}

fn compare(directory: &Path, refusal: Option<&str>) {
    let image = directory.join("disk.raw");
    let witness = output("blkid", &["-p", "-o", "export", image.to_str().unwrap()]);
    let field = |name: &str| {
        let value = witness.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        // In this format blkid escapes what a shell would take for its own.
        Some(value.replace('\\', ""))
    };
    let found = probe(&image);
    assert_eq!(Some(&found.kind), field("TYPE").as_ref(), "{witness}");
    // Where it has its label is deep inside.
    if found.kind != "udf" {
        assert_eq!(found.label, field("LABEL"), "{witness}");
        // The journal's own UUID is that of an external one.
        assert_eq!(found.uuid, field("UUID").or(field("LOGUUID")), "{witness}");
    }
    assert_eq!(found.refusal().as_deref(), refusal, "{witness}");
}

fn probe(image: &Path) -> Superblock {
    let opened = Image::open_unlocked(image).unwrap();
    fstype::probe(opened.reader(opened.range(0).unwrap()), 0).unwrap().unwrap()
}

/// A superblock of version 1, as `mdadm` writes it, but only on block devices.
fn raid_1(sector: u64) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
    bytes[4] = 1;
    bytes[16..32].copy_from_slice(&[7; 16]);
    bytes[32..41].copy_from_slice(b"host:data");
    bytes[144..152].copy_from_slice(&sector.to_le_bytes());
    bytes
}

/// One of version 0.90, of a machine with this order of bytes.
fn raid_0_90(in_order: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    // Size in KiB, and the four parts of the UUID.
    let words =
        [(0, 0xa92b_4efc), (8, 90), (28, 1), (32, 1000), (20, 1), (52, 0x0203_0405), (56, 6), (60, 7)];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&in_order(word));
    }
    bytes
}
