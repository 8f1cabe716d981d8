//! What the fuzz targets begin with and have found, once more.

#[path = "../../fuzz/properties.rs"]
mod properties;

use std::path::Path;

use crate::corpus::corpus;
use properties::{Image, superblocks, tables};

/// Runs a property on each file of its corpus.
fn replay(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus-min").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        // The test's output names the last one.
        println!("{}", path.display());
        property(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count >= 20, "{count} files in {}", folder.display());
}

#[test]
fn kept_tables_are_read_safely() {
    replay("tables", tables);
}

#[test]
fn kept_superblocks_are_probed_safely() {
    replay("superblocks", superblocks);
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
