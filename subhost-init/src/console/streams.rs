//! Relaying where there is nothing else to wait for: a terminal, or three pipes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{tcgetwinsize, tcsetwinsize};

use super::relay::{Relay, Wake};
use crate::{Error, Result};

/// Copies `stdin` to the master and the master to `stdout` until `until` (a pidfd) is readable, then what the master
/// still holds. The master becomes non-blocking.
///
/// The window size of `stdin`, when it is a terminal, is carried over at the beginning and, when this runs on the main
/// thread, at each `SIGWINCH`. `stdin` should be in raw mode. The signal SIGPIPE has to be ignored, as it is in Rust programs.
///
/// # Errors
/// [`Error::System`] of `poll` and the like; that `stdin` or `stdout` is closed is none, and the guest goes on.
pub fn relay_terminal(
    master: BorrowedFd<'_>,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    until: BorrowedFd<'_>,
) -> Result<()> {
    let mut relay = Relay::new().input(own(stdin)?, own(master)?)?.output(own(master)?, own(stdout)?)?;
    let mut winch = SigSet::empty();
    winch.add(Signal::SIGWINCH);
    let blocked = winch.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(|e| on_files("relay", e.into()))?;
    let result = (|| {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&winch, flags).map_err(|e| on_files("relay", e.into()))?;
        loop {
            // After the signals are caught, so that no change is missed.
            if let Ok(size) = tcgetwinsize(stdin) {
                let _ = tcsetwinsize(master, size);
            }
            if relay.wait(until, &[signals.as_fd()], None)? == Wake::Ended {
                return relay.drain(&[]).map(drop);
            }
            while let Ok(Some(_)) = signals.read_signal() {}
        }
    })();
    let _ = blocked.thread_set_mask();
    result
}

/// Copies `stdin` into the command and what it says to `stdout` and `stderr`, until `until` (a pidfd) is readable, then
/// what the pipes still hold. The end of `stdin` is passed on. The signal SIGPIPE has to be ignored, as it is in Rust
/// programs.
///
/// # Errors
/// [`Error::System`] of `poll` and the like; closed descriptors of the caller are none.
pub fn relay_pipes(
    pipes: Pipes,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
    until: BorrowedFd<'_>,
) -> Result<()> {
    let mut relay = pipes.relay(own(stdin)?, own(stdout)?, own(stderr)?)?;
    while relay.wait(until, &[], None)? != Wake::Ended {}
    relay.drain(&[]).map(drop)
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
    /// [`Error::System`] of `pipe2`.
    pub fn open() -> Result<(Pipes, [OwnedFd; 3])> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|e| on_files("make a pipe for", e.into()));
        let (their_stdin, stdin) = pipe()?;
        let (stdout, their_stdout) = pipe()?;
        let (stderr, their_stderr) = pipe()?;
        Ok((Pipes { stdin, stdout, stderr }, [their_stdin, their_stdout, their_stderr]))
    }

    /// The relay between these and the caller's three.
    ///
    /// # Errors
    /// [`Error::System`] of `fcntl`.
    pub fn relay(self, stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd) -> Result<Relay> {
        Relay::new().input(stdin, self.stdin)?.output(self.stdout, stdout)?.output(self.stderr, stderr)
    }
}

fn own(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    fd.try_clone_to_owned().map_err(|source| on_files("duplicate", source))
}

fn on_files(operation: &'static str, source: std::io::Error) -> Error {
    Error::System { operation, object: "standard files".to_owned(), source }
}
