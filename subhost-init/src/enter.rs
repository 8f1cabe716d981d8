//! Runs a command inside a guest that runs already.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::Result;
use crate::capability::CapabilitySet;

/// A command to be run in all namespaces of a process: a guest's PID 1.
#[derive(Debug)]
pub struct Enter<'fd> {
    init: BorrowedFd<'fd>,
    argv: Vec<CString>,
    environment: Vec<CString>,
    stdio: Option<[OwnedFd; 3]>,
    controlling_terminal: bool,
    working_directory: CString,
    user: (u32, u32, Vec<u32>),
    cgroup: Option<OwnedFd>,
    dropped: CapabilitySet,
}

impl<'fd> Enter<'fd> {
    /// A command for the guest whose PID 1 has this pidfd.
    #[must_use]
    pub fn new(init: BorrowedFd<'fd>) -> Enter<'fd> {
        Enter {
            init,
            argv: Vec::new(),
            environment: Vec::new(),
            stdio: None,
            controlling_terminal: false,
            working_directory: c"/".to_owned(),
            user: (0, 0, Vec::new()),
            cgroup: None,
            dropped: CapabilitySet::dropped_by_default(),
        }
    }

    /// The command and its arguments; looked for in `PATH` of the environment given, inside the guest, unless it has a
    /// slash.
    #[must_use]
    pub fn argv(mut self, argv: Vec<CString>) -> Self {
        self.argv = argv;
        self
    }

    /// The environment, each `NAME=value`; empty by default.
    #[must_use]
    pub fn environment(mut self, environment: Vec<CString>) -> Self {
        self.environment = environment;
        self
    }

    /// Standard input, output and error; the caller's `/dev/null` by default.
    #[must_use]
    pub fn stdio(mut self, stdio: [OwnedFd; 3]) -> Self {
        self.stdio = Some(stdio);
        self
    }

    /// Whether standard input becomes the controlling terminal.
    #[must_use]
    pub fn controlling_terminal(mut self, yes: bool) -> Self {
        self.controlling_terminal = yes;
        self
    }

    /// The directory to start in, inside the guest; `/` by default.
    #[must_use]
    pub fn working_directory(mut self, path: CString) -> Self {
        self.working_directory = path;
        self
    }

    /// The user, group and supplementary groups, as numbers inside the guest; root without groups by default.
    #[must_use]
    pub fn user(mut self, uid: u32, gid: u32, groups: Vec<u32>) -> Self {
        self.user = (uid, gid, groups);
        self
    }

    /// The directory of the guest's cgroup (version 2).
    #[must_use]
    pub fn cgroup(mut self, cgroup: Option<OwnedFd>) -> Self {
        self.cgroup = cgroup;
        self
    }

    /// The capabilities that the command can never have.
    #[must_use]
    pub fn drop_capabilities(mut self, dropped: CapabilitySet) -> Self {
        self.dropped = dropped;
        self
    }

    /// Runs it; returns when the command is executed.
    ///
    /// # Errors
    /// [`crate::Error::LaunchStep`]; see [`crate::Error::exit_status`] for the status that a shell would give.
    pub fn start(self) -> Result<Entered> {
        todo!()
    }
}

/// A command that runs in a guest. Dropped, it goes on.
#[derive(Debug)]
pub struct Entered {
    pid: u32,
    pidfd: OwnedFd,
}

impl Entered {
    /// Its pid, as the caller sees it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A pidfd of it, readable (in the sense of `poll`) when it has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits for its end: the exit status, or 128 + the signal that killed it.
    ///
    /// # Errors
    /// Of `waitid`.
    pub fn wait(&mut self) -> Result<i32> {
        todo!()
    }
}
