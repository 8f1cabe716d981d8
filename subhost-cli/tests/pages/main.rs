//! The pages that are made from the code are those that it makes now. `cargo xtask pages` writes them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod man;
mod troubleshooting;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set by `cargo xtask pages`: write instead of comparing.
const WRITE: &str = "SUBHOST_WRITE_PAGES";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Holds a file against what is to be in it, or writes that.
#[track_caller]
fn hold(path: &str, text: &str) {
    let file = root().join(path);
    if std::env::var_os(WRITE).is_some() {
        return std::fs::write(&file, text).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    let line = there.lines().zip(text.lines()).position(|(one, other)| one != other);
    let line = line.unwrap_or_else(|| there.lines().count().min(text.lines().count())) + 1;
    assert!(there == text, "{path}:{line}: is not what the code makes: cargo xtask pages");
}

#[test]
fn the_manual_pages_are_those_of_the_commands_and_settings() {
    let mut pages = man::commands();
    pages.push(("subhost.config.5".to_owned(), man::settings()));
    for (name, page) in &pages {
        hold(&format!("man/{name}"), page);
    }
    let mut known: BTreeSet<String> = pages.into_iter().map(|(name, _)| name).collect();
    known.extend(man::BY_HAND.map(str::to_owned));
    let files = std::fs::read_dir(root().join("man")).unwrap();
    let there: BTreeSet<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, known, "left: in man/, right: what there is a page of");
}

/// groff and mandoc understand roff differently; both are installed by `cargo xtask packages`.
#[test]
fn the_manual_pages_are_without_a_warning() {
    let pages = std::fs::read_dir(root().join("man")).unwrap().map(|file| file.unwrap().path());
    let pages: Vec<PathBuf> = pages.collect();
    let mandoc = Command::new("mandoc").args(["-Tlint", "-Wwarning"]).args(&pages).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&mandoc.stdout), "");
    let mut groff = Command::new("groff");
    let groff = groff.args(["-man", "-ww", "-z", "-Tutf8", "-rLL=80n", "-K", "utf8"]).args(&pages).output();
    assert_eq!(String::from_utf8_lossy(&groff.unwrap().stderr), "");
}

#[test]
fn the_table_of_troubles_is_that_of_the_code() {
    let page = std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let (by_hand, _) = page.split_once(troubleshooting::FROM_HERE).unwrap();
    let made = troubleshooting::page();
    hold("docs/troubleshooting.md", &format!("{by_hand}{}{made}", troubleshooting::FROM_HERE));
}
