//! Tables that lie, and what each is told. The fuzz target begins with them too.

use crate::disk::{Disk, Extent, GptHeader, gpt_entries};

/// A table that lies.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    pub(crate) disk: Disk,
    /// How long the image is, where it is longer than its bytes: zeros follow.
    pub(crate) len_bytes: Option<u64>,
    /// What it is refused with.
    pub(crate) says: &'static str,
}

impl Hostile {
    pub(crate) fn len_bytes(&self) -> u64 {
        self.len_bytes.unwrap_or(self.disk.bytes.len() as u64)
    }
}

/// All of them.
pub(crate) fn corpus() -> Vec<Hostile> {
    let mut all = Vec::new();
    for part in [mbr(), chains(), logical(), headers(), gpt_partitions(), gpt_places()] {
        all.extend(part.into_iter().map(|(name, disk, says)| Hostile { name, disk, len_bytes: None, says }));
    }
    all.extend(long());
    all
}

type Case = (&'static str, Disk, &'static str);

fn blank() -> Disk {
    Disk::new(1000)
}

fn mbr() -> Vec<Case> {
    vec![
        (
            "mbr_beyond_the_end",
            blank().record(0, 0, 0x83, 900, 101),
            "partition 1 ends at byte 512512, beyond the end of the image at 512000",
        ),
        (
            "mbr_begins_at_the_end",
            blank().record(0, 1, 0x83, 1000, 1),
            "partition 2 ends at byte 512512, beyond the end of the image at 512000",
        ),
        (
            "mbr_of_two_tebibytes",
            blank().record(0, 3, 0x83, u32::MAX, u32::MAX),
            "partition 4 ends at byte 4398046510080, beyond the end of the image at 512000",
        ),
        (
            "mbr_whose_sum_wraps_in_32_bits",
            blank().record(0, 0, 0x83, u32::MAX - 9, 20),
            "partition 1 ends at byte 2199023260672, beyond the end of the image at 512000",
        ),
        (
            "mbr_on_a_cut_image",
            Disk::new(500).record(0, 0, 0x83, 10, 100).record(0, 1, 0x83, 200, 400),
            "partition 2 ends at byte 307200, beyond the end of the image at 256000",
        ),
        (
            "mbr_of_an_image_of_one_sector",
            Disk::new(1).record(0, 0, 0x83, 1, 1),
            "partition 1 ends at byte 1024, beyond the end of the image at 512",
        ),
        (
            "mbr_half_a_sector_short",
            short(blank().record(0, 0, 0x83, 900, 100), 256),
            "partition 1 ends at byte 512000, beyond the end of the image at 511744",
        ),
        (
            "mbr_overlap_at_the_end",
            blank().record(0, 0, 0x83, 500, 100).record(0, 1, 0x83, 450, 51),
            "partitions 2 and 1 overlap",
        ),
        (
            "mbr_one_inside_another",
            blank().record(0, 0, 0x83, 100, 800).record(0, 1, 0x83, 200, 1),
            "partitions 1 and 2 overlap",
        ),
        (
            "mbr_two_the_same",
            blank().record(0, 2, 0x83, 100, 8).record(0, 3, 0x83, 100, 8),
            "partitions 3 and 4 overlap",
        ),
        (
            "mbr_all_four_the_same",
            (0..4).fold(blank(), |disk, slot| disk.record(0, slot, 0x83, 1, 999)),
            "partitions 1 and 2 overlap",
        ),
        (
            "mbr_over_itself",
            blank().record(0, 0, 0x83, 0, 100),
            "partition 1 covers the partition table at byte 0",
        ),
        (
            "mbr_extended_over_a_primary",
            blank().record(0, 0, 0x83, 100, 100).record(0, 1, 0x05, 150, 100),
            "partitions 1 and 2 overlap",
        ),
        (
            "mbr_two_extended",
            blank().record(0, 0, 0x05, 100, 100).record(0, 1, 0x85, 300, 100),
            "more than one extended partition",
        ),
        (
            "mbr_extended_beyond_the_end",
            blank().record(0, 0, 0x05, 1_000_000, 800),
            "partition 1 ends at byte 512409600, beyond the end of the image at 512000",
        ),
        (
            "mbr_extended_over_the_table",
            blank().record(0, 0, 0x05, 0, 800),
            "the chain of extended boot records loops at byte 0",
        ),
    ]
}

/// An extended partition from sector 100 to 900 of 1000, whose first record has the entries given.
pub(crate) fn extended(entries: &[(usize, u8, u32, u32)]) -> Disk {
    let disk = blank().record(0, 1, 0x05, 100, 800);
    entries.iter().fold(disk, |disk, &(slot, code, start, count)| disk.record(100, slot, code, start, count))
}

fn chains() -> Vec<Case> {
    let mut long = extended(&[(1, 0x05, 1, 1)]);
    for step in 0..700_u32 {
        long = long.record(100 + step as usize, 1, 0x05, step + 1, 1);
    }
    // Three partitions in each of 100 records, and the link behind them.
    let mut many = Disk::new(4000).record(0, 1, 0x05, 100, 3800);
    for step in 0..100_u32 {
        let (record, place) = (100 + 20 * step as usize, 20 * (step + 1));
        many = (0..3).fold(many, |disk, slot| disk.record(record, slot as usize, 0x83, 1 + slot, 1));
        many = many.record(record, 3, 0x05, place, 20);
    }
    vec![
        (
            "chain_to_itself",
            extended(&[(0, 0x83, 1, 10), (1, 0x05, 0, 100)]),
            "the chain of extended boot records loops at byte 51200",
        ),
        (
            "chain_that_comes_back",
            extended(&[(0, 0x83, 1, 10), (1, 0x05, 50, 50)])
                .record(150, 0, 0x83, 1, 10)
                .record(150, 1, 0x05, 100, 50)
                .record(200, 1, 0x05, 50, 50),
            "the chain of extended boot records loops at byte 76800",
        ),
        (
            "chain_back_and_forth",
            extended(&[(1, 0x0f, 50, 50)]).record(150, 1, 0x85, 0, 50),
            "the chain of extended boot records loops at byte 51200",
        ),
        ("chain_without_end", long, "the chain of extended boot records is longer than 128"),
        ("chain_of_too_many", many, "more than 256 partitions"),
        (
            "chain_out_of_the_extended",
            extended(&[(1, 0x05, 800, 10)]),
            "the chain of extended boot records leaves the extended partition, to byte 460800",
        ),
        (
            "chain_far_away",
            extended(&[(1, 0x05, u32::MAX, 10)]),
            "the chain of extended boot records leaves the extended partition, to byte 2199023306240",
        ),
        (
            "chain_by_the_last_entry",
            extended(&[(3, 0x05, 900, 1)]),
            "the chain of extended boot records leaves the extended partition, to byte 512000",
        ),
    ]
}

fn logical() -> Vec<Case> {
    vec![
        (
            "logical_out_of_the_extended",
            extended(&[(0, 0x83, 1, 850)]),
            "logical partition 5 is not inside the extended partition",
        ),
        (
            "logical_over_a_primary",
            extended(&[(0, 0x83, 1, 820)]).record(0, 0, 0x83, 910, 10),
            "logical partition 5 is not inside the extended partition",
        ),
        (
            "logical_beyond_the_end",
            extended(&[(0, 0x83, u32::MAX, u32::MAX)]),
            "partition 5 ends at byte 4398046561280, beyond the end of the image at 512000",
        ),
        (
            "logical_over_its_own_record",
            extended(&[(0, 0x83, 0, 10)]),
            "partition 5 covers the partition table at byte 51200",
        ),
        (
            "logical_over_a_later_record",
            extended(&[(0, 0x83, 1, 60), (1, 0x05, 50, 50)]).record(150, 0, 0x83, 20, 10),
            "partition 5 covers the partition table at byte 76800",
        ),
        (
            "logical_over_an_earlier_record",
            extended(&[(0, 0x83, 700, 10), (1, 0x05, 50, 50)])
                .record(150, 0, 0x83, 200, 10)
                .record(150, 1, 0x05, 20, 100)
                .record(120, 0, 0x83, 10, 50),
            "partition 7 covers the partition table at byte 76800",
        ),
        (
            "logical_whose_place_would_wrap",
            extended(&[(0, 0x83, 1, 40), (1, 0x05, 50, 50)]).record(150, 0, 0x83, 4_294_967_270, 10),
            "partition 6 ends at byte 2199023324160, beyond the end of the image at 512000",
        ),
        (
            "logical_overlap_in_one_record",
            extended(&[(0, 0x83, 1, 40), (2, 0x83, 20, 40)]),
            "partitions 5 and 6 overlap",
        ),
        (
            "logical_overlap_of_two_records",
            extended(&[(0, 0x83, 60, 40), (1, 0x05, 50, 50)]).record(150, 0, 0x83, 1, 20),
            "partitions 6 and 5 overlap",
        ),
    ]
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
    let mut disk = blank().record(0, 0, 0xee, 1, 999);
    for (place, header) in [(1, header(1, 999, 2)), (999, header(999, 1, 967))] {
        disk.put(place * 512, &header.bytes(&entries));
    }
    disk.put(2 * 512, &entries);
    disk.put(967 * 512, &entries);
    disk
}

/// A GPT of one partition.
fn honest() -> Disk {
    blank().gpt(&[Extent(40, 99)])
}

fn headers() -> Vec<Case> {
    vec![
        (
            "gpt_without_headers",
            blank().record(0, 0, 0xee, 1, 999),
            "no GPT to trust: primary: there is no header; backup: there is no header",
        ),
        (
            "gpt_of_one_sector",
            Disk::new(1).record(0, 0, 0xee, 1, 1),
            "no GPT to trust: primary: there is no header; backup: there is no header",
        ),
        (
            "gpt_with_both_sums_wrong",
            honest().flip(512 + 57).flip(999 * 512 + 57),
            "no GPT to trust: primary: the checksum of its header is wrong; backup: the checksum of its header is wrong",
        ),
        (
            "gpt_with_entries_and_header_damaged",
            honest().flip(1024 + 32).flip(999 * 512 + 57),
            "no GPT to trust: primary: the checksum of its entries is wrong; backup: the checksum of its header is wrong",
        ),
        (
            "gpt_with_both_entries_damaged",
            honest().flip(1024 + 32).flip(967 * 512 + 32),
            "no GPT to trust: primary: the checksum of its entries is wrong; backup: the checksum of its entries is wrong",
        ),
        (
            "gpt_on_a_cut_image",
            Disk { bytes: honest().bytes[..500 * 512].to_vec(), sector_size: 512 },
            "no GPT to trust: primary: its last usable sector is 966, and the image has 500 sectors; backup: there is no header",
        ),
        (
            "gpt_cut_in_its_entries",
            Disk { bytes: honest().bytes[..1300].to_vec(), sector_size: 512 },
            "no GPT to trust: primary: its last usable sector is 966, and the image has 2 sectors; backup: its last usable sector is 966, and the image has 2 sectors",
        ),
        (
            "gpt_of_another_sector",
            lying_gpt(|header| header.own = 7),
            "no GPT to trust: primary: its header is in sector 1 and says 7; backup: its header is in sector 999 and says 7",
        ),
        (
            "gpt_of_no_sector",
            lying_gpt(|header| header.own = u64::MAX),
            "no GPT to trust: primary: its header is in sector 1 and says 18446744073709551615; backup: its header is in sector 999 and says 18446744073709551615",
        ),
        both("gpt_entries_of_no_bytes", |it| it.entry_size = 0, "its entries have 0 bytes each"),
        both("gpt_entries_too_small", |it| it.entry_size = 64, "its entries have 64 bytes each"),
        both("gpt_entries_of_an_odd_size", |it| it.entry_size = 136, "its entries have 136 bytes each"),
        both("gpt_entries_too_large", |it| it.entry_size = 8192, "its entries have 8192 bytes each"),
        both("gpt_entries_of_4_gib", |it| it.entry_size = u32::MAX, "its entries have 4294967295 bytes each"),
        both(
            "gpt_of_four_billion_entries",
            |it| it.count = u32::MAX,
            "it says that it has 4294967295 entries of 128 bytes",
        ),
        both(
            "gpt_whose_size_overflows_32_bits",
            |it| (it.count, it.entry_size) = (1 << 21, 4096),
            "it says that it has 2097152 entries of 4096 bytes",
        ),
        both(
            "gpt_of_one_entry_too_many",
            |it| it.count = 8193,
            "it says that it has 8193 entries of 128 bytes",
        ),
        both(
            "gpt_entries_at_the_end_of_all_numbers",
            |it| it.array_at = u64::MAX,
            "its entries are beyond the end of the image",
        ),
        both(
            "gpt_entries_whose_place_wraps",
            |it| it.array_at = (1 << 55) + 2,
            "its entries are beyond the end of the image",
        ),
        both(
            "gpt_entries_beyond_the_end",
            |it| it.array_at = 1000,
            "its entries are beyond the end of the image",
        ),
        both("gpt_entries_over_the_mbr", |it| it.array_at = 0, "its entries lie over sector 0"),
        both("gpt_entries_over_the_primary_header", |it| it.array_at = 1, "its entries lie over sector 1"),
        both("gpt_entries_over_the_backup_header", |it| it.array_at = 968, "its entries lie over sector 999"),
        both(
            "gpt_usable_sectors_reversed",
            |it| (it.first_usable, it.last_usable) = (900, 800),
            "its usable sectors run from 900 to 800",
        ),
        both(
            "gpt_usable_sectors_beyond_the_end",
            |it| it.last_usable = 1000,
            "its last usable sector is 1000, and the image has 1000 sectors",
        ),
        both(
            "gpt_usable_sectors_without_end",
            |it| it.last_usable = u64::MAX,
            "its last usable sector is 18446744073709551615, and the image has 1000 sectors",
        ),
        both("gpt_header_too_small", |it| it.header_size = 91, "its header says that it has 91 bytes"),
        both(
            "gpt_header_larger_than_a_sector",
            |it| it.header_size = 513,
            "its header says that it has 513 bytes",
        ),
        both(
            "gpt_header_of_4_gib",
            |it| it.header_size = u32::MAX,
            "its header says that it has 4294967295 bytes",
        ),
    ]
}

/// A lie that both headers tell.
fn both(name: &'static str, lie: fn(&mut GptHeader), complaint: &str) -> Case {
    // A test's words may stay.
    let says = format!("no GPT to trust: primary: {complaint}; backup: {complaint}").leak();
    (name, lying_gpt(lie), says)
}

fn gpt_partitions() -> Vec<Case> {
    let of = |extents: &[Extent]| blank().gpt(extents);
    vec![
        (
            "gpt_in_the_backup's_entries",
            of(&[Extent(40, 967)]),
            "partition 1 ends at byte 495616, beyond the end of the image at 495104",
        ),
        (
            "gpt_beyond_the_end",
            of(&[Extent(40, 1_000_000)]),
            "partition 1 ends at byte 512000512, beyond the end of the image at 495104",
        ),
        (
            "gpt_begins_beyond_the_end",
            of(&[Extent(40, 50), Extent(5000, 5000)]),
            "partition 2 ends at byte 2560512, beyond the end of the image at 495104",
        ),
        (
            "gpt_to_the_end_of_all_numbers",
            of(&[Extent(40, u64::MAX)]),
            "partition 1 ends at byte 18446744073709551615, beyond the end of the image at 495104",
        ),
        (
            "gpt_all_numbers",
            of(&[Extent(0, u64::MAX)]),
            "partition 1 ends at byte 18446744073709551615, beyond the end of the image at 495104",
        ),
        (
            "gpt_whose_bytes_wrap",
            of(&[Extent(40, (1 << 55) + 50)]),
            "partition 1 ends at byte 18446744073709551615, beyond the end of the image at 495104",
        ),
        ("gpt_reversed", of(&[Extent(40, 50), Extent(100, 99)]), "partition 2 ends before it starts"),
        ("gpt_from_the_last_number", of(&[Extent(u64::MAX, 0)]), "partition 1 ends before it starts"),
        ("gpt_that_share_a_sector", of(&[Extent(40, 99), Extent(99, 120)]), "partitions 1 and 2 overlap"),
        ("gpt_one_inside_another", of(&[Extent(200, 210), Extent(100, 300)]), "partitions 2 and 1 overlap"),
        ("gpt_over_the_mbr", of(&[Extent(0, 60)]), "partition 1 covers the partition table at byte 512"),
        ("gpt_over_its_header", of(&[Extent(1, 60)]), "partition 1 covers the partition table at byte 512"),
        (
            "gpt_over_its_entries",
            of(&[Extent(33, 60)]),
            "partition 1 covers the partition table at byte 1024",
        ),
        ("gpt_more_than_linux_numbers", crowded(), "more than 256 partitions"),
    ]
}

fn crowded() -> Disk {
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
    blank().record(0, 0, 0xee, 1, 999).gpt_half(&header, &entries)
}

/// What may not be covered is also where the other copy is.
fn gpt_places() -> Vec<Case> {
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
    let disk = blank().record(0, 0, 0xee, 1, 999).gpt_half(&header(1, 999, 2), &entries);
    let both = disk.clone().gpt_half(&header(999, 1, 967), &entries);
    // From the backup, which says that the place of the primary may be used.
    let low = gpt_entries(&[Extent(1, 50)]);
    let backup = blank().record(0, 0, 0xee, 1, 999).gpt_half(&header(999, 1, 967), &low);
    let large = Disk::with_sectors_of(4096, 100).gpt(&[Extent(40, 60), Extent(50, 70)]);
    vec![
        ("gpt_over_the_backup's_entries", both, "partition 1 covers the partition table at byte 495104"),
        ("gpt_of_the_backup_over_the_primary", backup, "partition 1 covers the partition table at byte 512"),
        ("gpt_overlap_of_large_sectors", large, "partitions 1 and 2 overlap"),
    ]
}

/// Images of many bytes, of which nearly all are zeros.
fn long() -> Vec<Hostile> {
    let beginning = |disk: Disk| Disk { bytes: disk.bytes[..40 * 512].to_vec(), sector_size: 512 };
    // The largest count that is taken, all of it to be read, of both copies in both sizes of sectors.
    let mut most = blank().record(0, 0, 0xee, 1, u32::MAX);
    let header = GptHeader {
        own: 1,
        alternate: (1 << 30) - 1,
        first_usable: 4096,
        last_usable: (1 << 30) - 4096,
        array_at: 1024,
        count: 8192,
        entry_size: 128,
        header_size: 92,
    };
    most.put(512, &header.bytes(b"not what is there"));
    most.put(4096, &GptHeader { last_usable: 1 << 20, array_at: 77, ..header }.bytes(b"nor this"));
    vec![
        Hostile {
            name: "gpt_headers_that_make_all_be_read",
            disk: most,
            len_bytes: Some(1 << 39),
            says: "no GPT to trust: primary: the checksum of its entries is wrong; backup: there is no header",
        },
        Hostile {
            name: "gpt_beginning_of_a_small_disk_on_a_huge_one",
            disk: beginning(lying_gpt(|header| header.count = u32::MAX)),
            len_bytes: Some(i64::MAX as u64),
            says: "no GPT to trust: primary: it says that it has 4294967295 entries of 128 bytes; backup: there is no header",
        },
        Hostile {
            name: "mbr_chain_over_two_tebibytes",
            disk: Disk::new(1).record(0, 0, 0x0f, 1, u32::MAX),
            len_bytes: Some(1 << 40),
            says: "partition 1 ends at byte 2199023255552, beyond the end of the image at 1099511627776",
        },
    ]
}

fn short(mut disk: Disk, by: usize) -> Disk {
    disk.bytes.truncate(disk.bytes.len() - by);
    disk
}
