//! The end of a guest whose processes do not end by themselves, and what of it no signal reaches.
//!
//! SIGKILL ends a process that waits for an answer of a FUSE server only with that server: and a guest can have it that a
//! process which waits is all that keeps the server's end open ([`abort_fuse`]).

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::process::ProcessIdentity;
use crate::userns::IdMap;
use crate::{Error, Result};

const SIGKILL: i32 = 9;

/// A process that waits in the kernel for something that no signal ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its pid, as the caller sees it.
    pub pid: u32,
    /// Its name, of which the guest decides.
    pub name: String,
    /// The function of the kernel that it waits in; empty where that is not told.
    pub function: String,
}

/// Kills all processes of a PID namespace, from outside: what its PID 1 does not get to when it waits itself. The own one is
/// left alone. Not those of namespaces below it, which end with those that made them.
pub fn kill_namespace(pidns_inode: u64) {
    if fs::metadata("/proc/self/ns/pid").is_ok_and(|own| own.ino() == pidns_inode) {
        return;
    }
    for pid in members(pidns_inode) {
        let identity = ProcessIdentity::of(pid).ok().filter(|found| found.pidns_inode == pidns_inode);
        if let Some(Ok(Some(process))) = identity.map(|identity| identity.open()) {
            let _ = process.signal(SIGKILL);
        }
    }
}

/// The processes of a PID namespace in uninterruptible sleep.
#[must_use]
pub fn uninterruptible(pidns_inode: u64) -> Vec<Waiting> {
    let waiting = |pid: u32| {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let (name, state) = name_and_state(&stat)?;
        let function = || fs::read_to_string(format!("/proc/{pid}/wchan")).ok().filter(|name| name != "0");
        (state == b'D').then(|| Waiting { pid, name, function: function().unwrap_or_default() })
    };
    members(pidns_inode).filter_map(waiting).collect()
}

fn members(pidns_inode: u64) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(move |pid| {
        fs::metadata(format!("/proc/{pid}/ns/pid")).is_ok_and(|ns| ns.ino() == pidns_inode)
    })
}

/// Of `/proc/PID/stat`: `PID (NAME) STATE …`, where the name may hold anything.
fn name_and_state(stat: &[u8]) -> Option<(String, u8)> {
    let begin = stat.iter().position(|byte| *byte == b'(')?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let name = String::from_utf8_lossy(stat.get(begin + 1..end)?).into_owned();
    Some((name, *stat.get(end + 2)?))
}

/// Ends the FUSE file systems that belong to one of these host ids: who waits for an answer gets an error. How many there were.
///
/// # Errors
/// [`Error::System`] where the kernel does not list them, as without FUSE.
pub fn abort_fuse(ids: IdMap) -> Result<usize> {
    let error = |source: io::Error| Error::System {
        operation: "look at the FUSE file systems of",
        object: format!("ids {} to +{}", ids.first, ids.count),
        source,
    };
    let control = control().map_err(|errno| error(errno.into()))?;
    let mut aborted = 0;
    // The one directory for each is named by its device number, and belongs to whom it was mounted for.
    for entry in Dir::read_from(&control).map_err(|errno| error(errno.into()))? {
        let entry = entry.map_err(|errno| error(errno.into()))?;
        if entry.file_type() != FileType::Directory || entry.file_name().to_bytes().starts_with(b".") {
            continue;
        }
        // Gone meanwhile, or of somebody else.
        let Ok(found) = statat(&control, entry.file_name(), AtFlags::empty()) else { continue };
        if found.st_uid.checked_sub(ids.first).is_none_or(|id| id >= ids.count) {
            continue;
        }
        let path = [entry.file_name().to_bytes(), b"/abort"].concat();
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        if let Ok(abort) = openat(control.as_fd(), path, flags, Mode::empty())
            && rustix::io::write(&abort, b"1").is_ok()
        {
            aborted += 1;
        }
    }
    Ok(aborted)
}

/// The root of fusectl, wherever and whether it is mounted.
fn control() -> rustix::io::Result<OwnedFd> {
    let context = fsopen(c"fusectl", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    // That one only names it.
    openat(&mount, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_state_behind_any_name() {
        assert_eq!(name_and_state(b"17 (sh) S 1 2"), Some(("sh".to_owned(), b'S')));
        assert_eq!(name_and_state(b"17 (a) D (b) D 1"), Some(("a) D (b".to_owned(), b'D')));
        for wrong in [&b""[..], b"17", b"17 (sh", b"17 (sh)", b"17 )sh( S"] {
            assert_eq!(name_and_state(wrong), None, "{wrong:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_hides_the_state_behind_it(name: String, garbage: Vec<u8>) {
            let stat = format!("17 ({name}) D 1 2");
            proptest::prop_assert_eq!(name_and_state(stat.as_bytes()), Some((name, b'D')));
            let _ = name_and_state(&garbage);
        }
    }

    #[test]
    fn the_own_namespace_is_left_alone() {
        kill_namespace(fs::metadata("/proc/self/ns/pid").unwrap().ino());
    }
}
