//! Which ids the records name, without reading each.
//!
//! A record has a second name, `ids/FIRST:COUNT` in the directory of the run-time state. That counts only while it is the
//! same file as a record under the name of a subhost. So it may come after the record and go before it: a record without
//! one, as an older program or a kill in between leaves it, is read; a name of no record means nothing, and goes when
//! that is seen.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, linkat};

use crate::layout::{Layout, Name};
use crate::observe::is_there;
use crate::state::{Record, read_file, remove_file};

/// Ids that a record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The subhost.
    pub name: Name,
    /// Its ids.
    pub ids: Range<u32>,
    /// Where the record is.
    record: PathBuf,
}

impl Used {
    /// Whether the subhost runs or lingers, by its record, which is read for that.
    pub fn is_there(&self) -> bool {
        read_file(&self.record, &self.name).is_ok_and(|record| record.is_some_and(|record| is_there(&record)))
    }
}

/// Gives a record, which has its name already, that of its ids. Without it the record is read instead.
pub fn add(layout: &Layout, file: &File, record: &Record) {
    let path = path(layout, &range(record.first_id, record.id_count));
    let _ = remove_file(&path).and_then(|()| Ok(linkat(file, "", CWD, &path, AtFlags::EMPTY_PATH)?));
}

/// Takes that name away, before the record goes.
///
/// # Errors
/// It cannot be removed.
pub fn remove(layout: &Layout, record: &Record) -> io::Result<()> {
    remove_file(&path(layout, &range(record.first_id, record.id_count)))
}

fn path(layout: &Layout, ids: &Range<u32>) -> PathBuf {
    layout.ids().join(format!("{}:{}", ids.start, ids.end - ids.start))
}

/// The second names that are there, by the inodes of their files.
///
/// # Errors
/// The directory cannot be read; that it is missing means that it is empty.
pub fn named(layout: &Layout) -> io::Result<BTreeMap<u64, Range<u32>>> {
    let mut named = BTreeMap::new();
    each(&layout.ids(), |file, inode| {
        let (first, count) = file.split_once(':')?;
        named.insert(inode, range(first.parse().ok()?, count.parse().ok()?))
    })?;
    Ok(named)
}

/// The ids of all records. One that cannot be read names none.
///
/// # Errors
/// The directories cannot be read; that one is missing means that it is empty.
pub fn used(layout: &Layout) -> io::Result<Vec<Used>> {
    let mut named = named(layout)?;
    let mut used = Vec::new();
    for directory in [layout.records(), layout.lingering_records()] {
        each(&directory, |file, inode| {
            let (name, record) = (file.parse::<Name>().ok()?, directory.join(file));
            let read =
                || read_file(&record, &name).ok()?.map(|record| range(record.first_id, record.id_count));
            let ids = named.remove(&inode).or_else(read)?;
            used.push(Used { name, ids, record });
            Some(())
        })?;
    }
    for left_over in named.values() {
        // Whoever has made that anew meanwhile can do without.
        let _ = remove_file(&path(layout, left_over));
    }
    Ok(used)
}

fn range(first: u32, count: u32) -> Range<u32> {
    first..first.saturating_add(count)
}

/// Calls `take` with the name and the inode of each file in a directory.
fn each<T>(directory: &Path, mut take: impl FnMut(&str, u64) -> Option<T>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        entry.file_name().to_str().and_then(|file| take(file, entry.ino()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is needed to read a record.
    fn record(name: &str, first: u32) -> Vec<u8> {
        let process = |namespace: u32| serde_json::json!({"pid": 1, "start_time": 1, "boot_id": "b", "pid_namespace": namespace});
        let record = serde_json::json!({
            "version": crate::state::RECORD_VERSION, "name": name, "command": "boot", "init": process(1),
            "init_program": "subhost-init", "supervisor": process(2), "first_id": first, "id_count": 10,
            "netns_inode": 1, "pinned": true, "cables": [], "disks": [], "stop_timeout_ms": 1, "started": 1,
            "isolation": crate::isolation::Isolation::default(),
        });
        record.to_string().into_bytes()
    }

    #[test]
    fn a_name_counts_while_it_is_that_of_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { run_dir: dir.path().into(), ..Layout::new("/nowhere") };
        assert_eq!(used(&layout).unwrap(), []);
        for directory in [layout.records(), layout.lingering_records(), layout.ids()] {
            fs::create_dir(directory).unwrap();
        }
        let names = || {
            let entries = fs::read_dir(layout.ids()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        let found = || {
            let mut found: Vec<_> =
                used(&layout).unwrap().into_iter().map(|it| (it.name.to_string(), it.ids.start)).collect();
            found.sort();
            found
        };
        let [web, old, torn] = ["web", "old", "torn"].map(|name| layout.records().join(name));
        // That it is not looked into shows in what it says.
        fs::write(&web, record("web", 1)).unwrap();
        fs::hard_link(&web, layout.ids().join("100:10")).unwrap();
        fs::write(&torn, "{").unwrap();
        fs::hard_link(&torn, layout.ids().join("300:10")).unwrap();
        let of = |name: &str, first: u32| (name.to_owned(), first);
        let as_named = [of("torn", 300), of("web", 100)];
        assert_eq!(found(), as_named);
        fs::rename(&web, layout.lingering_records().join("web")).unwrap();
        assert_eq!(found(), as_named);
        // One without a second name is read: only root's own, as any record.
        fs::write(&old, record("old", 200)).unwrap();
        if rustix::process::geteuid().is_root() {
            assert_eq!(found(), [of("old", 200), of("torn", 300), of("web", 100)]);
        }
        fs::remove_file(&old).unwrap();
        fs::write(layout.ids().join("400:10"), "").unwrap();
        fs::write(layout.ids().join("other"), "").unwrap();
        fs::remove_file(&torn).unwrap();
        assert_eq!(found(), [of("web", 100)]);
        assert_eq!(names(), ["100:10", "other"]);
    }
}
