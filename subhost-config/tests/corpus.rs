//! What fuzzing found worth keeping, and every case: the properties of the fuzz targets hold for it.

#[path = "../fuzz/properties.rs"]
mod properties;

use std::fs;
use std::path::{Path, PathBuf};

fn files_in(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("the entry is read").path();
        if path.is_dir() { files_in(&path, found) } else { found.push(path) }
    }
}

/// Runs a property on every file of a folder; at least so many.
fn replay(folder: &str, at_least: usize, property: fn(&[u8])) {
    let mut files = Vec::new();
    files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    assert!(files.len() >= at_least, "{} files in {folder}", files.len());
    for file in files {
        // Shown with the panic.
        println!("{}", file.display());
        property(&fs::read(&file).expect("the file is read"));
    }
}

#[test]
fn parser() {
    replay("fuzz/corpus-min/parser", 20, properties::parser);
    replay("tests/cases", 400, properties::parser);
}

#[test]
fn evaluator() {
    replay("fuzz/corpus-min/evaluator", 20, properties::evaluator);
    replay("tests/cases", 400, properties::evaluator);
}

#[test]
fn quote() {
    replay("fuzz/corpus-min/quote", 10, properties::quote);
    replay("tests/cases", 400, properties::quote);
}
