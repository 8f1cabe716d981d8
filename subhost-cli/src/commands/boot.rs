//! `boot`: the main job.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use subhost_init::console::Relay;
use subhost_init::handoff::{Message, Program, Request as InitRequest};
use subhost_init::launch::Ended;
use subhost_init::process::close_on_exec_from;

use super::{Context, need_root};
use crate::args;
use crate::boot::{Booted, Streams, boot as apply, complete};
use crate::config::{Loaded, demand_trust, request};
use crate::culprit;
use crate::error::{Complaint, Context as _, Error};
use crate::observe::{State, state_of};
use crate::origin::Origin;
use crate::report;
use crate::request::Request;
use crate::shutdown::Ask;
use crate::supervise::{Event, STAY_OFF, Signals, Watch};

/// What is waited for beyond the stop timeout before PID 1 is killed.
const KILL_AFTER: Duration = Duration::from_secs(2);

/// What the supervisor in the background says when the subhost is ready.
const READY: &[u8; 1] = b"R";
/// What it says when the subhost is not ready in time, which it has told of.
const LATE: &[u8; 1] = b"L";

/// Boots a subhost, and supervises it until it ends.
pub(super) fn boot(context: &Context, args: args::Boot) -> Result<u8, Error> {
    need_root(&format!("boot {}", args.name))?;
    if args.detach && !args.background {
        if let Ok(State::Running(record)) = state_of(&context.layout, &args.name) {
            complete(&context.layout, &args.name, &record)?;
            report::note(
                context.quiet,
                &format!("{}: is running already, with init {}", args.name, record.init.pid),
            );
            return Ok(0);
        }
        return detach(context, &args);
    }
    let loaded =
        Loaded::of(&context.layout, context.config.as_deref(), &args.name, &args.devices, context.how)?;
    let mut request = request(&loaded, args.name, args.devices, args.init)?;
    request.origin = Origin::of_process()?;
    demand_trust(&loaded)?;
    if !loaded.diagnostics.is_empty() && !context.quiet {
        report::say(&loaded.rendered(false));
    }
    supervise(context, &request, args.background)
}

/// Boots, and again after each reboot.
fn supervise(context: &Context, request: &Request, background: bool) -> Result<u8, Error> {
    let mut signals = Signals::block()?;
    let mut announce = background;
    if background {
        // Away from the terminal of whoever started us.
        rustix::process::setsid().step("start a session")?;
        rustix::process::chdir("/").step("leave the caller's folder")?;
    }
    let mut kept = None;
    loop {
        let mut booted = apply(request, &context.layout, "boot", Streams::Terminal, kept.take())?;
        for note in &booted.notes {
            report::note(context.quiet, note);
        }
        let shown = !background && !context.quiet;
        let stdout = || std::io::stdout().as_fd().try_clone_to_owned().step("use standard output");
        let mut relay = Relay::new();
        if let Some(pty) = &booted.pty {
            let master = pty.master.try_clone().step("duplicate the console")?;
            let shown = if shown { Some(stdout()?) } else { None };
            relay = relay.console(master, shown).step("relay the console")?;
        }
        if booted.record.init_program != "subhost-init" {
            let (name, init) = (&booted.record.name, &booted.record.init_program);
            report::note(context.quiet, &format!("{name}: PID 1 is the guest's {init}"));
        }
        if announce && booted.record.init_program != "subhost-init" {
            // A guest's own init does not tell when it is ready.
            announce = false;
            leave_caller(READY)?;
        }
        let mut watch = Watch::new(relay, signals);
        let ended = wait(context, &mut booted, &mut watch, &mut announce, request)?;
        // A console never waits for its reader.
        watch.drain()?;
        let name = booted.record.name.clone();
        // The end is told before a signal that came with it. A later one reaches the next run.
        if ended == Ended::Reboot {
            let next = booted.keep()?;
            if watch.signals.ask_to_end() {
                report::note(context.quiet, &format!("{name}: powered off"));
                return Ok(0);
            }
            report::note(context.quiet, &format!("{name}: reboots"));
            (kept, signals) = (Some(next), watch.signals);
            continue;
        }
        booted.clean_up()?;
        match ended {
            Ended::PowerOff | Ended::Reboot => {
                report::note(context.quiet, &format!("{name}: powered off"));
                return Ok(0);
            }
            Ended::Exited(0) => return Ok(0),
            Ended::Exited(code) => {
                return Err(failed(&name, &format!("PID 1 ended with status {code}"), &watch));
            }
            Ended::Killed(signal) => {
                return Err(failed(&name, &format!("PID 1 was ended by signal {signal}"), &watch));
            }
        }
    }
}

fn failed(name: &str, what: &str, watch: &Watch) -> Error {
    let lines = watch.last_lines();
    let hint = (!lines.is_empty()).then(|| format!("its last output:\n{}", lines.join("\n")));
    Error::Step { step: format!("subhost {name}"), source: what.to_owned().into(), hint }
}

/// Waits for the end; a first signal asks for power-off, a second one kills. After [`STAY_OFF`] it is not for us to kill:
/// `stop` does, at its own deadline.
fn wait(
    context: &Context,
    booted: &mut Booted,
    watch: &mut Watch,
    announce: &mut bool,
    request: &Request,
) -> Result<Ended, Error> {
    let running = &mut booted.running;
    let mut stopping = false;
    let mut stays_off = false;
    while let Some(event) = watch.next(running.pidfd(), Some(running.socket()))? {
        match event {
            Event::Signal(Signal::SIGWINCH) => {}
            Event::Signal(STAY_OFF) => {
                stays_off = true;
                // Ours then powers off also where it was about to restart.
                crate::supervise::send(running.socket(), InitRequest::PowerOff);
            }
            Event::Signal(_) if stopping => crate::shutdown::kill_at_once(&booted.record)?,
            Event::Signal(_) => {
                stopping = true;
                let _ = booted.record.cgroup.thaw();
                watch.deadline = Some(Instant::now() + request.stop_timeout + KILL_AFTER);
                if booted.record.init_program == "subhost-init" {
                    crate::supervise::send(running.socket(), InitRequest::PowerOff);
                } else {
                    crate::shutdown::ask(&booted.record, Ask::PowerOff)?;
                }
            }
            Event::Deadline => crate::shutdown::kill_at_once(&booted.record)?,
            // PID 1 has deadlines of its own, but the guest may have mounted what makes it wait.
            Event::Message(Message::Stopping { .. }) => {
                watch.deadline.get_or_insert(Instant::now() + request.stop_timeout + KILL_AFTER);
            }
            Event::Message(Message::Ready { .. }) if *announce => {
                *announce = false;
                leave_caller(READY)?;
            }
            Event::Message(Message::Late { program, pid }) => {
                let boots = !matches!(program, Program::Runlevel(b'0' | b'6'));
                report::note(context.quiet && !*announce, &late(request, running.pid(), program, pid));
                if *announce && boots {
                    *announce = false;
                    leave_caller(LATE)?;
                }
            }
            Event::Message(_) => {}
        }
    }
    match running.wait().step("wait for PID 1")? {
        // A restart that was under way when we were asked to end.
        Ended::Reboot if stopping || stays_off => Ok(Ended::PowerOff),
        ended => Ok(ended),
    }
}

/// Which script has not ended in time, and what can be done.
fn late(request: &Request, init: u32, program: Program, pid: i32) -> String {
    let name = &request.name;
    let script = culprit::in_words(program);
    let hangs = match culprit::hanging(init, pid).as_slice() {
        [] => String::new(),
        scripts => format!(" ({})", scripts.join("; ")),
    };
    match program {
        Program::Runlevel(b'0' | b'6') => format!("{name}: {script} hangs{hangs}, and will be killed"),
        _ => format!(
            "{name}: not ready after {} s: {script} hangs{hangs}; it goes on, \"subhostctl stop {name}\" ends it",
            request.boot_timeout.as_secs_f64()
        ),
    }
}

/// Tells who started us that the subhost is ready, or that it is not, and lets go of his streams.
fn leave_caller(answer: &[u8; 1]) -> Result<(), Error> {
    let _ = rustix::io::write(std::io::stdout(), answer);
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").step("open /dev/null")?;
    rustix::stdio::dup2_stdout(&null).step("let go of standard output")?;
    rustix::stdio::dup2_stderr(&null).step("let go of standard error")
}

/// Starts ourselves in the background, and waits until the subhost is ready or has ended.
fn detach(context: &Context, args: &args::Boot) -> Result<u8, Error> {
    let mut words = super::command_line(std::env::args_os().collect());
    words.remove(0);
    let end_of_options = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.insert(end_of_options, "--background".into());
    let mut command = Command::new(std::env::current_exe().step("find ourselves")?);
    command.args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    // Whatever else we were given, a lock or a pipe, is not to be held as long as the subhost runs.
    close_on_exec_from(3).step("keep the caller's files from the supervisor")?;
    let mut supervisor = command.spawn().step("start the supervisor")?;
    let mut answer = [0; READY.len()];
    let answered = supervisor.stdout.take().is_some_and(|mut out| out.read_exact(&mut answer).is_ok());
    if answered && &answer == READY {
        return Ok(0);
    }
    if answered && &answer == LATE {
        return Ok(1);
    }
    // It said on our standard error why.
    let status = supervisor.wait().step("wait for the supervisor")?;
    match status.code() {
        Some(0) => {
            Err(Error::refused(Complaint::new(format!("subhost {}: ended before it was ready", args.name))))
        }
        Some(code) => Ok(u8::try_from(code).unwrap_or(1)),
        None if matches!(state_of(&context.layout, &args.name), Ok(State::Running(_))) => {
            report::note(
                context.quiet,
                &format!("{}: runs without a supervisor, which was killed", args.name),
            );
            Ok(0)
        }
        None => {
            Err(Error::refused(Complaint::new(format!("subhost {}: its supervisor was killed", args.name))))
        }
    }
}
