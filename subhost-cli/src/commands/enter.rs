//! `enter`: a command inside a running subhost.

use std::ffi::CString;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::sys::signal::Signal;
use subhost_init::console::{Pipes, Pty, RawMode};
use subhost_init::enter::Enter;
use subhost_mount::rootdir::RootDir;

use super::run::{copy_window_size, pipe_streams, stdin, stdout};
use super::{Context, need_root};
use crate::args;
use crate::boot::terminal_type;
use crate::error::{Complaint, Context as _, Error};
use crate::observe::{State, state_of};
use crate::state::Record;
use crate::supervise::{Event, Relay, Signals, Stream};

/// Longest passwd of a guest that is read, in bytes.
const PASSWD_MAX_BYTES: u64 = 1 << 20;

/// Runs a command inside, and returns its status.
pub(super) fn enter(context: &Context, args: args::Enter) -> Result<u8, Error> {
    let name = &args.name;
    need_root(&format!("enter {name}"))?;
    let State::Running(record) =
        state_of(&context.layout, name).step(format!("read the record of {name}"))?
    else {
        return Err(Error::refused(
            Complaint::new(format!("subhost {name}: does not run"))
                .hint(format!("subhostctl boot {name} starts it")),
        ));
    };
    let gone = || Error::refused(Complaint::new(format!("subhost {name}: has just ended")));
    let init = record.init.identity().open().step(format!("enter {name}"))?.ok_or_else(gone)?;
    let argv = if args.command.is_empty() { vec![login_shell(&record)] } else { words(args.command)? };
    let signals = Signals::block()?;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let input = std::io::stdin();
    let enter = Enter::new(init.as_fd()).argv(argv).environment(environment());
    let (mut entered, streams, pty, _raw) = if terminal {
        let pty = Pty::open().step("open a pseudo-terminal")?;
        pty.set_owner(record.first_id, record.first_id + 5).step("own the pseudo-terminal")?;
        copy_window_size(pty.master.as_fd());
        let slave = || pty.slave.try_clone().step("duplicate the terminal");
        let stdio = [slave()?, slave()?, slave()?];
        let entered = enter.stdio(stdio).controlling_terminal(true).start().step(format!("enter {name}"))?;
        let master = || pty.master.try_clone().step("duplicate the terminal");
        let streams = vec![Stream::input(stdin()?, master()?), Stream::output(master()?, stdout()?)];
        (entered, streams, Some(pty.master), RawMode::enter(input.as_fd()).ok())
    } else {
        let (ours, theirs) = Pipes::open().step("make pipes")?;
        let entered = enter.stdio(theirs).start().step(format!("enter {name}"))?;
        (entered, pipe_streams(ours)?, None, None)
    };
    let mut relay = Relay::new(streams, Some(signals));
    while let Some(event) = relay.next(entered.pidfd(), None)? {
        match (event, &pty) {
            (Event::Signal(Signal::SIGWINCH), Some(master)) => copy_window_size(master.as_fd()),
            (Event::Signal(Signal::SIGWINCH), None) => {}
            (Event::Signal(signal), _) => {
                if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
                    let _ = rustix::process::pidfd_send_signal(entered.pidfd(), signal);
                }
            }
            (Event::Message | Event::Deadline, _) => {}
        }
    }
    let status = entered.wait().step(format!("wait for the command in {name}"))?;
    Ok(u8::try_from(status).unwrap_or(255))
}

fn words(command: Vec<std::ffi::OsString>) -> Result<Vec<CString>, Error> {
    let words: Result<Vec<CString>, _> =
        command.into_iter().map(|word| CString::new(word.into_vec())).collect();
    words.map_err(|_| Error::refused(Complaint::new("the command holds a NUL byte")))
}

fn environment() -> Vec<CString> {
    let words = [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "HOME=/root".to_owned(),
        "USER=root".to_owned(),
        "LOGNAME=root".to_owned(),
        "container=subhost".to_owned(),
        format!("TERM={}", terminal_type()),
    ];
    words.into_iter().filter_map(|word| CString::new(word).ok()).collect()
}

/// The shell of the guest's root, from its passwd as data.
fn login_shell(record: &Record) -> CString {
    let passwd = RootDir::open(Path::new(&format!("/proc/{}/root", record.init.pid)))
        .and_then(|root| root.read_small(Path::new("/etc/passwd"), PASSWD_MAX_BYTES))
        .unwrap_or_default();
    let root = passwd.split(|b| *b == b'\n').find(|line| line.starts_with(b"root:"));
    let shell =
        root.and_then(|line| line.split(|b| *b == b':').nth(6)).filter(|shell| shell.starts_with(b"/"));
    shell.and_then(|shell| CString::new(shell).ok()).unwrap_or_else(|| c"/bin/sh".to_owned())
}
