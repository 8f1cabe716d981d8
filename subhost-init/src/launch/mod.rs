//! Starts a guest: namespaces, root, ids, and the program that becomes its PID 1.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::capability::CapabilitySet;
use crate::child::{
    Channel, Credentials, Failure, Stdio, at, join_cgroups, keep_list, limits, null_stdio, raise, spawn,
};
use crate::limits::ResourceLimits;
use crate::seccomp::Filter;
use crate::sys::exec::StringArray;
use crate::{Error, Result, Step};

mod child;
mod clock;
mod prepared;
mod program;
mod root;
mod running;

use child::{Child, Executable};
use root::Tree;

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
    own_clocks: bool,
    hostname: Option<String>,
    program: Option<Program>,
    pid1_program: Option<Pid1Program>,
    environment: Vec<CString>,
    stdio: Option<[OwnedFd; 3]>,
    console_master: Option<OwnedFd>,
    controlling_terminal: bool,
    record: Option<OwnedFd>,
    cgroup: Option<OwnedFd>,
    legacy_cgroups: Vec<OwnedFd>,
    dropped: CapabilitySet,
    filter: Option<Filter>,
    writable_sys: bool,
    proc_cmdline: Option<PathBuf>,
    limits: ResourceLimits,
}

impl<'fd> Launch<'fd> {
    /// A launch into the tree mounted at `root`, a path in the calling thread's mount namespace.
    #[must_use]
    pub fn new(root: &Path) -> Launch<'fd> {
        Launch {
            root: root.to_owned(),
            user_namespace: None,
            network_namespace: None,
            own_clocks: false,
            hostname: None,
            program: None,
            pid1_program: None,
            environment: Vec::new(),
            stdio: None,
            console_master: None,
            controlling_terminal: false,
            record: None,
            cgroup: None,
            legacy_cgroups: Vec::new(),
            dropped: CapabilitySet::dropped_by_default(),
            filter: Some(Filter::default()),
            writable_sys: false,
            proc_cmdline: None,
            limits: ResourceLimits::default(),
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

    /// Whether the guest has a time namespace in which the uptime and `CLOCK_MONOTONIC` begin with it, as far as the kernel has
    /// any (`CONFIG_TIME_NS`); those of the host by default. The time of day is the host's always.
    #[must_use]
    pub fn own_clocks(mut self, yes: bool) -> Self {
        self.own_clocks = yes;
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

    /// The record of the launch: a file that is linked into its directory to commit. When the caller dies, the child
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

    /// The `cgroup.procs` of each cgroup of version 1 that the guest is born into, open for writing.
    #[must_use]
    pub fn legacy_cgroups(mut self, entries: Vec<OwnedFd>) -> Self {
        self.legacy_cgroups = entries;
        self
    }

    /// The capabilities that no process of the guest can ever have;
    /// [`CapabilitySet::dropped_by_default`] by default.
    #[must_use]
    pub fn drop_capabilities(mut self, dropped: CapabilitySet) -> Self {
        self.dropped = dropped;
        self
    }

    /// The resource limits of the guest; [`ResourceLimits::default`] by default.
    #[must_use]
    pub fn resource_limits(mut self, limits: ResourceLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The system call filter of the guest; [`Filter::default`] by default. Without one, what of the kernel can be reached
    /// from its user namespace is left to the kernel.
    #[must_use]
    pub fn filter(mut self, filter: Option<Filter>) -> Self {
        self.filter = filter;
        self
    }

    /// Whether sysfs is mounted writable, for what the guest's user namespace owns in it; read-only by default.
    #[must_use]
    pub fn writable_sys(mut self, yes: bool) -> Self {
        self.writable_sys = yes;
        self
    }

    /// A file that the guest sees at `/proc/cmdline`, read-only: a path in the calling thread's mount namespace. The guest's
    /// root can take it away and see the kernel's own.
    #[must_use]
    pub fn proc_cmdline(mut self, file: Option<&Path>) -> Self {
        self.proc_cmdline = file.map(Path::to_owned);
        self
    }

    /// Does everything but the last step: returns when the child has its namespaces, root and ids and waits for the
    /// go-ahead. To be called on the thread whose mount namespace holds the tree.
    ///
    /// # Errors
    /// [`crate::Error::LaunchStep`] for what failed in the child.
    pub fn start(self) -> Result<Prepared> {
        let root = self.root.display().to_string();
        let system = |operation: &'static str, source: io::Error| Error::System {
            operation,
            object: root.clone(),
            source,
        };
        let refused = |reason| Error::Refused { object: root.clone(), reason };

        let program = self.program.ok_or_else(|| refused("has no program to be launched with"))?;
        let root_path = CString::new(self.root.as_os_str().as_bytes())
            .map_err(|_| refused("has a zero byte in its path"))?;
        let proc_cmdline = self.proc_cmdline.map(|file| CString::new(file.into_os_string().into_vec()));
        let proc_cmdline =
            proc_cmdline.transpose().map_err(|_| refused("has a zero byte in its command line's path"))?;
        let stdio = match self.stdio {
            Some(stdio) => stdio,
            None => null_stdio().map_err(|e| system("open /dev/null for", e))?,
        };
        let flags = SocketFlags::CLOEXEC;
        let (socket, init_socket) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(|e| system("make a socket for", e.into()))?;
        let mut files = Vec::from(stdio);
        let (executable, argv, name) = match program {
            Program::Subhost(argv) => {
                let pid1 = match self.pid1_program {
                    Some(pid1) => pid1,
                    None => Pid1Program::ensure(Path::new(DEFAULT_PROGRAM_DIR))?,
                };
                files.push(init_socket);
                files.extend(self.console_master);
                let file = raise(pid1.into()).map_err(|e| system("move a descriptor for", e))?;
                (Executable::File(file), argv, "PID 1 of subhost".to_owned())
            }
            Program::Guest { path, argv } => {
                drop(init_socket);
                let name = path.to_string_lossy().escape_debug().to_string();
                (Executable::Path(path), argv, name)
            }
        };
        let stdio = Stdio::new(files).map_err(|e| system("move a descriptor for", e))?;
        let record = self.record.map(raise).transpose().map_err(|e| system("move a descriptor for", e))?;
        let argv = StringArray::new(argv);
        let environment = StringArray::new(self.environment);
        let filter = self.filter.as_ref().map(Filter::program);
        let credentials = Credentials {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            dropped: self.dropped,
            limits: self.limits,
            filter,
        };
        let channels = Channel::pair().map_err(|e| system("make a socket for", e))?;

        let mut kept: Vec<BorrowedFd<'_>> = stdio.fds().collect();
        kept.push(channels.1.as_fd());
        kept.extend(record.as_ref().map(AsFd::as_fd));
        if let Executable::File(file) = &executable {
            kept.push(file.as_fd());
        }
        let keep = keep_list(&kept);
        let child = Child {
            keep: &keep,
            tree: Tree {
                root: &root_path,
                writable_sys: self.writable_sys,
                cmdline: proc_cmdline.as_deref(),
            },
            hostname: self.hostname.as_deref(),
            credentials: &credentials,
            stdio: &stdio,
            controlling_terminal: self.controlling_terminal,
            record: record.as_ref().map(AsFd::as_fd),
            program: &executable,
            argv: &argv,
            environment: &environment,
        };
        let clocks = self.own_clocks.then(clock::offsets).flatten();
        let join = || {
            limits::set(&self.limits)?;
            // Before its child's cgroup namespace is made, which has these as roots.
            join_cgroups(&self.legacy_cgroups)?;
            join(self.user_namespace, self.network_namespace)?;
            clocks.as_deref().map_or(Ok(()), clock::start)
        };
        let run = |channel: &Channel| child.run(channel);
        let object = |step| match step {
            Step::AttachProc => "/proc".to_owned(),
            Step::AttachSys => "/sys".to_owned(),
            Step::CommandLine => "/proc/cmdline".to_owned(),
            Step::HostName => self.hostname.clone().unwrap_or_default().escape_debug().to_string(),
            Step::Loopback => "lo".to_owned(),
            Step::Execute => name.clone(),
            _ => root.clone(),
        };
        let cgroup = self.cgroup.as_ref().map(AsFd::as_fd);
        let spawned = spawn(
            cgroup,
            Self::clone_flags(self.network_namespace.is_some()),
            None,
            channels,
            &join,
            &run,
            &object,
        )?;
        Prepared::new(spawned, socket, record, name)
    }

    /// The namespaces that the child is born into. Its cgroup namespace has the cgroup as root that the intermediate was
    /// born into.
    fn clone_flags(has_network_namespace: bool) -> u32 {
        let new = libc::CLONE_NEWPID
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWCGROUP
            | if has_network_namespace { 0 } else { libc::CLONE_NEWNET };
        new.cast_unsigned()
    }
}

/// In the intermediate: the user namespace first, as it owns the other.
fn join(user: Option<BorrowedFd<'_>>, network: Option<BorrowedFd<'_>>) -> std::result::Result<(), Failure> {
    if let Some(user) = user {
        at(Step::JoinUserNamespace, move_into_link_name_space(user, Some(LinkNameSpaceType::User)))?;
    }
    if let Some(network) = network {
        at(Step::JoinNetworkNamespace, move_into_link_name_space(network, Some(LinkNameSpaceType::Network)))?;
    }
    Ok(())
}
