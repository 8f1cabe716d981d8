//! Starts a guest: namespaces, root, ids, and the program that becomes its PID 1.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::capability::CapabilitySet;

mod prepared;
mod program;
mod running;

pub use prepared::Prepared;
pub use program::{DEFAULT_PROGRAM_DIR, Pid1Program};
pub use running::{Ended, Running};

/// What becomes PID 1 of the guest.
#[derive(Debug, Clone)]
pub enum Program {
    /// The static PID 1 of this crate, executed from a read-only file that the guest cannot reach.
    /// Its words are those of [`crate::handoff`]; the first is its name.
    Subhost(Vec<CString>),
    /// A program of the guest.
    Guest {
        /// Its absolute path in the guest.
        path: CString,
        /// Its arguments, the first its name.
        argv: Vec<CString>,
    },
}

/// A guest to be started.
#[derive(Debug)]
pub struct Launch<'fd> {
    root: PathBuf,
    user_namespace: Option<BorrowedFd<'fd>>,
    network_namespace: Option<BorrowedFd<'fd>>,
    hostname: Option<String>,
    program: Option<Program>,
    pid1_program: Option<Pid1Program>,
    environment: Vec<CString>,
    stdio: Option<[OwnedFd; 3]>,
    console_master: Option<OwnedFd>,
    controlling_terminal: bool,
    record: Option<OwnedFd>,
    cgroup: Option<OwnedFd>,
    dropped: CapabilitySet,
}

impl<'fd> Launch<'fd> {
    /// A launch into the tree mounted at `root`, a path in the calling thread's mount namespace.
    #[must_use]
    pub fn new(root: &Path) -> Launch<'fd> {
        Launch {
            root: root.to_owned(),
            user_namespace: None,
            network_namespace: None,
            hostname: None,
            program: None,
            pid1_program: None,
            environment: Vec::new(),
            stdio: None,
            console_master: None,
            controlling_terminal: false,
            record: None,
            cgroup: None,
            dropped: CapabilitySet::dropped_by_default(),
        }
    }

    /// The user namespace to live in. Without one, the guest shares the caller's and there is no isolation
    /// to speak of.
    #[must_use]
    pub fn user_namespace(mut self, fd: BorrowedFd<'fd>) -> Self {
        self.user_namespace = Some(fd);
        self
    }

    /// The network namespace to live in; it has to be owned by the user namespace. Without one, the guest
    /// gets a fresh one with nothing but `lo`.
    #[must_use]
    pub fn network_namespace(mut self, fd: BorrowedFd<'fd>) -> Self {
        self.network_namespace = Some(fd);
        self
    }

    /// The host name that the guest starts with.
    #[must_use]
    pub fn hostname(mut self, name: &str) -> Self {
        self.hostname = Some(name.to_owned());
        self
    }

    /// What becomes PID 1.
    #[must_use]
    pub fn program(mut self, program: Program) -> Self {
        self.program = Some(program);
        self
    }

    /// Where [`Program::Subhost`] is executed from; without it, [`Pid1Program::ensure`] is asked for the one in
    /// [`DEFAULT_PROGRAM_DIR`].
    #[must_use]
    pub fn pid1_program(mut self, program: Pid1Program) -> Self {
        self.pid1_program = Some(program);
        self
    }

    /// The environment, each `NAME=value`; empty by default.
    #[must_use]
    pub fn environment(mut self, environment: Vec<CString>) -> Self {
        self.environment = environment;
        self
    }

    /// Standard input, output and error of PID 1; `/dev/null` of the calling thread by default.
    #[must_use]
    pub fn stdio(mut self, stdio: [OwnedFd; 3]) -> Self {
        self.stdio = Some(stdio);
        self
    }

    /// The master of the console, which [`Program::Subhost`] keeps as descriptor 4.
    #[must_use]
    pub fn console_master(mut self, master: Option<OwnedFd>) -> Self {
        self.console_master = master;
        self
    }

    /// Whether standard input becomes the controlling terminal: for a guest's own init.
    #[must_use]
    pub fn controlling_terminal(mut self, yes: bool) -> Self {
        self.controlling_terminal = yes;
        self
    }

    /// The record of the launch: a file that is linked into its folder to commit. When the caller dies, the child
    /// goes on if the record has a name by then, and ends if not.
    #[must_use]
    pub fn record(mut self, record: OwnedFd) -> Self {
        self.record = Some(record);
        self
    }

    /// The directory of the cgroup (version 2) that the guest is born into.
    #[must_use]
    pub fn cgroup(mut self, cgroup: Option<OwnedFd>) -> Self {
        self.cgroup = cgroup;
        self
    }

    /// The capabilities that no process of the guest can ever have;
    /// [`CapabilitySet::dropped_by_default`] by default.
    #[must_use]
    pub fn drop_capabilities(mut self, dropped: CapabilitySet) -> Self {
        self.dropped = dropped;
        self
    }

    /// Does everything but the last step: returns when the child has its namespaces, root and ids and waits for the
    /// go-ahead. To be called on the thread whose mount namespace holds the tree.
    ///
    /// # Errors
    /// [`crate::Error::LaunchStep`] for what failed in the child.
    pub fn start(self) -> Result<Prepared> {
        todo!()
    }
}
