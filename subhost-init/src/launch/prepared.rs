//! A guest that is complete and waits for the go-ahead.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Signal, pidfd_send_signal};

use super::running::Running;
use crate::child::{Channel, Report, Spawned, wait};
use crate::{Error, Result, Step};

/// A child that has done everything but execute its program. Dropped before its record has a name, it ends and leaves
/// nothing; after that it goes on, as it does when the caller dies.
#[derive(Debug)]
pub struct Prepared {
    pid: u32,
    name: String,
    record: Option<OwnedFd>,
    /// Taken out by [`Prepared::go`].
    parts: Option<Parts>,
}

#[derive(Debug)]
struct Parts {
    pidfd: OwnedFd,
    socket: OwnedFd,
    channel: Channel,
}

impl Prepared {
    pub(super) fn new(
        spawned: Spawned,
        socket: OwnedFd,
        record: Option<OwnedFd>,
        name: String,
    ) -> Result<Prepared> {
        let Spawned { pid, pidfd, channel, ready } = spawned;
        let prepared = Prepared { pid, name, record, parts: Some(Parts { pidfd, socket, channel }) };
        if !ready {
            return Err(Error::ChildEnded { object: prepared.name.clone() });
        }
        Ok(prepared)
    }

    /// The pid of the guest's PID 1, as the caller sees it.
    #[must_use]
    pub fn init_pid(&self) -> u32 {
        self.pid
    }

    /// A pidfd of it.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.parts().pidfd.as_fd()
    }

    /// The `SOCK_SEQPACKET` socket to our PID 1 (at end of file for a program of the guest).
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.parts().socket.as_fd()
    }

    /// Lets it execute its program, and returns when that is done.
    ///
    /// # Errors
    /// [`Error::LaunchStep`] with [`Step::Execute`] when it cannot be executed; the child is gone then.
    pub fn go(mut self) -> Result<Running> {
        let object = std::mem::take(&mut self.name);
        let parts = self.parts.take().expect("only this function takes them, and it consumes the value");
        let Parts { pidfd, socket, channel } = parts;
        // When the child was killed meanwhile, that is found out by whoever waits for the guest.
        let sent = channel.send_go();
        let report = match sent {
            Ok(()) => channel.next(Some(pidfd.as_fd()), None),
            Err(_) => Ok(None),
        };
        match report {
            Ok(None) => Ok(Running { pid: self.pid, pidfd, socket }),
            Ok(Some(Report::Failed(failure))) => {
                let _ = wait(pidfd.as_fd());
                Err(failure.into_error(&|_: Step| object.clone()))
            }
            Ok(Some(_)) => Err(Error::Refused { object, reason: "the child spoke out of turn" }),
            Err(source) => Err(Error::System { operation: "read the report of", object, source }),
        }
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("taken only by go, which consumes the value")
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let Some(Parts { pidfd, channel, .. }) = self.parts.take() else { return };
        let committed = self
            .record
            .as_ref()
            .is_some_and(|record| rustix::fs::fstat(record).is_ok_and(|stat| stat.st_nlink > 0));
        drop(channel);
        if !committed {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            let _ = wait(pidfd.as_fd());
        }
    }
}
