//! The control socket of a supervisor: `/run/subhost/control/NAME`, one packet a request.
//!
//! Only root can connect. A client that says something else is shut out, one that does not read loses what it was sent, and more
//! clients than there is room for push out the one that has waited longest: the guest never waits for any of them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, fchmod};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect,
    listen, recvmsg, send, sendmsg, socket_with,
};

use crate::layout::{Layout, Name};
use crate::lock::make_private_dir;

/// Length of a request, and of an answer that is not the console's.
const PACKET: usize = 8;
/// How many clients there can be.
const CLIENTS: usize = 16;
/// How many may wait to be let in.
const BACKLOG: i32 = 16;
/// The most that the console says in one packet.
pub const OUTPUT_BYTES: usize = 4096;

/// What a client asks for, and what it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The console: a descriptor of its master comes with the answer, then what it says.
    Console,
    /// To be answered once the guest is ready.
    Ready,
    /// What the supervisor does: the answer is [`Word::Waiting`] while it has no guest, [`Word::Ready`] once that is ready, and
    /// [`Word::Console`] before.
    Status,
    /// To give up booting it again.
    StayOff,
    /// An answer: there is no guest, it waits until it is time to boot again.
    Waiting,
    /// An answer: there is no such thing.
    Nothing,
}

const WORDS: [(Word, &[u8; PACKET]); 6] = [
    (Word::Console, b"console\n"),
    (Word::Ready, b"ready  \n"),
    (Word::Status, b"status \n"),
    (Word::StayOff, b"stayoff\n"),
    (Word::Waiting, b"waiting\n"),
    (Word::Nothing, b"nothing\n"),
];

impl Word {
    fn encode(self) -> &'static [u8; PACKET] {
        WORDS.iter().find(|(word, _)| *word == self).map_or(b"nothing\n", |(_, bytes)| bytes)
    }

    fn decode(packet: &[u8]) -> Option<Word> {
        WORDS.iter().find(|(_, bytes)| bytes.as_slice() == packet).map(|(word, _)| *word)
    }
}

/// The supervisor's side.
#[derive(Debug)]
pub struct Control {
    listener: OwnedFd,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    socket: OwnedFd,
    asked: Option<Word>,
}

/// What a supervisor answers from.
#[derive(Debug, Clone, Copy)]
pub struct Answers<'fd> {
    /// The console, if there is one.
    pub console: Option<BorrowedFd<'fd>>,
    /// Whether the guest is ready.
    pub ready: bool,
    /// Whether there is no guest.
    pub waits: bool,
}

/// Puts the socket in its place, over what a supervisor that is gone has left. To be called with the name locked.
///
/// # Errors
/// It cannot be made.
pub fn open(layout: &Layout, name: &Name) -> io::Result<OwnedFd> {
    make_private_dir(&layout.run_dir)?;
    make_private_dir(&layout.controls())?;
    remove(layout, name)?;
    let socket = socket()?;
    fchmod(&socket, Mode::from_raw_mode(0o600))?;
    bind(&socket, &address(layout.control(name))?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Takes the socket away; that it is gone already is success. To be called with the name locked.
///
/// # Errors
/// It cannot be removed.
pub fn remove(layout: &Layout, name: &Name) -> io::Result<()> {
    match std::fs::remove_file(layout.control(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn address(path: PathBuf) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(path)?)
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

impl Control {
    /// Serves a socket that [`open`] has made.
    pub fn new(listener: OwnedFd) -> Control {
        Control { listener, clients: Vec::new() }
    }

    /// The socket itself.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// What to wait for: it is served when one of these is readable.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.clients.iter().map(|client| client.socket.as_fd()))
    }

    /// Lets clients in and answers them. True if one of them asks that it be not booted again.
    pub fn serve(&mut self, answers: Answers<'_>) -> bool {
        let mut stay_off = false;
        self.clients.retain_mut(|client| match client.take_request() {
            Request::None => true,
            Request::Gone => false,
            Request::Word(word) => {
                stay_off |= word == Word::StayOff;
                client.answer(word, answers)
            }
        });
        while let Ok(socket) = accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            if socket_peercred(&socket).is_ok_and(|peer| peer.uid.is_root()) {
                if self.clients.len() >= CLIENTS {
                    self.clients.remove(0);
                }
                self.clients.push(Client { socket, asked: None });
            }
        }
        stay_off
    }

    /// The guest is ready.
    pub fn ready(&mut self) {
        self.clients.retain(|client| client.asked != Some(Word::Ready) || !client.send(Word::Ready.encode()));
    }

    /// The console has said something.
    pub fn show(&mut self, said: &[u8]) {
        for client in self.clients.iter().filter(|client| client.asked == Some(Word::Console)) {
            // What it does not take at once is lost to it.
            let _ = client.send(said);
        }
    }
}

/// What came from a client.
enum Request {
    None,
    Gone,
    Word(Word),
}

impl Client {
    fn take_request(&self) -> Request {
        // One byte more than a packet, so that a longer one is seen to be none.
        let mut packet = [0; PACKET + 1];
        match rustix::net::recv(&self.socket, &mut packet, RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => Request::None,
            // One request a client; what is none is not worth an answer.
            Ok((len, _)) if self.asked.is_none() => {
                Word::decode(&packet[..len]).map_or(Request::Gone, Request::Word)
            }
            Ok(_) | Err(_) => Request::Gone,
        }
    }

    /// True if the client stays.
    fn answer(&mut self, word: Word, answers: Answers<'_>) -> bool {
        self.asked = Some(word);
        let answer = match (word, answers.console) {
            (Word::Console, Some(console)) => return self.send_console(console),
            (Word::Ready, _) if !answers.ready => return true,
            (Word::Status | Word::StayOff, _) if answers.waits => Word::Waiting,
            (Word::Status, _) if !answers.ready => Word::Console,
            (Word::Status | Word::Ready, _) => Word::Ready,
            _ => Word::Nothing,
        };
        self.send(answer.encode());
        false
    }

    fn send_console(&self, console: BorrowedFd<'_>) -> bool {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = [console];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        ancillary.push(SendAncillaryMessage::ScmRights(&fds))
            && sendmsg(&self.socket, &[IoSlice::new(Word::Console.encode())], &mut ancillary, flags).is_ok()
    }

    fn send(&self, packet: &[u8]) -> bool {
        send(&self.socket, packet, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_ok()
    }
}

/// A client's side: connected, and the request is sent. `None` when no supervisor listens.
///
/// # Errors
/// It cannot be connected to.
pub fn ask(layout: &Layout, name: &Name, word: Word) -> io::Result<Option<OwnedFd>> {
    let socket = socket()?;
    let address = address(layout.control(name))?;
    match retry_on_intr(|| connect(&socket, &address)) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match retry_on_intr(|| send(&socket, word.encode(), flags)) {
        Ok(_) => Ok(Some(socket)),
        Err(Errno::PIPE | Errno::CONNRESET) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The answer, and what came with it; `None` when the other side is gone, or the time is over.
pub fn answer(socket: &OwnedFd, deadline: Instant) -> Option<(Word, Option<OwnedFd>)> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return None,
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    let mut packet = [0; PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut packet)], &mut ancillary, flags).ok()?;
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    Word::decode(&packet[..received.bytes]).map(|word| (word, fd))
}

/// Whether a supervisor waits there until it is time to boot again.
pub fn waits(layout: &Layout, name: &Name) -> bool {
    let Ok(Some(socket)) = ask(layout, name, Word::Status) else { return false };
    matches!(answer(&socket, Instant::now() + Duration::from_secs(1)), Some((Word::Waiting, _)))
}

/// The names that have a control socket.
pub fn names(layout: &Layout) -> Vec<Name> {
    let entries = std::fs::read_dir(layout.controls()).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
