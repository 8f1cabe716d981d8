//! The mounts of a process (`proc_pid_mountinfo(5)`), and who holds them.
//!
//! What is mounted below a directory, in the order in which it can be unmounted, and what is in the way of that:
//!
//! ```
//! use std::path::Path;
//! use subhost_mount::mountinfo::{Census, MountTable};
//!
//! let census = Census::take()?;
//! for mount in MountTable::read(None)?.below(Path::new("/srv")) {
//!     println!("{} {} {:?}", mount.mount_point.display(), mount.kind, mount.source);
//!     for holding in census.of_mount(mount.id).processes {
//!         println!("  held by {} ({:?})", holding.process, holding.how);
//!     }
//! }
//! # Ok::<(), subhost_mount::Error>(())
//! ```

mod holders;
mod kept;
mod kernel;
mod text;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use holders::{Census, Holders, HoldingNamespace, HoldingProcess, How, MountNamespace, Process, Use};
pub use text::parse;

use crate::{Error, Result};

/// The most text that is read: 100,000 mounts, which are the most that a namespace has by default, come to some 10 MB
/// unless their names are made to fill memory.
const MAX_BYTES: u64 = 128 << 20;

/// One mount. Every name is as it is, with blanks, newlines and whatever else is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// Its id, which another mount may get after it has gone.
    pub id: u32,
    /// The id that no other mount ever gets; only [`Source::Statmount`] has it.
    pub unique_id: Option<u64>,
    /// The id of the mount that it is on.
    pub parent: u32,
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// What of the file system is mounted.
    pub root: PathBuf,
    /// Where, seen from the process's root.
    pub mount_point: PathBuf,
    /// The mount's options: `rw,nodev,relatime`.
    pub options: String,
    /// The optional fields, as `shared:1`.
    pub tags: Vec<String>,
    /// The file system type.
    pub kind: String,
    /// The source.
    pub source: OsString,
    /// The file system's options, as one text; a comma in a value looks there like one between two options.
    pub super_options: OsString,
    /// The file system's options, each.
    pub super_option_list: Vec<OsString>,
}

/// What a mount shares with others when something is mounted below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Propagation {
    /// The group that it is a peer of: what is mounted in one is in all.
    pub shared: Option<u32>,
    /// The group that it takes from, and does not give to.
    pub master: Option<u32>,
    /// Whether it cannot be bound elsewhere.
    pub unbindable: bool,
}

impl MountEntry {
    /// Whether the mount has this option: `nodev`.
    #[must_use]
    pub fn has_option(&self, option: &str) -> bool {
        self.options.split(',').any(|one| one == option)
    }

    /// What it shares with other mounts; by default nothing, which is `private`.
    #[must_use]
    pub fn propagation(&self) -> Propagation {
        let group = |key: &str| self.tags.iter().find_map(|tag| tag.strip_prefix(key)?.parse().ok());
        Propagation {
            shared: group("shared:"),
            master: group("master:"),
            unbindable: self.tags.iter().any(|tag| tag == "unbindable"),
        }
    }
}

/// Where a table came from. Both tell the same, but for [`MountEntry::unique_id`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `/proc/PID/mountinfo`.
    Mountinfo,
    /// `listmount(2)` and `statmount(2)`, which tell enough from Linux 6.13 on, and only of one's own namespace.
    Statmount,
}

/// The mounts of one mount namespace below the root of one process, in the kernel's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountTable {
    /// The mounts.
    pub entries: Vec<MountEntry>,
    /// How they were read.
    pub source: Source,
}

impl MountTable {
    /// Reads the mounts of process `pid`, or of the calling thread: those by [`Source::Statmount`] where the kernel
    /// can.
    ///
    /// # Errors
    /// [`Error::System`] when there is no such process, or it is not ours to look at; [`Error::TooLarge`] with more than
    /// 128 MiB of text.
    pub fn read(pid: Option<u32>) -> Result<MountTable> {
        if pid.is_none()
            && let Some(table) = MountTable::read_by_statmount()?
        {
            return Ok(table);
        }
        MountTable::read_mountinfo(pid)
    }

    /// Reads the mounts of process `pid`, or of the calling thread, from the text in `/proc`.
    ///
    /// # Errors
    /// As [`MountTable::read`].
    pub fn read_mountinfo(pid: Option<u32>) -> Result<MountTable> {
        let path = match pid {
            Some(pid) => format!("/proc/{pid}/mountinfo"),
            // Not /proc/self: that is the first thread, which may be in another namespace.
            None => "/proc/thread-self/mountinfo".to_owned(),
        };
        MountTable::read_file(Path::new(&path))
    }

    /// Asks the kernel for the mounts of the calling thread; `None` where it cannot tell all that is here.
    ///
    /// # Errors
    /// [`Error::System`] when it refuses.
    pub fn read_by_statmount() -> Result<Option<MountTable>> {
        let entries =
            kernel::read().map_err(|source| Error::system("list mounts of", "this thread", source))?;
        Ok(entries.map(|entries| MountTable { entries, source: Source::Statmount }))
    }

    fn read_file(path: &Path) -> Result<MountTable> {
        MountTable::read_at_most(path, MAX_BYTES)
    }

    fn read_at_most(path: &Path, max_bytes: u64) -> Result<MountTable> {
        let file = File::open(path).map_err(|source| Error::system("read", path, source))?;
        MountTable::read_open(file, path, max_bytes)
    }

    fn read_open(file: File, path: &Path, max_bytes: u64) -> Result<MountTable> {
        let mut text = Vec::new();
        // One more, to see that there is more.
        file.take(max_bytes + 1)
            .read_to_end(&mut text)
            .map_err(|source| Error::system("read", path, source))?;
        if text.len() as u64 > max_bytes {
            let path = path.to_owned();
            return Err(Error::TooLarge { operation: "read", path, limit: max_bytes, unit: "bytes" });
        }
        Ok(MountTable { entries: parse(&text), source: Source::Mountinfo })
    }

    /// The mount of that id.
    #[must_use]
    pub fn by_id(&self, id: u32) -> Option<&MountEntry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// The mount that `entry` is on; none for the topmost.
    #[must_use]
    pub fn parent(&self, entry: &MountEntry) -> Option<&MountEntry> {
        self.by_id(entry.parent).filter(|parent| parent.id != entry.id)
    }

    /// The mounts right on the mount of that id, in the kernel's order.
    pub fn children(&self, id: u32) -> impl Iterator<Item = &MountEntry> {
        self.entries.iter().filter(move |entry| entry.parent == id && entry.id != id)
    }

    /// The mounts at `path`, the topmost last.
    pub fn at<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a MountEntry> {
        self.unmount_order().into_iter().rev().filter(move |entry| entry.mount_point == path)
    }

    /// The mounts at and below `path`, in the order in which they can be unmounted.
    pub fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a MountEntry> {
        self.unmount_order().into_iter().filter(move |entry| entry.mount_point.starts_with(path))
    }

    /// All mounts, in the order in which they can be unmounted: each after those that are on it, and of two on the
    /// same one the later first.
    #[must_use]
    pub fn unmount_order(&self) -> Vec<&MountEntry> {
        // By their links, as neither ids nor the kernel's order tell: a mount that was moved or came with a new root
        // may be on one with a higher id.
        let mut children: HashMap<u32, Vec<usize>> = HashMap::new();
        let ids: HashMap<u32, usize> =
            self.entries.iter().enumerate().map(|(n, entry)| (entry.id, n)).collect();
        let mut tops = Vec::new();
        for (n, entry) in self.entries.iter().enumerate() {
            if entry.parent != entry.id && ids.contains_key(&entry.parent) {
                children.entry(entry.parent).or_default().push(n);
            } else {
                tops.push(n);
            }
        }
        // From the top down, and then the other way round. What is on a ring of mounts, as only a made-up table has
        // it, is met from its own first member.
        let mut order = Vec::with_capacity(self.entries.len());
        let mut met = vec![false; self.entries.len()];
        for top in tops.into_iter().chain(0..self.entries.len()) {
            let mut waiting = vec![top];
            while let Some(n) = waiting.pop() {
                if std::mem::replace(&mut met[n], true) {
                    continue;
                }
                order.push(&self.entries[n]);
                waiting.extend(children.remove(&self.entries[n].id).into_iter().flatten().rev());
            }
        }
        order.reverse();
        order
    }

    /// The mounts of the file system on the device of number `device`, as `st_dev` has it.
    pub fn of_device(&self, device: u64) -> impl Iterator<Item = &MountEntry> {
        let parts = (rustix::fs::major(device), rustix::fs::minor(device));
        self.entries.iter().filter(move |entry| entry.device == parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(links: &[(u32, u32)]) -> MountTable {
        let line = |(id, parent): &(u32, u32)| format!("{id} {parent} 0:{id} / /m rw - a a rw\n");
        let text: String = links.iter().map(line).collect();
        MountTable { entries: parse(text.as_bytes()), source: Source::Mountinfo }
    }

    fn ids<'a>(entries: impl IntoIterator<Item = &'a MountEntry>) -> Vec<u32> {
        entries.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn mounts_are_listed_in_the_order_of_unmounting() {
        let text = b"1 0 0:1 / / rw - a a rw\n2 1 0:2 / /m rw - a a rw\n3 2 0:3 / /m/n rw - a a rw\n\
                     4 1 0:4 / /mm rw - a a rw\n";
        let table = MountTable { entries: parse(text), source: Source::Mountinfo };
        assert_eq!(ids(table.below(Path::new("/m"))), [3, 2]);
        assert_eq!(ids(table.unmount_order()), [4, 3, 2, 1]);
    }

    #[test]
    fn a_child_goes_first_though_it_is_older() {
        // As after pivot_root, and after move_mount.
        assert_eq!(
            ids(table(&[(22, 27), (23, 27), (26, 31), (27, 1), (31, 22)]).unmount_order()),
            [23, 26, 31, 22, 27]
        );
    }

    #[test]
    fn mounts_are_found_by_their_links() {
        let table = table(&[(1, 1), (2, 1), (3, 1), (4, 3)]);
        assert_eq!(ids(table.children(1)), [2, 3]);
        let entry = table.by_id(4).unwrap();
        assert_eq!(table.parent(entry).map(|parent| parent.id), Some(3));
        assert_eq!(table.parent(table.by_id(1).unwrap()), None);
        assert_eq!(table.by_id(9), None);
    }

    #[test]
    fn propagation_is_read_from_the_tags() {
        let of = |tags: &str| parse(format!("1 0 0:1 / / rw {tags}- a a rw").as_bytes())[0].propagation();
        assert_eq!(of(""), Propagation::default());
        assert_eq!(
            of("shared:7 master:3 "),
            Propagation { shared: Some(7), master: Some(3), unbindable: false }
        );
        assert_eq!(
            of("master:3 propagate_from:2 unbindable "),
            Propagation { shared: None, master: Some(3), unbindable: true }
        );
    }

    proptest! {
        /// Also of ids that are there twice, and of rings.
        #[test]
        fn every_mount_is_in_the_order_once(links in prop::collection::vec((0..12_u32, 0..12_u32), 0..24)) {
            let table = table(&links);
            let mut listed = ids(table.unmount_order());
            let mut all = ids(&table.entries);
            listed.sort_unstable();
            all.sort_unstable();
            prop_assert_eq!(listed, all);
        }

        /// In a table as the kernel makes it, whatever the ids.
        #[test]
        fn children_come_before_their_parents(
            parents in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
            numbers in Just((1..41_u32).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut links = vec![(numbers[0], 999)];
            for (n, parent) in parents.iter().enumerate().skip(1) {
                links.push((numbers[n], numbers[parent.index(n)]));
            }
            links.sort_unstable();
            let table = table(&links);
            let order = ids(table.unmount_order());
            let place = |id: u32| order.iter().position(|&one| one == id);
            for (id, parent) in links.iter().filter(|link| link.1 != 999) {
                prop_assert!(place(*id) < place(*parent), "{} {:?}", id, order);
            }
        }
    }

    #[test]
    fn a_table_that_is_too_large_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mountinfo");
        let line = "1 0 0:1 / / rw - a a rw\n";
        std::fs::write(&path, line).unwrap();
        let len = line.len() as u64;
        assert_eq!(MountTable::read_at_most(&path, len).unwrap().entries.len(), 1);
        let error = MountTable::read_at_most(&path, len - 1).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }

    #[test]
    fn the_calling_thread_has_a_root_mount() {
        for table in [MountTable::read(None), MountTable::read_mountinfo(None)] {
            assert!(table.unwrap().at(Path::new("/")).next().is_some());
        }
    }
}
