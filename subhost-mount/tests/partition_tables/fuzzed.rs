//! What the fuzz targets begin with and have found, once more.

#[path = "../../fuzz/properties.rs"]
mod properties;
#[path = "../../../subhost-config/fuzz/replay.rs"]
mod replay;

use crate::corpus::corpus;
use properties::{Image, mountinfo, superblocks, tables};
use replay::replay;

#[test]
fn kept_tables_are_read_safely() {
    replay("fuzz/corpus-min/tables", 20, tables);
}

#[test]
fn kept_superblocks_are_probed_safely() {
    replay("fuzz/corpus-min/superblocks", 20, superblocks);
}

#[test]
fn kept_tables_of_mounts_are_read_safely() {
    replay("fuzz/corpus-min/mountinfo", 20, mountinfo);
}

#[test]
fn hostile_tables_are_images_to_the_fuzzer_too() {
    for it in corpus() {
        let encoded = Image::encode(&it.disk.bytes, it.len_bytes());
        println!("{}", it.name);
        tables(&encoded);
        superblocks(&encoded);
    }
}
