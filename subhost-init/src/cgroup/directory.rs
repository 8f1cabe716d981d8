//! Directories of cgroups by fd: opened, made, written, removed.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::result::Result;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::fs::{CWD, fstat, fstatfs, mkdirat, openat, openat2, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::hierarchy::{CGROUP_MAGIC, CGROUP2_MAGIC, Hierarchies};
use super::plan::{PARENT, Version};
use crate::Error;

/// How long a directory whose last process is just ending is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked at again. No event tells of the end in version 1.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How deep a guest's own cgroups may lie in each other and still be removed.
const DEPTH: u32 = 64;

/// Removes what a boot has left of this name that was killed before anybody could find its directories again: those
/// without processes. Nobody else may be making one of that name.
///
/// # Errors
/// [`Error::Refused`] for a name that is none; [`Error::System`], with `EBUSY` when processes are in there.
pub fn sweep(name: &str, host: &Hierarchies) -> crate::Result<()> {
    check_name(name)?;
    // That of version 2 last, as it was made first.
    let legacy = host.legacy.iter().map(|it| &it.mount_point);
    for mount_point in legacy.chain(host.unified.as_ref().map(|it| &it.mount_point)) {
        let parent = mount_point.join(PARENT);
        let swept = open_hierarchy(&parent).and_then(|(parent, _)| {
            remove_directory(parent.as_fd(), name.as_ref(), Some(Instant::now() + PATIENCE))
        });
        match swept {
            Ok(()) | Err(Errno::NOENT | Errno::NODEV) => {}
            Err(errno) => return Err(system("remove the cgroup", &parent.join(name), errno)),
        }
    }
    Ok(())
}

/// It becomes a part of a path.
pub(super) fn check_name(name: &str) -> crate::Result<()> {
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\n', '\0']);
    if plain {
        return Ok(());
    }
    Err(Error::Refused { object: format!("cgroup {name:?}"), reason: "is not the name of a directory" })
}

/// A directory that is really one of cgroups.
pub(super) fn open_hierarchy(path: &Path) -> Result<(OwnedFd, Version), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = open_plain(CWD, path, flags, ResolveFlags::NO_SYMLINKS)?;
    match fstatfs(&opened)?.f_type {
        CGROUP2_MAGIC => Ok((opened, Version::Unified)),
        CGROUP_MAGIC => Ok((opened, Version::Legacy)),
        _ => Err(Errno::NODEV),
    }
}

pub(super) fn open_below(
    directory: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    open_plain(directory, name, flags | OFlags::CLOEXEC, resolve)
}

/// Where a filter around us has taken openat2 away, a link at the end is refused all the same. In a hierarchy nobody can make
/// any, and the way to it is root's.
pub(super) fn open_plain(
    directory: BorrowedFd<'_>,
    path: impl rustix::path::Arg,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    path.into_with_c_str(|path| match openat2(directory, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS) => openat(directory, path, flags | OFlags::NOFOLLOW, Mode::empty()),
        opened => opened,
    })
}

pub(super) fn write_file(directory: BorrowedFd<'_>, name: &str, value: &str) -> Result<(), Errno> {
    let file = open_below(directory, name, OFlags::WRONLY)?;
    retry_on_intr(|| rustix::io::write(&file, value.as_bytes())).map(drop)
}

/// A short file, from its beginning. A `poll` for `POLLPRI` then tells of what changes after this.
pub(super) fn read_file(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut text = vec![0; 256];
    let length = retry_on_intr(|| rustix::io::pread(file, &mut text, 0))?;
    text.truncate(length);
    Ok(text)
}

pub(super) fn has_line(text: &[u8], line: &str) -> bool {
    text.split(|byte| *byte == b'\n').any(|found| found == line.as_bytes())
}

pub(super) fn make_parent(hierarchy: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    match mkdirat(hierarchy, PARENT, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    open_below(hierarchy, PARENT, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Makes a new one, in the place of one that a killed boot left; gives it with its inode. `EBUSY` when there is one with
/// processes.
pub(super) fn make_directory(parent: BorrowedFd<'_>, name: &str) -> Result<(OwnedFd, u64), Errno> {
    let make = || mkdirat(parent, name, Mode::from_raw_mode(0o755));
    match make() {
        Err(Errno::EXIST) => {
            remove_directory(parent, name.as_ref(), Some(Instant::now() + PATIENCE))?;
            make()?;
        }
        made => made?,
    }
    let open = || {
        let directory = open_below(parent, name, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let inode = fstat(&directory)?.st_ino;
        Ok((directory, inode))
    };
    let opened = open();
    if opened.is_err() {
        let _ = unlinkat(parent, name, AtFlags::REMOVEDIR);
    }
    opened
}

/// Removes a directory with those in it; while it is busy again and again, until the deadline.
pub(super) fn remove_directory(
    parent: BorrowedFd<'_>,
    name: &Path,
    deadline: Option<Instant>,
) -> Result<(), Errno> {
    loop {
        match remove_tree(parent, name, DEPTH) {
            Err(Errno::BUSY) if deadline.is_some_and(|deadline| Instant::now() < deadline) => {
                std::thread::sleep(LOOK_AGAIN);
            }
            result => return result,
        }
    }
}

fn remove_tree(parent: BorrowedFd<'_>, name: &Path, depth: u32) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::BUSY | Errno::NOTEMPTY) if depth > 0 => {}
        result => return result,
    }
    let directory = match open_below(parent, name, OFlags::RDONLY | OFlags::DIRECTORY) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    // What is in use is not taken apart. In version 1 nothing tells that of those below.
    let events = open_below(directory.as_fd(), "cgroup.events", OFlags::RDONLY);
    if events.and_then(|file| read_file(&file)).is_ok_and(|text| has_line(&text, "populated 1")) {
        return Err(Errno::BUSY);
    }
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let inside = entry.file_name();
        if entry.file_type() == FileType::Directory && inside != c"." && inside != c".." {
            let inside = Path::new(OsStr::from_bytes(inside.to_bytes()));
            remove_tree(directory.as_fd(), inside, depth - 1)?;
        }
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

pub(super) fn system(operation: &'static str, path: &Path, errno: Errno) -> Error {
    Error::System { operation, object: path.display().to_string(), source: errno.into() }
}
