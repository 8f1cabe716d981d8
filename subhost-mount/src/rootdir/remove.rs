//! Removing a directory with all that is in it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::RootDir;
use crate::{Error, Result};

/// How many names of a directory are known at once.
const BATCH: usize = 256;

/// A directory on the way down.
struct Level {
    name: CString,
    identity: Identity,
    /// What was seen in it, and not yet removed.
    names: Vec<CString>,
}

/// Tells a directory from another that has taken its place.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: (u32, u32),
    inode: u64,
    mount: u64,
}

impl RootDir {
    /// Removes the directory at `path` with all that is in it. A link in it is removed and not followed, and what is
    /// mounted in it is not entered: then it stays, and so do the directories above it.
    ///
    /// It holds two fds, however deep the tree is. When it fails, a part may be gone.
    ///
    /// # Errors
    /// [`Error::System`]: with `EXDEV` where something is mounted, with `ESTALE` where somebody moves directories about
    /// meanwhile, with `ENOTDIR` where a link or a file is.
    pub fn remove_tree(&self, path: &Path) -> Result<()> {
        const OPERATION: &str = "remove";
        let failed = |errno| Error::system(OPERATION, path, errno);
        let (directory, name) = self.parent(OPERATION, path)?;
        let name = CString::new(name.as_encoded_bytes()).map_err(|_| failed(Errno::INVAL))?;
        remove(directory, name).map_err(failed)
    }
}

fn remove(directory: impl AsFd, name: CString) -> rustix::io::Result<()> {
    let top = identity(&directory)?;
    let mut levels: Vec<Level> = Vec::new();
    let mut at = enter(&directory, name, top, &mut levels)?;
    while let Some(level) = levels.last_mut() {
        if level.names.is_empty() {
            level.names = names_in(&at)?;
        }
        let Some(name) = level.names.pop() else {
            // Empty: it is removed from the one above.
            let above = if levels.len() > 1 {
                open_directory(&at, c"..")?
            } else {
                rustix::io::fcntl_dupfd_cloexec(&directory, 0)?
            };
            let expected = levels.iter().rev().nth(1).map_or(top, |level| level.identity);
            if identity(&above)? != expected {
                return Err(Errno::STALE);
            }
            if let Some(level) = levels.pop() {
                rustix::fs::unlinkat(&above, &level.name, AtFlags::REMOVEDIR)?;
            }
            at = above;
            continue;
        };
        match rustix::fs::unlinkat(&at, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => at = enter(&at, name, top, &mut levels)?,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Goes down into a directory of the same mount.
fn enter(
    directory: impl AsFd,
    name: CString,
    top: Identity,
    levels: &mut Vec<Level>,
) -> rustix::io::Result<OwnedFd> {
    let fd = open_directory(directory, &name)?;
    let identity = identity(&fd)?;
    if identity.mount != top.mount {
        return Err(Errno::XDEV);
    }
    levels.push(Level { name, identity, names: Vec::new() });
    Ok(fd)
}

fn open_directory(directory: impl AsFd, name: &std::ffi::CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

fn identity(fd: impl AsFd) -> rustix::io::Result<Identity> {
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID)?;
    Ok(Identity {
        device: (stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        mount: stat.stx_mnt_id,
    })
}

/// Some names of a directory; none if it is empty.
fn names_in(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
        if names.len() == BATCH {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_directory_goes_with_all_that_is_in_it_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        let inside = directory.path().join("inside");
        fs::create_dir_all(inside.join("many")).unwrap();
        for n in 0..BATCH * 3 {
            fs::write(inside.join(format!("many/{n}")), "").unwrap();
            fs::create_dir(inside.join(format!("many/d{n}"))).unwrap();
        }
        symlink(&outside, inside.join("link")).unwrap();
        symlink("..", inside.join("many/up")).unwrap();
        // Deeper than a path can be long.
        let mut at = rustix::fs::open(&inside, OFlags::PATH, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "deep", Mode::from_raw_mode(0o700)).unwrap();
            at = rustix::fs::openat(&at, "deep", OFlags::PATH, Mode::empty()).unwrap();
        }
        let tree = RootDir::open(directory.path()).unwrap();
        tree.remove_tree(Path::new("inside")).unwrap();
        assert!(!inside.exists());
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "kept");
    }

    #[test]
    fn what_is_no_directory_is_left() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("kept")).unwrap();
        symlink("kept", directory.path().join("link")).unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let tree = RootDir::open(directory.path()).unwrap();
        for name in ["link", "file"] {
            let error = tree.remove_tree(Path::new(name)).unwrap_err();
            assert!(matches!(error.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP)), "{name}: {error}");
            assert!(directory.path().join(name).symlink_metadata().is_ok());
        }
        assert!(directory.path().join("kept").exists());
    }

    #[test]
    fn what_cannot_be_removed_is_an_error() {
        // Root may remove anything; another user sees the refusal.
        let directory = tempfile::tempdir().unwrap();
        let locked = directory.path().join("inside/locked");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("file"), "").unwrap();
        fs::set_permissions(&locked, PermissionsExt::from_mode(0o500)).unwrap();
        let removed = RootDir::open(directory.path()).unwrap().remove_tree(Path::new("inside"));
        assert_eq!(removed.is_err(), locked.exists());
        if locked.exists() {
            fs::set_permissions(&locked, PermissionsExt::from_mode(0o700)).unwrap();
        }
    }
}
