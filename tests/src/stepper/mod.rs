//! A stepper: runs a command from one system call to the next, and harms it at one of them.
//!
//! It follows the command and all that comes of it, processes and threads, as long as they run the command's own program:
//! children that it makes, the supervisor that it becomes, the launch child up to where it executes PID 1. What executes any other
//! program (the guest's PID 1, the payload of `exec`) is let go of in that moment. When the command has ended, whatever still runs
//! goes on by itself.
//!
//! The points are numbered by process, in the order in which they were made, and by the calls of each. How many calls
//! there are is found by a run without harm; a later one may make a few more or less, as where it waits, so a point may not be
//! reached, which [`Walk::harmed`] tells.
//!
//! ```no_run
//! use std::process::Command;
//! use std::time::Duration;
//! use subhost_tests::stepper::{self, Fault, Harm, Point};
//!
//! let long = Duration::from_secs(10);
//! let walk = stepper::walk(&Command::new("true"), None, long)?;
//! let last = Point { process: 0, call: walk.calls[0].len() - 1 };
//! let killed = stepper::walk(&Command::new("true"), Some(Harm::at(last, Fault::Kill)), long)?;
//! assert_eq!(killed.code, 137);
//! # Ok::<(), std::io::Error>(())
//! ```

mod names;
mod sys;

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

pub use names::name;
use sys::{Call, Status};

use crate::guest::Process;

/// A system call of a command that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Which of its processes and threads, in the order in which they were made, from 0.
    pub process: usize,
    /// Which of that one's calls, from 0.
    pub call: usize,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} call {}", self.process, self.call)
    }
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL: the call is not made.
    Kill,
    /// The call is not made, and gives back this errno. `close` is made all the same: Linux has let go of the descriptor by the
    /// time that it says of an error (close(2)).
    Fail(i32),
}

/// A fault, and where.
#[derive(Clone, Copy, Debug)]
pub struct Harm {
    /// Where.
    pub at: Point,
    /// What.
    pub fault: Fault,
    /// Whether the call with this number is spared. It is then the next one of that process.
    pub spares: fn(i64) -> bool,
}

impl Harm {
    /// A fault at exactly this point.
    pub fn at(at: Point, fault: Fault) -> Self {
        Self { at, fault, spares: |_| false }
    }

    fn is_due(&self, here: Point, number: i64) -> bool {
        here.process == self.at.process && here.call >= self.at.call && !(self.spares)(number)
    }
}

/// What came of a command.
#[derive(Debug)]
pub struct Walk {
    /// Its exit status, 128 + n for a signal.
    pub code: i32,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    /// The numbers of the calls that each of its processes has begun, as far as that was followed: up to the fault.
    pub calls: Vec<Vec<i64>>,
    /// The number of the call at which it was harmed; `None` where it has not come to that point.
    pub harmed: Option<i64>,
    /// It was killed as it had not ended in time.
    pub hung: bool,
}

impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hung = if self.hung { " (hung, and was killed)" } else { "" };
        write!(f, "exit status {}{hung}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs a command to its end, with nothing on its standard input; harms it if that is asked for. Needs root.
pub fn walk(command: &Command, harm: Option<Harm>, within: Duration) -> io::Result<Walk> {
    let [stdout, stderr] = [tempfile::tempfile()?, tempfile::tempfile()?];
    let program = fs::metadata(find(command.get_program())?)?;
    let mut stopped = stopped(command);
    stopped.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let (sender, receiver) = mpsc::channel();
    let (ended, is_ended) = mpsc::channel::<()>();
    // The kernel lets go of all that a thread traces when that ends.
    let (walked, hung) = thread::scope(|scope| {
        let tracer = scope.spawn(move || {
            let _ended = ended;
            let child = stopped.spawn()?;
            let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
            // Whoever waits for it may be told or not.
            let _ = sender.send(Process::open(child.id())?);
            Tracer::new(pid, (program.dev(), program.ino()), harm)?.follow()
        });
        let late = matches!(is_ended.recv_timeout(within), Err(mpsc::RecvTimeoutError::Timeout));
        if late && let Ok(command) = receiver.recv() {
            // It may just have ended.
            let _ = command.signal(Signal::KILL);
        }
        (tracer.join(), late)
    });
    let (code, tracer) = walked.map_err(|_| io::Error::other("the tracing thread panicked"))??;
    let calls = tracer.threads.into_iter().map(|thread| thread.calls).collect();
    Ok(Walk { code, stdout: text(&stdout)?, stderr: text(&stderr)?, calls, harmed: tracer.harmed, hung })
}

/// Where the program of a command is.
fn find(program: &OsStr) -> io::Result<std::path::PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Ok(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file());
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The same command, which stands still before it is executed: only then is it traced from its first call on.
fn stopped(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        shell.current_dir(directory);
    }
    shell
}

fn text(file: &File) -> io::Result<String> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A thread of the command.
struct Thread {
    pid: i32,
    calls: Vec<i64>,
    /// What its current call gives back instead.
    answer: Option<i32>,
    /// It has ended, or executed something else.
    gone: bool,
}

struct Tracer {
    first: i32,
    /// Device and inode of the program that is followed.
    program: (u64, u64),
    harm: Option<Harm>,
    harmed: Option<i64>,
    /// The command's program has been executed.
    begun: bool,
    /// Nothing more is to be counted.
    done: bool,
    threads: Vec<Thread>,
}

impl Tracer {
    fn new(first: i32, program: (u64, u64), harm: Option<Harm>) -> io::Result<Self> {
        sys::await_stop(first)?;
        sys::seize(first)?;
        kill_process(Pid::from_raw(first).ok_or(io::ErrorKind::InvalidInput)?, Signal::CONT)?;
        let mut tracer =
            Self { first, program, harm, harmed: None, begun: false, done: false, threads: Vec::new() };
        tracer.index(first);
        Ok(tracer)
    }

    /// Goes on until the command has ended; gives its exit status.
    fn follow(mut self) -> io::Result<(i32, Self)> {
        loop {
            let (pid, status) = sys::wait()?;
            let code = match status {
                Status::Exited(code) => Some(code),
                Status::Killed(signal) => Some(128 + signal),
                _ => None,
            };
            if let Some(code) = code {
                if pid == self.first {
                    return Ok((code, self));
                }
                let index = self.index(pid);
                self.threads[index].gone = true;
                continue;
            }
            match self.take(pid, status) {
                // It was killed while it stood.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                taken => taken?,
            }
        }
    }

    fn take(&mut self, pid: i32, status: Status) -> io::Result<()> {
        let index = self.index(pid);
        let mut pass = 0;
        match status {
            Status::AtCall => self.at_call(index)?,
            Status::Cloned => {
                self.index(sys::made(pid)?);
            }
            Status::Executed if self.runs_program(pid) => self.begun = true,
            Status::Executed => {
                self.threads[index].gone = true;
                return sys::let_go(pid);
            }
            Status::StandsStill => return sys::leave_still(pid),
            Status::Signalled(signal) => pass = signal,
            Status::Begins | Status::Exited(_) | Status::Killed(_) => {}
        }
        if self.begun && !self.done { sys::to_next_call(pid, pass) } else { sys::go_on(pid, pass) }
    }

    fn at_call(&mut self, index: usize) -> io::Result<()> {
        let thread = &mut self.threads[index];
        match sys::call(thread.pid)? {
            Call::Entry(number) => {
                let here = Point { process: index, call: thread.calls.len() };
                thread.calls.push(number);
                let Some(harm) = self.harm.take_if(|harm| harm.is_due(here, number)) else { return Ok(()) };
                self.harmed = Some(number);
                match harm.fault {
                    Fault::Kill => {
                        self.done = true;
                        kill_process(
                            Pid::from_raw(thread.pid).ok_or(io::ErrorKind::InvalidInput)?,
                            Signal::KILL,
                        )?;
                    }
                    Fault::Fail(errno) => {
                        thread.answer = Some(errno);
                        if number != libc::SYS_close {
                            sys::skip(thread.pid)?;
                        }
                    }
                }
            }
            Call::Exit => {
                if let Some(errno) = thread.answer.take() {
                    self.done = true;
                    sys::answer(thread.pid, -i64::from(errno))?;
                }
            }
        }
        Ok(())
    }

    /// Which one it is; a new one comes last. Pids are used again.
    fn index(&mut self, pid: i32) -> usize {
        if let Some(index) = self.threads.iter().position(|thread| thread.pid == pid && !thread.gone) {
            return index;
        }
        self.threads.push(Thread { pid, calls: Vec::new(), answer: None, gone: false });
        self.threads.len() - 1
    }

    fn runs_program(&self, pid: i32) -> bool {
        let exe = fs::metadata(Path::new("/proc").join(pid.to_string()).join("exe"));
        exe.is_ok_and(|meta| (meta.dev(), meta.ino()) == self.program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe;

    const LONG: Duration = Duration::from_secs(20);

    /// A directory with the probe, which makes five directories in it, and says of each how that went.
    fn directories() -> (tempfile::TempDir, Command) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("probe");
        probe::write(&program).unwrap();
        let mut command = Command::new(&program);
        command.arg("directories").arg(dir.path());
        (dir, command)
    }

    /// The calls by which it does that.
    fn points(command: &Command) -> Vec<Point> {
        let walk = walk(command, None, LONG).unwrap();
        assert_eq!(walk.code, 0, "{walk}");
        let [calls] = walk.calls.as_slice() else { panic!("more than one process") };
        let calls = calls.iter().enumerate().filter(|(_, number)| **number == libc::SYS_mkdirat);
        calls.map(|(call, _)| Point { process: 0, call }).collect()
    }

    #[test]
    fn every_call_is_seen() {
        let (dir, command) = directories();
        assert_eq!(points(&command).len(), 5);
        assert!((0..5).all(|number| dir.path().join(number.to_string()).is_dir()));
    }

    #[test]
    fn a_kill_comes_before_the_call_and_after_the_one_before() {
        let (_first, command) = directories();
        let at = points(&command)[2];
        let (dir, command) = directories();
        let walk = walk(&command, Some(Harm::at(at, Fault::Kill)), LONG).unwrap();
        assert_eq!((walk.code, walk.harmed), (128 + libc::SIGKILL, Some(libc::SYS_mkdirat)));
        let found = (0..5).filter(|number| dir.path().join(number.to_string()).exists());
        assert_eq!(found.collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_call_that_fails_is_not_made_and_the_next_one_is() {
        let (_first, command) = directories();
        let at = points(&command)[3];
        let (dir, command) = directories();
        let walk = walk(&command, Some(Harm::at(at, Fault::Fail(libc::ENOSPC))), LONG).unwrap();
        assert_eq!(walk.stdout, "0 ok\n1 ok\n2 ok\n3 ENOSPC\n4 ok\n");
        let found = (0..5).filter(|number| dir.path().join(number.to_string()).exists());
        assert_eq!(found.collect::<Vec<_>>(), [0, 1, 2, 4]);
    }

    #[test]
    fn a_point_beyond_the_end_is_not_reached() {
        let harm = Harm::at(Point { process: 0, call: 1_000_000 }, Fault::Kill);
        let walk = walk(&Command::new("true"), Some(harm), LONG).unwrap();
        assert_eq!((walk.code, walk.harmed), (0, None));
    }

    #[test]
    fn another_program_is_let_go_of_and_one_that_hangs_is_killed() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 4 & wait"]);
        let walk = walk(&command, None, Duration::from_millis(500)).unwrap();
        assert!(walk.hung && walk.code == 128 + libc::SIGKILL, "{walk}");
        assert_eq!(walk.stdout, "begun\n");
        let [_, child] = walk.calls.as_slice() else { panic!("not two processes") };
        assert_eq!(child.last(), Some(&libc::SYS_execve));
    }
}
