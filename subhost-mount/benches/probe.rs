//! What a look at an image takes: opened, its table read, the superblock in each partition recognised. No figure is
//! asserted, since the machine is not known; the last column is what is aimed at.
//!
//! `cargo xtask proof speed`

#[path = "../tests/partition_tables/disk.rs"]
#[expect(clippy::unwrap_used, reason = "it is made for tests")]
mod disk;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use disk::{Disk, Extent};
use subhost_mount::{Image, fstype};

const ROUNDS: usize = 15;
const TURNS: u32 = 200;

fn main() {
    let directory = tempfile::tempdir().expect("a directory of its own is made");
    println!("{:<44} {:>10} {:>10}  aim", "", "median", "slowest");
    for (name, disk, aim) in samples() {
        let path = directory.path().join("disk.raw");
        std::fs::write(&path, &disk.bytes).expect("the sample is written");
        let mut times: Vec<Duration> = (0..=ROUNDS).map(|_| time_of(&path)).collect();
        // The first round fills the caches.
        times.remove(0);
        times.sort();
        println!("{name:<44} {:>10} {:>10}  {aim}", in_words(times[ROUNDS / 2]), in_words(times[ROUNDS - 1]));
    }
}

fn samples() -> Vec<(&'static str, Disk, &'static str)> {
    let many: Vec<Extent> = (0..128).map(|number| Extent(100 + 200 * number, 299 + 200 * number)).collect();
    let mut chain = Disk::new(30_000).record(0, 0, 0x83, 100, 900).record(0, 1, 0x05, 1000, 28_000);
    for step in 0..60_u32 {
        let record = 1000 + 400 * step as usize;
        chain = chain.record(record, 0, 0x83, 10, 300);
        chain = if step < 59 {
            chain.record(record, 1, 0x05, 400 * (step + 1), 400)
        } else {
            chain.record(record, 1, 0, 0, 0)
        };
    }
    vec![
        ("MBR of one partition", ext4(Disk::new(30_000).record(0, 0, 0x83, 100, 20_000)), "< 200 µs"),
        ("GPT of one partition", ext4(Disk::new(30_000).gpt(&[Extent(100, 20_000)])), "< 200 µs"),
        (
            "GPT of one partition, from the backup",
            ext4(Disk::new(30_000).gpt(&[Extent(100, 20_000)]).flip(600)),
            "< 200 µs",
        ),
        ("MBR with 60 logical partitions, each probed", ext4(chain), ""),
        ("GPT of 128 partitions, each probed", ext4(Disk::new(30_000).gpt(&many)), ""),
    ]
}

/// With an ext4 in the first partition.
fn ext4(mut disk: Disk) -> Disk {
    let at = 100 * 512 + 1024;
    disk.put(at + 0x38, &[0x53, 0xef]);
    disk.put(at + 0x60, &[0x42]);
    disk
}

fn time_of(path: &Path) -> Duration {
    let begin = Instant::now();
    for _ in 0..TURNS {
        let image = Image::open_unlocked(path).expect("it is a file");
        let table = image.partition_table().expect("it is honest");
        let mut found = 0;
        for partition in &table.partitions {
            let Ok(range) = table.find(partition.index) else { continue };
            let superblock = fstype::probe(image.reader(range), 0).expect("it is read");
            found += u32::from(superblock.is_some());
        }
        assert_eq!(black_box(found), 1);
    }
    begin.elapsed() / TURNS
}

fn in_words(duration: Duration) -> String {
    format!("{:.1} µs", duration.as_secs_f64() * 1e6)
}
