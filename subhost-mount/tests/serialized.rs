//! What serde makes of the types that travel, with the feature `serde`.

use std::io::Cursor;

use serde_json::{from_value, json, to_value};
use subhost_mount::PartitionTable;
use subhost_mount::fstype::{Superblock, probe};
use subhost_mount::idmap::IdRange;

#[test]
fn a_partition_table_comes_back() {
    let mut disk = vec![0; 64 * 512];
    let entry = 446;
    disk[entry] = 0x80;
    disk[entry + 4] = 0x83;
    (disk[entry + 8], disk[entry + 12]) = (8, 32);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let len = disk.len() as u64;
    let table = PartitionTable::read(Cursor::new(disk), len).unwrap();
    let value = to_value(&table).unwrap();
    assert_eq!(value["scheme"], "mbr");
    let partition = json!({
        "index": 1, "start_bytes": 4096, "len_bytes": 16384, "type_code": "83", "uuid": "00000000-01",
        "name": null, "bootable": true,
    });
    assert_eq!(value["partitions"], json!([partition]));
    assert_eq!(from_value::<PartitionTable>(value).unwrap(), table);
}

#[test]
fn a_superblock_comes_back_with_why_it_is_refused() {
    let mut swap = vec![0; 70 * 1024];
    swap[4086..4096].copy_from_slice(b"SWAPSPACE2");
    let found = probe(Cursor::new(swap), 0).unwrap().unwrap();
    let value = to_value(&found).unwrap();
    assert_eq!((&value["kind"], &value["refusal"]), (&json!("swap"), &json!("it is swap space")));
    assert_eq!(from_value::<Superblock>(value).unwrap(), found);
}

#[test]
fn an_id_range_is_its_numbers() {
    let range = IdRange { inside: 0, outside: 524_288, count: 65_536 };
    let value = to_value(range).unwrap();
    assert_eq!(value, json!({ "inside": 0, "outside": 524_288, "count": 65_536 }));
    assert_eq!(from_value::<IdRange>(value).unwrap(), range);
}
