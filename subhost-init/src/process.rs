//! The identity of a process, so that no signal ever reaches a stranger.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use crate::Result;

/// What identifies a process for ever: its pid alone is used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// The pid in the caller's PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since the boot of the host (field 22 of `/proc/PID/stat`).
    pub start_time_ticks: u64,
    /// The host's boot, as in `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The inode of its PID namespace.
    pub pidns_inode: u64,
}

impl ProcessIdentity {
    /// The identity of the process that has this pid now.
    ///
    /// # Errors
    /// When there is none, or `/proc` does not tell.
    pub fn of(pid: u32) -> Result<ProcessIdentity> {
        let _ = pid;
        todo!()
    }

    /// A handle of that very process, or `None` when it is gone (and whoever has its pid now is someone else).
    ///
    /// # Errors
    /// Of `pidfd_open` and of reading `/proc`.
    pub fn open(&self) -> Result<Option<ProcessHandle>> {
        todo!()
    }
}

/// A process held by pidfd.
#[derive(Debug)]
pub struct ProcessHandle {
    pidfd: OwnedFd,
}

impl ProcessHandle {
    /// Sends a signal by number. `false` when the process has ended already.
    ///
    /// # Errors
    /// Of `pidfd_send_signal`.
    pub fn signal(&self, number: i32) -> Result<bool> {
        let _ = number;
        todo!()
    }

    /// Waits until the process has ended, `false` when the deadline came first.
    ///
    /// # Errors
    /// Of `poll`.
    pub fn wait_gone(&self, deadline: Instant) -> Result<bool> {
        let _ = deadline;
        todo!()
    }

    /// The pidfd.
    #[must_use]
    pub fn into_pidfd(self) -> OwnedFd {
        self.pidfd
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
