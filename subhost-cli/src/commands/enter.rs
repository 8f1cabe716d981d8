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

use super::run::{copy_window_size, interrupted, stderr, stdin, stdout, terminal_relay};
use super::{Context, need_root};
use crate::args;
use crate::boot::terminal_type;
use crate::error::{Complaint, Context as _, Error};
use crate::observe::{State, state_of};
use crate::state::Record;
use crate::supervise::{Event, Signals, Watch};

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
    let step = || format!("enter {name}");
    let dropped = record.isolation.dropped().step(step())?;
    let cgroup = record.cgroup.open().step(step())?;
    let enter = Enter::new(init.as_fd())
        .argv(argv)
        .environment(environment())
        .drop_capabilities(dropped)
        .filter(record.isolation.filter())
        .cgroup(cgroup.unified().step(step())?)
        .legacy_cgroups(cgroup.legacy_entries().step(step())?);
    let (mut entered, relay, pty, _raw) = if terminal {
        let pty = Pty::open().step("open a pseudo-terminal")?;
        pty.set_owner(record.first_id, record.first_id + 5).step("own the pseudo-terminal")?;
        copy_window_size(pty.master.as_fd());
        let slave = || pty.slave.try_clone().step("duplicate the terminal");
        let stdio = [slave()?, slave()?, slave()?];
        let entered = match enter.stdio(stdio).controlling_terminal(true).start() {
            Ok(entered) => entered,
            Err(error) => return not_started(name, error),
        };
        (entered, terminal_relay(&pty.master)?, Some(pty), RawMode::enter(input.as_fd()).ok())
    } else {
        let (ours, theirs) = Pipes::open().step("make pipes")?;
        let entered = match enter.stdio(theirs).start() {
            Ok(entered) => entered,
            Err(error) => return not_started(name, error),
        };
        (entered, ours.relay(stdin()?, stdout()?, stderr()?).step("relay")?, None, None)
    };
    let mut watch = Watch::new(relay, signals);
    while let Some(event) = watch.next(entered.pidfd(), None)? {
        match (event, &pty) {
            (Event::Signal(Signal::SIGWINCH), Some(pty)) => copy_window_size(pty.master.as_fd()),
            (Event::Signal(Signal::SIGWINCH), None) => {}
            (Event::Signal(signal), _) => {
                if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
                    let _ = rustix::process::pidfd_send_signal(entered.pidfd(), signal);
                }
            }
            (Event::Message(_) | Event::Deadline, _) => {}
        }
    }
    let status = entered.wait().step(format!("wait for the command in {name}"))?;
    if let Some(signal) = watch.drain()? {
        return Ok(interrupted(signal));
    }
    Ok(u8::try_from(status).unwrap_or(255))
}

/// 127 and 126 are the command's, as a shell has them; all else is our failure.
fn not_started(name: &crate::layout::Name, error: subhost_init::Error) -> Result<u8, Error> {
    let status = error.exit_status().and_then(|status| u8::try_from(status).ok());
    let error = Err(error).step(format!("enter {name}"));
    match (status, error) {
        (Some(status), Err(error)) => {
            crate::report::error(&error);
            Ok(status)
        }
        (_, error) => error,
    }
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
    let root = RootDir::open(Path::new(&format!("/proc/{}/root", record.init.pid))).ok();
    // The number is still the same process: what was opened is its root.
    let passwd = root
        .filter(|_| record.init.is_alive())
        .and_then(|root| root.read_small(Path::new("/etc/passwd"), PASSWD_MAX_BYTES).ok())
        .unwrap_or_default();
    let root = passwd.split(|b| *b == b'\n').find(|line| line.starts_with(b"root:"));
    let shell =
        root.and_then(|line| line.split(|b| *b == b':').nth(6)).filter(|shell| shell.starts_with(b"/"));
    shell.and_then(|shell| CString::new(shell).ok()).unwrap_or_else(|| c"/bin/sh".to_owned())
}
