//! What `openat2(2)` does with `RESOLVE_IN_ROOT` and `RESOLVE_NO_MAGICLINKS`, a name at a time: for where a seccomp
//! filter has taken it away.
//!
//! No link is ever followed by the kernel: it is read, and walked from where it stands or from the root. `..` goes back
//! to the very directory that was come from, and never asks the kernel for a parent, which may have become another one.
//! It holds an fd for each level, so that the depth is limited by those.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, fstatfs, openat, readlinkat};
use rustix::io::Errno;

/// The kernel's limits: on links in a walk, and on the length of a path with its end.
const MAX_LINKS: u32 = 40;
const PATH_MAX: usize = 4096;

const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// The inode of the root directory of any procfs.
const PROC_ROOT: u64 = 1;
/// AppArmor's, which has links like those of procfs.
const AAFS_MAGIC: u64 = 0x5a3c_69f0;
/// In `f_flags`: no link of this mount is to be followed.
const ST_NOSYMFOLLOW: u64 = 0x2000;

/// Opens what `path` leads to below `root`; without `PATH` in the flags only a directory.
pub(super) fn open(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    no_symlinks: bool,
) -> Result<OwnedFd, Errno> {
    let path = path.as_os_str().as_bytes();
    if path.contains(&0) {
        return Err(Errno::INVAL);
    }
    if path.len() >= PATH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    // The names still to be walked, the next one last, and the directories on the way from the root.
    let mut names = reversed(path);
    let mut directories: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    loop {
        let name = names.pop().unwrap_or_else(|| b".".to_vec());
        let is_last = names.is_empty();
        if name == b".." {
            directories.pop();
        }
        let here = directories.last().map_or(root, AsFd::as_fd);
        if name == b"." || name == b".." {
            if is_last {
                return openat(here, ".", flags | OFlags::CLOEXEC, Mode::empty());
            }
            continue;
        }
        let fd = openat(here, &*name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
            FileType::Symlink if is_last && flags.contains(OFlags::NOFOLLOW) => {
                return whole(fd, flags, false);
            }
            FileType::Symlink => {
                links += 1;
                if no_symlinks || links > MAX_LINKS || !may_follow(&fd, here)? {
                    return Err(Errno::LOOP);
                }
                let target = readlinkat(&fd, "", Vec::new())?.into_bytes();
                if target.is_empty() {
                    return Err(Errno::NOENT);
                }
                if target.starts_with(b"/") {
                    directories.clear();
                }
                names.extend(reversed(&target));
            }
            FileType::Directory if is_last => return whole(fd, flags, true),
            FileType::Directory => directories.push(fd),
            _ if is_last => return whole(fd, flags, false),
            _ => return Err(Errno::NOTDIR),
        }
    }
}

/// The names of a path, the first one last. One that ends with a slash means a directory, as with a dot at its end.
fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> =
        path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect();
    if path.ends_with(b"/") {
        names.push(b".".to_vec());
    }
    names.reverse();
    names
}

/// What was met at the end, opened as it was asked for.
fn whole(fd: OwnedFd, flags: OFlags, is_directory: bool) -> Result<OwnedFd, Errno> {
    if !is_directory && flags.contains(OFlags::DIRECTORY) {
        return Err(Errno::NOTDIR);
    }
    if flags.contains(OFlags::PATH) {
        return Ok(fd);
    }
    openat(&fd, ".", flags | OFlags::CLOEXEC, Mode::empty())
}

/// Whether a link is one of text, on a mount that lets them be followed. `/proc/self` is one, but what is in the
/// directories of processes is not what it reads like.
fn may_follow(link: &OwnedFd, directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    let system = fstatfs(link)?;
    let number = |value| u64::try_from(value).unwrap_or(0);
    if number(system.f_flags) & ST_NOSYMFOLLOW != 0 {
        return Ok(false);
    }
    Ok(match number(system.f_type) {
        AAFS_MAGIC => false,
        PROC_SUPER_MAGIC => {
            fstat(directory)?.st_ino == PROC_ROOT && number(fstatfs(directory)?.f_type) == PROC_SUPER_MAGIC
        }
        _ => true,
    })
}
