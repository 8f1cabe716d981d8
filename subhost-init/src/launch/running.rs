//! A guest that runs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use crate::child::{Status, wait, wait_if_ended};
use crate::{Error, Result};

/// How a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Ended {
    /// It called `reboot(2)` to halt or power off.
    PowerOff,
    /// It called `reboot(2)` to restart.
    Reboot,
    /// Its PID 1 exited with this status.
    Exited(i32),
    /// Its PID 1 was killed by this signal.
    Killed(i32),
}

/// A running guest. Dropping it changes nothing about the guest.
#[derive(Debug)]
pub struct Running {
    pub(super) pid: u32,
    pub(super) pidfd: OwnedFd,
    pub(super) socket: OwnedFd,
}

impl Running {
    /// The pid of the guest's PID 1, as the caller sees it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A pidfd of it, readable (in the sense of `poll`) when it has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The `SOCK_SEQPACKET` socket to our PID 1 (at end of file for a program of the guest).
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Waits until the guest has ended, and reaps it.
    ///
    /// Since it executed its program the guest is a child like any other: the caller gets SIGCHLD when it ends.
    ///
    /// # Errors
    /// [`Error::System`] of `waitid`: `ECHILD` when it was reaped already, by a wait for any child or because
    /// the caller ignores SIGCHLD.
    pub fn wait(&mut self) -> Result<Ended> {
        wait(self.pidfd.as_fd()).map(Ended::from).map_err(|e| self.error("wait for", e))
    }

    /// As [`Running::wait`], but returns `None` while the guest runs.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub fn try_wait(&mut self) -> Result<Option<Ended>> {
        let status = wait_if_ended(self.pidfd.as_fd()).map_err(|e| self.error("wait for", e))?;
        Ok(status.map(Ended::from))
    }

    /// Kills PID 1 and with it the guest.
    ///
    /// # Errors
    /// Of `pidfd_send_signal`; that it is gone already is success.
    pub fn kill(&self) -> Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(self.error("kill", errno.into())),
        }
    }

    /// Forgets the guest, which goes on, and returns its pidfd and socket.
    #[must_use]
    pub fn leave(self) -> (OwnedFd, OwnedFd) {
        (self.pidfd, self.socket)
    }

    fn error(&self, operation: &'static str, source: io::Error) -> Error {
        Error::System { operation, object: format!("process {}", self.pid), source }
    }
}

impl From<Status> for Ended {
    /// `reboot(2)` in a PID namespace ends its init by these signals, which it never dies of otherwise: an init gets no
    /// signal that it does not handle, but SIGKILL.
    fn from(status: Status) -> Ended {
        match status {
            Status::Exited(code) => Ended::Exited(code),
            Status::Killed(libc::SIGINT) => Ended::PowerOff,
            Status::Killed(libc::SIGHUP) => Ended::Reboot,
            Status::Killed(signal) => Ended::Killed(signal),
        }
    }
}
