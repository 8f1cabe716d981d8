//! Programs of the host that end when we do, however that is, and that are ended when we are told to end.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::progress::{Done, Progress};
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

/// How often it is looked how far a program is.
const OFTEN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// How many lines of what a program said are told with its error, and how long one may be.
const LAST_LINES: usize = 8;
const MAX_LINE_BYTES: usize = 4096;

/// A program that runs, and is killed when this is dropped.
pub struct Running<'a> {
    child: Child,
    name: String,
    said: Option<Said<'a>>,
}

impl<'a> Running<'a> {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut command: Command, name: &str) -> Result<Running<'a>, Error> {
        let child = command.spawn().step(format!("start {name}"))?;
        Ok(Running { child, name: name.to_owned(), said: None })
    }

    /// Has it tell how far it is with what it says on standard error, where that is a pipe.
    #[must_use]
    pub fn telling(mut self, progress: &'a Progress) -> Running<'a> {
        let pipe = self.child.stderr.take();
        self.said =
            pipe.map(|pipe| Said { pipe: Some(pipe), line: Vec::new(), last: VecDeque::new(), progress });
        self
    }

    /// Its output, where that was asked for; once.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits until there is something to read, and hears meanwhile what the program says.
    pub fn hear(&mut self, fd: impl AsFd, signals: &Signals) -> io::Result<()> {
        await_one(fd, signals, &mut self.said, None)
    }

    /// Waits for its end, which must be a good one.
    ///
    /// # Errors
    /// It fails, or we are told to end.
    pub fn finish(self, signals: &Signals) -> Result<(), Error> {
        self.finish_looking(signals, None)
    }

    /// The same, and now and then somebody looks how far it is.
    fn finish_looking(mut self, signals: &Signals, look: Option<&dyn Fn(u32)>) -> Result<(), Error> {
        let pid = Pid::from_child(&self.child);
        let ended = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).step(self.name.as_str())?;
        let number = self.child.id();
        let look = look.map(|look| move || look(number));
        let look = look.as_ref().map(|look| look as &dyn Fn());
        await_one(&ended, signals, &mut self.said, look).step(self.name.as_str())?;
        let status = self.child.wait().step(self.name.as_str())?;
        if status.success() {
            return Ok(());
        }
        let last = self.said.as_mut().map_or_else(String::new, Said::last_words);
        Err(format!("{status}{last}")).step(self.name.as_str())
    }
}

/// What a program says on standard error: told line by line, and the last of it kept.
struct Said<'a> {
    /// Until its end.
    pipe: Option<ChildStderr>,
    line: Vec<u8>,
    last: VecDeque<String>,
    progress: &'a Progress,
}

impl Said<'_> {
    /// Reads what is there.
    fn read(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let mut buffer = [0; 4096];
        let read = pipe.read(&mut buffer)?;
        if read == 0 {
            self.pipe = None;
            self.end_line();
        }
        for byte in &buffer[..read] {
            let is_end = matches!(byte, b'\n' | b'\r');
            if is_end || self.line.len() == MAX_LINE_BYTES {
                self.end_line();
            }
            if !is_end {
                self.line.push(*byte);
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line.trim().is_empty() {
            return;
        }
        self.progress.said(&line);
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// What it said last, when it has ended.
    fn last_words(&mut self) -> String {
        // What has its pipe yet is ended with it.
        while self.pipe.is_some() && self.read().is_ok() {}
        self.last.iter().map(|line| format!("; {}", line.trim())).collect()
    }
}

impl Drop for Running<'_> {
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
        await_readable(&self.inner, self.signals)?;
        self.inner.read(buffer)
    }
}

/// Waits until there is something to read.
///
/// # Errors
/// We are told to end.
pub fn await_readable(fd: impl AsFd, signals: &Signals) -> io::Result<()> {
    await_one(fd, signals, &mut None, None)
}

/// Waits until there is something to read, or a signal asks for the end. Meanwhile it hears what a program says, and looks now
/// and then.
fn await_one(
    fd: impl AsFd,
    signals: &Signals,
    said: &mut Option<Said<'_>>,
    look: Option<&dyn Fn()>,
) -> io::Result<()> {
    loop {
        let mut fds = vec![PollFd::new(signals, PollFlags::IN), PollFd::new(&fd, PollFlags::IN)];
        let pipe = said.as_ref().and_then(|said| said.pipe.as_ref());
        fds.extend(pipe.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match poll(&mut fds, look.map(|_| &OFTEN)) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let [asked, ready, speaks] =
            [0, 1, 2].map(|at| fds.get(at).is_some_and(|fd| !fd.revents().is_empty()));
        if asked && signals.ask_to_end() {
            return Err(io::Error::other("ended by a signal"));
        }
        if let Some(said) = said.as_mut().filter(|_| speaks) {
            said.read()?;
        }
        if ready {
            return Ok(());
        }
        if let Some(look) = look {
            look();
        }
    }
}

/// A directory or file by descriptor, as a program sees it that has it as its standard input.
pub const INPUT: &str = "/proc/self/fd/0";

/// Has a program find what `fd` is open on at [`INPUT`].
pub fn with_input(command: &mut Command, fd: OwnedFd) -> &mut Command {
    command.stdin(Stdio::from(fd))
}

/// What copies heed, and whom they tell.
#[derive(Clone, Copy)]
pub struct Copying<'a> {
    /// What asks us to end.
    pub signals: &'a Signals,
    /// Who is told how far it is.
    pub progress: &'a Progress,
}

impl Copying<'_> {
    /// Copies a tree or a file with all that belongs to it; shares its blocks where the file system can.
    ///
    /// # Errors
    /// The copy fails, or we are told to end.
    pub fn copy(self, from: &Path, to: &Path) -> Result<(), Error> {
        let name = format!("copy {}", from.display());
        self.progress.step(&format!("copies {}", from.display()));
        let mut command = command("cp", "coreutils", Rights::Root)?;
        command.args(["--archive", "--reflink=auto", "--sparse=always", "--one-file-system"]);
        command.arg("--no-target-directory").arg("--").arg(from).arg(to).stderr(Stdio::piped());
        // Of a directory nobody knows how much there is.
        let of = from.symlink_metadata().ok().filter(|meta| meta.is_file()).map(|meta| meta.blocks() * 512);
        let look = |pid| self.progress.at(|| Done { bytes: written(pid).unwrap_or(0), of });
        let cp = Running::start(command, &name)?.telling(self.progress);
        cp.finish_looking(self.signals, Some(&look))
    }
}

/// How many bytes a program has written, or the one that it has started.
fn written(pid: u32) -> Option<u64> {
    let read = |pid: u32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let mut last = pid;
    while let Some(child) = read(last, &format!("task/{last}/children"))?.split_whitespace().next() {
        last = child.parse().ok()?;
    }
    read(last, "io")?.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok())
}
