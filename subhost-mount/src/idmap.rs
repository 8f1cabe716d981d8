//! Maps the ids of a mount into a user namespace.

use std::os::fd::{AsFd, BorrowedFd};

use crate::filesystem::Mount;
use crate::{Error, Result, sys};

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
        let change = sys::MountChange { userns: Some(userns), ..Default::default() };
        sys::mount_setattr(self.as_fd(), &change).map_err(|source| match source.raw_os_error() {
            Some(libc::EINVAL) => Error::NotIdmappable { object: self.name().to_owned(), source },
            _ => Error::system("map the ids of", self.name(), source),
        })
    }
}
