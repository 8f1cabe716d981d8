//! The supervisor of a booted subhost: one small process that waits. It keeps what the console says, answers at the control socket,
//! takes the names back at the end, and boots again.
//!
//! It is entered by `execve` (see [`handover`]): behind a boot, as that needs much memory, and behind an adoption.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use subhost_init::handoff::{End, Message, Program, Request as InitRequest};
use subhost_init::process::{Epitaph, ProcessHandle, close_on_exec_from};

use crate::console_log::ConsoleLog;
use crate::control::{Answers, Control, OUTPUT_BYTES};
use crate::culprit;
use crate::error::{Context, Error};
use crate::events::{Event, Used};
use crate::handover::{self, Charge, Task, Watched};
use crate::layout::{Layout, Name};
use crate::lock::Lock;
use crate::report;
use crate::shutdown::{Ask, ask, kill_at_once};
use crate::state::{self, Record};
use crate::supervise::{Received, STAY_OFF, Signals, receive, send};

pub(crate) mod cause;
mod end;
mod waiting;

use cause::Cause;
pub use waiting::wait_again;

/// When it is polled again after an error.
const POLL_AGAIN: Duration = Duration::from_millis(100);

/// What is waited for beyond the stop timeout before PID 1 is killed.
const KILL_AFTER: Duration = Duration::from_secs(2);
/// How often a console that nobody has open is looked at: the kernel reports that state all the time.
const HANGUP_RECHECK: Duration = Duration::from_millis(100);
/// How often the console is read at the end: 1 MiB.
const DRAIN_READS: usize = 256;
/// How long is waited until somebody has reaped a PID 1 that is not our child.
const REAPED: Duration = Duration::from_secs(2);
/// A run that was longer is no failure in a row.
const LONG_RUN: Duration = Duration::from_secs(600);
/// How much of the last output is shown of a failure.
const TAIL_BYTES: usize = 2048;
/// How many lines of it.
const TAIL_LINES: usize = 10;

/// What the supervisor in the background says when the subhost is ready.
pub const READY: &[u8; 1] = b"R";
/// What it says when the subhost is not ready in time, which it has told of.
pub const LATE: &[u8; 1] = b"L";

/// A supervisor with its guest.
struct Supervisor {
    charge: Charge,
    guest: Watched,
    layout: Layout,
    name: Name,
    signals: Signals,
    init: ProcessHandle,
    /// Tells how it ended, if we are not its parent and somebody else is slow to reap it.
    epitaph: Option<Epitaph>,
    /// Namespaces, and the lock of the ids.
    place: Vec<OwnedFd>,
    socket: Option<OwnedFd>,
    console: Option<OwnedFd>,
    /// Nobody of the guest has the console open.
    hung_up: bool,
    control: Option<Control>,
    log: Option<ConsoleLog>,
    tail: VecDeque<u8>,
    began: Instant,
    deadline: Option<Instant>,
    /// Somebody of the host has asked for the end.
    asked: bool,
    /// By a signal to us, and the next one kills.
    asked_here: bool,
    /// What PID 1 has said of its end.
    end: Option<End>,
    /// Whether it has said that its end, or its start, takes too long.
    late: [bool; 2],
    /// What the guest has used, once it has ended.
    used: Option<Used>,
}

/// What there is to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Signals,
    Init,
    Socket,
    Console,
    Control,
}

/// Becomes a supervisor.
///
/// # Errors
/// What was handed over cannot be read, or what [`handover`] says of the next program.
pub fn main() -> Result<u8, Error> {
    let (mut charge, mut fds) = handover::receive::<Charge>().step("take over the subhost")?;
    // What keeps its disks is open, too, and is kept until the end.
    close_on_exec_from(3).step("take over the subhost")?;
    let _ = rustix::thread::set_name(c"subhostctl");
    let signals = Signals::block()?;
    let layout = Layout::new(&charge.root_dir);
    let name: Name = charge.name.parse().step("take over the subhost")?;
    let mut next = || fds.next().ok_or("a descriptor is missing").step("take over the subhost");
    let task = std::mem::replace(&mut charge.task, Task::Wait { delay_ms: 0 });
    let guest = match task {
        Task::Wait { delay_ms } => {
            let lock = Lock::from(next()?);
            let control = if charge.has_control { Some(Control::new(next()?)) } else { None };
            return waiting::wait(
                charge,
                &layout,
                &name,
                &signals,
                lock,
                control,
                Duration::from_millis(delay_ms),
            );
        }
        Task::Watch(guest) => guest,
    };
    let init = ProcessHandle::from_pidfd(guest.init.pid, next()?);
    let place = (0..2 + usize::from(guest.place.has_lock)).map(|_| next()).collect::<Result<_, _>>()?;
    let control = if charge.has_control { Some(Control::new(next()?)) } else { None };
    let socket = if guest.has_socket { Some(next()?) } else { None };
    let console = if guest.has_console { Some(next()?) } else { None };
    let is_child = guest.is_child;
    let log = ConsoleLog::open(&layout, &name, charge.policy.log_bytes).map_err(|error| {
        let directory = layout.log_dir.display();
        report::note(charge.quiet, &format!("{name}: its console is not kept: {directory}: {error}"));
    });
    let mut supervisor = Supervisor {
        charge,
        guest,
        layout,
        name,
        signals,
        epitaph: if is_child { None } else { init.epitaph().ok() },
        init,
        place,
        socket,
        console,
        hung_up: false,
        control,
        log: log.ok(),
        tail: VecDeque::new(),
        began: Instant::now(),
        deadline: None,
        asked: false,
        asked_here: false,
        end: None,
        late: [false; 2],
        used: None,
    };
    let cause = supervisor.watch()?;
    supervisor.finish(cause)
}

impl Supervisor {
    /// Watches until the end.
    fn watch(&mut self) -> Result<Cause, Error> {
        if let Some(console) = &self.console {
            rustix::io::ioctl_fionbio(console, true).step("take over the console")?;
        }
        if !self.has_our_init() || !self.guest.is_child {
            // A guest's own init does not tell when it is ready; who recovers one does not ask.
            self.leave_caller(READY)?;
        }
        if self.guest.ending {
            self.set_deadline();
        }
        let epitaph = loop {
            let ready = self.wait()?;
            let epitaph =
                self.epitaph.as_ref().filter(|_| ready.contains(&Source::Init)).and_then(Epitaph::read);
            // All that was said before the end comes first.
            if ready.contains(&Source::Console) || self.hung_up {
                self.relay();
            }
            if ready.contains(&Source::Socket) || ready.contains(&Source::Init) {
                self.listen()?;
            }
            if ready.contains(&Source::Init) {
                break epitaph;
            }
            if ready.contains(&Source::Signals) {
                while let Some(signal) = self.signals.next() {
                    self.take_signal(signal)?;
                }
            }
            if ready.contains(&Source::Control) {
                let (console, ready) = (self.console.as_ref().map(AsFd::as_fd), self.guest.ready);
                if let Some(control) = &mut self.control {
                    control.serve(Answers { console, ready, waits: false });
                }
            }
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.deadline = None;
                self.kill()?;
            }
        };
        // A console never waits for its reader.
        for _ in 0..DRAIN_READS {
            if !self.relay() {
                break;
            }
        }
        self.used = self.record().ok().flatten().and_then(|record| Used::of(&record));
        if self.guest.is_child {
            return Ok(Cause::from(self.init.reap().step("wait for PID 1")?));
        }
        let ended = epitaph.or_else(|| self.init.ended(Instant::now() + REAPED));
        Ok(match (Cause::guessed(ended, self.end), epitaph) {
            (Cause::Unknown, Some(ended)) => Cause::from(ended),
            (cause, _) => cause,
        })
    }

    /// Waits until something is to be done.
    fn wait(&self) -> Result<Vec<Source>, Error> {
        let mut sources = vec![(Source::Signals, self.signals.as_fd()), (Source::Init, self.init.as_fd())];
        sources.extend(self.socket.as_ref().map(|socket| (Source::Socket, socket.as_fd())));
        let console = self.console.as_ref().filter(|_| !self.hung_up);
        sources.extend(console.map(|console| (Source::Console, console.as_fd())));
        sources.extend(self.control.iter().flat_map(Control::fds).map(|fd| (Source::Control, fd)));
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let recheck = self.hung_up.then_some(HANGUP_RECHECK);
        poll_all(&sources, left.into_iter().chain(recheck).min())
    }

    /// Passes on what the console says; false when there is nothing more for now.
    fn relay(&mut self) -> bool {
        let Some(console) = &self.console else { return false };
        let mut buffer = [0; OUTPUT_BYTES];
        let said = match rustix::io::read(console, &mut buffer) {
            Ok(count) if count > 0 => &buffer[..count],
            Err(Errno::IO) => {
                self.hung_up = true;
                return false;
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.hung_up = false;
                return false;
            }
            Ok(_) | Err(_) => {
                self.console = None;
                return false;
            }
        };
        self.hung_up = false;
        if let Some(log) = &mut self.log {
            log.append(said);
        }
        if let Some(control) = &mut self.control {
            control.show(said);
        }
        if self.charge.announce {
            self.tail.extend(said);
            self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
        }
        if !self.charge.background && !self.charge.quiet {
            show(said);
        }
        true
    }

    /// Takes all that PID 1 has said.
    fn listen(&mut self) -> Result<(), Error> {
        while let Some(socket) = &self.socket {
            match receive(socket.as_fd()) {
                Received::Message(message) => self.take_message(message)?,
                Received::Unknown => {}
                Received::Nothing => break,
                Received::Closed => self.socket = None,
            }
        }
        Ok(())
    }

    fn take_message(&mut self, message: Message) -> Result<(), Error> {
        match message {
            // PID 1 has deadlines of its own, but the guest may have mounted what makes it wait.
            Message::Stopping { end, why } => {
                self.set_deadline();
                if self.end.replace(end).is_none() {
                    self.event("stop", cause::of_stop(end, why));
                }
            }
            Message::Ending(end) => self.end = Some(end),
            Message::Ready { .. } if !self.guest.ready => {
                self.guest.ready = true;
                if let Some(control) = &mut self.control {
                    control.ready();
                }
                self.event("ready", "has reached its runlevel".to_owned());
                self.leave_caller(READY)?;
            }
            Message::Late { program, pid } => {
                let boots = !matches!(program, Program::Runlevel(b'0' | b'6'));
                // It is the guest that says so, and each is said once.
                if std::mem::replace(&mut self.late[usize::from(boots)], true) {
                    return Ok(());
                }
                let text = self.late(program, pid);
                report::note(self.charge.quiet && !self.charge.announce, &format!("{}: {text}", self.name));
                self.event("late", text);
                if boots {
                    self.show_output();
                    self.leave_caller(LATE)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A first signal asks for power-off, a second one kills. After [`STAY_OFF`] it is not for us to kill: `stop` does, at its own
    /// deadline.
    fn take_signal(&mut self, signal: Signal) -> Result<(), Error> {
        match signal {
            Signal::SIGWINCH => {}
            STAY_OFF => {
                self.asked = true;
                // Ours then powers off also where it was about to restart.
                self.ask_init(InitRequest::PowerOff);
            }
            _ if self.asked_here => self.kill()?,
            _ => {
                (self.asked, self.asked_here) = (true, true);
                self.set_deadline();
                // One that stands still does nothing in order.
                let record = self.record()?;
                let _ = record.as_ref().map(|record| record.cgroup.thaw());
                if self.has_our_init() {
                    self.ask_init(InitRequest::PowerOff);
                } else if let Some(record) = record
                    && let Err(error) = ask(&record, Ask::PowerOff)
                {
                    // It is killed at the deadline.
                    report::error(&error);
                }
            }
        }
        Ok(())
    }

    fn ask_init(&self, request: InitRequest) {
        if let Some(socket) = &self.socket {
            send(socket.as_fd(), request);
        }
    }

    fn kill(&self) -> Result<(), Error> {
        match self.record()? {
            Some(record) => kill_at_once(&record),
            None => self.init.signal(Signal::SIGKILL as i32).step("kill PID 1").map(drop),
        }
    }

    fn set_deadline(&mut self) {
        let time = Duration::from_millis(self.charge.policy.stop_timeout_ms) + KILL_AFTER;
        self.deadline.get_or_insert(Instant::now() + time);
    }

    fn has_our_init(&self) -> bool {
        self.guest.init_program == "subhost-init"
    }

    fn event(&self, event: &str, text: String) {
        Event::now(&self.name, event, text).of_init(self.guest.init.pid).note(&self.layout);
    }

    /// Which script has not ended in time, and what can be done.
    fn late(&self, program: Program, pid: i32) -> String {
        let script = culprit::in_words(program);
        let hangs = match culprit::hanging(self.guest.init.pid, pid).as_slice() {
            [] => String::new(),
            scripts => format!(" ({})", scripts.join("; ")),
        };
        let (name, timeout) = (&self.name, Duration::from_millis(self.charge.policy.boot_timeout_ms));
        match program {
            Program::Runlevel(b'0' | b'6') => format!("{script} hangs{hangs}, and will be killed"),
            _ => format!(
                "not ready after {} s: {script} hangs{hangs}; it goes on, \"subhostctl stop {name}\" ends it",
                timeout.as_secs_f64()
            ),
        }
    }

    /// Tells who started us that the subhost is ready, or that it is not, and lets go of his streams.
    fn leave_caller(&mut self, answer: &[u8; 1]) -> Result<(), Error> {
        if !std::mem::take(&mut self.charge.announce) {
            return Ok(());
        }
        self.tail = VecDeque::new();
        leave_caller(answer)
    }

    /// The record, if it is still that of our guest.
    fn record(&self) -> Result<Option<Record>, Error> {
        let record =
            state::read(&self.layout, &self.name).step(format!("read the record of {}", self.name))?;
        Ok(record.filter(|record| record.init == self.guest.init))
    }
}

/// Waits until one of them has something, or the time is over.
fn poll_all(sources: &[(Source, BorrowedFd<'_>)], left: Option<Duration>) -> Result<Vec<Source>, Error> {
    let mut fds: Vec<_> =
        sources.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    let polled = poll(&mut fds, timeout.as_ref()).or_else(|errno| match errno {
        Errno::INTR => Err(errno),
        // An error that passes, as for want of memory, is not to leave the guest without a supervisor.
        _ => {
            std::thread::sleep(POLL_AGAIN);
            poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
        }
    });
    match polled {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Vec::new()),
        Err(errno) => return Err(errno).step("wait for the subhost"),
    }
    let ready = sources.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
    Ok(ready.map(|((source, _), _)| *source).collect())
}

/// Shows what the console says; what standard output does not take at once is not shown.
fn show(said: &[u8]) {
    let stdout = std::io::stdout();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut room = [PollFd::new(&stdout, PollFlags::OUT)];
    if matches!(poll(&mut room, Some(&now)), Ok(count) if count > 0) {
        let _ = rustix::io::write(&stdout, said);
    }
}

/// Tells who started us how it went, and lets go of his streams.
///
/// # Errors
/// He cannot be told, or there is no `/dev/null`.
pub fn leave_caller(answer: &[u8; 1]) -> Result<(), Error> {
    // Before he is told, as he hears of nothing that fails later.
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").step("open /dev/null")?;
    match rustix::io::retry_on_intr(|| rustix::io::write(std::io::stdout(), answer)) {
        // He is gone.
        Err(Errno::PIPE) => {}
        told => drop(told.step("tell who has started the supervisor")?),
    }
    // To keep them is better than to leave the guest.
    let _ = rustix::stdio::dup2_stdout(&null);
    let _ = rustix::stdio::dup2_stderr(&null);
    Ok(())
}
