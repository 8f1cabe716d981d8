//! Waiting for a child by its pidfd, and for no other.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Exited(i32),
    Killed(i32),
}

/// Waits for the end of the child and reaps it.
pub(crate) fn wait(pidfd: BorrowedFd<'_>) -> io::Result<Status> {
    loop {
        if let Some(status) = wait_with(pidfd, WaitIdOptions::empty())? {
            return Ok(status);
        }
    }
}

/// Waits until the child has ended, or the time has come; does not reap it.
pub(crate) fn ends(pidfd: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<bool> {
    Ok(poll_until(&mut [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)], deadline)?)
}

/// `poll` with a deadline; `false` when that has come first.
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> rustix::io::Result<bool> {
    let left = || deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let timeout = || left().and_then(|left| Timespec::try_from(left).ok());
    Ok(retry_on_intr(|| poll(fds, timeout().as_ref()))? > 0)
}

/// Reaps the child if it has ended.
pub(crate) fn wait_if_ended(pidfd: BorrowedFd<'_>) -> io::Result<Option<Status>> {
    wait_with(pidfd, WaitIdOptions::NOHANG)
}

fn wait_with(pidfd: BorrowedFd<'_>, options: WaitIdOptions) -> io::Result<Option<Status>> {
    // Our children have no exit signal before they execute something, and are waited for only when asked so.
    let all = WaitIdOptions::from_bits_retain(libc::__WALL.cast_unsigned());
    let options = options | WaitIdOptions::EXITED | all;
    let status = retry_on_intr(|| waitid(WaitId::PidFd(pidfd), options))?;
    Ok(status.as_ref().map(describe))
}

fn describe(status: &WaitIdStatus) -> Status {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Status::Exited(code),
        (None, signal) => Status::Killed(signal.unwrap_or(libc::SIGKILL)),
    }
}
