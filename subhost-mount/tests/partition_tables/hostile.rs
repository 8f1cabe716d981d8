//! Tables that lie: each is refused with the right words, after few reads and with little memory.

use std::collections::HashSet;

use subhost_mount::{Error, PartitionTable};

use crate::corpus::corpus;
use crate::counted::Counted;
use crate::sys::peak_of;

#[test]
fn each_is_refused_with_its_words() {
    let differ: Vec<String> = corpus()
        .into_iter()
        .filter_map(|it| {
            let said =
                match PartitionTable::read(Counted::new(&it.disk.bytes, it.len_bytes()), it.len_bytes()) {
                    Err(Error::BadTable(problem)) => problem.to_string(),
                    Err(error) => format!("not refused as a bad table: {error}"),
                    Ok(table) => format!("read: {} partitions", table.partitions.len()),
                };
            (said != it.says).then(|| format!("{}\n  {}\n  {said}", it.name, it.says))
        })
        .collect();
    assert!(differ.is_empty(), "name, expected, said:\n{}", differ.join("\n"));
}

#[test]
fn none_costs_more_than_a_few_reads_and_two_megabytes() {
    for it in corpus() {
        let mut counted = Counted::new(&it.disk.bytes, it.len_bytes());
        let ((), peak) = peak_of(|| {
            let _ = PartitionTable::read(&mut counted, it.len_bytes());
        });
        // A chain has 128 records at most. Of a GPT there are two copies, each looked for in two sizes of sectors.
        assert!(counted.reads <= 140, "{}: {} reads", it.name, counted.reads);
        assert!(counted.bytes_read <= (4 << 20) + (64 << 10), "{}: {} bytes", it.name, counted.bytes_read);
        assert!(peak <= 2 << 20, "{}: {peak} bytes held", it.name);
    }
}

#[test]
fn there_are_many_and_no_two_are_the_same() {
    let all = corpus();
    let names: HashSet<_> = all.iter().map(|it| it.name).collect();
    let disks: HashSet<_> = all.iter().map(|it| (&it.disk.bytes, it.len_bytes())).collect();
    assert!(all.len() >= 80 && names.len() == all.len() && disks.len() == all.len(), "{}", all.len());
}
