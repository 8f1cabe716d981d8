//! Waits for a subhost or a payload: relays its streams, passes signals on, and tells how it ended.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;

use subhost_init::handoff::{Message, PACKET, Request};

use crate::error::{Context, Error};

/// Bytes moved at once.
const CHUNK: usize = 16 << 10;
/// Bytes that a pipe takes at once when it is ready (pipe(7)).
const PIPE_BUF: usize = 4096;
/// Bytes of output that are kept to be shown when a boot fails.
const TAIL: usize = 4 << 10;

/// Signals that a supervisor takes itself; the others keep their default.
const SIGNALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGWINCH];

/// Blocked signals, read as events.
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks the signals for this thread and those it starts from now on.
    ///
    /// # Errors
    /// No fd is left.
    pub fn block() -> Result<Signals, Error> {
        let mut set = SigSet::empty();
        for signal in SIGNALS {
            set.add(signal);
        }
        set.thread_block().step("block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Signals(SignalFd::with_flags(&set, flags).step("read signals")?))
    }

    fn next(&self) -> Option<Signal> {
        let info = self.0.read_signal().ok()??;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }
}

/// A stream that is copied from one end to the other.
pub struct Stream {
    from: Option<OwnedFd>,
    to: Option<OwnedFd>,
    /// True if output is dropped when its reader is slow, instead of stopping its writer.
    lossy: bool,
    /// True for the guest's output, false for the caller's input.
    output: bool,
    /// A regular file or a terminal is always ready, and one that poll(2) cannot wait for is read at once.
    pending: Vec<u8>,
}

impl Stream {
    /// The caller's input for the guest.
    pub fn input(from: OwnedFd, to: OwnedFd) -> Stream {
        Stream { from: Some(from), to: Some(to), lossy: false, output: false, pending: Vec::new() }
    }

    /// The guest's output for the caller.
    pub fn output(from: OwnedFd, to: OwnedFd) -> Stream {
        Stream { from: Some(from), to: Some(to), lossy: false, output: true, pending: Vec::new() }
    }

    /// The guest's console, whose writers must never wait for a reader.
    pub fn console(from: OwnedFd, to: Option<OwnedFd>) -> Stream {
        Stream { from: Some(from), to, lossy: true, output: true, pending: Vec::new() }
    }

    /// Moves what can be moved without waiting; false when nothing could.
    fn pump(&mut self, tail: &mut VecDeque<u8>) -> bool {
        if self.pending.is_empty() {
            let Some(from) = &self.from else { return false };
            let mut chunk = [0; CHUNK];
            match rustix::io::read(from, &mut chunk) {
                Ok(0) => self.from = None,
                Ok(len) => self.pending.extend_from_slice(&chunk[..len]),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return false,
                // EIO is the end of a pseudo-terminal: its last slave is closed.
                Err(_) => self.from = None,
            }
            if self.output {
                tail.extend(&self.pending);
                tail.drain(..tail.len().saturating_sub(TAIL));
            }
        }
        if let Some(to) = &self.to {
            while !self.pending.is_empty() {
                if !ready(to.as_fd(), PollFlags::OUT) {
                    if self.lossy {
                        self.pending.clear();
                    }
                    break;
                }
                // A pipe that is ready takes so much without waiting. Waiting here, for a payload that waits for
                // its output to be read, would be for ever.
                let piece = &self.pending[..self.pending.len().min(PIPE_BUF)];
                match rustix::io::write(to, piece) {
                    Ok(len) => drop(self.pending.drain(..len)),
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                    // Nobody reads any more. The guest's output is still drained, so that it never blocks.
                    Err(_) => {
                        self.to = None;
                        break;
                    }
                }
            }
        }
        if self.to.is_none() {
            self.pending.clear();
            if !self.output {
                self.from = None;
            }
        }
        if self.from.is_none() && self.pending.is_empty() {
            // The other end sees the end of the stream.
            self.to = None;
        }
        true
    }

    fn wanted(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match (&self.from, &self.to) {
            (_, Some(to)) if !self.pending.is_empty() => Some((to.as_fd(), PollFlags::OUT)),
            (Some(from), _) => Some((from.as_fd(), PollFlags::IN)),
            _ => None,
        }
    }
}

/// What a supervisor is told of while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The caller was sent this signal.
    Signal(Signal),
    /// PID 1 has something to say.
    Message,
    /// The deadline has passed.
    Deadline,
}

/// Relays until the process has ended, and tells events as they come.
pub struct Relay {
    /// The streams.
    pub streams: Vec<Stream>,
    /// The signals, if they are taken.
    pub signals: Option<Signals>,
    /// The last output.
    pub tail: VecDeque<u8>,
    /// When to wake up at the latest.
    pub deadline: Option<Instant>,
}

impl Relay {
    /// A relay of these streams.
    pub fn new(streams: Vec<Stream>, signals: Option<Signals>) -> Relay {
        Relay { streams, signals, tail: VecDeque::new(), deadline: None }
    }

    /// Returns at the next event, or with `None` once the process has ended and its output is relayed.
    ///
    /// # Errors
    /// The fds cannot be waited for.
    pub fn next(
        &mut self,
        process: BorrowedFd<'_>,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Event>, Error> {
        loop {
            if let Some(signal) = self.signals.as_ref().and_then(Signals::next) {
                return Ok(Some(Event::Signal(signal)));
            }
            let timeout =
                match self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                    Some(Duration::ZERO) => {
                        self.deadline = None;
                        return Ok(Some(Event::Deadline));
                    }
                    left => left,
                };
            let (ended, said, pumps) = {
                let mut fds = vec![PollFd::from_borrowed_fd(process, PollFlags::IN)];
                fds.extend(socket.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
                fds.extend(
                    self.signals
                        .as_ref()
                        .map(|signals| PollFd::from_borrowed_fd(signals.0.as_fd(), PollFlags::IN)),
                );
                let fixed = fds.len();
                let mut indexes = Vec::new();
                for (index, stream) in self.streams.iter().enumerate() {
                    if let Some((fd, flags)) = stream.wanted() {
                        indexes.push(index);
                        fds.push(PollFd::from_borrowed_fd(fd, flags));
                    }
                }
                let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
                match poll(&mut fds, timeout.as_ref()) {
                    Err(rustix::io::Errno::INTR) => continue,
                    other => other.step("wait for the subhost")?,
                };
                let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
                let pumps: Vec<usize> = indexes
                    .iter()
                    .zip(&fds[fixed..])
                    .filter(|(_, fd)| ready(fd))
                    .map(|(index, _)| *index)
                    .collect();
                (ready(&fds[0]), socket.is_some() && ready(&fds[1]), pumps)
            };
            for index in pumps {
                self.streams[index].pump(&mut self.tail);
            }
            if said {
                return Ok(Some(Event::Message));
            }
            if ended {
                self.drain();
                return Ok(None);
            }
        }
    }

    /// Relays what the guest has written before its end.
    fn drain(&mut self) {
        for stream in self.streams.iter_mut().filter(|stream| stream.output) {
            while let Some((fd, flags)) = stream.wanted() {
                // A process that outlives the payload may hold the pipe open: only what is there counts.
                if !stream.pending.is_empty() && !stream.lossy {
                    let _ = poll(&mut [PollFd::from_borrowed_fd(fd, flags)], None);
                } else if !ready(fd, flags) {
                    break;
                }
                if !stream.pump(&mut self.tail) {
                    break;
                }
            }
        }
    }

    /// The last output, printable.
    pub fn last_lines(&self) -> Vec<String> {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.iter().skip(lines.len().saturating_sub(10)).map(|line| crate::report::printable(line)).collect()
    }
}

/// What came over the socket of PID 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A message of ours.
    Message(Message),
    /// Something that is not understood: PID 1 shares its socket with nobody, but it lives inside.
    Unknown,
}

/// Reads one message; `None` when the other end is closed.
pub fn receive(socket: BorrowedFd<'_>) -> Option<Received> {
    let mut packet = [0; PACKET];
    loop {
        match rustix::io::read(socket, &mut packet) {
            Ok(0) => return None,
            Ok(len) => {
                return Some(Message::decode(&packet[..len]).map_or(Received::Unknown, Received::Message));
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Some(Received::Unknown),
            Err(_) => return None,
        }
    }
}

/// Asks something of PID 1. That it does not listen any more is seen at its end.
pub fn send(socket: BorrowedFd<'_>, request: Request) {
    let _ = rustix::net::send(socket, &request.encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
}

fn ready(fd: BorrowedFd<'_>, flags: PollFlags) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&now)), Ok(count) if count > 0)
}
