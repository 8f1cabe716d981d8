//! What the kernel unpacks into memory and starts: an archive of cpio, which is simple enough to be written here.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Outcome;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;

/// An archive in the format `newc`.
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn directory(&mut self, name: &str) {
        self.entry(name, DIRECTORY, &[]);
    }

    pub(crate) fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, PROGRAM, content);
    }

    pub(crate) fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, FILE, content);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.0
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        // Inode, mode, owner, group, links, time, size, four device numbers, the name's length, no checksum.
        let (size, length) = (content.len(), name.len() + 1);
        self.0.extend_from_slice(b"070701");
        let head = format!("{0:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}", 0, 1);
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(format!("{0:08x}{0:08x}{0:08x}{0:08x}{length:08x}{0:08x}", 0).as_bytes());
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self.pad();
        self.0.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

/// The modules with these names and those that they need, in the order in which they can be loaded, as name and content.
pub(crate) fn modules(directory: &Path, names: &[&str]) -> Outcome<Vec<(String, Vec<u8>)>> {
    let table = fs::read_to_string(directory.join("modules.dep"))?;
    let table: HashMap<String, (&str, &str)> = table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needed)| (name_of(path), (path, needed)))
        .collect();
    let mut paths: Vec<&str> = Vec::new();
    for name in names {
        // What is not there as a module is part of the kernel.
        let Some((path, needed)) = table.get(*name) else { continue };
        // Written in the order in which they would be unloaded.
        for path in needed.split_whitespace().rev().chain([*path]) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths.into_iter().map(|path| Ok((name_of(path), content(&directory.join(path))?))).collect()
}

fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

fn content(path: &Path) -> Outcome<Vec<u8>> {
    if path.extension().is_none_or(|extension| extension != "xz") {
        return Ok(fs::read(path)?);
    }
    let output = Command::new("xz").arg("-dc").arg(path).output().map_err(|error| format!("xz: {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("xz {}: {}", path.display(), output.status).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_those_that_they_need() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join("modules.dep"),
            "k/a-b.ko: k/c.ko k/d.ko\nk/c.ko: k/d.ko\nk/d.ko:\nk/e.ko:\n",
        )
        .unwrap();
        fs::create_dir(directory.path().join("k")).unwrap();
        for name in ["a-b", "c", "d"] {
            fs::write(directory.path().join(format!("k/{name}.ko")), name).unwrap();
        }
        let modules = modules(directory.path(), &["built_in", "c", "a_b"]).unwrap();
        let wanted = [("d", "d"), ("c", "c"), ("a_b", "a-b")];
        assert_eq!(modules, wanted.map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec())));
    }

    #[test]
    fn entries_begin_at_multiples_of_four() {
        let mut archive = Archive::new();
        archive.program("init", b"#!/x");
        archive.file("a", b"12345");
        let bytes = archive.finish();
        let text = String::from_utf8(bytes).unwrap();
        let starts: Vec<_> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(starts, [0, 120, 240]);
        assert!(
            text.starts_with("07070100000000000081ed") && text[..120].ends_with("init\0\0#!/x"),
            "{text:?}"
        );
    }
}
