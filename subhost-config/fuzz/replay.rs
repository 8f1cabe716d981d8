//! What was kept of fuzzing, once more: the same for the tests of each package that has fuzz targets.

use std::fs;
use std::path::{Path, PathBuf};

fn files_in(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("the entry is read").path();
        if path.is_dir() { files_in(&path, found) } else { found.push(path) }
    }
}

/// Runs a property on every file of a directory of the package; at least so many.
pub(crate) fn replay(directory: &str, at_least: usize, property: fn(&[u8])) {
    let mut files = Vec::new();
    files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut files);
    assert!(files.len() >= at_least, "{} files in {directory}", files.len());
    for file in files {
        // Shown with the panic.
        println!("{}", file.display());
        property(&fs::read(&file).expect("the file is read"));
    }
}
