//! `enter` and `exec`: a command inside a running subhost.

use std::ffi::CString;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;

use nix::sys::signal::Signal;
use subhost_init::account::Account;
use subhost_init::console::{Pipes, Pty, RawMode};
use subhost_init::enter::Enter;
use subhost_mount::rootdir::RootDir;

use super::life::not_paused;
use super::run::{copy_window_size, interrupted, stderr, stdin, stdout, terminal_relay, words};
use super::{Context, need_root};
use crate::args;
use crate::boot::terminal_type;
use crate::error::{Complaint, Context as _, Error};
use crate::layout::Name;
use crate::observe::{State, state_of};
use crate::state::Record;
use crate::supervise::{Event, Signals, Watch};

/// Longest passwd or group of a guest that is read, in bytes.
const ACCOUNTS_MAX_BYTES: u64 = 1 << 20;

/// The guest's group `tty`, which terminals belong to (as Debian numbers it).
const TTY_GID: u32 = 5;

/// Runs a command inside as root, and returns its status.
pub(super) fn enter(context: &Context, args: args::Enter) -> Result<u8, Error> {
    let args::Enter { name, command } = args;
    let how = args::Exec { name, command, user: None, directory: None, variables: Vec::new(), detach: false };
    exec(context, how)
}

/// Runs a command inside, and returns its status. Without a command it is the user's shell.
pub(super) fn exec(context: &Context, args: args::Exec) -> Result<u8, Error> {
    let name = &args.name;
    need_root(&format!("enter {name}"))?;
    let record = match state_of(&context.layout, name).step(format!("read the record of {name}"))? {
        State::Running(record) => record,
        state => {
            let (what, how) = match state {
                State::Lingering(_) => ("lingers, and nothing of it runs", "start"),
                _ if context.layout.is_tree_alone(name) => ("does not run", "start"),
                _ => ("does not run", "boot"),
            };
            return Err(Error::refused(
                Complaint::new(format!("subhost {name}: {what}"))
                    .hint(format!("subhostctl {how} {name} starts it")),
            ));
        }
    };
    not_paused(&record)?;
    let gone = || Error::refused(Complaint::new(format!("subhost {name}: has just ended")));
    let init = record.init.identity().open().step(format!("enter {name}"))?.ok_or_else(gone)?;
    let root = RootDir::open(Path::new(&format!("/proc/{}/root", record.init.pid)));
    // The number is still the same process: what was opened is its root.
    if record.init.identity().open().step(format!("enter {name}"))?.is_none() {
        return Err(gone());
    }
    let root = root.step(format!("enter {name}"))?;
    let account = account(&root, args.user.as_deref(), &record)?;
    let argv = if args.command.is_empty() { vec![account.shell.clone()] } else { words(args.command)? };
    let step = || format!("enter {name}");
    let cgroup = record.cgroup.open().step(step())?;
    let session = if args.detach { None } else { cgroup.session().step(step())? };
    let directory = match &session {
        Some(session) => Some(session.directory().step(step())?),
        None => cgroup.unified().step(step())?,
    };
    let enter = Enter::new(init.as_fd())
        .argv(argv)
        .environment(environment(&account, args.variables))
        .ends_with_caller(!args.detach)
        .working_directory(args.directory.unwrap_or_else(|| c"/".to_owned()))
        .user(account.uid, account.gid, account.groups)
        .drop_capabilities(record.isolation.dropped().step(step())?)
        .filter(record.isolation.filter())
        .cgroup(directory)
        .legacy_cgroups(cgroup.legacy_entries().step(step())?);
    if args.detach {
        return enter.start().map_or_else(|error| not_started(name, error), |_| Ok(0));
    }
    let signals = Signals::block()?;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let input = std::io::stdin();
    let (mut entered, relay, pty, _raw) = if terminal {
        let pty = terminal_of(&root)?;
        let (owner, group) = (record.first_id + account.uid, record.first_id + TTY_GID);
        pty.set_owner(owner, group).step("own the pseudo-terminal")?;
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
        (entered, ours.relay(stdin()?, stdout()?, stderr()?).step("relay the streams")?, None, None)
    };
    // Held on, it would keep the guest's file system busy when the guest has long ended.
    drop(root);
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
    if let Some(session) = session {
        session.end();
    }
    if let Some(signal) = watch.drain()? {
        return Ok(interrupted(signal));
    }
    Ok(u8::try_from(status).unwrap_or(255))
}

/// 127 and 126 are the command's, as a shell has them; all else is our failure.
fn not_started(name: &Name, error: subhost_init::Error) -> Result<u8, Error> {
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

/// The user that was asked for, or root, as the guest's own files have it.
fn account(root: &RootDir, user: Option<&str>, record: &Record) -> Result<Account, Error> {
    let read = |path: &str| match root.read_small(Path::new(path), ACCOUNTS_MAX_BYTES) {
        Ok(bytes) => Ok(bytes),
        // Root is there whatever these are.
        Err(error) if user.is_none() || error.raw_os_error() == Some(nix::libc::ENOENT) => Ok(Vec::new()),
        Err(error) => Err(error).step(format!("look up the user in {}", record.name)),
    };
    let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
    let mut account = Account::find(user.unwrap_or("0"), &passwd, &group)
        .map_err(|error| Error::refused(Complaint::new(error.to_string())))?;
    if let Some(id) = [account.uid, account.gid].iter().find(|id| **id >= record.id_count) {
        return Err(Error::refused(Complaint::new(format!(
            "user {:?}: its id {id} is none of the {} that {} has",
            user.unwrap_or("root"),
            record.id_count,
            record.name
        ))));
    }
    // The guest's file may name any; those that cannot be are left out, so that root always gets in.
    account.groups.retain(|gid| *gid < record.id_count);
    Ok(account)
}

/// A clean environment: nothing of the caller's but the terminal's type and what was asked for.
fn environment(account: &Account, given: Vec<CString>) -> Vec<CString> {
    let name_of =
        |variable: &CString| variable.as_bytes().split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
    let mut variables = vec![
        c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        c"container=subhost".to_owned(),
    ];
    let terminal = CString::new(terminal_type()).ok();
    for (name, value) in [
        ("HOME", Some(&account.home)),
        ("USER", account.name.as_ref()),
        ("LOGNAME", account.name.as_ref()),
        ("SHELL", Some(&account.shell)),
        ("TERM", terminal.as_ref()),
    ] {
        let word = value.map(|value| [name.as_bytes(), b"=", value.as_bytes()].concat());
        variables.extend(word.and_then(|word| CString::new(word).ok()));
    }
    for variable in given {
        variables.retain(|other| name_of(other) != name_of(&variable));
        variables.push(variable);
    }
    variables
}

/// A pseudo-terminal of the guest's own `/dev/pts`, so that it has a name there; of the host's if the guest has none.
fn terminal_of(root: &RootDir) -> Result<Pty, Error> {
    if let Ok(ptmx) = root.open_path(Path::new("/dev/pts/ptmx"))
        && let Ok(pty) = Pty::open_in(ptmx.as_fd())
    {
        return Ok(pty);
    }
    Pty::open().step("open a pseudo-terminal")
}
