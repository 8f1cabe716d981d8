//! Terminals: a pty of the guest's own, and the relay between it and the caller's terminal or pipes.
//!
//! A guest never gets the caller's terminal itself: whoever holds a terminal can put characters into its input
//! (`TIOCSTI`), which the caller's shell would then execute.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fchown, fstat, fstatfs, major, makedev};
use rustix::process::{Gid, Uid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::{Error, Result};

mod relay;
mod streams;

pub use relay::{Relay, Wake};
pub use streams::{Pipes, relay_pipes, relay_terminal};

/// Major device number of the slaves of `/dev/pts`.
const UNIX98_PTY_SLAVE_MAJOR: u32 = 136;

/// Major and minor device number of `ptmx`.
const PTMX: (u32, u32) = (5, 2);

/// Magic number of the file system of `/dev/pts` (linux/magic.h).
const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;

/// A pseudo terminal.
#[derive(Debug)]
pub struct Pty {
    /// The side of whoever shows it.
    pub master: OwnedFd,
    /// The side of the programs.
    pub slave: OwnedFd,
}

impl Pty {
    /// Opens a new one through the calling thread's `/dev/ptmx`. The slave is got from the master and not
    /// by its path, which somebody else may have put there.
    ///
    /// # Errors
    /// [`Error::System`]: `ENOSPC` when `/proc/sys/kernel/pty/max` is reached; [`Error::Refused`] if what comes is no pty.
    pub fn open() -> Result<Pty> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).map_err(|e| on_pty("open", e))?;
        Pty::of(master, "/dev/ptmx")
    }

    /// Opens a new one of the instance of `/dev/pts` that `ptmx` is in, as a guest has one: there `tty` then names it.
    /// Only an `O_PATH` descriptor is wanted, so that nothing was opened that is something else.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is no `ptmx` of a `/dev/pts`, and as [`Pty::open`].
    pub fn open_in(ptmx: BorrowedFd<'_>) -> Result<Pty> {
        const OBJECT: &str = "the guest's /dev/pts/ptmx";
        if !is_ptmx(ptmx)? || !is_on_devpts(ptmx)? {
            return Err(Error::Refused { object: OBJECT.to_owned(), reason: "is none" });
        }
        let own_name = format!("/proc/self/fd/{}", ptmx.as_raw_fd());
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = rustix::fs::open(own_name, flags, Mode::empty()).map_err(|e| on_pty("open", e))?;
        Pty::of(master, OBJECT)
    }

    fn of(master: OwnedFd, ptmx: &str) -> Result<Pty> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        unlockpt(&master).map_err(|e| on_pty("unlock", e))?;
        let slave = ioctl_tiocgptpeer(&master, flags).map_err(|e| on_pty("open the peer of", e))?;
        let device = fstat(&slave).map_err(|e| on_pty("stat", e))?.st_rdev;
        if major(device) != UNIX98_PTY_SLAVE_MAJOR || !is_on_devpts(slave.as_fd())? {
            return Err(Error::Refused { object: ptmx.to_owned(), reason: "gives no terminal of /dev/pts" });
        }
        Ok(Pty { master, slave })
    }

    /// Gives the slave to a user and group (ids of the caller's user namespace), so that programs of a user namespace can
    /// open it by name.
    ///
    /// # Errors
    /// [`Error::System`] of `fchown`.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        fchown(&self.slave, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|e| on_pty("change the owner of", e))
    }
}

/// Sets the size of a terminal, in rows and columns.
///
/// # Errors
/// [`Error::System`] of the `TIOCSWINSZ` ioctl.
pub fn set_window_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).map_err(|e| on_pty("set the size of", e))
}

/// The size of a terminal, rows and columns.
///
/// # Errors
/// [`Error::System`] of the `TIOCGWINSZ` ioctl: `ENOTTY` when it is none.
pub fn window_size(terminal: BorrowedFd<'_>) -> Result<(u16, u16)> {
    let size = tcgetwinsize(terminal).map_err(|e| on_pty("read the size of", e))?;
    Ok((size.ws_row, size.ws_col))
}

/// The caller's terminal in raw mode, until this is dropped.
#[derive(Debug)]
pub struct RawMode<'fd> {
    terminal: BorrowedFd<'fd>,
    before: Termios,
}

impl<'fd> RawMode<'fd> {
    /// Puts the terminal in raw mode.
    ///
    /// # Errors
    /// [`Error::System`] of `tcgetattr` and `tcsetattr`: `ENOTTY` when it is none.
    pub fn enter(terminal: BorrowedFd<'fd>) -> Result<RawMode<'fd>> {
        let before = tcgetattr(terminal).map_err(|e| on_pty("read the mode of", e))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(terminal, OptionalActions::Drain, &raw).map_err(|e| on_pty("set the mode of", e))?;
        Ok(RawMode { terminal, before })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// True for the master of a pseudo terminal, and nothing else.
pub(crate) fn is_master(fd: BorrowedFd<'_>) -> bool {
    // What is opened without being used has no number of a terminal.
    is_ptmx(fd).unwrap_or(false) && rustix::pty::ptsname(fd, Vec::new()).is_ok()
}

fn is_ptmx(fd: BorrowedFd<'_>) -> Result<bool> {
    let stat = fstat(fd).map_err(|e| on_pty("stat", e))?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    Ok(is_device && stat.st_rdev == makedev(PTMX.0, PTMX.1))
}

fn is_on_devpts(fd: BorrowedFd<'_>) -> Result<bool> {
    let magic = fstatfs(fd).map_err(|e| on_pty("stat the file system of", e))?.f_type;
    Ok(u64::try_from(magic) == Ok(DEVPTS_SUPER_MAGIC))
}

fn on_pty(operation: &'static str, source: impl Into<io::Error>) -> Error {
    Error::System { operation, object: "terminal".to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_mode_ends_with_its_guard() {
        let pty = Pty::open().unwrap();
        let echo = || tcgetattr(&pty.slave).unwrap().local_modes.contains(rustix::termios::LocalModes::ECHO);
        assert!(echo());
        let raw = RawMode::enter(pty.slave.as_fd()).unwrap();
        assert!(!echo());
        drop(raw);
        assert!(echo());
    }

    #[test]
    fn only_a_ptmx_of_a_dev_pts_gives_one() {
        let path =
            |path: &str| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        for other in ["/dev/null", "/dev/pts", "/etc/passwd", "/proc/self/status"] {
            let error = Pty::open_in(path(other).as_fd()).unwrap_err();
            assert_eq!(error.to_string(), "the guest's /dev/pts/ptmx: is none", "{other}");
        }
        Pty::open_in(path("/dev/pts/ptmx").as_fd()).unwrap();
    }

    #[test]
    fn both_sides_see_the_window_size() {
        let pty = Pty::open().unwrap();
        set_window_size(pty.master.as_fd(), 33, 111).unwrap();
        assert_eq!(window_size(pty.slave.as_fd()).unwrap(), (33, 111));
    }
}
