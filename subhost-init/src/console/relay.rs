//! Copying between the caller's descriptors and a guest's terminal or pipes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{tcgetwinsize, tcsetwinsize};

use crate::{Error, Result};

/// How much is under way in each direction. A pipe that is ready for writing has room for so much, so that no write blocks.
const BUFFER_BYTES: usize = 4096;

/// How often a flow is read at the end: 1 MiB, as much as a pipe can hold. Something that the command left in the
/// background may go on writing for ever.
const DRAIN_READS: usize = 256;

/// How often a terminal that nobody has open is looked at: the kernel reports that state all the time.
const HANGUP_RECHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Copies `stdin` to the master and the master to `stdout` until `until` (a pidfd) is readable, then what the master
/// still holds.
///
/// The window size of `stdin`, when it is a terminal, is carried over at the beginning and, when this runs on the main
/// thread, at each `SIGWINCH`. `stdin` should be in raw mode. The signal SIGPIPE has to be ignored, as it is in Rust programs.
///
/// # Errors
/// [`Error::System`] of `poll` and the like; that `stdin` or `stdout` is closed is none, and the guest goes on.
pub fn relay_terminal(
    master: BorrowedFd<'_>,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    until: BorrowedFd<'_>,
) -> Result<()> {
    let resize = || {
        if let Ok(size) = tcgetwinsize(stdin) {
            let _ = tcsetwinsize(master, size);
        }
    };
    let mut winch = SigSet::empty();
    winch.add(Signal::SIGWINCH);
    let blocked = winch.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(|e| error(e.into()))?;
    let result = (|| {
        let signals = SignalFd::with_flags(&winch, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        // After the signals are caught, so that no change is missed.
        resize();
        let _nonblocking = Nonblocking::set(master)?;
        let mut flows = [
            Flow::new(End::Theirs(stdin), End::Theirs(master), Direction::In),
            Flow::new(End::Theirs(master), End::Theirs(stdout), Direction::Out),
        ];
        relay(&mut flows, until, Some((signals.as_fd(), &resize)))
    })();
    let _ = blocked.thread_set_mask();
    result.map_err(error)
}

/// The caller's ends of the pipes of a command without terminal.
#[derive(Debug)]
pub struct Pipes {
    /// Write end of its standard input.
    pub stdin: OwnedFd,
    /// Read end of its standard output.
    pub stdout: OwnedFd,
    /// Read end of its standard error.
    pub stderr: OwnedFd,
}

impl Pipes {
    /// Three pipes: our ends, and the command's.
    ///
    /// # Errors
    /// [`Error::System`] of `pipe2`.
    pub fn open() -> Result<(Pipes, [OwnedFd; 3])> {
        let pipe = || {
            pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::System {
                operation: "make a pipe for",
                object: "standard files".to_owned(),
                source: e.into(),
            })
        };
        let (their_stdin, stdin) = pipe()?;
        let (stdout, their_stdout) = pipe()?;
        let (stderr, their_stderr) = pipe()?;
        Ok((Pipes { stdin, stdout, stderr }, [their_stdin, their_stdout, their_stderr]))
    }
}

/// Copies `stdin` into the command and what it says to `stdout` and `stderr`, until `until` (a pidfd) is readable, then
/// what the pipes still hold. The end of `stdin` is passed on. The signal SIGPIPE has to be ignored, as it is in Rust
/// programs.
///
/// # Errors
/// [`Error::System`] of `poll` and the like; closed descriptors of the caller are none.
pub fn relay_pipes(
    pipes: Pipes,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
    until: BorrowedFd<'_>,
) -> Result<()> {
    for ours in [&pipes.stdin, &pipes.stdout, &pipes.stderr] {
        // Our ends are ours alone, so nobody else sees the flag.
        let flags = fcntl_getfl(ours).map_err(|e| error(e.into()))?;
        fcntl_setfl(ours, flags | OFlags::NONBLOCK).map_err(|e| error(e.into()))?;
    }
    let mut flows = [
        Flow::new(End::Theirs(stdin), End::Ours(pipes.stdin), Direction::In),
        Flow::new(End::Ours(pipes.stdout), End::Theirs(stdout), Direction::Out),
        Flow::new(End::Ours(pipes.stderr), End::Theirs(stderr), Direction::Out),
    ];
    relay(&mut flows, until, None).map_err(error)
}

fn error(source: io::Error) -> Error {
    Error::System { operation: "relay", object: "standard files".to_owned(), source }
}

/// One end of a flow. Ours is closed when the flow is over.
enum End<'fd> {
    Ours(OwnedFd),
    Theirs(BorrowedFd<'fd>),
}

impl AsFd for End<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            End::Ours(fd) => fd.as_fd(),
            End::Theirs(fd) => *fd,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// Into the guest: over when the guest is.
    In,
    /// Out of the guest: what is left when the guest ends still comes through, and what nobody wants is thrown away, so
    /// that the guest never waits for a reader that has gone.
    Out,
}

/// Bytes on their way from one descriptor to another.
struct Flow<'fd> {
    source: Option<End<'fd>>,
    sink: Option<End<'fd>>,
    direction: Direction,
    buffer: [u8; BUFFER_BYTES],
    /// What of the buffer is still to be written.
    pending: std::ops::Range<usize>,
    /// The source is a terminal that no process of the guest has open.
    hung_up: bool,
}

impl<'fd> Flow<'fd> {
    fn new(source: End<'fd>, sink: End<'fd>, direction: Direction) -> Flow<'fd> {
        Flow {
            source: Some(source),
            sink: Some(sink),
            direction,
            buffer: [0; BUFFER_BYTES],
            pending: 0..0,
            hung_up: false,
        }
    }

    /// What this flow waits for: to read when it has nothing, to write when it has something.
    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        if !self.pending.is_empty() {
            return self.sink.as_ref().map(|sink| (sink.as_fd(), PollFlags::OUT));
        }
        let source = self.source.as_ref().filter(|_| !self.hung_up);
        source.map(|source| (source.as_fd(), PollFlags::IN))
    }

    /// Goes one step on; `false` when it could not.
    fn step(&mut self) -> bool {
        if self.pending.is_empty() { self.fill() } else { self.flush() }
    }

    fn fill(&mut self) -> bool {
        let Some(source) = &self.source else { return false };
        match read(source, &mut self.buffer[..]) {
            Ok(0) => self.finish(),
            Ok(count) => {
                self.hung_up = false;
                self.pending = 0..count;
                self.discard_if_unwanted();
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            Err(Errno::IO) if self.direction == Direction::Out => {
                self.hung_up = true;
                return false;
            }
            Err(_) => self.finish(),
        }
        true
    }

    fn flush(&mut self) -> bool {
        let Some(sink) = &self.sink else { return false };
        match write(sink, &self.buffer[self.pending.clone()]) {
            Ok(count) => self.pending.start += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            Err(_) => {
                self.sink = None;
                if self.direction == Direction::In {
                    self.source = None;
                }
                self.discard_if_unwanted();
            }
        }
        true
    }

    fn discard_if_unwanted(&mut self) {
        if self.sink.is_none() {
            self.pending = 0..0;
        }
    }

    /// The source has nothing more, ever; an end of ours that is written to is closed, so that the guest sees the end.
    fn finish(&mut self) {
        self.source = None;
        self.sink = None;
    }
}

fn relay(
    flows: &mut [Flow<'_>],
    until: BorrowedFd<'_>,
    signals: Option<(BorrowedFd<'_>, &dyn Fn())>,
) -> io::Result<()> {
    loop {
        let hung_up = flows.iter().any(|flow| flow.hung_up);
        let interests: Vec<_> = flows.iter().map(Flow::interest).collect();
        let mut fds = vec![PollFd::from_borrowed_fd(until, PollFlags::IN)];
        fds.extend(signals.map(|(fd, _)| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let first_flow = fds.len();
        fds.extend(interests.iter().flatten().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)));
        let timeout = hung_up.then_some(&HANGUP_RECHECK);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut flow_ready = ready[first_flow..].iter();
        let runnable: Vec<bool> =
            interests.iter().map(|interest| interest.is_some() && flow_ready.next() == Some(&true)).collect();
        drop(fds);
        drop(interests);

        if let Some((fd, act)) = signals
            && ready[1]
        {
            let mut ignored = [0_u8; 128];
            while read(fd, &mut ignored[..]).is_ok_and(|count| count > 0) {}
            act();
        }
        for (flow, runnable) in flows.iter_mut().zip(runnable) {
            if runnable || flow.hung_up {
                flow.step();
            }
        }
        if ready[0] {
            return drain(flows);
        }
    }
}

/// Passes on what the guest has left behind.
fn drain(flows: &mut [Flow<'_>]) -> io::Result<()> {
    for flow in flows.iter_mut().filter(|flow| flow.direction == Direction::Out) {
        let mut reads = 0;
        while reads < DRAIN_READS {
            reads += usize::from(flow.pending.is_empty());
            if flow.step() {
                continue;
            }
            // Nothing more to read, or a reader of ours that is slow.
            match flow.sink.as_ref().filter(|_| !flow.pending.is_empty()) {
                None => break,
                Some(sink) => match poll(&mut [PollFd::new(sink, PollFlags::OUT)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                },
            }
        }
    }
    Ok(())
}

/// A descriptor that does not block while this lives.
struct Nonblocking<'fd> {
    fd: BorrowedFd<'fd>,
    before: OFlags,
}

impl<'fd> Nonblocking<'fd> {
    fn set(fd: BorrowedFd<'fd>) -> io::Result<Nonblocking<'fd>> {
        let before = fcntl_getfl(fd)?;
        fcntl_setfl(fd, before | OFlags::NONBLOCK)?;
        Ok(Nonblocking { fd, before })
    }
}

impl Drop for Nonblocking<'_> {
    fn drop(&mut self) {
        let _ = fcntl_setfl(self.fd, self.before);
    }
}
