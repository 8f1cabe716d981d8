//! What the pages name is there: the files of links with their headings, and the paths of ARCHITECTURE.md.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All pages: at the top, in docs, and those of the packages.
fn pages() -> Vec<PathBuf> {
    let directories = fs::read_dir(workspace()).unwrap().map(|entry| entry.unwrap().path());
    let directories = directories.filter(|path| path.join("Cargo.toml").is_file() || path.ends_with("docs"));
    let files =
        [workspace()].into_iter().chain(directories).flat_map(|directory| fs::read_dir(directory).unwrap());
    let mut pages: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|it| it == "md"));
    pages
}

/// The heading's name in a link, as forges make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn each_link_leads_somewhere() {
    let pages = pages();
    assert!(pages.iter().any(|page| page.ends_with("docs/start.md")), "{pages:?}");
    let mut dead = Vec::new();
    let mut looked_at = 0;
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in links.filter(|link| !link.contains(['`', ' ', ':'])) {
            looked_at += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let has_heading = || {
                let text = fs::read_to_string(&target).unwrap_or_default();
                heading.is_empty()
                    || text.lines().any(|line| line.starts_with('#') && anchor(line) == heading)
            };
            if !target.exists() || !has_heading() {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(looked_at > 50, "only {looked_at} links were found");
    assert!(dead.is_empty(), "{dead:#?}");
}

/// In a row of the table, what follows a whole path may be beside it, or beside the directories above it.
#[test]
fn each_path_of_the_architecture_is_there() {
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let mut missing = Vec::new();
    let mut looked_at = 0;
    for line in text.lines() {
        let mut before = workspace();
        for word in line.split('`').skip(1).step_by(2) {
            let is_path = word.ends_with('/')
                || [".rs", ".md", ".toml", ".7", ".8"].iter().any(|it| word.ends_with(it));
            let is_here = !word.starts_with('/') && !word.contains([' ', '<', '*', '$']);
            if !(is_path && is_here) {
                continue;
            }
            looked_at += 1;
            let found =
                [workspace().join(word)].into_iter().chain(before.ancestors().map(|it| it.join(word)));
            match found.into_iter().find(|path| path.exists()) {
                Some(path) => before = path,
                None => missing.push(format!("{word} in: {line}")),
            }
        }
    }
    assert!(looked_at > 50, "only {looked_at} paths were found");
    assert!(missing.is_empty(), "{missing:#?}");
}
