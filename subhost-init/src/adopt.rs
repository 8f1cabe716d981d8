//! Taking over a guest whose supervisor is gone, from its PID 1; see [`crate::handoff`] for the contract.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use crate::console::is_master;
use crate::handoff::{ADOPT_FD, CONSOLE_FD, End, Message, PACKET, Request};
use crate::process::ProcessHandle;
use crate::{Error, Result};

/// How soon is looked again whether PID 1 has seen that its supervisor is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a supervisor has of a guest that it has not started.
#[derive(Debug)]
pub struct Adopted {
    /// The socket to PID 1.
    pub socket: OwnedFd,
    /// The console's master, if there is one.
    pub console: Option<OwnedFd>,
    /// Whether the guest has reached its first runlevel.
    pub ready: bool,
    /// What will be at its end, if that was asked for.
    pub end: Option<End>,
}

/// Takes over from our PID 1. Its memory and descriptors are the guest's, so each is looked at before it is used.
///
/// # Errors
/// [`Error::Refused`] when it has a supervisor, does not answer until the deadline, or is none of ours; [`Error::System`] of
/// `pidfd_getfd`, which the caller must be allowed to.
pub fn adopt(init: &ProcessHandle, deadline: Instant) -> Result<Adopted> {
    let refused = |reason| Error::Refused { object: format!("process {}", init.pid()), reason };
    let socket = loop {
        match take(init, ADOPT_FD)?.filter(|fd| is_packet_socket(fd.as_fd())) {
            Some(socket) => break socket,
            None if Instant::now() >= deadline => {
                return Err(refused("offers no socket to a new supervisor"));
            }
            None => std::thread::sleep(LOOK_AGAIN),
        }
    };
    let console = take(init, CONSOLE_FD)?.filter(|fd| is_master(fd.as_fd()));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_on_intr(|| send(&socket, &Request::Adopt.encode(), flags)).map_err(|e| error("ask", init, e))?;
    while wait_readable(&socket, deadline) {
        let mut packet = [0; PACKET];
        match recv(&socket, &mut packet, RecvFlags::DONTWAIT) {
            Ok((0, _)) => break,
            Ok((len, _)) => {
                if let Some(Message::Adopted { ready, end }) = Message::decode(&packet[..len]) {
                    return Ok(Adopted { socket, console, ready, end });
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(error("listen to", init, errno)),
        }
    }
    Err(refused("does not answer a new supervisor"))
}

/// A copy of a descriptor of it; `None` where it has no such number.
fn take(init: &ProcessHandle, number: RawFd) -> Result<Option<OwnedFd>> {
    match pidfd_getfd(init, number, PidfdGetfdFlags::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::BADF) => Ok(None),
        Err(errno) => Err(error("take a descriptor of", init, errno)),
    }
}

fn is_packet_socket(fd: BorrowedFd<'_>) -> bool {
    socket_domain(fd) == Ok(AddressFamily::UNIX) && socket_type(fd) == Ok(SocketType::SEQPACKET)
}

/// Whether there is something to read before the deadline.
fn wait_readable(fd: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], timeout.as_ref()) {
            Ok(count) => return count > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn error(operation: &'static str, init: &ProcessHandle, errno: Errno) -> Error {
    Error::System { operation, object: format!("process {}", init.pid()), source: io::Error::from(errno) }
}
