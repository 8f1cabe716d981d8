//! `console`: a terminal at the console of a subhost that runs.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use subhost_init::console::RawMode;

use super::run::copy_window_size;
use super::{Context, need_root, unknown};
use crate::adopt::{self, Adoption};
use crate::args;
use crate::console_log::{last_lines, read_all};
use crate::control::{self, OUTPUT_BYTES, Word};
use crate::error::{Complaint, Context as _, Error};
use crate::layout::{Layout, Name};
use crate::lock::name_is_held;
use crate::observe::{State, state_of};
use crate::report;
use crate::supervise::Signals;

/// How much of what was said before is shown.
const HISTORY_LINES: usize = 24;
/// How long a supervisor has to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How often is looked for one that is just being started.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// An open console.
struct Console {
    /// What it says comes here.
    socket: OwnedFd,
    /// What is typed goes here.
    master: OwnedFd,
}

/// Why a console was left.
enum Left {
    /// By the key, a signal, or as nobody reads it.
    ByUser,
    /// Its supervisor is gone: the subhost has ended, or reboots.
    Closed,
}

/// Shows a console until it is left, or its subhost has ended.
pub(super) fn console(context: &Context, args: &args::Console) -> Result<u8, Error> {
    need_root("console")?;
    let (layout, name) = (&context.layout, &args.name);
    let Some(mut console) = open(layout, name)? else {
        if let State::Stopped = state_of(layout, name).step(format!("read the record of {name}"))?
            && !layout.config(name).is_file()
        {
            return Err(unknown(name));
        }
        let complaint = Complaint::new(format!("subhost {name}: does not run"));
        return Err(Error::refused(
            complaint.hint(format!("subhostctl logs {name} shows what it said last")),
        ));
    };
    let signals = Signals::block()?;
    let stdin = io::stdin();
    let on_terminal = stdin.is_terminal() && io::stdout().is_terminal();
    let raw = on_terminal.then(|| RawMode::enter(stdin.as_fd())).transpose().step("use the terminal")?;
    let escape = args.escape.0.filter(|_| on_terminal);
    if !args.no_history {
        let text = read_all(layout, name).step(format!("read the log of {name}"))?;
        show(last_lines(&text, HISTORY_LINES));
    }
    let mut typed = Typed { escape, pending: Vec::new(), ended: false };
    let text = loop {
        match relay(&console, &signals, &mut typed)? {
            Left::ByUser => break "console left",
            Left::Closed => match open(layout, name)? {
                Some(next) => console = next,
                None => break "has ended",
            },
        }
    };
    drop(raw);
    if on_terminal {
        report::say("\n");
    }
    report::note(context.quiet, &format!("{name}: {text}"));
    Ok(0)
}

/// Opens the console; `None` if the subhost does not run. One that is just being started is waited for, and one without a supervisor
/// gets a new one.
fn open(layout: &Layout, name: &Name) -> Result<Option<Console>, Error> {
    let step = || format!("open the console of {name}");
    let deadline = Instant::now() + ANSWER;
    while Instant::now() < deadline {
        if let Some(socket) = control::ask(layout, name, Word::Console).step(step())? {
            match control::answer(&socket, deadline) {
                Some((Word::Console, Some(master))) => return Ok(Some(Console { socket, master })),
                // Between two runs.
                Some((Word::Waiting, _)) | None => {}
                Some(_) if control::waits(layout, name) => return Ok(None),
                Some(_) => {
                    let message = format!("subhost {name}: its console is lost until the next boot");
                    return Err(Error::refused(Complaint::new(message)));
                }
            }
        }
        match state_of(layout, name).step(step())? {
            State::Running(record) if adopt::is_wanted(&record) => {
                if adopt::start(layout, name)? == Adoption::Refused {
                    return Err("it runs without a supervisor").step(step());
                }
            }
            State::Running(record) if record.origin.is_none() => {
                let message = format!("subhost {name}: {} has its streams", record.command);
                return Err(Error::refused(Complaint::new(message)));
            }
            State::Running(_) => std::thread::sleep(LOOK_AGAIN),
            State::Stale(record) if record.supervisor.is_alive() => std::thread::sleep(LOOK_AGAIN),
            State::Stopped if name_is_held(layout, name).step(step())? => {
                if control::waits(layout, name) {
                    return Ok(None);
                }
                std::thread::sleep(LOOK_AGAIN);
            }
            State::Lingering(_) | State::Stale(_) | State::Stopped => return Ok(None),
        }
    }
    Err("its supervisor does not answer").step(step())
}

/// What is typed, on its way.
struct Typed {
    /// The key that leaves the console.
    escape: Option<u8>,
    pending: Vec<u8>,
    ended: bool,
}

/// Passes on both ways.
fn relay(console: &Console, signals: &Signals, typed: &mut Typed) -> Result<Left, Error> {
    let stdin = io::stdin();
    let stdout = io::stdout();
    copy_window_size(console.master.as_fd());
    loop {
        let input = if typed.ended || !typed.pending.is_empty() { PollFlags::empty() } else { PollFlags::IN };
        let output = if typed.pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        // One whose other end is gone is told of all the time, whatever is asked for.
        let ended = typed.ended;
        let mut fds = vec![
            PollFd::new(&console.socket, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
            PollFd::new(&stdout, PollFlags::empty()),
        ];
        if output.is_empty() {
            fds.extend((!ended).then(|| PollFd::new(&stdin, input)));
        } else {
            fds.push(PollFd::new(&console.master, output));
        }
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno).step("wait for the console"),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[0] {
            let mut buffer = [0; OUTPUT_BYTES];
            match rustix::net::recv(&console.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::CONNRESET) => return Ok(Left::Closed),
                Ok((count, _)) => show(&buffer[..count]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno).step("read the console"),
            }
        }
        if ready[1] {
            while let Some(signal) = signals.next() {
                if signal != Signal::SIGWINCH {
                    return Ok(Left::ByUser);
                }
                copy_window_size(console.master.as_fd());
            }
        }
        if ready[2] {
            return Ok(Left::ByUser);
        }
        if ready.get(3) == Some(&true) {
            if typed.pending.is_empty() {
                if typed.read(&stdin)? {
                    return Ok(Left::ByUser);
                }
            } else {
                typed.write(&console.master);
            }
        }
    }
}

impl Typed {
    /// True when the key was typed that leaves the console.
    fn read(&mut self, stdin: &io::Stdin) -> Result<bool, Error> {
        let mut buffer = [0; 1024];
        let count = match rustix::io::read(stdin, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            // The terminal is gone.
            Err(Errno::IO) => 0,
            read => read.step("read standard input")?,
        };
        self.ended = count == 0;
        let said = &buffer[..count];
        let end = self.escape.and_then(|key| said.iter().position(|byte| *byte == key));
        self.pending.extend(&said[..end.unwrap_or(count)]);
        Ok(end.is_some())
    }

    fn write(&mut self, master: &OwnedFd) {
        match rustix::io::write(master, &self.pending) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The guest is gone, as the socket will tell.
            Err(_) => self.pending.clear(),
        }
    }
}

/// Where it is not taken there is nobody to show it to, which is seen when it is waited for.
fn show(said: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(said).and_then(|()| out.flush());
}
