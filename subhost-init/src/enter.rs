//! Runs a command inside a guest that runs already.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Gid, Signal, chdir, set_parent_process_death_signal, umask};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::capability::CapabilitySet;
use crate::child::{
    Channel, Credentials, Failure, Status, Stdio, at, join_cgroups, keep_list, limits, null_stdio, spawn,
    wait,
};
use crate::limits::ResourceLimits;
use crate::seccomp::Filter;
use crate::sys::exec::StringArray;
use crate::{Error, Result, Step, sys};

/// How long it may take until a command is executed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a command without a slash is looked for when the environment has no `PATH`.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command to be run in all namespaces of a process: a guest's PID 1.
#[derive(Debug)]
pub struct Enter<'fd> {
    init: BorrowedFd<'fd>,
    argv: Vec<CString>,
    environment: Vec<CString>,
    stdio: Option<[OwnedFd; 3]>,
    controlling_terminal: bool,
    ends_with_caller: bool,
    limits: ResourceLimits,
    patience: Duration,
    working_directory: CString,
    user: (u32, u32, Vec<u32>),
    cgroup: Option<OwnedFd>,
    legacy_cgroups: Vec<OwnedFd>,
    dropped: CapabilitySet,
    filter: Option<Filter>,
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
            ends_with_caller: false,
            limits: ResourceLimits::default(),
            patience: PATIENCE,
            working_directory: c"/".to_owned(),
            user: (0, 0, Vec::new()),
            cgroup: None,
            legacy_cgroups: Vec::new(),
            dropped: CapabilitySet::dropped_by_default(),
            filter: Some(Filter::default()),
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

    /// The `cgroup.procs` of each of the guest's cgroups of version 1, open for writing.
    #[must_use]
    pub fn legacy_cgroups(mut self, entries: Vec<OwnedFd>) -> Self {
        self.legacy_cgroups = entries;
        self
    }

    /// The capabilities that the command can never have.
    #[must_use]
    pub fn drop_capabilities(mut self, dropped: CapabilitySet) -> Self {
        self.dropped = dropped;
        self
    }

    /// The system call filter of the command: that of the guest, so that it can do no more than the guest.
    #[must_use]
    pub fn filter(mut self, filter: Option<Filter>) -> Self {
        self.filter = filter;
        self
    }

    /// The resource limits of the command; [`ResourceLimits::default`] by default.
    #[must_use]
    pub fn resource_limits(mut self, limits: ResourceLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether the command is killed when the calling thread ends, however that is. What it has started itself goes on.
    #[must_use]
    pub fn ends_with_caller(mut self, yes: bool) -> Self {
        self.ends_with_caller = yes;
        self
    }

    /// How long it may take until the command is executed, 10 s by default. The root of the guest can stop a process that has
    /// joined, and who enters a guest that is frozen stands still with it.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs it; returns when the command is executed.
    ///
    /// # Errors
    /// [`crate::Error::HeldUp`] when that takes too long;
    /// [`crate::Error::LaunchStep`]; see [`crate::Error::exit_status`] for the status that a shell would give.
    pub fn start(self) -> Result<Entered> {
        let Some(command) = self.argv.first() else {
            return Err(Error::Refused { object: "command".to_owned(), reason: "is empty" });
        };
        let name = command.to_string_lossy().escape_debug().to_string();
        let system = |operation: &'static str, source: io::Error| Error::System {
            operation,
            object: name.clone(),
            source,
        };
        let candidates = candidates(command, &self.environment);
        let namespaces = namespaces_to_join(self.init)
            .map_err(|source| system("find the namespaces of the guest for", source))?;
        let stdio = match self.stdio {
            Some(stdio) => stdio,
            None => null_stdio().map_err(|e| system("open /dev/null for", e))?,
        };
        let stdio = Stdio::new(stdio).map_err(|e| system("move a descriptor for", e))?;
        let channels = Channel::pair().map_err(|e| system("make a socket for", e))?;
        let mut kept: Vec<BorrowedFd<'_>> = stdio.fds().collect();
        kept.push(channels.1.as_fd());
        let keep = keep_list(&kept);
        let (uid, gid, groups) = self.user;
        let groups = groups.into_iter().map(Gid::from_raw).collect();
        let filter = self.filter.as_ref().map(Filter::program);
        let child = Child {
            keep: &keep,
            credentials: &Credentials {
                uid,
                gid,
                groups,
                dropped: self.dropped,
                limits: self.limits,
                filter,
            },
            stdio: &stdio,
            controlling_terminal: self.controlling_terminal,
            ends_with_caller: self.ends_with_caller,
            working_directory: &self.working_directory,
            candidates: &candidates,
            argv: &StringArray::new(self.argv),
            environment: &StringArray::new(self.environment),
        };
        // All at once: a process that is half in the guest would be in its reach with what the other half can do.
        let join = || {
            limits::set(&self.limits)?;
            join_cgroups(&self.legacy_cgroups)?;
            at(Step::JoinNamespaces, move_into_thread_name_spaces(self.init, namespaces))
        };
        let object = |step| match step {
            Step::WorkingDirectory => self.working_directory.to_string_lossy().escape_debug().to_string(),
            Step::JoinNamespaces => "the guest".to_owned(),
            _ => name.clone(),
        };
        let cgroup = self.cgroup.as_ref().map(AsFd::as_fd);
        let run = |channel: &Channel| child.run(channel);
        let spawned = spawn(cgroup, 0, Some(self.patience), channels, &join, &run, &object)?;
        Ok(Entered { pid: spawned.pid, pidfd: spawned.pidfd })
    }
}

/// All that the child needs, made ready before it is cloned.
struct Child<'a> {
    keep: &'a [RawFd],
    credentials: &'a Credentials,
    stdio: &'a Stdio,
    controlling_terminal: bool,
    ends_with_caller: bool,
    working_directory: &'a CString,
    candidates: &'a [CString],
    argv: &'a StringArray,
    environment: &'a StringArray,
}

impl Child<'_> {
    /// Runs in the child, which is in the guest; returns only what went wrong.
    fn run(&self, channel: &Channel) -> std::result::Result<Infallible, Failure> {
        at(Step::CloseInherited, sys::files::close_all_but(self.keep))?;
        self.credentials.take()?;
        umask(Mode::WGRP | Mode::WOTH);
        // As the user, who may not be allowed to go there.
        at(Step::WorkingDirectory, chdir(self.working_directory))?;
        self.stdio.start_session(self.controlling_terminal)?;
        self.stdio.place()?;
        if self.ends_with_caller {
            // After the ids are taken, which would undo it.
            at(Step::DeathSignal, set_parent_process_death_signal(Some(Signal::KILL)))?;
        }
        if channel.is_abandoned() {
            sys::clone::exit(0);
        }
        // execve(2) shows for a moment to the guest what it then closes: let that be little.
        let channel = channel.as_fd().as_raw_fd();
        at(Step::CloseInherited, sys::files::close_all_but(&[0, 1, 2, channel]))?;
        sys::signals::reset_dispositions();
        at(Step::Execute, sys::signals::unblock_all())?;
        self.credentials.confine()?;
        let mut failure = io::Error::from_raw_os_error(libc::ENOENT);
        for path in self.candidates {
            let error = sys::exec::execve(path, self.argv, self.environment);
            match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                // Perhaps a later directory has one that may be executed, as with execvp(3).
                Some(libc::EACCES) => failure = error,
                _ => {
                    failure = error;
                    break;
                }
            }
        }
        at(Step::Execute, Err(failure))
    }
}

/// The paths to try for a command.
fn candidates(command: &CString, environment: &[CString]) -> Vec<CString> {
    if command.as_bytes().contains(&b'/') {
        return vec![command.clone()];
    }
    let path = environment.iter().find_map(|variable| variable.as_bytes().strip_prefix(b"PATH="));
    let directories = path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':');
    directories
        .map(|directory| {
            // An empty one is the working directory.
            let directory = if directory.is_empty() { b"." } else { directory };
            let bytes = [directory, b"/", command.as_bytes()].concat();
            CString::new(bytes).expect("parts of strings without zero bytes have none")
        })
        .collect()
}

/// All kinds; but the kernel refuses to join the user namespace that one is in already (setns(2)), and need not have time
/// namespaces at all.
fn namespaces_to_join(init: BorrowedFd<'_>) -> io::Result<ThreadNameSpaceType> {
    let kinds = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::CONTROL_GROUP;
    let pid = pid_of(init)?;
    let is_shared = |kind: &str| {
        let of = |process: &str| fs::metadata(format!("/proc/{process}/ns/{kind}")).map(|file| file.ino());
        Ok::<_, io::Error>(of(&pid.to_string())? == of("thread-self")?)
    };
    let user = if is_shared("user")? { ThreadNameSpaceType::empty() } else { ThreadNameSpaceType::USER };
    let time = if is_shared("time").unwrap_or(true) {
        ThreadNameSpaceType::empty()
    } else {
        ThreadNameSpaceType::TIME
    };
    // While the process is there, nobody else has its pid, and what was looked at was its.
    pid_of(init)?;
    Ok(kinds | user | time)
}

/// The pid behind a pidfd; `ESRCH` when it has ended.
fn pid_of(pidfd: BorrowedFd<'_>) -> io::Result<u32> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("Pid:"))
        .and_then(|pid| pid.trim().parse().ok())
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
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
        match wait(self.pidfd.as_fd()) {
            Ok(Status::Exited(code)) => Ok(code),
            Ok(Status::Killed(signal)) => Ok(128 + signal),
            Err(source) => {
                Err(Error::System { operation: "wait for", object: format!("process {}", self.pid), source })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_for_a_command_as_a_shell_does() {
        let find = |command: &str, variables: &[&str]| {
            let environment: Vec<_> = variables.iter().map(|v| CString::new(*v).unwrap()).collect();
            candidates(&CString::new(command).unwrap(), &environment)
                .iter()
                .map(|path| path.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(find("/bin/sh", &["PATH=/x"]), ["/bin/sh"]);
        assert_eq!(find("./sh", &[]), ["./sh"]);
        assert_eq!(find("sh", &["XPATH=/y", "PATH=/a::/b", "PATH=/c"]), ["/a/sh", "./sh", "/b/sh"]);
        assert_eq!(find("sh", &[])[5], "/bin/sh");
    }
}
