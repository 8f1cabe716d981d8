//! The blocking netlink socket: many requests in one send, answers matched by sequence; and link events.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::decode::{self, Message};
use crate::message::Request;
use crate::observe::{self, Link};
use crate::{Error, Result};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_DELLINK: u16 = 17;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLMSGERR_ATTR_MSG: u16 = 1;
const RTMGRP_LINK: u32 = 1;

/// How many requests go out in one send. All their answers wait in the socket's receive buffer before the first is
/// read, and the default buffer (208 KiB) holds about 100 answers of a page each.
const REQUESTS_PER_SEND: usize = 64;

/// The kernel packs a dump into datagrams of at most 32 KiB.
const DATAGRAM_MAX: usize = 64 * 1024;

/// How often a dump is read again when links changed meanwhile, before it is taken as it is.
const DUMP_TRIES: u32 = 5;

/// A netlink socket in the network namespace of the thread that opened it.
pub(crate) struct Socket {
    socket: netlink_sys::Socket,
    sequence: u32,
    buffer: Vec<u8>,
    requests_per_send: usize,
}

/// What the kernel said to one request: the payload of its answer (empty for a bare acknowledgement), or the error.
pub(crate) type Answer = Result<Vec<u8>>;

impl Socket {
    pub(crate) fn open() -> Result<Self> {
        Self::open_protocol(NETLINK_ROUTE, REQUESTS_PER_SEND)
    }

    /// A socket for nftables instead, whose transactions must go out in one send.
    pub(crate) fn open_netfilter() -> Result<Self> {
        Self::open_protocol(NETLINK_NETFILTER, usize::MAX)
    }

    fn open_protocol(protocol: isize, requests_per_send: usize) -> Result<Self> {
        let open = || {
            let mut socket = netlink_sys::Socket::new(protocol)?;
            socket.bind_auto()?;
            socket.set_cap_ack(true)?;
            socket.set_ext_ack(true)?;
            Ok(socket)
        };
        let socket = open().map_err(|error: io::Error| Error::os("open", "netlink socket", error))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; DATAGRAM_MAX], requests_per_send })
    }

    /// Sends all requests and returns the answer to each, in order. A refused request does not stop the others.
    ///
    /// # Errors
    /// Of the socket itself; then nothing is known about the requests.
    pub(crate) fn transact(&mut self, requests: &[Request]) -> Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(requests.len());
        for chunk in requests.chunks(self.requests_per_send) {
            let first = self.sequence.wrapping_add(1);
            self.send(chunk)?;
            answers.extend(self.acknowledgements(first, chunk)?);
        }
        Ok(answers)
    }

    /// Sends one request; [`Socket::transact`] for one.
    pub(crate) fn request(&mut self, request: Request) -> Answer {
        self.transact(std::slice::from_ref(&request))?.pop().unwrap_or_else(|| Err(no_answer(&request)))
    }

    /// The payloads that a dump request gets.
    pub(crate) fn dump(&mut self, request: &Request) -> Result<Vec<Vec<u8>>> {
        let mut tries = 0;
        loop {
            tries += 1;
            self.send(std::slice::from_ref(request))?;
            let (payloads, interrupted) = self.dump_answer(request)?;
            if !interrupted || tries == DUMP_TRIES {
                return Ok(payloads);
            }
        }
    }

    fn send(&mut self, requests: &[Request]) -> Result<()> {
        let mut bytes = Vec::new();
        for request in requests {
            self.sequence = self.sequence.wrapping_add(1);
            bytes.extend(request.to_bytes(self.sequence));
        }
        // One send is one datagram: netlink takes all of it or nothing.
        loop {
            match self.socket.send_to(&bytes, &netlink_sys::SocketAddr::new(0, 0), 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let object = requests.first().map(|request| request.object.clone()).unwrap_or_default();
                    return Err(Error::os("send netlink request for", object, error));
                }
            }
        }
    }

    fn acknowledgements(&mut self, first: u32, requests: &[Request]) -> Result<Vec<Answer>> {
        let mut payloads = vec![Vec::new(); requests.len()];
        let unanswered = |request: &Request| (!request.is_acknowledged()).then(|| Ok(Vec::new()));
        let mut answers: Vec<Option<Answer>> = requests.iter().map(unanswered).collect();
        let mut missing = answers.iter().filter(|answer| answer.is_none()).count();
        while missing > 0 {
            let datagram = receive(&self.socket, &mut self.buffer)?;
            for message in decode::messages(datagram) {
                let Ok(at) = usize::try_from(message.sequence.wrapping_sub(first)) else { continue };
                let Some(answer) = answers.get_mut(at) else { continue };
                if answer.is_some() {
                    // One that needs no answer, and gets one, has failed with all that follow.
                    if !requests[at].is_acknowledged() {
                        acknowledgement(&requests[at], message)?;
                    }
                    continue;
                }
                if message.kind == NLMSG_ERROR {
                    *answer = Some(
                        acknowledgement(&requests[at], message).map(|()| std::mem::take(&mut payloads[at])),
                    );
                    missing -= 1;
                } else {
                    payloads[at] = message.payload.to_vec();
                }
            }
        }
        Ok(answers
            .into_iter()
            .zip(requests)
            .map(|(answer, request)| answer.unwrap_or_else(|| Err(no_answer(request))))
            .collect())
    }

    fn dump_answer(&mut self, request: &Request) -> Result<(Vec<Vec<u8>>, bool)> {
        let mut payloads = Vec::new();
        let mut interrupted = false;
        loop {
            let datagram = receive(&self.socket, &mut self.buffer)?;
            for message in decode::messages(datagram).filter(|message| message.sequence == self.sequence) {
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_ERROR => acknowledgement(request, message)?,
                    NLMSG_DONE => return Ok((payloads, interrupted)),
                    _ => payloads.push(message.payload.to_vec()),
                }
            }
        }
    }
}

/// Links that go away, as they go.
pub(crate) struct LinkEvents {
    socket: netlink_sys::Socket,
    buffer: Vec<u8>,
}

impl LinkEvents {
    /// Events from now on, of the network namespace of the calling thread.
    pub(crate) fn open() -> Result<Self> {
        let open = || {
            let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
            socket.bind(&netlink_sys::SocketAddr::new(0, RTMGRP_LINK))?;
            Ok(socket)
        };
        let socket =
            open().map_err(|error: io::Error| Error::os("open", "netlink socket for link events", error))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM_MAX] })
    }

    /// Waits until links have gone, and returns them; none at the deadline.
    /// An empty list means that events were lost, and that anything may have gone.
    pub(crate) fn next_deleted(&mut self, deadline: Instant) -> Result<Option<Vec<Link>>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // A whole millisecond more, as poll rounds down and would spin through the last one.
            let timeout = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
            let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) if left.is_zero() => return Ok(None),
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(Error::os("wait for", "link events", errno)),
            }
            let datagram = match receive(&self.socket, &mut self.buffer) {
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Some(Vec::new())),
                other => other?,
            };
            // A bridge tells of a port that it lost in the same words, with a family of its own; that is no end of the link.
            let gone: Vec<Link> = decode::messages(datagram)
                .filter(|message| message.kind == RTM_DELLINK)
                .filter_map(|message| observe::decode_link(message.payload))
                .collect();
            if !gone.is_empty() {
                return Ok(Some(gone));
            }
        }
    }
}

/// One datagram from the kernel; those of others are passed over.
fn receive<'a>(socket: &netlink_sys::Socket, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    loop {
        match socket.recv_from(&mut &mut buffer[..], libc::MSG_TRUNC) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::os("receive", "netlink answer", error)),
            Ok((_, sender)) if sender.port_number() != 0 => {}
            Ok((length, _)) => {
                return buffer.get(..length).ok_or(Error::Reply {
                    operation: "receive",
                    object: "netlink answer".into(),
                    what: "longer than any that was expected",
                });
            }
        }
    }
}

/// An NLMSG_ERROR is the acknowledgement, too: with errno 0.
fn acknowledgement(request: &Request, message: Message<'_>) -> Result<()> {
    let Some(code) = decode::i32_at(message.payload, 0) else { return Err(no_answer(request)) };
    if code == 0 {
        return Ok(());
    }
    Err(Error::Os {
        operation: request.operation,
        object: request.object.clone(),
        source: io::Error::from_raw_os_error(code.saturating_neg()),
        kernel_text: kernel_text(message),
    })
}

/// The extended acknowledgement: attributes after the errno and the request's header, or the whole request where
/// the kernel did not cap it.
fn kernel_text(message: Message<'_>) -> Option<String> {
    let request = usize::try_from(decode::u32_at(message.payload, 4)?).ok()?;
    let echoed = if message.flags & NLM_F_CAPPED == 0 { request.max(16) } else { 16 };
    let attributes = message.payload.get(4 + echoed.next_multiple_of(4)..)?;
    decode::attributes(attributes)
        .find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)
        .map(|(_, value)| decode::text(value))
}

fn no_answer(request: &Request) -> Error {
    Error::Reply {
        operation: request.operation,
        object: request.object.clone(),
        what: "the kernel gave no answer",
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;
    use crate::message;

    /// A refusal as the kernel sends it: errno 22 and the words, after the header of the request or all of it.
    fn refusal(flags: u16, echo: &[u8]) -> Vec<u8> {
        let payload = [
            &[0xea, 0xff, 0xff, 0xff][..],
            echo,
            &[8, 0, 2, 0, 16, 0, 0, 0], // the offset of what is wrong
            &[0x0d, 0, 1, 0, b't', b'o', b'o', b' ', b'b', b'i', b'g', b'!', 0, 0, 0, 0], // the words
        ]
        .concat();
        let length = u32::try_from(16 + payload.len()).unwrap().to_le_bytes();
        [&length[..], &[2, 0], &flags.to_le_bytes(), &[7, 0, 0, 0, 0, 0, 0, 0], &payload].concat()
    }

    fn error(datagram: &[u8]) -> String {
        let message = decode::messages(datagram).next().unwrap();
        acknowledgement(&message::delete_link(3, "web0"), message).unwrap_err().to_string()
    }

    #[test]
    fn kernels_own_words_are_in_the_error() {
        let request = message::delete_link(3, "web0").to_bytes(7);
        let words = "delete link web0: Invalid argument (os error 22): too big!";
        assert_eq!(error(&refusal(0x300, &request[..16])), words);
        assert_eq!(error(&refusal(0x200, &request)), words);
    }

    #[test]
    fn refusal_without_words_is_the_errno_alone() {
        let bare = [
            36, 0, 0, 0, 2, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0, // NLMSG_ERROR, capped
            0xed, 0xff, 0xff, 0xff, 32, 0, 0, 0, 17, 0, 5, 0, 7, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(error(&bare), "delete link web0: No such device (os error 19)");
        assert_eq!(
            error(&[18, 0, 0, 0, 2, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            "delete link web0: the kernel gave no answer"
        );
    }

    #[test]
    fn errno_nought_is_an_acknowledgement() {
        let bare = [
            36, 0, 0, 0, 2, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 17, 0, 5, 0, 7, 0, 0,
            0, 0, 0, 0, 0,
        ];
        let message = decode::messages(&bare).next().unwrap();
        assert!(acknowledgement(&message::delete_link(3, "web0"), message).is_ok());
    }
}
