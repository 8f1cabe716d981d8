//! A guest that is complete and waits for the go-ahead.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::running::Running;
use crate::Result;

/// A child that has done everything but execute its program. Dropped, it ends and leaves nothing.
#[derive(Debug)]
pub struct Prepared {
    pid: u32,
    pidfd: OwnedFd,
    socket: OwnedFd,
}

impl Prepared {
    /// The pid of the guest's PID 1, as the caller sees it.
    #[must_use]
    pub fn init_pid(&self) -> u32 {
        self.pid
    }

    /// A pidfd of it.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The `SOCK_SEQPACKET` socket to our PID 1 (at end of file for a program of the guest).
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Lets it execute its program, and returns when that is done.
    ///
    /// # Errors
    /// [`crate::Error::LaunchStep`] with [`crate::Step::Execute`] when it cannot be executed.
    pub fn go(self) -> Result<Running> {
        todo!()
    }
}
