//! What a child tells its parent, over a socket that closes by itself when the program is executed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

use super::wait::poll_until;
use crate::Step;

/// A step of the child that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) errno: i32,
}

/// Gives the error of a system call the step in which it happened.
pub(crate) fn at<T>(step: Step, result: Result<T, impl Into<io::Error>>) -> Result<T, Failure> {
    result.map_err(|error| Failure { step, errno: error.into().raw_os_error().unwrap_or(libc::EIO) })
}

/// A message from the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// From the intermediate: the child exists, and this is the number of its pidfd, in the parent's own table.
    Started { pid: u32, pidfd: i32 },
    /// The child has done everything and waits.
    Ready,
    /// A step failed, and with it the child.
    Failed(Failure),
}

/// Length of a message: a kind, and two numbers of four bytes.
const LENGTH: usize = 9;

impl Report {
    fn encode(self) -> [u8; LENGTH] {
        let (kind, first, second) = match self {
            Report::Started { pid, pidfd } => (b'S', pid, pidfd),
            Report::Ready => (b'R', 0, 0),
            Report::Failed(failure) => (b'F', u32::from(failure.step as u8), failure.errno),
        };
        let mut bytes = [0; LENGTH];
        bytes[0] = kind;
        bytes[1..5].copy_from_slice(&first.to_ne_bytes());
        bytes[5..9].copy_from_slice(&second.to_ne_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Report> {
        let [kind, a, b, c, d, e, f, g, h] = *bytes else { return None };
        let first = u32::from_ne_bytes([a, b, c, d]);
        let second = i32::from_ne_bytes([e, f, g, h]);
        match kind {
            b'S' => Some(Report::Started { pid: first, pidfd: second }),
            b'R' => Some(Report::Ready),
            b'F' => {
                let step = Step::from_byte(u8::try_from(first).ok()?)?;
                Some(Report::Failed(Failure { step, errno: second }))
            }
            _ => None,
        }
    }
}

/// One end of the socket between parent and child.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Both ends, close-on-exec, above the numbers that a program gets.
    pub(crate) fn pair() -> io::Result<(Channel, Channel)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Channel(super::raise(a)?), Channel(super::raise(b)?)))
    }

    /// For the child: an error is that nobody hears it.
    pub(crate) fn report(&self, report: Report) -> io::Result<()> {
        retry_on_intr(|| send(&self.0, &report.encode(), SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// For the parent: the next message, or `None` when the child has executed its program or ended. The error `TimedOut`
    /// when the deadline has come first.
    pub(crate) fn next(
        &self,
        child: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
    ) -> io::Result<Option<Report>> {
        // The end of the child is looked at too: some other process that is just being forked may hold a copy of its end of
        // the socket.
        let mut fds = [
            PollFd::new(&self.0, PollFlags::IN),
            PollFd::from_borrowed_fd(child.unwrap_or(self.0.as_fd()), PollFlags::IN),
        ];
        if !poll_until(&mut fds, deadline)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.received()
    }

    /// What has come. Whatever of the two was found ready: they are looked at one after the other, and in between a child
    /// may have said its last word and ended.
    fn received(&self) -> io::Result<Option<Report>> {
        let mut buffer = [0_u8; LENGTH];
        match retry_on_intr(|| recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT)) {
            Ok((0, _)) | Err(Errno::CONNRESET | Errno::AGAIN) => Ok(None),
            Ok((length, _)) => match Report::decode(&buffer[..length]) {
                Some(report) => Ok(Some(report)),
                None => Err(io::ErrorKind::InvalidData.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// For the child: whether the parent is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::new(&self.0, PollFlags::empty())];
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::HUP)
    }

    /// For the parent: the go-ahead.
    pub(crate) fn send_go(&self) -> io::Result<()> {
        retry_on_intr(|| send(&self.0, b"G", SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// For the child: waits for the go-ahead; `false` when the parent is gone.
    pub(crate) fn await_go(&self) -> io::Result<bool> {
        let mut buffer = [0_u8; 1];
        let mut receive = || retry_on_intr(|| recv(&self.0, &mut buffer[..], RecvFlags::empty()));
        // Behind the commit nobody hears of a failure any more, so one that passes, as for want of memory, is not to be one.
        match receive().or_else(|_| receive()) {
            // A parent that ends without having read our last message resets the connection.
            Ok((0, _)) | Err(Errno::CONNRESET) => Ok(false),
            Ok(_) => Ok(buffer == *b"G"),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_survive_the_socket() {
        let (parent, child) = Channel::pair().unwrap();
        let failure = Failure { step: Step::PivotRoot, errno: 22 };
        child.report(Report::Started { pid: 4_000_000_000, pidfd: 17 }).unwrap();
        child.report(Report::Ready).unwrap();
        child.report(Report::Failed(failure)).unwrap();
        drop(child);
        assert_eq!(parent.next(None, None).unwrap(), Some(Report::Started { pid: 4_000_000_000, pidfd: 17 }));
        assert_eq!(parent.next(None, None).unwrap(), Some(Report::Ready));
        assert_eq!(parent.next(None, None).unwrap(), Some(Report::Failed(failure)));
        assert_eq!(parent.next(None, None).unwrap(), None);
    }

    #[test]
    fn a_child_that_has_ended_is_heard_before_its_end_is_believed() {
        let (parent, child) = Channel::pair().unwrap();
        let (ended, end) = io::pipe().unwrap();
        drop(end);
        // Nothing was said, and the socket is still open.
        assert_eq!(parent.next(Some(ended.as_fd()), None).unwrap(), None);
        child.report(Report::Ready).unwrap();
        assert_eq!(parent.received().unwrap(), Some(Report::Ready));
        assert_eq!(parent.received().unwrap(), None);
    }

    #[test]
    fn refuses_messages_of_another_shape() {
        assert_eq!(Report::decode(b""), None);
        assert_eq!(Report::decode(b"R"), None);
        assert_eq!(Report::decode(b"X\0\0\0\0\0\0\0\0"), None);
        assert_eq!(Report::decode(b"F\xff\0\0\0\0\0\0\0"), None);
        assert_eq!(Report::decode(b"F\0\x01\0\0\0\0\0\0"), None);
    }

    #[test]
    fn a_parent_that_leaves_is_no_go_ahead() {
        let (parent, child) = Channel::pair().unwrap();
        child.report(Report::Ready).unwrap();
        drop(parent);
        assert!(!child.await_go().unwrap());

        let (parent, child) = Channel::pair().unwrap();
        parent.send_go().unwrap();
        assert!(child.await_go().unwrap());
    }
}
