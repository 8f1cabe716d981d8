//! Partitions chosen by what they are called.

use std::io::Cursor;

use subhost_mount::fstype;
use subhost_mount::partition::{Selected, Selector};
use subhost_mount::{ByteRange, Error, PartitionTable};

use crate::corpus::extended;
use crate::disk::{Disk, Extent};

fn select(disk: &Disk, selector: &str) -> Result<Selected, Error> {
    let len = disk.bytes.len() as u64;
    let table = PartitionTable::read(Cursor::new(&disk.bytes), len).unwrap();
    table.select(&selector.parse().unwrap(), |range| {
        let at = usize::try_from(range.start).unwrap();
        let until = usize::try_from(range.end().unwrap()).unwrap();
        fstype::probe(Cursor::new(&disk.bytes[at..until]), 0)
    })
}

fn index(disk: &Disk, selector: &str) -> u32 {
    select(disk, selector).unwrap().index
}

fn complaint(disk: &Disk, selector: &str) -> String {
    select(disk, selector).unwrap_err().to_string()
}

/// An ext4 with this label and a UUID of the same byte throughout.
fn ext4(mut disk: Disk, sector: usize, label: &str, uuid: u8) -> Disk {
    let at = sector * 512 + 1024;
    disk.put(at + 0x38, &[0x53, 0xef]);
    disk.put(at + 0x60, &[0x42]);
    disk.put(at + 0x68, &[uuid; 16]);
    disk.put(at + 0x78, label.as_bytes());
    disk
}

fn rename(mut disk: Disk, partition: usize, name: &str, kind: [u8; 16]) -> Disk {
    // The entries are in sector 2 and in 32 sectors before the last, as `Disk::gpt` makes them.
    let last = disk.bytes.len() / 512 - 1;
    let mut entries = disk.bytes[1024..1024 + 128 * 128].to_vec();
    let entry = &mut entries[(partition - 1) * 128..partition * 128];
    entry[..16].copy_from_slice(&kind);
    entry[56..].fill(0);
    for (place, unit) in entry[56..].chunks_exact_mut(2).zip(name.encode_utf16()) {
        place.copy_from_slice(&unit.to_le_bytes());
    }
    disk.put(1024, &entries);
    disk.put((last - 32) * 512, &entries);
    for header in [1, last] {
        let sum = crc32fast::hash(&entries);
        disk.put(header * 512 + 88, &sum.to_le_bytes());
        disk.put(header * 512 + 16, &[0; 4]);
        let sum = crc32fast::hash(&disk.bytes[header * 512..header * 512 + 92]);
        disk.put(header * 512 + 16, &sum.to_le_bytes());
    }
    disk
}

/// Home, and root of two architectures, the first of which is x86-64.
const HOME: [u8; 16] =
    [0xe1, 0xc7, 0x3a, 0x93, 0xb4, 0x2e, 0x13, 0x4f, 0xb8, 0x44, 0x0e, 0x14, 0xe2, 0xae, 0xf9, 0x15];
const ROOT_X86_64: [u8; 16] =
    [0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09];
const ROOT_ARM64: [u8; 16] =
    [0x45, 0xb0, 0x21, 0xb9, 0xf0, 0x1d, 0xc3, 0x41, 0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae];

fn gpt() -> Disk {
    let disk = Disk::new(1000).gpt(&[Extent(40, 99), Extent(100, 199), Extent(200, 299), Extent(300, 399)]);
    let disk = rename(disk, 1, "first", ROOT_X86_64);
    let disk = rename(disk, 2, "second", HOME);
    let disk = rename(disk, 3, "twice", ROOT_ARM64);
    let disk = rename(disk, 4, "twice", [4; 16]);
    let disk = ext4(disk, 40, "one", 0xaa);
    let disk = ext4(disk, 100, "two", 0xbb);
    let disk = ext4(disk, 200, "same", 0xcc);
    ext4(disk, 300, "same", 0xcc)
}

#[test]
fn a_gpt_is_chosen_from_by_all_that_its_partitions_are_called() {
    let disk = gpt();
    let range = ByteRange { start: 51_200, len: 51_200 };
    for selector in [
        "2",
        "LABEL=two",
        "UUID=bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb",
        "UUID=BBBBBBBB-BBBB-BBBB-BBBB-BBBBBBBBBBBB",
        "PARTLABEL=second",
        "PARTUUID=02020202-0202-0202-0202-020202020202",
        "PARTTYPE=home",
        "PARTTYPE=933ac7e1-2eb4-4f13-b844-0e14e2aef915",
    ] {
        assert_eq!(select(&disk, selector).unwrap(), Selected { index: 2, range }, "{selector}");
    }
    assert_eq!(index(&disk, "PARTTYPE=root-x86-64"), 1);
    assert_eq!(index(&disk, "PARTTYPE=root-arm64"), 3);
    #[cfg(target_arch = "x86_64")]
    assert_eq!(index(&disk, "PARTTYPE=root"), 1);
    #[cfg(target_arch = "aarch64")]
    assert_eq!(index(&disk, "PARTTYPE=root"), 3);
}

#[test]
fn an_mbr_is_chosen_from_and_its_extended_partition_is_not() {
    let mut disk = extended(&[(0, 0x83, 10, 20), (1, 0x05, 100, 100)]).record(200, 0, 0x07, 10, 20);
    disk.put(440, &[0x0d, 0x0c, 0x0b, 0x0a]);
    // What looks like a file system where the extended partition is.
    let disk = ext4(ext4(disk, 110, "logical", 1), 102, "extended", 2);
    assert_eq!(index(&disk, "LABEL=logical"), 5);
    assert_eq!(index(&disk, "PARTUUID=0a0b0c0d-06"), 6);
    assert_eq!(index(&disk, "PARTTYPE=7"), 6);
    assert!(matches!(select(&disk, "PARTTYPE=5"), Err(Error::NotSelected { .. })));
    assert!(matches!(select(&disk, "PARTUUID=0a0b0c0d-02"), Err(Error::NotSelected { .. })));
    assert!(matches!(select(&disk, "2"), Err(Error::ExtendedPartition { index: 2 })));
}

#[test]
fn a_bare_file_system_is_chosen_by_its_label() {
    let disk = ext4(Disk::new(100), 0, "bare", 3);
    let whole = Selected { index: 0, range: ByteRange { start: 0, len: 51_200 } };
    assert_eq!(select(&disk, "LABEL=bare").unwrap(), whole);
    assert_eq!(select(&disk, "0").unwrap(), whole);
    assert_eq!(complaint(&disk, "PARTLABEL=bare"), "no partition has PARTLABEL=bare");
}

#[test]
fn what_is_missing_is_said_with_what_is_there() {
    let disk = gpt();
    assert_eq!(
        complaint(&disk, "LABEL=three"),
        "no partition has LABEL=three; there are one, two, same, same"
    );
    let disk = rename(disk, 1, "\u{1b}[2J", ROOT_ARM64);
    assert_eq!(
        complaint(&disk, "PARTLABEL=first"),
        "no partition has PARTLABEL=first; there are \\u{1b}[2J, second, twice, twice"
    );
    assert_eq!(complaint(&disk, "7"), "no partition 7: there are 1, 2, 3, 4; 0 means the whole image");
}

#[test]
fn what_is_there_twice_is_not_guessed() {
    let disk = gpt();
    for selector in ["LABEL=same", "UUID=cccccccc-cccc-cccc-cccc-cccccccccccc", "PARTLABEL=twice"] {
        assert_eq!(complaint(&disk, selector), format!("more than one partition has {selector}: 3, 4"));
    }
}

#[test]
fn a_text_is_a_selector_or_refused() {
    for text in ["0", "5", "LABEL=a=b", "UUID=1", "PARTLABEL= ", "PARTUUID=x", "PARTTYPE=root"] {
        assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
    }
    for text in ["", "+1", "-1", "1 ", "4294967296", "LABEL=", "label=a", "NAME=a", "=a", "data\u{7}"] {
        assert!(text.parse::<Selector>().is_err(), "{text}");
    }
}
