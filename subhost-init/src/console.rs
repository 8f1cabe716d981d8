//! Terminals: a pty of the guest's own, and the relay between it and the caller's terminal or pipes.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::Result;

/// A pseudo terminal.
#[derive(Debug)]
pub struct Pty {
    /// The side of whoever shows it.
    pub master: OwnedFd,
    /// The side of the programs.
    pub slave: OwnedFd,
}

impl Pty {
    /// Opens a new one through the calling thread's `/dev/ptmx`.
    ///
    /// # Errors
    /// Of the system calls; [`crate::Error::Refused`] if what comes is no pty.
    pub fn open() -> Result<Pty> {
        todo!()
    }

    /// Gives the slave to a user and group (ids of the caller's user namespace), so that programs of a user namespace can
    /// open it by name.
    ///
    /// # Errors
    /// Of `fchown`.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        let _ = (uid, gid);
        todo!()
    }
}

/// Sets the size of a terminal, in rows and columns.
///
/// # Errors
/// Of the `TIOCSWINSZ` ioctl.
pub fn set_window_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<()> {
    let _ = (terminal, rows, columns);
    todo!()
}

/// The size of a terminal, rows and columns.
///
/// # Errors
/// Of the `TIOCGWINSZ` ioctl.
pub fn window_size(terminal: BorrowedFd<'_>) -> Result<(u16, u16)> {
    let _ = terminal;
    todo!()
}

/// The caller's terminal in raw mode, until it is dropped.
#[derive(Debug)]
pub struct RawMode<'fd> {
    terminal: BorrowedFd<'fd>,
}

impl<'fd> RawMode<'fd> {
    /// Puts the terminal in raw mode.
    ///
    /// # Errors
    /// Of `tcgetattr` and `tcsetattr`.
    pub fn enter(terminal: BorrowedFd<'fd>) -> Result<RawMode<'fd>> {
        Ok(RawMode { terminal })
    }

    /// The terminal.
    #[must_use]
    pub fn terminal(&self) -> BorrowedFd<'fd> {
        self.terminal
    }
}

/// Copies `stdin` to the master and the master to `stdout` until `until` (a pidfd) is readable, then what the master
/// still holds. The window size of `stdin`, when it is a terminal, is carried over.
///
/// # Errors
/// Of `poll` and of reading the master; a closed `stdin` or `stdout` is none.
pub fn relay_terminal(
    master: BorrowedFd<'_>,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    until: BorrowedFd<'_>,
) -> Result<()> {
    let _ = (master, stdin, stdout, until);
    todo!()
}

/// The caller's ends of the pipes of a command without terminal.
#[derive(Debug)]
pub struct Pipes {
    /// Write end of its standard input.
    pub stdin: OwnedFd,
    /// Read end of its standard output.
    pub stdout: OwnedFd,
    /// Read end of its standard error.
    pub stderr: OwnedFd,
}

impl Pipes {
    /// Three pipes: our ends, and the command's.
    ///
    /// # Errors
    /// Of `pipe2`.
    pub fn open() -> Result<(Pipes, [OwnedFd; 3])> {
        todo!()
    }
}

/// Copies `stdin` into the command and what it says to `stdout` and `stderr`, until `until` (a pidfd) is readable, then
/// what the pipes still hold.
///
/// # Errors
/// Of `poll`; closed descriptors of the caller are none.
pub fn relay_pipes(
    pipes: Pipes,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
    until: BorrowedFd<'_>,
) -> Result<()> {
    let _ = (pipes, stdin, stdout, stderr, until);
    todo!()
}
