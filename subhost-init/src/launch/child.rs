//! In the child: everything from its first instruction to the guest's PID 1.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::umask;

use super::root::Tree;
use crate::child::{Channel, Credentials, Failure, Report, Stdio, at};
use crate::sys::exec::StringArray;
use crate::{Step, sys};

/// All that the child needs, made ready before it is cloned.
pub(super) struct Child<'a> {
    /// The descriptors that it keeps, sorted.
    pub(super) keep: &'a [RawFd],
    pub(super) tree: Tree<'a>,
    pub(super) hostname: Option<&'a str>,
    pub(super) credentials: &'a Credentials,
    pub(super) stdio: &'a Stdio,
    pub(super) controlling_terminal: bool,
    pub(super) record: Option<BorrowedFd<'a>>,
    pub(super) program: &'a Executable,
    pub(super) argv: &'a StringArray,
    pub(super) environment: &'a StringArray,
}

/// What is executed at the end.
pub(super) enum Executable {
    /// A file of the host, by descriptor.
    File(OwnedFd),
    /// A file of the guest, by path.
    Path(CString),
}

impl Child<'_> {
    /// Runs in the child; returns only what went wrong.
    pub(super) fn run(&self, channel: &Channel) -> Result<Infallible, Failure> {
        at(Step::CloseInherited, sys::files::close_all_but(self.keep))?;
        self.tree.take()?;
        if let Some(name) = self.hostname {
            at(Step::HostName, rustix::system::sethostname(name.as_bytes()))?;
        }
        at(Step::Loopback, raise_loopback())?;
        self.credentials.take()?;
        umask(Mode::WGRP | Mode::WOTH);
        self.stdio.start_session(self.controlling_terminal)?;
        self.stdio.place()?;
        sys::signals::reset_dispositions();

        at(Step::AwaitGo, channel.report(Report::Ready))?;
        // Signals stay blocked until here, so that nothing but SIGKILL and end of file ends the wait.
        if !at(Step::AwaitGo, channel.await_go())? && !self.is_committed() {
            sys::clone::exit(0);
        }
        at(Step::Execute, sys::signals::unblock_all())?;
        self.credentials.confine()?;
        let error = match self.program {
            Executable::File(file) => sys::exec::fexecve(file.as_fd(), self.argv, self.environment),
            Executable::Path(path) => sys::exec::execve(path, self.argv, self.environment),
        };
        at(Step::Execute, Err(error))
    }

    /// Whether the record has got a name, which is how a launch is committed.
    fn is_committed(&self) -> bool {
        self.record.is_some_and(|record| rustix::fs::fstat(record).is_ok_and(|stat| stat.st_nlink > 0))
    }
}

fn raise_loopback() -> std::io::Result<()> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sys::link::raise_loopback(socket.as_fd())
}
