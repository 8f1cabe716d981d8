//! Maps the ids of a mount into a user namespace.

use std::fmt::Write;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::filesystem::Mount;
use crate::{Error, Result, sys};

/// Ids in a row, which are others on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IdRange {
    /// The first one inside of the user namespace: what is on the disk.
    pub inside: u32,
    /// The first one outside: what the mount shows.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// A user namespace with these maps for users and groups, that no process is in: only to map ids through it. Needs root.
///
/// A child process makes it and is gone afterwards. It runs nothing, and sends no signal when it ends.
///
/// # Errors
/// [`Error::System`] when the kernel refuses: ranges that are empty or overlap, or more than 340 of them.
pub fn user_namespace(users: &[IdRange], groups: &[IdRange]) -> Result<OwnedFd> {
    let failed = |source| Error::system("make", "user namespace", source);
    let (reader, writer) = io::pipe().map_err(failed)?;
    // It stays until the other end of the pipe is closed, however we end.
    let child = sys::clone_user_namespace(reader.as_fd(), writer.as_fd()).map_err(failed)?;
    let process = format!("/proc/{child}");
    let made = [("uid_map", users), ("gid_map", groups)]
        .into_iter()
        .try_for_each(|(name, ranges)| {
            if ranges.is_empty() {
                // The kernel would not even be asked.
                let source = io::Error::new(io::ErrorKind::InvalidInput, "it has no range");
                return Err(Error::system("write the map of", name, source));
            }
            let mut map = String::new();
            for IdRange { inside, outside, count } in ranges {
                // Writing to a string cannot fail.
                let _ = writeln!(map, "{inside} {outside} {count}");
            }
            fs::write(format!("{process}/{name}"), map)
                .map_err(|source| Error::system("write the map of", name, source))
        })
        .and_then(|()| File::open(format!("{process}/ns/user")).map_err(failed));
    drop(writer);
    sys::wait_for_clone(child).map_err(failed)?;
    Ok(made?.into())
}

impl Mount {
    /// Shows the files of this mount with their ids mapped through the user namespace `userns`: what id 0 owns on
    /// the disk, the first id of the range owns here.
    ///
    /// Needs `CAP_SYS_ADMIN` where the file system was mounted, and a mount that was never attached. What was
    /// attached is first cloned with [`bind_fd`](crate::bind::bind_fd).
    ///
    /// # Errors
    /// [`Error::NotIdmappable`] when this kernel cannot map this file system (tmpfs on Linux 6.1, vfat),
    /// [`Error::System`] else.
    pub fn idmap(&self, userns: BorrowedFd<'_>) -> Result<()> {
        self.map(userns, false)
    }

    /// The same, of the mounts below it too: of all or of none.
    ///
    /// # Errors
    /// As [`Mount::idmap`].
    pub fn idmap_all(&self, userns: BorrowedFd<'_>) -> Result<()> {
        self.map(userns, true)
    }

    fn map(&self, userns: BorrowedFd<'_>, recursive: bool) -> Result<()> {
        let change = sys::MountChange { userns: Some(userns), recursive, ..Default::default() };
        sys::mount_setattr(self.as_fd(), &change).map_err(|source| match source.raw_os_error() {
            Some(libc::EINVAL) => Error::NotIdmappable { object: self.name().to_owned(), source },
            _ => Error::system("map the ids of", self.name(), source),
        })
    }
}
