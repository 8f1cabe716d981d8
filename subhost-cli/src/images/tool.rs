//! Programs of the host that end when we do, however that is, and that are ended when we are told to end.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{Complaint, Context, Error};
use crate::fsck::find;
use crate::supervise::Signals;

/// Ids of nobody, for what reads bytes of strangers.
const NOBODY: [&str; 7] = [
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--",
];

/// With these a program is the first of a PID namespace, so that all that it has started ends with it; what it mounts
/// is seen by itself alone.
const ALONE: [&str; 7] =
    ["--pid", "--fork", "--kill-child=KILL", "--mount", "--propagation=private", "--mount-proc", "--"];

/// What a program may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Those of root, in a PID and a mount namespace of its own.
    Root,
    /// To read its input and to write its output.
    Nobody,
}

/// A program of the host, to be given more words and its streams.
///
/// # Errors
/// It is not installed.
pub fn command(program: &str, package: &str, rights: Rights) -> Result<Command, Error> {
    let path = find(program).ok_or_else(|| missing(program, package))?;
    let setpriv = find("setpriv").ok_or_else(|| missing("setpriv", "util-linux"))?;
    let mut command = Command::new(setpriv);
    // With the thread that has started it, and so with us.
    command.arg("--pdeathsig=KILL");
    match rights {
        Rights::Nobody => command.args(NOBODY),
        Rights::Root => {
            let unshare = find("unshare").ok_or_else(|| missing("unshare", "util-linux"))?;
            command.arg("--").arg(unshare).args(ALONE)
        }
    };
    command.arg(path).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).current_dir("/");
    Ok(command)
}

fn missing(program: &str, package: &str) -> Error {
    let complaint = Complaint::new(format!("{program}: is not installed on the host"));
    Error::refused(complaint.hint(format!("apt install {package} brings it")))
}

/// A program that runs, and is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut command: Command, name: &str) -> Result<Running, Error> {
        let child = command.spawn().step(format!("start {name}"))?;
        Ok(Running { child, name: name.to_owned() })
    }

    /// Its output, where that was asked for; once.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for its end, which must be a good one.
    ///
    /// # Errors
    /// It fails, or we are told to end.
    pub fn finish(mut self, signals: &Signals) -> Result<(), Error> {
        let step = || self.name.clone();
        let pid = Pid::from_child(&self.child);
        let ended = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).step(step())?;
        await_one(&ended, signals).step(step())?;
        let status = self.child.wait().step(self.name.as_str())?;
        if status.success() { Ok(()) } else { Err(status.to_string()).step(self.name.as_str()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // When it has ended there is nothing to do, and nobody to tell otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
///
/// # Errors
/// It fails, or we are told to end.
pub fn run(command: Command, name: &str, signals: &Signals) -> Result<(), Error> {
    Running::start(command, name)?.finish(signals)
}

/// Something to read from, whose wait a signal ends.
pub struct Heeding<'a, R> {
    inner: R,
    signals: &'a Signals,
}

impl<'a, R: Read + AsFd> Heeding<'a, R> {
    /// Reads from `inner`.
    pub fn new(inner: R, signals: &'a Signals) -> Heeding<'a, R> {
        Heeding { inner, signals }
    }
}

impl<R: Read + AsFd> Read for Heeding<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        await_one(&self.inner, self.signals)?;
        self.inner.read(buffer)
    }
}

/// Waits until there is something to read, or a signal asks for the end.
fn await_one(fd: impl AsFd, signals: &Signals) -> io::Result<()> {
    loop {
        let mut fds = [PollFd::new(signals, PollFlags::IN), PollFd::new(&fd, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        if !fds[0].revents().is_empty() && signals.ask_to_end() {
            return Err(io::Error::other("ended by a signal"));
        }
        if !fds[1].revents().is_empty() {
            return Ok(());
        }
    }
}

/// A folder or file by descriptor, as a program sees it that has it as its standard input.
pub const INPUT: &str = "/proc/self/fd/0";

/// Has a program find what `fd` is open on at [`INPUT`].
pub fn with_input(command: &mut Command, fd: OwnedFd) -> &mut Command {
    command.stdin(Stdio::from(fd))
}

/// Copies a tree or a file with all that belongs to it; shares its blocks where the file system can.
///
/// # Errors
/// The copy fails, or we are told to end.
pub fn copy(from: &Path, to: &Path, signals: &Signals) -> Result<(), Error> {
    let name = format!("copy {}", from.display());
    let mut command = command("cp", "coreutils", Rights::Root)?;
    command.args(["--archive", "--reflink=auto", "--sparse=always", "--one-file-system"]);
    command.arg("--no-target-directory").arg("--").arg(from).arg(to);
    run(command, &name, signals)
}
