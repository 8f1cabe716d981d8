//! Maps the ids of a mount into a user namespace.

use std::os::fd::BorrowedFd;

use crate::Result;
use crate::filesystem::Mount;

impl Mount {
    /// Shows the files of this mount with their ids mapped through `userns`.
    ///
    /// # Errors
    /// When the file system cannot be idmapped on this kernel, or the mount was attached before.
    pub fn idmap(&self, userns: BorrowedFd<'_>) -> Result<()> {
        let _ = userns;
        unimplemented!()
    }
}
