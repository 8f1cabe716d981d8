//! What holds of every table, whatever bytes it is made of.

use std::io::Cursor;

use crate::disk::{Disk, Extent};
use proptest::collection::vec;
use proptest::prelude::*;
use subhost_mount::{PartitionTable, fstype};

const SECTORS: usize = 300;

/// Reading does not panic, and whatever is given out lies inside the image, is disjoint, and leaves the first
/// sector alone.
fn holds(bytes: &[u8]) {
    let len = bytes.len() as u64;
    for read in [
        PartitionTable::read(Cursor::new(bytes), len),
        PartitionTable::read_with_sector_size(Cursor::new(bytes), len, 4096),
    ] {
        let Ok(table) = read else { continue };
        let mut ranges = Vec::new();
        for partition in &table.partitions {
            let Ok(range) = table.find(partition.index) else { continue };
            assert!(range.start >= 512 && range.end().is_some_and(|end| end <= len), "{table:?}");
            ranges.push(range);
        }
        ranges.sort_by_key(|range| range.start);
        assert!(ranges.windows(2).all(|pair| pair[0].end() <= Some(pair[1].start)), "{table:?}");
    }
}

fn honest_disks() -> Vec<Disk> {
    let mbr = Disk::new(SECTORS)
        .record(0, 0, 0x83, 10, 40)
        .record(0, 1, 0x05, 60, 200)
        .record(60, 0, 0x83, 2, 20)
        .record(60, 1, 0x05, 50, 50)
        .record(110, 0, 0x82, 2, 20)
        .record(110, 1, 0x05, 100, 50)
        .record(160, 0, 0x83, 1, 49);
    vec![
        mbr,
        Disk::new(SECTORS).gpt(&[Extent(34, 99), Extent(100, 110), Extent(150, 200)]),
        Disk::with_sectors_of(4096, SECTORS).gpt(&[Extent(40, 99), Extent(100, 110)]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn noise_with_a_magic_is_read_safely(mut noise in vec(any::<u8>(), 512..8192), flags in any::<bool>()) {
        noise[510..512].copy_from_slice(&[0x55, 0xaa]);
        if flags {
            for slot in 0..4 {
                noise[446 + 16 * slot] = 0;
            }
        }
        holds(&noise);
    }

    #[test]
    fn small_numbers_in_records_are_read_safely(
        entries in vec((0..SECTORS, 0..4_usize, prop_oneof![Just(5_u8), Just(0x0f), Just(0x83), Just(0)],
                        0..400_u32, 0..400_u32), 1..40)
    ) {
        let disk = entries.into_iter().fold(Disk::new(SECTORS), |disk, (sector, slot, code, start, count)| {
            // Half of them in the first record, or the others would rarely be reached.
            let sector = if sector % 2 == 0 { 0 } else { sector };
            disk.record(sector, slot, code, start, count)
        });
        holds(&disk.bytes);
    }

    #[test]
    fn mutants_of_honest_tables_are_read_safely(
        which in 0..3_usize,
        changes in vec((0..40_000_usize, any::<u8>()), 1..30)
    ) {
        let mut disk = honest_disks().swap_remove(which);
        for (at, value) in changes {
            let at = at % disk.bytes.len();
            disk.bytes[at] = value;
        }
        holds(&disk.bytes);
    }

    #[test]
    fn gpt_entries_with_right_sums_are_read_safely(
        extents in vec((prop_oneof![0..320_u64, any::<u64>()], prop_oneof![0..320_u64, any::<u64>()]), 0..8)
    ) {
        let extents: Vec<Extent> = extents.into_iter().map(|(first, last)| Extent(first, last)).collect();
        holds(&Disk::new(SECTORS).gpt(&extents).bytes);
    }

    #[test]
    fn noise_is_probed_safely(noise in vec(any::<u8>(), 0..4096), start in 0..5000_u64) {
        fstype::probe(Cursor::new(&noise), start).unwrap();
    }

    #[test]
    fn noise_in_mountinfo_is_read_safely(noise in "[0-9a-z:/ \\\\\n-]{0,200}") {
        let _ = subhost_mount::mountinfo::parse(noise.as_bytes());
    }
}

#[test]
fn honest_tables_are_read() {
    let counts: Vec<usize> = honest_disks()
        .iter()
        .map(|disk| {
            let len = disk.bytes.len() as u64;
            PartitionTable::read(Cursor::new(&disk.bytes), len).unwrap().partitions.len()
        })
        .collect();
    assert_eq!(counts, [5, 3, 2]);
}
