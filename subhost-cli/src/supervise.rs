//! Waits for a subhost or a payload: relays its streams, passes signals on, and tells what PID 1 says.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::net::{RecvFlags, SendFlags};
use subhost_init::console::{Relay, Wake};
use subhost_init::handoff::{Message, PACKET, Request};

use crate::error::{Context, Error};

/// What `stop` tells a supervisor: the subhost is to end, and not to be booted again. It may come any number of times.
pub const STAY_OFF: Signal = Signal::SIGPWR;

/// Signals that a supervisor takes itself; the others keep their default.
const SIGNALS: [Signal; 5] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGWINCH, STAY_OFF];

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

    /// True if the end was asked for by a signal that nobody has taken yet.
    pub fn ask_to_end(&self) -> bool {
        std::iter::from_fn(|| self.next()).any(|signal| signal != Signal::SIGWINCH)
    }

    /// The next signal that has come.
    pub fn next(&self) -> Option<Signal> {
        let info = self.0.read_signal().ok()??;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What a supervisor is told of while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The caller was sent this signal.
    Signal(Signal),
    /// PID 1 said this.
    Message(Message),
    /// The deadline has passed.
    Deadline,
}

/// Waits for the end of one process.
pub struct Watch {
    /// The streams.
    pub relay: Relay,
    /// The signals.
    pub signals: Signals,
    /// When to wake up at the latest.
    pub deadline: Option<Instant>,
    listening: bool,
}

impl Watch {
    /// Watches with these streams and signals.
    pub fn new(relay: Relay, signals: Signals) -> Watch {
        Watch { relay, signals, deadline: None, listening: true }
    }

    /// Returns at the next event, or with `None` once the process has ended and all that PID 1 has said is told. The socket
    /// is that of PID 1, if it is one. Some output may still be under way: see [`Watch::drain`].
    ///
    /// # Errors
    /// The fds cannot be waited for.
    pub fn next(
        &mut self,
        process: BorrowedFd<'_>,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Event>, Error> {
        loop {
            let socket = socket.filter(|_| self.listening);
            let mut others = vec![self.signals.0.as_fd()];
            others.extend(socket);
            match self.relay.wait(process, &others, self.deadline).step("wait for the subhost")? {
                // The last words of PID 1 come with its end.
                Wake::Ended => match socket.map(receive) {
                    Some(Received::Message(message)) => return Ok(Some(Event::Message(message))),
                    Some(Received::Unknown) => {}
                    Some(Received::Nothing | Received::Closed) | None => return Ok(None),
                },
                Wake::Deadline => {
                    self.deadline = None;
                    return Ok(Some(Event::Deadline));
                }
                Wake::Ready(0) => {
                    if let Some(signal) = self.signals.next() {
                        return Ok(Some(Event::Signal(signal)));
                    }
                }
                Wake::Ready(_) => match socket.map(receive) {
                    Some(Received::Message(message)) => return Ok(Some(Event::Message(message))),
                    Some(Received::Unknown | Received::Nothing) | None => {}
                    Some(Received::Closed) => self.listening = false,
                },
            }
        }
    }

    /// Passes on what the process has left of its output, however slow our reader is. A signal that asks for the end gives
    /// up the rest, and is returned.
    ///
    /// # Errors
    /// The fds cannot be waited for.
    pub fn drain(&mut self) -> Result<Option<Signal>, Error> {
        while let Wake::Ready(_) =
            self.relay.drain(&[self.signals.0.as_fd()]).step("relay the output of the command")?
        {
            if let Some(signal) = self.signals.next()
                && ![Signal::SIGWINCH, STAY_OFF].contains(&signal)
            {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }

    /// The last lines of the output, printable.
    pub fn last_lines(&self) -> Vec<String> {
        let tail = self.relay.tail();
        let text = String::from_utf8_lossy(&tail);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.iter().skip(lines.len().saturating_sub(10)).map(|line| crate::report::printable(line)).collect()
    }
}

/// What came over the socket of PID 1.
pub enum Received {
    /// A message of ours.
    Message(Message),
    /// Something that is not understood: a newer PID 1 may say more.
    Unknown,
    /// Nothing for now.
    Nothing,
    /// The other end is closed.
    Closed,
}

/// Reads one message.
pub fn receive(socket: BorrowedFd<'_>) -> Received {
    let mut packet = [0; PACKET];
    match rustix::net::recv(socket, &mut packet, RecvFlags::DONTWAIT) {
        Ok((0, _)) => Received::Closed,
        Ok((len, _)) => Message::decode(&packet[..len]).map_or(Received::Unknown, Received::Message),
        Err(rustix::io::Errno::CONNRESET) => Received::Closed,
        // Also without memory for it: it is still there the next time.
        Err(_) => Received::Nothing,
    }
}

/// Asks something of PID 1. That it does not listen any more is seen at its end.
pub fn send(socket: BorrowedFd<'_>, request: Request) {
    let _ = rustix::net::send(socket, &request.encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
}
