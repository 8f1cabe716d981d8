//! Tables that lie: each is refused with the right complaint, or read without the lie.

use std::io::Cursor;

use crate::disk::{Disk, Extent, GptHeader, gpt_entries};
use subhost_mount::{ByteRange, Error, PartitionTable, Result, Scheme, TableProblem};

fn read(disk: &Disk) -> Result<PartitionTable> {
    PartitionTable::read(Cursor::new(&disk.bytes), disk.bytes.len() as u64)
}

fn problem(disk: &Disk) -> TableProblem {
    match read(disk) {
        Err(Error::BadTable(problem)) => problem,
        other => panic!("not refused as a bad table: {other:?}"),
    }
}

fn indexes(disk: &Disk) -> Vec<u32> {
    read(disk).unwrap().partitions.iter().map(|partition| partition.index).collect()
}

/// An extended partition from sector 100 to 900 of 1000, whose first record has the entries given.
fn extended(entries: &[(usize, u8, u32, u32)]) -> Disk {
    let disk = Disk::new(1000).record(0, 1, 0x05, 100, 800);
    entries.iter().fold(disk, |disk, &(slot, code, start, count)| disk.record(100, slot, code, start, count))
}

/// Both copies with the same changes to their header; sums are right, so that only the lie is wrong.
fn lying_gpt(change: impl Fn(&mut GptHeader)) -> Disk {
    let entries = gpt_entries(&[Extent(40, 99)]);
    let header = |own, alternate, array_at| {
        let mut header = GptHeader {
            own,
            alternate,
            first_usable: 34,
            last_usable: 966,
            array_at,
            count: 128,
            entry_size: 128,
            header_size: 92,
        };
        change(&mut header);
        header
    };
    let mut disk = Disk::new(1000).record(0, 0, 0xee, 1, 999);
    for (place, header) in [(1, header(1, 999, 2)), (999, header(999, 1, 967))] {
        disk.put(place * 512, &header.bytes(&entries));
    }
    disk.put(2 * 512, &entries);
    disk.put(967 * 512, &entries);
    disk
}

#[test]
fn mbr_partition_beyond_the_end_is_refused() {
    let disk = Disk::new(1000).record(0, 0, 0x83, 900, 101);
    assert_eq!(problem(&disk), TableProblem::BeyondEnd { index: 1, end: 512_512, len_bytes: 512_000 });
}

#[test]
fn mbr_partition_up_to_the_end_is_taken() {
    let disk = Disk::new(1000).record(0, 0, 0x83, 900, 100);
    assert_eq!(read(&disk).unwrap().find(1).unwrap(), ByteRange { start: 460_800, len: 51_200 });
}

#[test]
fn mbr_partition_of_two_tebibytes_does_not_overflow() {
    let disk = Disk::new(1000).record(0, 3, 0x83, u32::MAX, u32::MAX);
    let end = 2 * u64::from(u32::MAX) * 512;
    assert_eq!(problem(&disk), TableProblem::BeyondEnd { index: 4, end, len_bytes: 512_000 });
}

#[test]
fn mbr_partitions_that_overlap_are_refused() {
    let disk = Disk::new(1000).record(0, 0, 0x83, 500, 100).record(0, 1, 0x83, 450, 51);
    assert_eq!(problem(&disk), TableProblem::Overlap { first: 2, second: 1 });
}

#[test]
fn mbr_partition_inside_another_is_refused() {
    let disk = Disk::new(1000).record(0, 0, 0x83, 100, 800).record(0, 1, 0x83, 200, 1);
    assert_eq!(problem(&disk), TableProblem::Overlap { first: 1, second: 2 });
}

#[test]
fn mbr_partition_over_the_table_is_refused() {
    let disk = Disk::new(1000).record(0, 0, 0x83, 0, 100);
    assert_eq!(problem(&disk), TableProblem::CoversTable { index: 1, at: 0 });
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
fn chain_that_links_to_itself_is_refused() {
    let disk = extended(&[(0, 0x83, 1, 10), (1, 0x05, 0, 100)]);
    assert_eq!(problem(&disk), TableProblem::ChainLoops { at: 51_200 });
}

#[test]
fn chain_that_comes_back_later_is_refused() {
    let disk = extended(&[(0, 0x83, 1, 10), (1, 0x05, 50, 50)])
        .record(150, 0, 0x83, 1, 10)
        .record(150, 1, 0x05, 100, 50)
        .record(200, 1, 0x05, 50, 50);
    assert_eq!(problem(&disk), TableProblem::ChainLoops { at: 76_800 });
}

#[test]
fn chain_that_is_absurdly_long_is_refused() {
    let mut disk = extended(&[(1, 0x05, 1, 1)]);
    for step in 1..700_u32 {
        disk = disk.record(100 + step as usize, 1, 0x05, step + 1, 1);
    }
    assert_eq!(problem(&disk), TableProblem::ChainTooLong { limit: 128 });
}

#[test]
fn chain_that_leaves_the_extended_partition_is_refused() {
    let disk = extended(&[(1, 0x05, 800, 10)]);
    assert_eq!(problem(&disk), TableProblem::ChainLeavesExtended { at: 460_800 });
    let disk = extended(&[(1, 0x05, u32::MAX, 10)]);
    assert!(matches!(problem(&disk), TableProblem::ChainLeavesExtended { .. }));
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
fn extended_partition_beyond_the_end_is_refused_before_it_is_followed() {
    let disk = Disk::new(1000).record(0, 0, 0x05, 1_000_000, 800);
    assert!(matches!(problem(&disk), TableProblem::BeyondEnd { index: 1, .. }));
}

#[test]
fn extended_partition_over_the_table_is_refused() {
    let disk = Disk::new(1000).record(0, 0, 0x05, 0, 800);
    assert!(matches!(problem(&disk), TableProblem::ChainLoops { .. } | TableProblem::CoversTable { .. }));
}

#[test]
fn two_extended_partitions_are_refused() {
    let disk = Disk::new(1000).record(0, 0, 0x05, 100, 100).record(0, 1, 0x85, 300, 100);
    assert_eq!(problem(&disk), TableProblem::TwoExtended);
}

#[test]
fn logical_partition_outside_of_the_extended_is_refused() {
    let disk = extended(&[(0, 0x83, 1, 850)]);
    assert_eq!(problem(&disk), TableProblem::OutsideExtended { index: 5 });
}

#[test]
fn logical_partition_beyond_the_end_is_refused() {
    let disk = extended(&[(0, 0x83, u32::MAX, u32::MAX)]);
    assert!(matches!(problem(&disk), TableProblem::BeyondEnd { index: 5, .. }));
}

#[test]
fn logical_partition_over_its_own_record_is_refused() {
    let disk = extended(&[(0, 0x83, 0, 10)]);
    assert_eq!(problem(&disk), TableProblem::CoversTable { index: 5, at: 51_200 });
}

#[test]
fn logical_partition_over_a_later_record_is_refused() {
    let disk = extended(&[(0, 0x83, 1, 60), (1, 0x05, 50, 50)]).record(150, 0, 0x83, 20, 10);
    assert_eq!(problem(&disk), TableProblem::CoversTable { index: 5, at: 76_800 });
}

#[test]
fn logical_partitions_that_overlap_are_refused() {
    let disk = extended(&[(0, 0x83, 1, 40), (1, 0x05, 50, 50)]).record(150, 0, 0x83, 4_294_967_270, 10);
    // Places are counted without wrapping, so that this one is simply far away.
    assert!(matches!(problem(&disk), TableProblem::BeyondEnd { index: 6, .. }));
    let disk = extended(&[(0, 0x83, 1, 40), (2, 0x83, 20, 40)]);
    assert_eq!(problem(&disk), TableProblem::Overlap { first: 5, second: 6 });
}

#[test]
fn garbage_in_the_last_entries_of_a_record_is_left_out() {
    let disk = extended(&[(0, 0x83, 1, 10), (2, 0x99, 0xdead_beef, 0xffff), (3, 0x11, 0xbeef, 0xdead)]);
    assert_eq!(indexes(&disk), [2, 5]);
    assert_eq!(read(&disk).unwrap().notes.len(), 2);
}

#[test]
fn gpt_without_its_headers_is_refused() {
    let disk = Disk::new(1000).record(0, 0, 0xee, 1, 999);
    let none = "there is no header".to_owned();
    assert_eq!(problem(&disk), TableProblem::BadGpt { primary: none.clone(), backup: none });
}

#[test]
fn gpt_on_an_image_of_one_sector_is_refused() {
    let disk = Disk::new(1).record(0, 0, 0xee, 1, 1);
    assert!(matches!(problem(&disk), TableProblem::BadGpt { .. }));
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
}

#[test]
fn gpt_with_damaged_primary_entries_is_read_from_the_backup_and_says_so() {
    let disk = Disk::new(1000).gpt(&[Extent(40, 99)]).flip(1024 + 32);
    let table = read(&disk).unwrap();
    assert_eq!(table.find(1).unwrap(), ByteRange { start: 20_480, len: 30_720 });
    assert!(table.notes[0].contains("the checksum of its entries is wrong"), "{:?}", table.notes);
}

#[test]
fn gpt_with_both_copies_damaged_is_refused() {
    let disk = Disk::new(1000).gpt(&[Extent(40, 99)]).flip(1024 + 32).flip(999 * 512 + 57);
    assert_eq!(
        problem(&disk),
        TableProblem::BadGpt {
            primary: "the checksum of its entries is wrong".to_owned(),
            backup: "the checksum of its header is wrong".to_owned(),
        }
    );
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
fn gpt_of_an_image_that_was_cut_is_refused() {
    let mut disk = Disk::new(1000).gpt(&[Extent(40, 99)]);
    disk.bytes.truncate(500 * 512);
    let TableProblem::BadGpt { primary, .. } = problem(&disk) else { panic!("another problem") };
    assert_eq!(primary, "its last usable sector is 966, and the image has 500 sectors");
}

#[test]
fn gpt_partition_beyond_the_usable_sectors_is_refused() {
    for last in [967, 1_000_000, u64::MAX - 1, u64::MAX] {
        let disk = Disk::new(1000).gpt(&[Extent(40, last)]);
        assert!(matches!(problem(&disk), TableProblem::BeyondEnd { index: 1, .. }), "{last}");
    }
}

#[test]
fn gpt_partition_that_ends_before_it_starts_is_refused() {
    let disk = Disk::new(1000).gpt(&[Extent(40, 50), Extent(100, 99)]);
    assert_eq!(problem(&disk), TableProblem::Reversed { index: 2 });
}

#[test]
fn gpt_partitions_that_share_a_sector_are_refused() {
    let disk = Disk::new(1000).gpt(&[Extent(40, 99), Extent(99, 120)]);
    assert_eq!(problem(&disk), TableProblem::Overlap { first: 1, second: 2 });
}

#[test]
fn gpt_partition_over_the_header_or_the_entries_is_refused() {
    for (first, at) in [(0, 512), (1, 512), (2, 1024), (33, 1024)] {
        let disk = Disk::new(1000).gpt(&[Extent(first, 60)]);
        assert_eq!(problem(&disk), TableProblem::CoversTable { index: 1, at }, "{first}");
    }
}

#[test]
fn gpt_partition_over_the_backup_is_refused() {
    let entries = gpt_entries(&[Extent(40, 980)]);
    let header = |own, alternate, array_at| GptHeader {
        own,
        alternate,
        first_usable: 34,
        last_usable: 999,
        array_at,
        count: 128,
        entry_size: 128,
        header_size: 92,
    };
    let disk = Disk::new(1000)
        .record(0, 0, 0xee, 1, 999)
        .gpt_half(&header(1, 999, 2), &entries)
        .gpt_half(&header(999, 1, 967), &entries);
    assert_eq!(problem(&disk), TableProblem::CoversTable { index: 1, at: 495_104 });
}

#[test]
fn gpt_headers_that_lie_are_refused() {
    type Lie = (&'static str, fn(&mut GptHeader));
    let lies: [Lie; 11] = [
        ("its entries have 0 bytes each", |header| header.entry_size = 0),
        ("its entries have 64 bytes each", |header| header.entry_size = 64),
        ("its entries have 136 bytes each", |header| header.entry_size = 136),
        ("its entries have 4294967295 bytes each", |header| header.entry_size = u32::MAX),
        ("it says that it has 4294967295 entries of 128 bytes", |header| header.count = u32::MAX),
        ("it says that it has 8193 entries of 128 bytes", |header| header.count = 8193),
        ("its entries are beyond the end of the image", |header| header.array_at = u64::MAX),
        ("its entries are beyond the end of the image", |header| header.array_at = 990),
        ("its usable sectors run from 900 to 800", |header| {
            header.first_usable = 900;
            header.last_usable = 800;
        }),
        ("its header says that it has 91 bytes", |header| header.header_size = 91),
        ("its header says that it has 4294967295 bytes", |header| header.header_size = u32::MAX),
    ];
    for (complaint, lie) in lies {
        let disk = lying_gpt(lie);
        let expected = TableProblem::BadGpt { primary: complaint.to_owned(), backup: complaint.to_owned() };
        assert_eq!(problem(&disk), expected);
    }
}

#[test]
fn gpt_header_of_another_sector_is_refused() {
    let TableProblem::BadGpt { primary, backup } = problem(&lying_gpt(|header| header.own = 7)) else {
        panic!("another problem")
    };
    assert_eq!(primary, "its header is in sector 1 and says 7");
    assert_eq!(backup, "its header is in sector 999 and says 7");
}

#[test]
fn gpt_with_more_partitions_than_linux_numbers_is_refused() {
    let mut entries = vec![0; 300 * 128];
    for (sector, entry) in (400_u64..).zip(entries.chunks_exact_mut(128)) {
        entry[..16].fill(0x83);
        entry[32..40].copy_from_slice(&sector.to_le_bytes());
        entry[40..48].copy_from_slice(&sector.to_le_bytes());
    }
    let header = GptHeader {
        own: 1,
        alternate: 999,
        first_usable: 100,
        last_usable: 900,
        array_at: 2,
        count: 300,
        entry_size: 128,
        header_size: 92,
    };
    let disk = Disk::new(1000).record(0, 0, 0xee, 1, 999).gpt_half(&header, &entries);
    assert_eq!(problem(&disk), TableProblem::TooManyPartitions { limit: 256 });
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
