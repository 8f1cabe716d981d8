//! The descriptors that the program gets.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;

use super::report::{Failure, at};
use crate::{Step, sys};

/// The first number that no program is given.
const FIRST_OWN: RawFd = 10;

/// Moves a descriptor above the numbers that programs are given, so that putting others there never hits it.
pub(crate) fn raise(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= FIRST_OWN { Ok(fd) } else { Ok(rustix::io::fcntl_dupfd_cloexec(&fd, FIRST_OWN)?) }
}

/// The calling thread's `/dev/null`, three times.
pub(crate) fn null_stdio() -> io::Result<[OwnedFd; 3]> {
    let null =
        rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    Ok([null.try_clone()?, null.try_clone()?, null])
}

/// Moves the calling process into each cgroup whose `cgroup.procs` this is.
pub(crate) fn join_cgroups(entries: &[OwnedFd]) -> Result<(), Failure> {
    let join = |entry| at(Step::JoinCgroups, retry_on_intr(|| rustix::io::write(entry, b"0"))).map(drop);
    entries.iter().try_for_each(join)
}

/// What a child keeps of what it inherited, sorted.
pub(crate) fn keep_list(fds: &[BorrowedFd<'_>]) -> Vec<RawFd> {
    let mut list: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// The files of a program: 0, 1, 2, and whatever more it is given from 3 on. All are above the numbers of programs.
#[derive(Debug)]
pub(crate) struct Stdio {
    files: Vec<OwnedFd>,
}

impl Stdio {
    pub(crate) fn new(files: impl IntoIterator<Item = OwnedFd>) -> io::Result<Stdio> {
        Ok(Stdio { files: files.into_iter().map(raise).collect::<io::Result<_>>()? })
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.files.iter().map(AsFd::as_fd)
    }

    /// In the child: puts them in place.
    pub(crate) fn place(&self) -> Result<(), Failure> {
        for (number, file) in (0..).zip(&self.files) {
            at(Step::PlaceFiles, sys::files::place(file.as_fd(), number))?;
        }
        Ok(())
    }

    /// In the child: a session of its own, and standard input as its controlling terminal if wanted.
    pub(crate) fn start_session(&self, controlling_terminal: bool) -> Result<(), Failure> {
        at(Step::Session, rustix::process::setsid())?;
        if controlling_terminal {
            at(Step::ControllingTerminal, rustix::process::ioctl_tiocsctty(&self.files[0]))?;
        }
        Ok(())
    }
}
