//! What holds for any bytes. The fuzz targets run it on what libFuzzer makes up, `tests/corpus.rs` on what was kept.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use std::io::{IoSlice, IoSliceMut, PipeReader, PipeWriter, Read, pipe};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, recvmsg,
    send, sendmsg, socket_with, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use subhost_cli::control::{Answers, Control};
use subhost_cli::handover::{Again, Charge, pack, unpack};
use subhost_cli::import::{ganeti, libvirt, lxc, nspawn, oci, overlay_boot, qemu};
use subhost_cli::layout::Name;
use subhost_cli::plan::PlannedDisk;
use subhost_cli::state::Record;
use subhost_cli::{events, fstab as table, guest, report, state as records, subid as ids};

const NONBLOCK: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Whatever clients send to a control socket, in whatever order: each gets the answer to its first word or none, is shut
/// out when it says anything else, and keeps nobody waiting.
///
/// As bytes: what happens, one after the other, each with what belongs to it.
pub(crate) fn control(bytes: &[u8]) {
    let mut stage = Stage::new();
    let mut bytes = bytes.iter().copied();
    while let Some(what) = bytes.next() {
        let who = usize::from(what >> 3);
        match what & 7 {
            0 => stage.connect(),
            1 => {
                let len = usize::from(bytes.next().unwrap_or_default() % 12);
                let packet: Vec<u8> = bytes.by_ref().take(len).collect();
                stage.send(who, packet);
            }
            2 => stage.send(who, WORDS[usize::from(bytes.next().unwrap_or_default()) % WORDS.len()].to_vec()),
            3 => stage.serve(),
            4 => stage.states = what >> 3,
            5 => stage.control.ready(),
            6 => stage.control.show(&[what]),
            _ => stage.leave(who),
        }
    }
    // One request for each, and one that comes behind it.
    for _ in 0..3 {
        stage.serve();
    }
    stage.clients.iter_mut().for_each(Client::check);
    let asks_to_stay_off = |client: &Client| client.sent.first().is_some_and(|first| first == b"stayoff\n");
    assert!(!stage.stay_off || stage.clients.iter().any(asks_to_stay_off));
}

const WORDS: [&[u8]; 6] =
    [b"console\n", b"ready  \n", b"status \n", b"stayoff\n", b"waiting\n", b"nothing\n"];

struct Stage {
    address: SocketAddrUnix,
    control: Control,
    console: (PipeReader, PipeWriter),
    /// Bits: there is a console, the guest is ready, there is no guest.
    states: u8,
    stay_off: bool,
    clients: Vec<Client>,
}

struct Client {
    socket: Option<OwnedFd>,
    sent: Vec<Vec<u8>>,
    /// What came, and whether there was a descriptor with it.
    got: Vec<(Vec<u8>, bool)>,
    is_shut_out: bool,
}

impl Stage {
    fn new() -> Stage {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("subhost-fuzz-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // Goes with its socket.
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).expect("it is short");
        let listener = packets();
        bind(&listener, &address).expect("it is free");
        listen(&listener, 16).expect("it is bound");
        Stage {
            address,
            control: Control::new(listener),
            console: pipe().expect("a pipe"),
            states: 1,
            stay_off: false,
            clients: Vec::new(),
        }
    }

    fn connect(&mut self) {
        let socket = packets();
        // Not so when too many wait.
        if self.clients.len() < 40 && connect(&socket, &self.address).is_ok() {
            let (sent, got) = (Vec::new(), Vec::new());
            self.clients.push(Client { socket: Some(socket), sent, got, is_shut_out: false });
        }
    }

    fn client(&mut self, who: usize) -> Option<&mut Client> {
        let count = self.clients.len().max(1);
        self.clients.get_mut(who % count)
    }

    fn send(&mut self, who: usize, packet: Vec<u8>) {
        let Some(client) = self.client(who) else { return };
        let Some(socket) = &client.socket else { return };
        if send(socket, &packet, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_ok() {
            client.sent.push(packet);
        }
    }

    fn leave(&mut self, who: usize) {
        if let Some(client) = self.client(who) {
            client.read();
            client.socket = None;
        }
    }

    fn serve(&mut self) {
        let is = |bit: u8| self.states & 1 << bit != 0;
        let console = is(0).then(|| self.console.0.as_fd());
        self.stay_off |= self.control.serve(Answers { console, ready: is(1), waits: is(2) });
        assert!(self.control.fds().count() <= 17);
        self.clients.iter_mut().for_each(Client::read);
    }
}

impl Client {
    fn read(&mut self) {
        while let Some(socket) = &self.socket
            && !self.is_shut_out
        {
            let mut packet = [0; 16];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let into = &mut [IoSliceMut::new(&mut packet)];
            match recvmsg(socket, into, &mut ancillary, RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::AGAIN) => return,
                Ok(received) if received.bytes > 0 => {
                    let has_fd = descriptors(&mut ancillary).len() == 1;
                    self.got.push((packet[..received.bytes].to_vec(), has_fd));
                }
                // Also where it is reset, as something that it had sent was not read.
                Ok(_) | Err(_) => self.is_shut_out = true,
            }
        }
    }

    fn check(&mut self) {
        self.read();
        let first = self.sent.first().map(Vec::as_slice).unwrap_or_default();
        let got: Vec<&[u8]> = self.got.iter().map(|(packet, _)| packet.as_slice()).collect();
        let (answers, console): (&[&[u8]], _) = match first {
            b"console\n" => (&[b"nothing\n", b"console\n"], true),
            b"ready  \n" => (&[b"ready  \n"], false),
            b"status \n" => (&[b"waiting\n", b"console\n", b"ready  \n"], false),
            b"stayoff\n" => (&[b"waiting\n", b"nothing\n"], false),
            b"waiting\n" | b"nothing\n" => (&[b"nothing\n"], false),
            _ => (&[], false),
        };
        assert!(got.first().is_none_or(|answer| answers.contains(answer)), "{first:?}: {got:?}");
        let shown = got.get(1..).unwrap_or_default();
        assert!(shown.is_empty() || console && got[0] == b"console\n", "{first:?}: {got:?}");
        assert!(shown.iter().all(|packet| packet.len() == 1), "{first:?}: {got:?}");
        for (at, (packet, has_fd)) in self.got.iter().enumerate() {
            assert_eq!(*has_fd, console && at == 0 && packet == b"console\n", "{first:?}: {got:?}");
        }
        let is_done = self.sent.len() > 1 || !self.sent.is_empty() && answers.is_empty();
        assert!(self.socket.is_none() || self.is_shut_out || !is_done, "{:?}", self.sent);
    }
}

fn packets() -> OwnedFd {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, NONBLOCK, None).expect("a socket")
}

fn descriptors(ancillary: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    let rights = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    rights.flatten().collect()
}

/// What one program hands to the next is taken or refused, no descriptor of it stays open, and what is taken is handed on
/// as it was.
///
/// As bytes: the number of descriptors, 64 at most, and the text.
pub(crate) fn handover(bytes: &[u8]) {
    let Some((&count, text)) = bytes.split_first() else { return };
    handed::<Charge>(usize::from(count) % 65, text);
    handed::<Again>(usize::from(count) % 65, text);
}

fn handed<T: Serialize + DeserializeOwned>(count: usize, text: &[u8]) {
    let (mut reader, writer) = pipe().expect("a pipe");
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, NONBLOCK, None).expect("a pair of sockets");
    let fds: Vec<BorrowedFd<'_>> = vec![writer.as_fd(); count];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(fds.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(&ours, &[IoSlice::new(text)], &mut ancillary, SendFlags::DONTWAIT).expect("it has room");
    drop(writer);
    if let Ok((value, fds)) = unpack::<T>(&theirs) {
        assert_eq!(fds.len(), count);
        let fds: Vec<OwnedFd> = fds.collect();
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let packed = pack(&value, &borrowed).expect("it is no more than came");
        let (again, further) = unpack::<T>(&packed).expect("it was packed by us");
        assert_eq!(further.len(), fds.len());
        let text = |value: &T| serde_json::to_string(value).expect("it was packed before");
        assert_eq!(text(&again), text(&value));
    }
    drop(theirs);
    assert_eq!(reader.read(&mut [0]).expect("a pipe is read"), 0, "a descriptor is open");
}

/// A record of a subhost is read or refused; what is read is written as it was, and no piece of that is a record.
pub(crate) fn state(bytes: &[u8]) {
    let _ = events::parse(bytes);
    let Ok(found) = serde_json::from_slice::<Record>(bytes) else { return };
    let Ok(name) = found.name.parse::<Name>() else { return };
    let Ok(record) = records::parse(bytes, &name) else { return };
    assert_eq!(record, found);
    assert!(
        records::parse(bytes, &"another".parse().expect("a name")).is_err() || name.as_str() == "another"
    );
    let written = serde_json::to_vec(&record).expect("it was read");
    assert_eq!(records::parse(&written, &name).expect("it was written by us"), record);
    // A place that depends on the bytes: a kill or a full disk may cut it anywhere.
    let cut = bytes.iter().fold(0_usize, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
        % written.len();
    let error = records::parse(&written[..cut], &name).expect_err("it has no end");
    assert!(error.to_string().starts_with("is torn"), "{error}");
    // What commands do first with a record: they ask whether it is of something that lives.
    for process in [&record.init, &record.supervisor] {
        let _ = process.is_alive();
    }
    let _ = record.isolation.dropped();
    if let Some(origin) = &record.origin {
        assert!(origin.variables().count() <= origin.environment.len());
    }
}

/// What separates the two files of [`subid`].
const PART: u8 = 0xff;

/// Ids are given to guests only if both files give them to root, or neither gives root any; and never what is another's.
///
/// As bytes: `/etc/subuid`, [`PART`], `/etc/subgid`.
pub(crate) fn subid(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == PART).map(String::from_utf8_lossy);
    let files = [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()];
    let spans = match ids::spans([("/etc/subuid", &files[0]), ("/etc/subgid", &files[1])]) {
        Ok(spans) => spans,
        Err(complaint) => {
            assert!(!complaint.message.contains(char::is_control), "{:?}", complaint.message);
            return;
        }
    };
    // By itself for each id at an edge, which tells all of them.
    let has = |file: &str, root: bool, id: u32| {
        file.lines().any(|line| {
            let fields: Vec<&str> = line.trim().split(':').collect();
            let [name, first, count] = fields[..] else { return false };
            let (Ok(first), Ok(count)) = (first.parse::<u64>(), count.parse::<u64>()) else { return false };
            let is_usable = first > 0 && first + count <= u64::from(u32::MAX);
            (name == "root" || name == "0") == root
                && is_usable
                && (first..first + count).contains(&id.into())
        })
    };
    let is_roots = |file: &str| {
        file.lines().any(|line| line.trim().starts_with("root:") || line.trim().starts_with("0:"))
    };
    for span in &spans {
        assert!(span.start < span.end && span.start > 0, "{spans:?}");
        for id in [span.start, span.end - 1] {
            assert!(!files.iter().any(|file| has(file, false, id)), "{id} is another's: {spans:?}");
            match files.iter().any(|file| is_roots(file)) {
                true => {
                    assert!(files.iter().all(|file| has(file, true, id)), "{id} is not root's: {spans:?}")
                }
                false => assert!((524_288..1 << 31).contains(&id), "{id} is not of the pool: {spans:?}"),
            }
        }
    }
}

/// A guest's fstab gives a disk one line at most and never a place that is made for the guest, nor one outside.
pub(crate) fn fstab(bytes: &[u8]) {
    let lines = table::parse(bytes);
    let disk = |node: &str, uuid: Option<&str>, label: Option<&str>| PlannedDisk {
        node: node.to_owned(),
        image: 0,
        loop_device: true,
        direct_io: false,
        partition: 1,
        start_bytes: 0,
        len_bytes: 0,
        filesystem: None,
        label: label.map(str::to_owned),
        uuid: uuid.map(str::to_owned),
        attached: true,
        superblock: None,
    };
    let disks =
        [disk("vdb1", Some("AB"), Some("x")), disk("vdc1", Some("ab"), None), disk("vdd", None, Some("x"))];
    let assigned = table::assign(&lines, &disks);
    assert_eq!(assigned.len(), disks.len());
    let used: Vec<_> = assigned.into_iter().flatten().collect();
    for (at, line) in used.iter().enumerate() {
        assert!(used[..at].iter().all(|other| !std::ptr::eq(*other, *line)), "{line:?}");
        assert_ne!(line.place().ok().as_deref(), Some(Path::new("/")));
    }
    for line in &lines {
        assert!(line.target.starts_with('/'), "{line:?}");
        // As the kernel would go, were there no links.
        let mut expected: Vec<&str> = Vec::new();
        for part in line.target.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(expected.pop()),
                name => expected.push(name),
            }
        }
        let is_made = expected.first().is_some_and(|first| ["dev", "proc", "sys"].contains(first));
        let place = line.place().ok();
        assert_eq!(place, (!is_made).then(|| Path::new("/").join(expected.join("/"))), "{line:?}");
    }
}

/// What stands in for a start script says what that says, and has no other command.
pub(crate) fn scripts(bytes: &[u8]) {
    let script = String::from_utf8_lossy(bytes);
    assert!(!report::printable(&script).contains(report::is_unsafe));
    let Some(said) = guest::what_it_says(&script) else { return };
    assert!(said.starts_with("#!"), "{said:?}");
    if let Some(header) = said.strip_prefix("#!/bin/sh\n").and_then(|rest| rest.strip_suffix("exit 0\n")) {
        assert!(header.lines().all(|line| line.starts_with('#')), "{said:?}");
    }
    // A line may end in CR, too.
    let again = guest::what_it_says(&said).map(|again| again.replace('\r', ""));
    assert_eq!(again, Some(said.replace('\r', "")));
}

/// A description of any format, which the first byte chooses: what is made of it is right, and one that a terminal may show.
pub(crate) fn import(bytes: &[u8]) {
    let Some((format, bytes)) = bytes.split_first() else { return };
    let place = Path::new("/nowhere/web.nspawn");
    let draft = match format {
        b'g' => ganeti::read(bytes, None, "x"),
        b'v' => libvirt::read(bytes, "x"),
        b'l' => lxc::read(bytes, "x"),
        b'n' => nspawn::read(bytes, place, "x"),
        b'o' => oci::read(bytes, place, "x"),
        b'q' => qemu::words_of(bytes).and_then(|words| qemu::read(&words, place, "x")),
        b'b' => {
            let (variables, _) = subhost_config::overlay_boot::read(&subhost_config::Source::new("x", bytes));
            Ok(overlay_boot::draft_of(&variables, place, "x"))
        }
        _ => return,
    };
    let Ok(draft) = draft else { return };
    let draft = draft.settled();
    let text = draft.text();
    assert!(!text.contains(|c| c != '\n' && report::is_unsafe(c)), "{text}");
    assert!(draft.loaded(place).config.is_some(), "{text}");
}
