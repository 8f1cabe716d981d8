//! Tables that are odd but do not lie: read without what is odd, and with a note.

use std::io::Cursor;

use crate::corpus::extended;
use crate::disk::{Disk, Extent, GptHeader, gpt_entries};
use subhost_mount::{ByteRange, Error, PartitionTable, Result, Scheme};

fn read(disk: &Disk) -> Result<PartitionTable> {
    PartitionTable::read(Cursor::new(&disk.bytes), disk.bytes.len() as u64)
}

fn indexes(disk: &Disk) -> Vec<u32> {
    read(disk).unwrap().partitions.iter().map(|partition| partition.index).collect()
}

#[test]
fn mbr_partition_up_to_the_end_is_taken() {
    let disk = Disk::new(1000).record(0, 0, 0x83, 900, 100);
    assert_eq!(read(&disk).unwrap().find(1).unwrap(), ByteRange { start: 460_800, len: 51_200 });
}

#[test]
fn mbr_partition_without_sectors_is_left_out_and_noted() {
    let disk = Disk::new(1000).record(0, 0, 0x83, 10, 0).record(0, 1, 0x83, 20, 1);
    assert_eq!(indexes(&disk), [2]);
    assert_eq!(read(&disk).unwrap().notes, ["partition 1 is empty and left out"]);
}

#[test]
fn mbr_with_impossible_boot_flags_is_no_table() {
    let mut disk = Disk::new(1000).record(0, 0, 0x83, 10, 10);
    disk.bytes[446] = 0x55;
    assert_eq!(read(&disk).unwrap().scheme, Scheme::None);
}

#[test]
fn boot_sector_of_a_file_system_is_no_table() {
    for (at, name) in [(3, "NTFS    "), (54, "FAT16   "), (82, "FAT32   ")] {
        let mut disk = Disk::new(1000).record(0, 0, 0, 0, 0);
        disk.put(at, name.as_bytes());
        assert_eq!(read(&disk).unwrap().scheme, Scheme::None, "{name}");
    }
}

#[test]
fn chain_that_breaks_off_keeps_what_came_before() {
    let disk = extended(&[(0, 0x83, 1, 10), (1, 0x05, 50, 50)]);
    assert_eq!(indexes(&disk), [2, 5]);
    assert_eq!(read(&disk).unwrap().notes, ["the chain of logical partitions breaks off at byte 76800"]);
}

#[test]
fn extended_partition_that_is_empty_has_no_logical_ones() {
    let disk = Disk::new(1000).record(0, 0, 0x0f, 100, 800);
    assert_eq!(indexes(&disk), [1]);
    assert_eq!(read(&disk).unwrap().notes, [""; 0]);
    assert!(matches!(read(&disk).unwrap().find(1), Err(Error::ExtendedPartition { index: 1 })));
}

#[test]
fn garbage_in_the_last_entries_of_a_record_is_left_out() {
    let disk = extended(&[(0, 0x83, 1, 10), (2, 0x99, 0xdead_beef, 0xffff), (3, 0x11, 0xbeef, 0xdead)]);
    assert_eq!(indexes(&disk), [2, 5]);
    assert_eq!(read(&disk).unwrap().notes.len(), 2);
}

#[test]
fn gpt_with_a_damaged_primary_header_is_read_from_the_backup_and_says_so() {
    let disk = Disk::new(1000).gpt(&[Extent(40, 99)]).flip(512 + 57);
    let table = read(&disk).unwrap();
    assert_eq!(table.find(1).unwrap(), ByteRange { start: 20_480, len: 30_720 });
    assert_eq!(
        table.notes,
        ["the primary GPT is damaged (the checksum of its header is wrong): the backup is used"]
    );
    assert!(table.from_backup);
}

#[test]
fn gpt_with_damaged_primary_entries_is_read_from_the_backup_and_says_so() {
    let disk = Disk::new(1000).gpt(&[Extent(40, 99)]).flip(1024 + 32);
    let table = read(&disk).unwrap();
    assert_eq!(table.find(1).unwrap(), ByteRange { start: 20_480, len: 30_720 });
    assert!(table.notes[0].contains("the checksum of its entries is wrong"), "{:?}", table.notes);
}

#[test]
fn gpt_with_a_damaged_backup_is_read_and_noted() {
    let disk = Disk::new(1000).gpt(&[Extent(40, 99)]).flip(999 * 512 + 57);
    let table = read(&disk).unwrap();
    assert_eq!(table.partitions.len(), 1);
    assert_eq!(table.notes, ["the backup GPT is damaged: the checksum of its header is wrong"]);
}

#[test]
fn gpt_whose_backup_says_otherwise_is_read_from_the_primary_and_noted() {
    let other = gpt_entries(&[Extent(40, 899)]);
    let header = GptHeader {
        own: 999,
        alternate: 1,
        first_usable: 34,
        last_usable: 966,
        array_at: 967,
        count: 128,
        entry_size: 128,
        header_size: 92,
    };
    let disk = Disk::new(1000).gpt(&[Extent(40, 99)]).gpt_half(&header, &other);
    let table = read(&disk).unwrap();
    assert_eq!(table.find(1).unwrap().len, 30_720);
    assert_eq!(table.notes, ["the backup GPT differs from the primary, which is used"]);
}

#[test]
fn gpt_of_larger_entries_is_read_and_noted() {
    let small = gpt_entries(&[Extent(40, 99), Extent(100, 899)]);
    let large: Vec<u8> =
        small.chunks(128).take(64).flat_map(|entry| [entry, &[0xff; 128]].concat()).collect();
    let header = GptHeader {
        own: 1,
        alternate: 999,
        first_usable: 34,
        last_usable: 966,
        array_at: 2,
        count: 64,
        entry_size: 256,
        header_size: 92,
    };
    let backup = GptHeader { own: 999, alternate: 1, array_at: 967, ..header };
    let disk = Disk::new(1000).gpt(&[]).gpt_half(&header, &large).gpt_half(&backup, &large);
    let table = read(&disk).unwrap();
    assert_eq!(table.find(2).unwrap().len, 800 * 512);
    assert_eq!(
        table.notes,
        ["its GPT has entries of 256 bytes: UEFI and sfdisk take them, Linux itself does not"]
    );
}

#[test]
fn gpt_of_an_image_that_grew_is_read_and_noted() {
    let mut disk = Disk::new(1000).gpt(&[Extent(40, 99)]);
    disk.bytes.resize(2000 * 512, 0);
    let table = read(&disk).unwrap();
    assert_eq!(table.partitions.len(), 1);
    assert_eq!(
        table.notes,
        ["the backup GPT is not at the end of the image: the image has changed its size"]
    );
}

#[test]
fn gpt_of_a_hybrid_is_read_and_noted() {
    let disk = Disk::new(1000).gpt(&[Extent(40, 99)]).record(0, 1, 0x83, 40, 60);
    let table = read(&disk).unwrap();
    assert_eq!((table.scheme, table.partitions.len()), (Scheme::Gpt, 1));
    assert_eq!(table.notes, ["the MBR is a hybrid: its own partitions are left out, as Linux does"]);
}

#[test]
fn gpt_without_a_protective_mbr_does_not_count() {
    let mut disk = Disk::new(1000).gpt(&[Extent(40, 99)]);
    disk.bytes[..512].fill(0);
    assert_eq!(read(&disk).unwrap().scheme, Scheme::None);
    let disk = Disk::new(1000).gpt(&[Extent(40, 99)]).record(0, 0, 0x83, 40, 10);
    assert_eq!(read(&disk).unwrap().scheme, Scheme::Mbr);
}

#[test]
fn protection_that_does_not_begin_at_sector_1_leaves_no_partition() {
    let disk = Disk::new(1000).record(0, 0, 0x83, 10, 10).record(0, 2, 0xee, 2, 900);
    let table = read(&disk).unwrap();
    assert_eq!((table.scheme, table.partitions.len()), (Scheme::None, 0));
    assert_eq!(
        table.notes,
        ["entry 3 of the MBR protects a GPT, but not from sector 1 on: as in Linux, there is no partition"]
    );
}

#[test]
fn gpt_with_sectors_of_4096_bytes_is_found_by_its_place() {
    let disk = Disk::with_sectors_of(4096, 1000).gpt(&[Extent(40, 99)]);
    let table = read(&disk).unwrap();
    assert_eq!(table.sector_size, 4096);
    assert_eq!(table.find(1).unwrap(), ByteRange { start: 163_840, len: 245_760 });
    let disk = disk.flip(4096 + 57);
    let table = read(&disk).unwrap();
    assert_eq!((table.sector_size, table.partitions.len(), table.notes.len()), (4096, 1, 1));
}

#[test]
fn mbr_with_sectors_of_4096_bytes_is_read_when_told() {
    let disk = Disk::with_sectors_of(4096, 100).record(0, 0, 0x83, 10, 20);
    let len = disk.bytes.len() as u64;
    let table = PartitionTable::read_with_sector_size(Cursor::new(&disk.bytes), len, 4096).unwrap();
    assert_eq!(table.find(1).unwrap(), ByteRange { start: 40_960, len: 81_920 });
}
