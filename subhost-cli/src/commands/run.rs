//! `run`: one command in a fresh subhost.

use std::ffi::{CString, OsString};
use std::io::{IsTerminal, Stdin};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::io::Errno;
use subhost_init::console::{Pipes, RawMode, Relay, set_window_size, window_size};
use subhost_init::handoff::{Message, Request as InitRequest};
use subhost_init::launch::Ended;

use super::{Context, need_root, shell_status};
use crate::args;
use crate::boot::{Booted, How, Streams, boot as apply};
use crate::error::{Complaint, Context as _, Error};
use crate::events::{self, Used};
use crate::isolation::Isolation;
use crate::layout::is_plain_absolute;
use crate::report;
use crate::request::{Changes, Request, Root};
use crate::supervise::{Event, STAY_OFF, Signals, Watch};
use crate::supervisor::cause::Cause;

/// What goes on for longer may read more than the page cache should hold.
const SHORT: Duration = Duration::from_millis(200);

/// Runs a command, and returns its status.
pub(super) fn run(context: &Context, args: args::Run) -> Result<u8, Error> {
    need_root("run")?;
    let request = request(context, args)?;
    payload(context, &request, "run")
}

/// Makes a subhost of a request that has a command, and returns the status of that.
pub(super) fn payload(context: &Context, request: &Request, command: &'static str) -> Result<u8, Error> {
    let signals = Signals::block()?;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let (streams, ours) = if terminal {
        (Streams::Terminal, None)
    } else {
        let (ours, theirs) = Pipes::open().step("make pipes")?;
        (Streams::Given(theirs), Some(ours))
    };
    let how = How { command, origin: None, streams, verbose: context.verbose };
    let mut booted = match apply(request, &context.layout, how, None) {
        Err(error) if request.as_init => return not_executed(error),
        applied => applied?,
    };
    for note in &booted.notes {
        report::note(context.quiet, note);
    }
    // One without a name is a command like any other: nobody asks for it later.
    if request.named {
        events::Event::beginning(&request.name, &booted.record).note(&context.layout);
    }
    let input = std::io::stdin();
    let Attended { mut watch, asked, payload_status, ended, usage, _raw } =
        match attend(&mut booted, request, ours, signals, &input) {
            Ok(attended) => attended,
            Err(error) => return Err(booted.give_up(error)),
        };
    if request.named {
        let cause = payload_status.map_or(Cause::from(ended), |status| Cause::Exited(status.into()));
        let mut event = cause.event(&request.name, booted.record.init.pid, usage);
        if let Some(status) = payload_status {
            event.text = format!("its command ended with status {status}");
        }
        event.note(&context.layout);
    }
    // The terminal keeps what the payload has said as long as it is open.
    let _pty = booted.pty.take();
    // The caller's status is the payload's, also where something is left: that is said.
    if let Err(error) = booted.clean_up() {
        report::error(&error);
    }
    if let Some(signal) = watch.drain()? {
        return Ok(interrupted(signal));
    }
    Ok(match (ended, payload_status) {
        // Also where it was told to end, and has done so in its own way.
        (Ended::PowerOff | Ended::Reboot, Some(status)) => status,
        (Ended::PowerOff | Ended::Reboot, None) if asked => 128 + 15,
        (other, _) => shell_status(other),
    })
}

/// The status that a shell gives for a command that could not be executed.
fn not_executed(error: Error) -> Result<u8, Error> {
    let Error::Step { source, .. } = &error else { return Err(error) };
    let launch = source.downcast_ref::<subhost_init::Error>();
    let status = launch.and_then(subhost_init::Error::exit_status).and_then(|it| u8::try_from(it).ok());
    let Some(status) = status else { return Err(error) };
    report::error(&error);
    Ok(status)
}

/// A payload up to its end.
struct Attended<'a> {
    watch: Watch,
    /// Whether a signal has asked for the end.
    asked: bool,
    payload_status: Option<u8>,
    ended: Ended,
    usage: Option<Used>,
    _raw: Option<RawMode<'a>>,
}

/// Relays what it says, and passes signals on, until it has ended.
fn attend<'a>(
    booted: &mut Booted,
    request: &Request,
    ours: Option<Pipes>,
    signals: Signals,
    input: &'a Stdin,
) -> Result<Attended<'a>, Error> {
    let (relay, _raw) = match (ours, &booted.pty) {
        (Some(pipes), _) => {
            (pipes.relay(stdin()?, stdout()?, stderr()?).step("relay the output of the command")?, None)
        }
        (None, Some(pty)) => {
            copy_window_size(pty.master.as_fd());
            (terminal_relay(&pty.master)?, RawMode::enter(input.as_fd()).ok())
        }
        (None, None) => (Relay::new(), None),
    };
    let mut watch = Watch::new(relay, signals);
    watch.deadline = Some(Instant::now() + SHORT);
    let mut asked = false;
    let mut payload_status = None;
    while let Some(event) = watch.next(booted.running.pidfd(), Some(booted.running.socket()))? {
        match event {
            Event::Signal(Signal::SIGWINCH) => {
                if let Some(pty) = &booted.pty {
                    copy_window_size(pty.master.as_fd());
                }
            }
            // Who asks for that asks it himself.
            Event::Signal(STAY_OFF) if request.as_init => {}
            // A signal that a PID 1 does not handle does nothing to it: then the next one kills.
            Event::Signal(signal) if request.as_init && !asked => {
                asked = true;
                pass_on(booted.running.pidfd(), signal)?;
            }
            Event::Signal(STAY_OFF) => {
                crate::supervise::send(booted.running.socket(), InitRequest::PowerOff);
            }
            Event::Signal(_) if !asked => {
                asked = true;
                crate::supervise::send(booted.running.socket(), InitRequest::PowerOff);
            }
            Event::Signal(_) => crate::shutdown::kill_at_once(&booted.record)?,
            Event::Deadline => booted.leave_cache(),
            Event::Message(Message::PayloadExited { status }) => payload_status = Some(status),
            Event::Message(_) => {}
        }
    }
    let usage = if request.named { Used::of(&booted.record) } else { None };
    let ended = booted.running.wait().step("wait for PID 1")?;
    Ok(Attended { watch, asked, payload_status, ended, usage, _raw })
}

/// Sends a signal of ours to PID 1; that it has just ended is none.
fn pass_on(init: BorrowedFd<'_>, signal: Signal) -> Result<(), Error> {
    let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) else { return Ok(()) };
    match rustix::process::pidfd_send_signal(init, signal) {
        Err(Errno::SRCH) => Ok(()),
        sent => sent.step("pass a signal on"),
    }
}

fn request(context: &Context, args: args::Run) -> Result<Request, Error> {
    let named = args.name.is_some();
    let name = match args.name {
        Some(name) => name,
        None => format!("run-{}", std::process::id())
            .parse()
            .map_err(|error: crate::layout::NameError| Error::refused(Complaint::new(error.to_string())))?,
    };
    let directory = |path: std::path::PathBuf, option: &str| match std::fs::canonicalize(&path) {
        Ok(path) if path.is_dir() && is_plain_absolute(&path) => Ok(path),
        Ok(path) => {
            Err(Error::refused(Complaint::new(format!("{option} {}: is not a directory", path.display()))))
        }
        Err(error) => Err(Error::refused(Complaint::new(format!("{option} {}: {error}", path.display())))),
    };
    let root = match (args.overlay, args.root) {
        (Some(lower), _) => Root::Overlay(directory(lower, "--overlay")?),
        (None, Some(tree)) => Root::Tree(directory(tree, "--root")?),
        (None, None) => Root::Disk,
    };
    if root == Root::Tree("/".into()) {
        return Err(Error::refused(
            Complaint::new("--root /: would give the host's own files to the command")
                .hint("--overlay / shows them and keeps no change"),
        ));
    }
    let payload = words(args.command)?;
    let isolation = Isolation { nesting: args.nesting, ..Isolation::default() };
    Ok(Request {
        named,
        as_init: args.as_init,
        isolation,
        disks: args.devices.disks,
        changes: match (args.devices.ephemeral, args.devices.read_only) {
            (true, _) => Changes::Ephemeral,
            (_, true) => Changes::Refused,
            _ => Changes::Kept,
        },
        filesystems: args.devices.filesystems,
        binds: args.devices.binds,
        cables: args.devices.cables,
        ..Request::from_command(name, root, payload, &context.layout)
    })
}

/// A command as the kernel takes it.
pub(super) fn words(command: Vec<OsString>) -> Result<Vec<CString>, Error> {
    let words: Result<Vec<CString>, _> =
        command.into_iter().map(|word| CString::new(word.into_vec())).collect();
    words.map_err(|_| Error::refused(Complaint::new("the command holds a NUL byte")))
}

/// The status where a signal took what was left of the payload's output: not the payload's, as not all is passed on.
pub(super) fn interrupted(signal: Signal) -> u8 {
    u8::try_from(128 + signal as i32).unwrap_or(255)
}

/// The relay between our terminal and one of the payload's own.
pub(super) fn terminal_relay(master: &OwnedFd) -> Result<Relay, Error> {
    let master = || master.try_clone().step("duplicate the terminal");
    let relay = Relay::new().input(stdin()?, master()?).step("relay the terminal")?;
    relay.output(master()?, stdout()?).step("relay the terminal")
}

/// Gives a terminal the size of ours.
pub(super) fn copy_window_size(master: std::os::fd::BorrowedFd<'_>) {
    if let Ok((rows, columns)) = window_size(std::io::stdin().as_fd()) {
        let _ = set_window_size(master, rows, columns);
    }
}

pub(super) fn stdin() -> Result<OwnedFd, Error> {
    std::io::stdin().as_fd().try_clone_to_owned().step("use standard input")
}

pub(super) fn stderr() -> Result<OwnedFd, Error> {
    std::io::stderr().as_fd().try_clone_to_owned().step("use standard error")
}

pub(super) fn stdout() -> Result<OwnedFd, Error> {
    std::io::stdout().as_fd().try_clone_to_owned().step("use standard output")
}
