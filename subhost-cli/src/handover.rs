//! From one program to the next in the same process: what a boot hands to the lean supervisor, and that to the next boot.
//!
//! A boot needs much memory, and a supervisor hardly any, so each is a program of its own by `execve`, with the same pid, children
//! and signal mask. What is handed over is one packet in a socket, which stands in the place of standard input: a value as JSON, and
//! descriptors.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::origin::{Origin, assignment, is_setting};
use crate::state::{CableRecord, Process};

/// The most descriptors that a packet carries.
const FDS: usize = 64;

/// The word that makes the program a supervisor.
pub const SUPERVISE: &str = "--supervise";

/// When to boot again by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// When it has ended otherwise than by a power-off.
    OnFailure,
    /// Whenever it has ended by itself.
    Always,
}

/// What the configuration asks of a supervisor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// When to boot again.
    pub restart: Restart,
    /// How much of the console is kept, in bytes.
    pub log_bytes: u64,
    /// Longest orderly stop, in milliseconds.
    pub stop_timeout_ms: u64,
    /// After what time is told which start script hangs, in milliseconds.
    pub boot_timeout_ms: u64,
}

/// What a supervisor has in its charge.
#[derive(Debug, Serialize, Deserialize)]
pub struct Charge {
    /// Name of the subhost.
    pub name: String,
    /// Directory of the configurations.
    pub root_dir: OsString,
    /// Errors only.
    pub quiet: bool,
    /// Whether it runs without a terminal.
    pub background: bool,
    /// Whether whoever started it waits until the subhost is ready.
    pub announce: bool,
    /// How it was booted.
    pub origin: Origin,
    /// What its configuration asks for.
    pub policy: Policy,
    /// How often in a row it has failed.
    pub failures: u32,
    /// Whether the control socket is among the descriptors.
    pub has_control: bool,
    /// The rest.
    pub task: Task,
}

/// What a supervisor does.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// It watches a guest. The descriptors are its pidfd, those of [`Place`], then those that there are of: the control socket, the
    /// socket to PID 1, the console.
    Watch(Watched),
    /// It waits until it is time to boot again. The descriptors are the lock of the name and, if there is one, the control socket.
    Wait {
        /// How long, in milliseconds.
        delay_ms: u64,
    },
}

/// A guest that runs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Watched {
    /// Its PID 1.
    pub init: Process,
    /// Program of PID 1, as in the record.
    pub init_program: String,
    /// Whether PID 1 is our child.
    pub is_child: bool,
    /// Whether it has reached its first runlevel.
    pub ready: bool,
    /// Whether its end was asked for.
    pub ending: bool,
    /// Its ids and network.
    pub place: Place,
    /// Whether there is a socket to PID 1.
    pub has_socket: bool,
    /// Whether there is a console.
    pub has_console: bool,
}

/// The ids and network that a guest keeps over a reboot. The descriptors are the user namespace, the network namespace, and, if
/// there is one, the lock of the ids.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Place {
    /// First host id of the range.
    pub first_id: u32,
    /// Number of ids.
    pub id_count: u32,
    /// Whether there is the lock.
    pub has_lock: bool,
    /// Cables, in order.
    pub cables: Vec<CableRecord>,
}

/// What a boot goes on from. The descriptors are the lock of the name, then those of [`Place`], if there is one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Again {
    /// How the first boot was asked for.
    pub origin: Origin,
    /// Whether it runs without a terminal.
    pub background: bool,
    /// Whether whoever started it waits until the subhost is ready.
    pub announce: bool,
    /// How often in a row it has failed.
    pub failures: u32,
    /// What its configuration asked for in the run before.
    pub policy: Policy,
    /// Where it goes on.
    pub place: Option<Place>,
}

/// Packs a value and descriptors for the next program.
///
/// # Errors
/// They are too many or too large.
pub fn pack(value: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors"));
    }
    let text = serde_json::to_vec(value)?;
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    retry_on_intr(|| sendmsg(&ours, &[IoSlice::new(&text)], &mut ancillary, flags))?;
    Ok(theirs)
}

/// What is packed in a socket.
///
/// # Errors
/// There is nothing of this kind in it.
pub fn unpack<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<(T, std::vec::IntoIter<OwnedFd>)> {
    let flags = RecvFlags::PEEK | RecvFlags::TRUNC | RecvFlags::DONTWAIT;
    let (_, length) = retry_on_intr(|| recv(&socket, &mut [0_u8; 0][..], flags))?;
    let mut text = vec![0; length];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    retry_on_intr(|| recvmsg(&socket, &mut [IoSliceMut::new(&mut text)], &mut ancillary, flags))?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            fds.extend(sent);
        }
    }
    Ok((serde_json::from_slice(&text)?, fds.into_iter()))
}

/// What the program before has handed over; standard input is empty afterwards.
///
/// # Errors
/// There is nothing of this kind.
pub fn receive<T: DeserializeOwned>() -> io::Result<(T, std::vec::IntoIter<OwnedFd>)> {
    let received = unpack(std::io::stdin())?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(received)
}

/// Executes this very program, with these words behind its name and the settings of the first boot in its environment; comes back
/// only with an error. Signals that are blocked stay so.
fn execute(words: &[OsString], origin: &Origin) -> io::Error {
    let others = std::env::vars_os().filter(|(name, _)| !is_setting(name));
    let environment: Vec<OsString> =
        others.map(assignment).chain(origin.environment.iter().cloned()).collect();
    let strings = |words: &[OsString]| -> Result<Vec<CString>, _> {
        words.iter().map(|word| CString::new(word.as_bytes())).collect()
    };
    match (strings(&[&["subhostctl".into()], words].concat()), strings(&environment)) {
        // Also where the file was replaced by a newer one: both sides are of one version.
        (Ok(words), Ok(environment)) => match nix::unistd::execve(c"/proc/self/exe", &words, &environment) {
            Err(errno) => errno.into(),
        },
        (Err(error), _) | (_, Err(error)) => error.into(),
    }
}

/// Becomes the supervisor; comes back only with an error.
pub fn supervise(charge: &Charge, fds: &[BorrowedFd<'_>]) -> io::Error {
    hand_over(charge, fds, &[SUPERVISE.into(), (&charge.name).into()], &charge.origin)
}

/// Boots again; comes back only with an error.
pub fn boot_again(again: &Again, fds: &[BorrowedFd<'_>]) -> io::Error {
    // Where it is gone, relative paths lead nowhere, which is then said.
    let _ = std::env::set_current_dir(&again.origin.directory);
    let mut words = again.origin.words.clone();
    let end_of_options = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.insert(end_of_options, "--again".into());
    hand_over(again, fds, &words, &again.origin)
}

fn hand_over(
    value: &impl Serialize,
    fds: &[BorrowedFd<'_>],
    words: &[OsString],
    origin: &Origin,
) -> io::Error {
    match pack(value, fds).and_then(|packed| Ok(rustix::stdio::dup2_stdin(packed)?)) {
        Ok(()) => execute(words, origin),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_packed_is_unpacked() {
        let (mut reader, writer) = io::pipe().unwrap();
        let place = Place { first_id: 7, has_lock: true, ..Place::default() };
        let packed = pack(&place, &[writer.as_fd(); 3]).unwrap();
        drop(writer);
        let (found, fds) = unpack::<Place>(&packed).unwrap();
        assert_eq!((found.first_id, found.has_lock, fds.len()), (7, true, 3));
        for fd in fds {
            io::Write::write_all(&mut File::from(fd), b"x").unwrap();
        }
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "xxx");
        assert!(unpack::<Place>(&packed).is_err(), "nothing is left in it");
    }
}
