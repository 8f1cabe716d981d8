//! What docs/security.md says of tests is true.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rows that have to be there.
const ROWS: [&str; 54] = [
    "A1", "A2", "A3", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "M1", "M2", "M3", "M4", "M5", "F1",
    "F2", "F3", "F4", "F5", "F6", "T1", "T2", "T3", "T4", "C1", "C2", "C3", "C4", "C5", "C6", "L1", "L2",
    "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10", "N1", "N2", "N3", "N4", "N5", "S1", "S2", "S3", "S4",
    "S5", "S6", "S7",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of the table, each with the names of its tests.
fn table() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(workspace().join("docs/security.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let tests = cells[4].split_whitespace().map(|name| name.trim_matches('`').to_owned()).collect();
        assert!(rows.insert(cells[1].to_owned(), tests).is_none(), "row {} is there twice", cells[1]);
    }
    rows
}

/// Every source of the workspace's members.
fn sources() -> Vec<String> {
    let mut texts = Vec::new();
    let members = fs::read_dir(workspace()).unwrap().map(|entry| entry.unwrap().path());
    let mut directories: Vec<PathBuf> =
        members.flat_map(|member| ["src", "tests"].map(|directory| member.join(directory))).collect();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}

/// The names of the tests in a source, in each of the ways that tests are written here.
fn tests_in(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let (mut is_test, mut is_list) = (false, false);
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
            names.extend(rest.split('(').next().map(str::to_owned));
            is_test = false;
        } else if line.ends_with("each_way! {") {
            is_list = true;
        } else if line == "}" {
            is_list = false;
        } else if is_list {
            names.insert(line.to_owned());
        }
        // Of the suites with cases: a field, or the beginning of a tuple or a call.
        for begin in ["name: \"", "(\""] {
            let after = line.split(begin).skip(1);
            names.extend(after.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
        names.extend(line.strip_prefix('"').and_then(|rest| rest.strip_suffix("\",")).map(str::to_owned));
    }
    names
}

#[test]
fn every_row_of_danger_has_tests_and_all_that_are_named_are_there() {
    let rows = table();
    for row in ROWS {
        assert!(rows.get(row).is_some_and(|tests| !tests.is_empty()), "no tests for row {row}");
    }
    let names: BTreeSet<String> = sources().iter().flat_map(|text| tests_in(text)).collect();
    let missing: Vec<&String> = rows.values().flatten().filter(|name| !names.contains(*name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

#[test]
fn every_row_that_a_test_speaks_of_is_in_the_table() {
    let rows = table();
    let mut found = 0;
    for text in sources() {
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("/// Row ")) {
            let row = line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            assert!(rows.contains_key(row), "Row {line}");
            found += 1;
        }
    }
    assert!(found >= ROWS.len(), "{found}");
}
