//! Copying between a caller's descriptors and a guest's terminal or pipes, while waiting for the guest's end.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::{Errno, read, write};
use rustix::termios::isatty;

use crate::{Error, Result};

/// How much is under way in each direction. A pipe that is ready for writing has room for so much, so that no write blocks.
const BUFFER_BYTES: usize = 4096;

/// How often a flow is read at the end: 1 MiB, as much as a pipe can hold. Something that the command left in the
/// background may go on writing for ever.
const DRAIN_READS: usize = 256;

/// How much of the last output is kept.
const TAIL_BYTES: usize = 4096;

/// How often a terminal that nobody has open is looked at: the kernel reports that state all the time.
const HANGUP_RECHECK: Duration = Duration::from_millis(100);

/// Why [`Relay::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// What was waited for has ended. What it has written may be under way still: [`Relay::drain`] passes it on.
    Ended,
    /// The other descriptor with this index is readable.
    Ready(usize),
    /// The time is over.
    Deadline,
}

/// Streams between a caller and a guest.
///
/// The guest's ends have to be the caller's alone (a pty master, one end of a pipe): they are made non-blocking. The
/// caller's own descriptors are shared with others and left as they are. The signal SIGPIPE has to be ignored, as it is in
/// Rust programs.
#[derive(Debug, Default)]
pub struct Relay {
    flows: Vec<Flow>,
    tail: VecDeque<u8>,
}

impl Relay {
    /// A relay without a stream.
    #[must_use]
    pub fn new() -> Relay {
        Relay::default()
    }

    /// Adds the caller's input `from` for the guest's end `to`. Its end is passed on.
    ///
    /// # Errors
    /// [`Error::System`] of `fcntl`.
    pub fn input(self, from: OwnedFd, to: OwnedFd) -> Result<Relay> {
        set_nonblocking(&to)?;
        Ok(self.with(Some(from), Some(to), Kind::Input))
    }

    /// Adds the guest's output `from` for the caller's `to`. Its writer waits when `to` is slow; when nobody reads `to`
    /// any more, it is thrown away.
    ///
    /// # Errors
    /// [`Error::System`] of `fcntl`.
    pub fn output(self, from: OwnedFd, to: OwnedFd) -> Result<Relay> {
        set_nonblocking(&from)?;
        Ok(self.with(Some(from), Some(to), Kind::Output))
    }

    /// Adds a console: output whose writer must never wait. What `to` does not take at once is thrown away, and all of it
    /// without `to`.
    ///
    /// # Errors
    /// [`Error::System`] of `fcntl`.
    pub fn console(self, from: OwnedFd, to: Option<OwnedFd>) -> Result<Relay> {
        set_nonblocking(&from)?;
        Ok(self.with(Some(from), to, Kind::Console))
    }

    fn with(mut self, source: Option<OwnedFd>, sink: Option<OwnedFd>, kind: Kind) -> Relay {
        let buffer = Box::new([0; BUFFER_BYTES]);
        let flow = Flow {
            source,
            sink,
            kind,
            buffer,
            pending: 0..0,
            hung_up: false,
            reads_left: DRAIN_READS,
            lost: None,
        };
        self.flows.push(flow);
        self
    }

    /// The last output of the guest, up to 4 KiB.
    #[must_use]
    pub fn tail(&self) -> Vec<u8> {
        self.tail.iter().copied().collect()
    }

    /// Relays until `until` (a pidfd) is readable, one of the `others` is, or the time has come.
    ///
    /// # Errors
    /// [`Error::System`] of `poll`; that a descriptor of the caller is closed is none, and the guest goes on.
    pub fn wait(
        &mut self,
        until: BorrowedFd<'_>,
        others: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<Wake> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Wake::Deadline);
            }
            let hung_up = self.flows.iter().any(|flow| flow.hung_up);
            let left = if hung_up {
                Some(left.map_or(HANGUP_RECHECK, |left| left.min(HANGUP_RECHECK)))
            } else {
                left
            };
            let (ended, other, runnable) = self.poll(until, others, left).map_err(|e| error(e.into()))?;
            for (flow, runnable) in self.flows.iter_mut().zip(runnable) {
                if runnable || flow.hung_up {
                    flow.step(&mut self.tail);
                }
            }
            if ended {
                return Ok(Wake::Ended);
            }
            if let Some(index) = other {
                return Ok(Wake::Ready(index));
            }
        }
    }

    /// Passes on what the guest has left behind, after its end. Returns [`Wake::Ended`] when that is done, or earlier when
    /// one of the `others` is readable: then it may be called again, or what is left be given up.
    ///
    /// # Errors
    /// [`Error::System`]: some of what the guest has said is lost, as on a full disk; or of `poll`.
    pub fn drain(&mut self, others: &[BorrowedFd<'_>]) -> Result<Wake> {
        loop {
            for flow in self.flows.iter_mut().filter(|flow| flow.kind != Kind::Input) {
                flow.drain(&mut self.tail);
            }
            let slow = self.flows.iter().filter(|flow| flow.kind != Kind::Input && !flow.pending.is_empty());
            let sinks: Vec<_> = slow.filter_map(|flow| flow.sink.as_ref()).collect();
            if sinks.is_empty() {
                let lost = self.flows.iter_mut().find_map(|flow| flow.lost.take());
                return lost.map_or(Ok(Wake::Ended), |errno| Err(error(errno.into())));
            }
            let mut fds: Vec<_> =
                others.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
            fds.extend(sinks.into_iter().map(|sink| PollFd::new(sink, PollFlags::OUT)));
            match poll(&mut fds, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(error(errno.into())),
            }
            if let Some(index) = fds[..others.len()].iter().position(|fd| !fd.revents().is_empty()) {
                return Ok(Wake::Ready(index));
            }
        }
    }

    /// Waits; tells whether it has ended, the first of the others that is ready, and which flows can go on.
    fn poll(
        &self,
        until: BorrowedFd<'_>,
        others: &[BorrowedFd<'_>],
        left: Option<Duration>,
    ) -> rustix::io::Result<(bool, Option<usize>, Vec<bool>)> {
        let interests: Vec<_> = self.flows.iter().map(Flow::interest).collect();
        let mut fds = vec![PollFd::from_borrowed_fd(until, PollFlags::IN)];
        fds.extend(others.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
        fds.extend(interests.iter().flatten().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok((false, None, vec![false; interests.len()])),
            Err(errno) => return Err(errno),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (fixed, flows) = ready.split_at(1 + others.len());
        let mut flows = flows.iter();
        let runnable = interests.iter().map(|interest| interest.is_some() && flows.next() == Some(&true));
        Ok((fixed[0], fixed[1..].iter().position(|ready| *ready), runnable.collect()))
    }
}

fn error(source: io::Error) -> Error {
    Error::System { operation: "relay", object: "standard files".to_owned(), source }
}

fn set_nonblocking(fd: &OwnedFd) -> Result<()> {
    let set = fcntl_getfl(fd).and_then(|flags| fcntl_setfl(fd, flags | OFlags::NONBLOCK));
    set.map_err(|e| error(e.into()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Into the guest: over when the guest is.
    Input,
    /// Out of the guest: what is left when the guest ends still comes through.
    Output,
    /// Out of the guest, whose writers never wait.
    Console,
}

/// Bytes on their way from one descriptor to another.
#[derive(Debug)]
struct Flow {
    source: Option<OwnedFd>,
    sink: Option<OwnedFd>,
    kind: Kind,
    buffer: Box<[u8; BUFFER_BYTES]>,
    /// What of the buffer is still to be written.
    pending: Range<usize>,
    /// The source is a terminal that no process of the guest has open.
    hung_up: bool,
    /// How often it is read after the end.
    reads_left: usize,
    /// Why not all of it has come through, where somebody would have taken it.
    lost: Option<Errno>,
}

impl Flow {
    /// What this flow waits for: to read when it has nothing, to write when it has something.
    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        if !self.pending.is_empty() {
            return self.sink.as_ref().map(|sink| (sink.as_fd(), PollFlags::OUT));
        }
        let source = self.source.as_ref().filter(|_| !self.hung_up);
        source.map(|source| (source.as_fd(), PollFlags::IN))
    }

    /// Goes one step on; `false` when it could not.
    fn step(&mut self, tail: &mut VecDeque<u8>) -> bool {
        if self.pending.is_empty() { self.fill(tail) } else { self.flush() }
    }

    /// Goes on until nothing more is to be read, or the reader of ours is slow.
    fn drain(&mut self, tail: &mut VecDeque<u8>) {
        while self.reads_left > 0 || !self.pending.is_empty() {
            self.reads_left -= usize::from(self.pending.is_empty());
            if !self.step(tail) {
                break;
            }
        }
    }

    fn fill(&mut self, tail: &mut VecDeque<u8>) -> bool {
        let Some(source) = &self.source else { return false };
        match read(source, &mut self.buffer[..]) {
            Ok(0) => self.finish(),
            Ok(count) => {
                self.hung_up = false;
                self.pending = 0..count;
                if self.kind != Kind::Input {
                    tail.extend(&self.buffer[..count]);
                    tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
                }
                if self.kind == Kind::Console {
                    self.flush();
                    self.pending = 0..0;
                }
                self.discard_if_unwanted();
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            Err(Errno::IO) if self.kind != Kind::Input => {
                self.hung_up = true;
                return false;
            }
            Err(errno) => {
                self.lose(errno);
                self.finish();
            }
        }
        true
    }

    fn flush(&mut self) -> bool {
        let Some(sink) = &self.sink else { return false };
        // The caller's descriptor may block, and waiting for its reader could be for ever: that one may wait for us.
        if !takes_more(sink) {
            return false;
        }
        match write(sink, &self.buffer[self.pending.clone()]) {
            Ok(count) => self.pending.start += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            Err(errno) => {
                // That nobody reads, or has the terminal any more, is no loss.
                let is_hangup = errno == Errno::PIPE || errno == Errno::IO && is_device(sink);
                if !is_hangup {
                    self.lose(errno);
                }
                self.sink = None;
                // A writer into a pipe learns that nobody reads, as in a shell's pipeline; a terminal has no such end, and
                // is drained so that its writers never wait.
                if self.kind == Kind::Input || !self.source.as_ref().is_some_and(isatty) {
                    self.source = None;
                }
                self.discard_if_unwanted();
            }
        }
        true
    }

    fn lose(&mut self, errno: Errno) {
        if self.kind == Kind::Output {
            self.lost.get_or_insert(errno);
        }
    }

    fn discard_if_unwanted(&mut self) {
        if self.sink.is_none() {
            self.pending = 0..0;
        }
    }

    /// The source has nothing more, ever; the end that is written to is closed, so that the guest sees the end.
    fn finish(&mut self) {
        self.source = None;
        self.sink = None;
    }
}

/// What a terminal is, also one that was hung up, where isatty(3) says no.
fn is_device(sink: &OwnedFd) -> bool {
    fstat(sink).is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice)
}

fn takes_more(sink: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(sink, PollFlags::OUT)], Some(&now)), Ok(count) if count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn what_a_full_disk_does_not_take_is_an_error() {
        let (source, mut guest) = std::io::pipe().unwrap();
        guest.write_all(b"lost").unwrap();
        drop(guest);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut relay = Relay::new().output(source.into(), full.into()).unwrap();
        assert!(relay.drain(&[]).unwrap_err().to_string().contains("No space left on device"));
    }

    #[test]
    fn what_a_device_fails_to_take_is_an_error_and_a_terminal_that_is_gone_is_none() {
        let relayed_to = |sink: OwnedFd| {
            let (source, mut guest) = std::io::pipe().unwrap();
            guest.write_all(b"lost").unwrap();
            drop(guest);
            Relay::new().output(source.into(), sink).unwrap().drain(&[])
        };
        // There is no memory at 0, and of that the kernel says EIO.
        let memory = File::options().write(true).open("/proc/self/mem").unwrap();
        assert!(relayed_to(memory.into()).unwrap_err().to_string().contains("Input/output error"));
        let pty = nix::pty::openpty(None, None).unwrap();
        drop(pty.master);
        assert_eq!(relayed_to(pty.slave).unwrap(), Wake::Ended);
    }

    #[test]
    fn a_slow_reader_keeps_nobody_waiting_and_loses_nothing() {
        let (source, mut guest) = std::io::pipe().unwrap();
        let (mut reader, sink) = std::io::pipe().unwrap();
        let (signal, mut sender) = std::io::pipe().unwrap();
        let full = vec![b'.'; 65_536];
        File::from(OwnedFd::from(sink.try_clone().unwrap())).write_all(&full).unwrap();
        guest.write_all(b"rest").unwrap();
        drop(guest);
        sender.write_all(b"!").unwrap();
        let mut relay = Relay::new().output(source.into(), sink.into()).unwrap();
        assert_eq!(relay.drain(&[signal.as_fd()]).unwrap(), Wake::Ready(0));
        let mut begin = vec![0; full.len()];
        reader.read_exact(&mut begin).unwrap();
        assert_eq!(relay.drain(&[]).unwrap(), Wake::Ended);
        drop(relay);
        let mut end = String::new();
        reader.read_to_string(&mut end).unwrap();
        assert!(begin == full && end == "rest", "{end}");
    }
}
