//! Cloning a child through an intermediate that joins namespaces for it.
//!
//! Joining a user namespace is refused to a process with several threads, and joining a PID namespace counts only for
//! children born after. So an intermediate is cloned that shares the caller's descriptors but has its own copy of the
//! memory; it joins, clones the child as its *sibling* (the caller is the parent of both), and ends. The copy, and not the
//! caller's memory, is sealed against tracing before it joins anything: the child is born sealed, so that no process of the
//! guest can trace it or open its descriptors while it still has what it inherited.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::process::{DumpableBehavior, Signal, pidfd_send_signal, set_dumpable_behavior};

use super::report::{Channel, Failure, Report, at};
use super::wait::{Status, ends, wait};
use crate::{Error, Result, Step, sys};

/// How long the end of a child that was killed is waited for.
const AFTER_KILL: Duration = Duration::from_secs(1);

/// A child that has not executed its program yet, or just has.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) channel: Channel,
    /// Whether it waits for the go-ahead. If not, it executed its program, or ended without a word.
    pub(crate) ready: bool,
}

/// Clones a child with the clone3 flags given, into the cgroup given, and returns when it has reported that it is ready,
/// or has executed its program (or was killed). With a patience it is killed and given up after that time: a guest whose
/// cgroup is frozen stops it, and so can the root of one that it has joined.
///
/// `join` runs in the intermediate, `run` in the child, each on its copy of the caller's memory; they are
/// taken by reference as nothing may be dropped twice. `name` tells which object a failed step was about.
pub(crate) fn spawn(
    cgroup: Option<BorrowedFd<'_>>,
    flags: u32,
    patience: Option<Duration>,
    channels: (Channel, Channel),
    join: &dyn Fn() -> std::result::Result<(), Failure>,
    run: &dyn Fn(&Channel) -> std::result::Result<Infallible, Failure>,
    name: &dyn Fn(Step) -> String,
) -> Result<Spawned> {
    let system =
        |operation, source: io::Error| Error::System { operation, object: name(Step::Clone), source };
    let (parent_end, child_end) = channels;

    let intermediate = || {
        let channel = &child_end;
        let result = at(Step::Seal, set_dumpable_behavior(DumpableBehavior::NotDumpable))
            .and_then(|()| join())
            .and_then(|()| {
                let flags = flags | libc::CLONE_PARENT.cast_unsigned();
                at(Step::Clone, sys::clone::fork_with(flags, None, &|| end(channel, run(channel))))
            });
        match result {
            Ok(child) => {
                let report = Report::Started { pid: child.pid, pidfd: child.pidfd.as_raw_fd() };
                match at(Step::Clone, channel.report(report)) {
                    // The table of descriptors is the caller's, who becomes the owner.
                    Ok(()) => drop(child.pidfd.into_raw_fd()),
                    Err(failure) => {
                        let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
                        let _ = channel.report(Report::Failed(failure));
                    }
                }
            }
            // Where nobody hears it nobody waits.
            Err(failure) => drop(channel.report(Report::Failed(failure))),
        }
        0
    };
    let all = SigSet::all();
    let mask =
        all.thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(|e| system("block signals for", e.into()))?;
    let forked = sys::clone::fork_with(libc::CLONE_FILES.cast_unsigned(), cgroup, &intermediate);
    mask.thread_set_mask().map_err(|e| system("unblock signals for", e.into()))?;
    let forked = forked.map_err(|e| system("clone a child for", e))?;
    let deadline = patience.map(|patience| Instant::now() + patience);
    if !ends(forked.pidfd.as_fd(), deadline).map_err(|e| system("wait for a child of", e))? {
        // Whom it may have cloned sees that nobody is there any more.
        kill(forked.pidfd.as_fd());
        return Err(Error::HeldUp { object: name(Step::Execute) });
    }
    let status = wait(forked.pidfd.as_fd()).map_err(|e| system("wait for a child of", e))?;
    if let Status::Killed(_) = status {
        // It may not have told whom it has cloned, who then sees that nobody is there any more.
        return Err(Error::ChildEnded { object: name(Step::Execute) });
    }
    drop(child_end);

    await_ready(parent_end, deadline, name)
}

fn await_ready(
    channel: Channel,
    deadline: Option<Instant>,
    name: &dyn Fn(Step) -> String,
) -> Result<Spawned> {
    let mut child: Option<(u32, OwnedFd)> = None;
    let mut failure = None;
    let mut ready = false;
    // The report of the intermediate and the first one of the child come in any order.
    while failure.is_none() && !(ready && child.is_some()) {
        let pidfd = child.as_ref().map(|(_, fd)| fd.as_fd());
        let report = channel.next(pidfd, deadline);
        if report.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            child.inspect(|(_, pidfd)| kill(pidfd.as_fd()));
            return Err(Error::HeldUp { object: name(Step::Execute) });
        }
        let report = report.map_err(|source| Error::System {
            operation: "read the report of",
            object: name(Step::AwaitGo),
            source,
        })?;
        match report {
            Some(Report::Started { pid, pidfd }) => child = Some((pid, sys::files::adopt(pidfd))),
            Some(Report::Ready) => ready = true,
            Some(Report::Failed(reported)) => failure = Some(reported),
            None => break,
        }
    }
    if let Some(failure) = failure {
        // The child may have failed before the intermediate's report was read.
        if child.is_none()
            && let Ok(Some(Report::Started { pid, pidfd })) = channel.next(None, deadline)
        {
            child = Some((pid, sys::files::adopt(pidfd)));
        }
        if let Some((_, pidfd)) = child {
            let _ = wait(pidfd.as_fd());
        }
        return Err(failure.into_error(name));
    }
    let Some((pid, pidfd)) = child else {
        return Err(Error::ChildEnded { object: name(Step::Clone) });
    };
    Ok(Spawned { pid, pidfd, channel, ready })
}

/// Kills a child, and reaps it if it ends soon: not even SIGKILL ends one that waits for a server of the guest.
fn kill(pidfd: BorrowedFd<'_>) {
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
    if let Ok(true) = ends(pidfd, Some(Instant::now() + AFTER_KILL)) {
        let _ = wait(pidfd);
    }
}

/// The last thing that a child does which did not become its program.
fn end(channel: &Channel, result: std::result::Result<Infallible, Failure>) -> i32 {
    let Err(failure) = result;
    let _ = channel.report(Report::Failed(failure));
    if failure.step == Step::Execute && failure.errno == libc::ENOENT { 127 } else { 126 }
}

impl Failure {
    pub(crate) fn into_error(self, name: &dyn Fn(Step) -> String) -> Error {
        Error::LaunchStep {
            step: self.step,
            object: name(self.step),
            source: io::Error::from_raw_os_error(self.errno),
        }
    }
}
