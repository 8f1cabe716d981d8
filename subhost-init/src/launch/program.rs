//! Our PID 1 as a file that can be executed and bound, and never be written by a guest.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use crate::Result;

/// Where the program is kept by default.
pub const DEFAULT_PROGRAM_DIR: &str = "/run/subhost";

/// The static PID 1 as a file in a folder that only root can enter.
#[derive(Debug)]
pub struct Pid1Program {
    exec: OwnedFd,
}

impl Pid1Program {
    /// Finds the program in this folder, or writes it there.
    ///
    /// # Errors
    /// When the folder or file is not root's alone.
    pub fn ensure(dir: &Path) -> Result<Pid1Program> {
        let _ = dir;
        todo!()
    }

    /// The file through a read-only mount of its own, to be executed.
    #[must_use]
    pub fn exec_fd(&self) -> BorrowedFd<'_> {
        self.exec.as_fd()
    }

    /// A detached read-only mount of the file, to be attached over a script: executed under another
    /// name than PID 1 it does nothing, with success.
    ///
    /// # Errors
    /// Of `open_tree` and `mount_setattr`.
    pub fn mount(&self) -> Result<OwnedFd> {
        todo!()
    }
}
