//! Mount namespaces that nobody is in, and only a file keeps: one that is bound, as by `unshare --mount=FILE`, or open.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat, readlink};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{MAX_BYTES, MountTable};
use crate::{Result, Staging};

/// How many are looked into: a guest must not make us look at any number.
const MAX_KEPT: usize = 1024;

/// Files that are mount namespaces, by inode, and where each was found.
#[derive(Default)]
pub(super) struct Kept(BTreeMap<u64, PathBuf>);

impl Kept {
    /// Takes a link in `/proc/PID/fd` that leads to a namespace of any kind.
    pub(super) fn add_open(&mut self, link: &Path) {
        let target = readlink(link, Vec::new()).ok();
        if let Some(inode) = target.and_then(|target| inode_in(target.to_str().ok()?)) {
            self.0.entry(inode).or_insert_with(|| link.to_owned());
        }
    }

    /// Takes those that are bound somewhere on the host. What is bound in a guest goes with its processes, and its
    /// directories may be such that looking at them takes for ever.
    fn add_bound(&mut self) {
        let Ok(table) = MountTable::read(None) else { return };
        for entry in table.entries.iter().filter(|entry| entry.kind == "nsfs") {
            if let Some(inode) = entry.root.to_str().and_then(inode_in) {
                self.0.entry(inode).or_insert_with(|| entry.mount_point.clone());
            }
        }
    }

    /// The tables of those that are not `known`, as far as we may look.
    pub(super) fn tables(mut self, known: impl Fn(u64) -> bool) -> Vec<(u64, MountTable)> {
        self.add_bound();
        let open = |(inode, path): (u64, PathBuf)| Some((inode, open(inode, &path)?));
        let files = self.0.into_iter().filter(|(inode, _)| !known(*inode)).take(MAX_KEPT).filter_map(open);
        let files: Vec<(u64, OwnedFd)> = files.collect();
        if files.is_empty() {
            return Vec::new();
        }
        // A thread of its own, as it has another root directory then.
        let looked = Staging::new().and_then(|staging| staging.run(move || look_into(files)));
        looked.unwrap_or_default()
    }
}

/// N of `mnt:[N]`.
fn inode_in(name: &str) -> Option<u64> {
    name.trim_start_matches('/').strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()
}

/// Opens a namespace, and nothing else that may be there by now.
fn open(inode: u64, path: &Path) -> Option<OwnedFd> {
    let fd = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let own = std::fs::metadata("/proc/self/ns/mnt").ok()?;
    let stat = fstat(&fd).ok()?;
    if stat.st_ino != inode || stat.st_dev != std::os::unix::fs::MetadataExt::dev(&own) {
        return None;
    }
    let again = format!("/proc/self/fd/{}", fd.as_raw_fd());
    openat(CWD, again, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn look_into(files: Vec<(u64, OwnedFd)>) -> Result<Vec<(u64, MountTable)>> {
    let path = Path::new("/proc");
    // In the namespaces there may be none, or one that is none.
    let proc = File::open(path).map_err(|source| crate::Error::system("open", path, source))?;
    let table = |file: &OwnedFd| {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Mount)).ok()?;
        let name = Path::new("thread-self/mountinfo");
        let text = openat(&proc, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        MountTable::read_open(File::from(text), name, MAX_BYTES).ok()
    };
    Ok(files.into_iter().filter_map(|(inode, file)| Some((inode, table(&file)?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_mount_namespaces_are_taken() {
        assert_eq!(inode_in("mnt:[4026531841]"), Some(4_026_531_841));
        assert_eq!(inode_in("/mnt:[7]"), Some(7));
        for other in ["net:[4026531841]", "mnt:[x]", "mnt:[7] (deleted)", "/tmp/mnt:[7]", ""] {
            assert_eq!(inode_in(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_not_that_namespace_is_not_opened() {
        let own = Path::new("/proc/self/ns/mnt");
        let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(own).unwrap());
        assert!(open(inode, own).is_some());
        assert!(open(inode + 1, own).is_none());
        assert!(open(inode, Path::new("/proc/self/ns/net")).is_none());
        assert!(open(inode, Path::new("/dev/null")).is_none());
    }
}
