//! Running the program under test, or a witness, with a deadline.

use std::env;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::isolate::exit_code;

/// The built `subhostctl`: `$SUBHOSTCTL`, or the one in the target directory that the running test is in.
pub fn path() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("SUBHOSTCTL") {
        return Ok(path.into());
    }
    let test = env::current_exe().map_err(|error| format!("path of this program: {error}"))?;
    // target/debug/deps/privileged-0123 -> target/debug/subhostctl
    let built =
        test.ancestors().skip(1).take(2).map(|directory| directory.join("subhostctl")).find(|p| p.is_file());
    built.ok_or_else(|| "no subhostctl beside this test: build it (cargo build -p subhost-cli)".to_owned())
}

/// The directory that `cargo xtask dist` has put a package into, beside that of the program.
pub fn dist() -> Result<PathBuf, String> {
    let directory = path()?.with_file_name("../dist");
    if directory.join("SHA256SUMS").is_file() {
        Ok(directory)
    } else {
        Err("no package: cargo xtask dist".to_owned())
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status, 128 + n for a signal.
    pub code: i32,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit status {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// A command that was started. Dropped before its end it is killed.
pub struct Running {
    child: Child,
    what: String,
    started: Instant,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

impl Running {
    /// Starts `command` with nothing on its standard input, keeping its output.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let what = format!("{command:?}");
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| io::Error::new(error.kind(), format!("{what}: {error}")))?;
        let stdout = read_beside(child.stdout.take());
        let stderr = read_beside(child.stderr.take());
        Ok(Self { child, what, started, stdout, stderr })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends; `None` when it still runs after that time.
    pub fn wait(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        if self.ends(within)? { self.child.wait().map(Some) } else { Ok(None) }
    }

    /// Sends it SIGKILL, unless it has ended.
    pub fn kill(&mut self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// Asks it to end, as `kill` without an option does.
    pub fn terminate(&mut self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        // A child that was not waited for keeps its pid, so this is that process and no other.
        let pidfd = match pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(()),
            pidfd => pidfd?,
        };
        match pidfd_send_signal(&pidfd, signal) {
            Err(Errno::SRCH) => Ok(()),
            sent => sent.map_err(io::Error::from),
        }
    }

    /// Its end and all that it said. An error when it runs longer, or when it has ended and something that it left
    /// running still holds its output open.
    pub fn finish(mut self, within: Duration) -> io::Result<Outcome> {
        let within = within * slowness();
        let Some(status) = self.wait(within)? else {
            self.kill()?;
            self.child.wait()?;
            let text =
                |receiver: &Receiver<_>| receiver.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
            let (stdout, stderr) = (text(&self.stdout), text(&self.stderr));
            return Err(io::Error::other(format!(
                "{} still ran after {within:?}\n--- stdout\n{}--- stderr\n{}",
                self.what,
                String::from_utf8_lossy(&stdout),
                String::from_utf8_lossy(&stderr)
            )));
        };
        let took = self.started.elapsed();
        let text = |receiver: &Receiver<Vec<u8>>, name| {
            let bytes = receiver.recv_timeout(Duration::from_secs(2)).map_err(|_| {
                io::Error::other(format!("{} has ended, but its {name} is still held open", self.what))
            })?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (stdout, stderr) = (text(&self.stdout, "stdout")?, text(&self.stderr, "stderr")?);
        Ok(Outcome { code: exit_code(status), stdout, stderr, took })
    }

    /// Whether it ends in that time.
    fn ends(&mut self, within: Duration) -> io::Result<bool> {
        if self.child.try_wait()?.is_some() {
            return Ok(true);
        }
        let pidfd = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        readable(&pidfd, within)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // Best effort: the namespaces of the test end what is left.
            let _ = self.kill();
            let _ = self.child.wait();
        }
    }
}

/// How many times as long as usual a command may take, on a machine that is that slow: `$SUBHOST_SLOW`.
pub fn slowness() -> u32 {
    env::var("SUBHOST_SLOW").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Runs `command` to its end.
pub fn run(command: Command, within: Duration) -> io::Result<Outcome> {
    Running::start(command)?.finish(within)
}

/// Whether `fd` becomes readable in that time. A pidfd is readable once its process has ended.
pub(crate) fn readable(fd: impl std::os::fd::AsFd, within: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads a pipe to its end on a thread of its own, so that a child never waits for its reader.
fn read_beside(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    if let Some(mut pipe) = pipe {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before an error is still worth showing; nobody may be left to take it.
            let _ = pipe.read_to_end(&mut bytes);
            let _ = sender.send(bytes);
        });
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_status_are_kept_apart() {
        let outcome = run(shell("echo out; echo err >&2; exit 7"), Duration::from_secs(10)).unwrap();
        assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (7, "out\n", "err\n"));
    }

    #[test]
    fn death_by_a_signal_is_128_and_its_number() {
        assert_eq!(run(shell("kill -9 $$"), Duration::from_secs(10)).unwrap().code, 137);
    }

    #[test]
    fn a_command_that_hangs_is_killed_at_the_deadline() {
        let error =
            run(shell("echo begun; exec sleep 100"), Duration::from_millis(300)).unwrap_err().to_string();
        assert!(error.contains("still ran after") && error.contains("begun"), "{error}");
    }

    #[test]
    fn output_held_open_after_the_end_is_an_error() {
        let error = run(shell("sleep 3 & exit 0"), Duration::from_secs(10)).unwrap_err().to_string();
        assert!(error.contains("is still held open"), "{error}");
    }
}
