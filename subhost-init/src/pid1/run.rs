//! The loop: waits for events, asks the machine, performs its effects. Idle, it never wakes up.

use super::config::{Config, Invalid};
use super::environment::Kept;
use super::fifo::Fifo;
use super::initctl::{Decoder, REQUEST, Request as Written};
use super::machine::{Effect, Event, Machine, Policy};
use super::message::{End, Message, PACKET, Request, Step};
use super::spawn::{HOST, Spawn, report};
use super::sys::{self, Args, Errno, Fd, Poll, bit};
use super::{records, utmp::Record};

/// The descriptor of the console's other end, if there is one.
const CONSOLE: i32 = 4;

/// The descriptor of the socket's other end, while there is no supervisor.
const ADOPT: i32 = 5;

/// Exit status for our own failure.
const BROKEN: u8 = 125;

/// How much is done for one source before the others are looked at again.
const READS_A_TURN: usize = 16;
const REAPED_A_TURN: usize = 1_024;

/// How often is looked whether anybody is left.
const LOOK_AGAIN_MS: u64 = 10;

const SIGNALS: u64 = bit(sys::SIGCHLD)
    | bit(sys::SIGINT)
    | bit(sys::SIGPWR)
    | bit(sys::SIGTERM)
    | bit(sys::SIGCONT)
    | bit(sys::SIGUSR1)
    | bit(sys::SIGUSR2);

struct Init {
    args: Args,
    config: Config<'static>,
    machine: Machine,
    kept: Kept,
    decoder: Decoder,
    fifo: Fifo,
    signals: Fd,
    host: Option<i32>,
    /// The console's other end.
    console: Option<i32>,
    /// The same, once PID 1 has to read it.
    drained: Option<i32>,
    /// Whether there may be more children to reap.
    reaping: bool,
    /// Whether the kernel reaps.
    reaped_unseen: bool,
}

/// All of PID 1.
pub(crate) fn run(args: Args) -> ! {
    // Bound over a start script that must do nothing inside a subhost, this is the script that does nothing.
    if sys::getpid() != 1 {
        sys::exit(0);
    }
    // Signals without a handler never end PID 1; blocked ones are kept for the descriptor.
    sys::reset_signals();
    sys::block_signals(SIGNALS);
    sys::umask(0);
    sys::close_from(ADOPT);
    // What programs of the guest look for to know that sysvinit runs.
    sys::set_name(c"init");
    let host = sys::close_on_exec(HOST).is_ok().then_some(HOST);
    let console = (sys::close_on_exec(CONSOLE).is_ok() && sys::is_pty_master(CONSOLE)).then_some(CONSOLE);
    // What is opened from now on does not take these numbers.
    for (number, free) in [(HOST, host.is_none()), (CONSOLE, console.is_none()), (ADOPT, true)] {
        if free {
            let _ = sys::duplicate(0, number);
        }
    }
    let config = Config::parse(args.words.skip(1)).unwrap_or_else(|Invalid(word)| {
        say(&[b"argument not understood: ", word.to_bytes()]);
        report(Step::Arguments, sys::EINVAL);
        sys::exit(BROKEN)
    });
    let signals = sys::signalfd(SIGNALS).unwrap_or_else(|Errno(errno)| {
        say(&[b"no signal descriptor"]);
        report(Step::Signals, errno);
        sys::exit(BROKEN)
    });
    let policy = Policy {
        runlevel: config.runlevel,
        boot_ms: config.boot_ms,
        stop_ms: config.stop_ms,
        grace_ms: config.grace_ms,
        immediate: config.immediate,
        boot: config.boot.is_some(),
        stays: config.stays,
        payload: config.payload.is_some(),
    };
    let mut init = Init {
        args,
        config,
        machine: Machine::new(policy),
        kept: Kept::new(),
        decoder: Decoder::new(config.immediate),
        fifo: Fifo::new(config.payload.is_none()),
        signals,
        host,
        console,
        drained: None,
        reaping: false,
        reaped_unseen: false,
    };
    init.renew_fifo();
    init.react(Event::Start);
    if init.host.is_none() {
        init.react(Event::HostGone);
    }
    loop {
        init.turn();
    }
}

/// The last words of a program error.
pub(crate) fn panicked(location: Option<&core::panic::Location<'_>>) -> ! {
    say(&[b"panic in ", location.map_or("?", |place| place.file()).as_bytes()]);
    sys::exit(BROKEN)
}

fn say(parts: &[&[u8]]) {
    for part in [b"subhost-init: "].map(|part| &part[..]).iter().chain(parts).chain(&[&b"\n"[..]]) {
        let _ = sys::write(2, part);
    }
}

impl Init {
    /// Waits until something happens, and deals with it.
    fn turn(&mut self) {
        let fifo = self.fifo.fd().filter(|_| !self.machine.is_ending());
        let mut polls = [
            Poll::input(Some(self.signals.raw())),
            Poll::input(fifo),
            Poll::input(self.host),
            Poll::input(self.drained),
        ];
        if sys::ppoll(&mut polls, self.patience_ms()).is_err() {
            return;
        }
        let [signals, written, host, console] = polls.map(|poll| poll.seen);
        if signals != 0 {
            self.take_signals();
        }
        if self.reaping {
            self.reap();
        }
        if host != 0 {
            self.take_request();
        }
        if written != 0 {
            self.take_written();
        }
        if console != 0 {
            self.drain();
        }
        if self.machine.awaits_emptiness() && sys::kill(-1, 0) == Err(Errno(sys::ESRCH)) {
            self.react(Event::NobodyLeft);
        }
        if self.machine.deadline().is_some_and(|deadline| deadline <= sys::monotonic_ms()) {
            self.react(Event::Deadline);
        }
    }

    /// How long to wait; for ever without a deadline.
    fn patience_ms(&self) -> Option<u64> {
        if self.reaping {
            return Some(0);
        }
        let patience = self.machine.deadline()?.saturating_sub(sys::monotonic_ms());
        // Who was started in here from outside is nobody's child here, and its end is not told; and what the kernel reaps is
        // still there for a moment after its signal.
        Some(if self.machine.awaits_emptiness() { patience.min(LOOK_AGAIN_MS) } else { patience })
    }

    fn react(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let effects = self.machine.handle(sys::monotonic_ms(), event);
            // Orphans are never zombies then, however many there are and however rarely PID 1 gets to run.
            self.let_kernel_reap(self.machine.awaits_nobody());
            for effect in effects.iter() {
                next = self.perform(effect).or(next);
            }
        }
    }

    fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Spawn { program, level, previous } => {
                let (args, config, kept) = (self.args, &self.config, &self.kept);
                let spawn = Spawn { args, config, kept, program, level, previous };
                return Some(match spawn.start() {
                    Ok(pid) => Event::Spawned(pid),
                    Err(Errno(errno)) => Event::NotSpawned(errno),
                });
            }
            Effect::SignalAll(signal) => {
                let _ = sys::kill(-1, signal);
            }
            Effect::SignalGroup { pid, signal } => {
                let _ = sys::kill(-pid, signal);
            }
            Effect::RenewInitctl => {
                self.renew_fifo();
            }
            Effect::RecordBoot => self.record(Record::Boot),
            Effect::RecordLevel { level, previous } => self.record(Record::Level { level, previous }),
            Effect::Tell(message) => self.tell(message),
            Effect::DrainConsole => {
                self.drained = self.console.filter(|console| sys::nonblocking(*console).is_ok());
            }
            Effect::LeaveConsole => self.drained = None,
            Effect::OfferSocket => self.offer(),
            Effect::EndOffer => {
                let _ = sys::duplicate(0, ADOPT);
            }
            Effect::Sync => {
                if let Ok(root) = sys::open_directory(c"/") {
                    sys::syncfs(root.raw());
                }
            }
            Effect::Finish(end) => self.finish(end),
        }
        None
    }

    /// Both ends have the numbers that the supervisor and its successor know; without a socket there is no successor.
    fn offer(&mut self) {
        let Ok([ours, theirs]) = sys::packet_sockets() else { return };
        if sys::duplicate(theirs.raw(), ADOPT).is_ok() && sys::duplicate(ours.raw(), HOST).is_ok() {
            self.host = Some(HOST);
        }
    }

    fn finish(&mut self, end: End) -> ! {
        let (command, status) = match end {
            End::Exit(status) => sys::exit(status),
            End::PowerOff => (sys::POWER_OFF, 130),
            End::Reboot => (sys::RESTART, 129),
        };
        let Errno(errno) = sys::reboot(command);
        self.tell(Message::Failed { step: Step::Reboot, errno });
        sys::exit(status)
    }

    fn record(&mut self, record: Record) {
        if let Err(Errno(errno)) = records::write(record) {
            self.tell(Message::Failed { step: Step::Utmp, errno });
        }
    }

    fn tell(&mut self, message: Message) {
        // A supervisor that does not read loses messages; one that is gone is noticed by its end of file.
        if self.host.is_some() {
            let _ = sys::send(HOST, &message.encode());
        }
    }

    /// Tells whether the FIFO that is held was at its place.
    fn renew_fifo(&mut self) -> bool {
        match self.fifo.renew() {
            Ok(false) => return true,
            Ok(true) => self.decoder = Decoder::new(self.config.immediate),
            Err(Errno(errno)) => self.tell(Message::Failed { step: Step::Initctl, errno }),
        }
        false
    }

    fn take_signals(&mut self) {
        /// `struct signalfd_siginfo`, of which only the number counts.
        const INFO: usize = 128;
        let mut buffer = [0; 8 * INFO];
        let n = sys::read(self.signals.raw(), &mut buffer).unwrap_or(0);
        for info in buffer.get(..n).unwrap_or_default().chunks_exact(INFO) {
            let signal = info.first_chunk().copied().map_or(0, u32::from_ne_bytes);
            match signal {
                sys::SIGCHLD => self.reaping = true,
                sys::SIGINT => self.react(Event::Interrupt),
                sys::SIGPWR | sys::SIGUSR2 => self.react(Event::PowerSignal),
                sys::SIGTERM => self.react(Event::Terminate),
                sys::SIGCONT => self.look_for_runit(),
                sys::SIGUSR1 => {
                    let held = self.renew_fifo();
                    self.react(Event::User1 { held });
                }
                _ => {}
            }
        }
    }

    /// runit's `init 0` and `init 6` mark one file or both with the owner's execute bit, then send SIGCONT.
    fn look_for_runit(&mut self) {
        let one = |path| sys::identify_target(path).is_ok_and(sys::Identity::is_executable);
        // Debian's has them elsewhere.
        let marked = |paths: [_; 2]| paths.into_iter().any(one);
        if self.config.stays && marked([c"/etc/runit/stopit", c"/run/runit.stopit"]) {
            let restarts = marked([c"/etc/runit/reboot", c"/run/runit.reboot"]);
            self.react(if restarts { Event::Interrupt } else { Event::PowerSignal });
        }
    }

    fn let_kernel_reap(&mut self, yes: bool) {
        if self.reaped_unseen != yes {
            self.reaped_unseen = yes;
            sys::let_kernel_reap(yes);
            // What had ended before is left, and its signal is not.
            self.reaping = true;
        }
    }

    fn reap(&mut self) {
        self.reaping = false;
        for _ in 0..REAPED_A_TURN {
            let Some((pid, status)) = sys::reap() else {
                // As sysvinit: what was running may have hidden the FIFO.
                if !self.machine.is_ending() {
                    self.renew_fifo();
                }
                return;
            };
            self.react(Event::ChildExited { pid, status });
        }
        self.reaping = true;
    }

    fn take_request(&mut self) {
        // One byte more than a packet, so that a longer one is seen to be none of ours.
        let mut buffer = [0; PACKET + 1];
        match sys::receive(HOST, &mut buffer) {
            Err(Errno(sys::EAGAIN | sys::EINTR)) => {}
            Ok(0) | Err(_) => {
                // Not closed, as its number is kept.
                self.host = None;
                self.react(Event::HostGone);
            }
            Ok(n) => {
                if let Some(request) = buffer.get(..n).and_then(Request::decode) {
                    self.react(Event::Host(request));
                }
            }
        }
    }

    fn take_written(&mut self) {
        let mut buffer = [0; 10 * REQUEST];
        for _ in 0..READS_A_TURN {
            let Some(fd) = self.fifo.fd().filter(|_| !self.machine.is_ending()) else { return };
            match sys::read(fd, &mut buffer) {
                Err(Errno(sys::EINTR)) => {}
                Err(Errno(sys::EAGAIN)) => {
                    if let Some(order) = self.decoder.drained() {
                        self.react(Event::Initctl(order));
                    }
                    return;
                }
                Ok(0) | Err(_) => return self.fifo.close(),
                Ok(n) => self.decode(buffer.get(..n).unwrap_or_default()),
            }
        }
    }

    fn decode(&mut self, bytes: &[u8]) {
        // The decoder is taken out while the requests of one read, sixteen at most, are obeyed in their order.
        let mut decoder = core::mem::replace(&mut self.decoder, Decoder::new(self.config.immediate));
        decoder.push(bytes, |written| match written {
            Written::Order(order) => self.react(Event::Initctl(order)),
            Written::Variables(data) => self.kept.apply(data),
            Written::Ignored => {}
        });
        self.decoder = decoder;
    }

    fn drain(&mut self) {
        let mut buffer = [0; 4096];
        match sys::read(CONSOLE, &mut buffer) {
            Err(Errno(sys::EAGAIN | sys::EINTR)) => {}
            // EIO: no other end is open, and there is no telling when one will be.
            Ok(0) | Err(_) => self.drained = None,
            Ok(_) => {}
        }
    }
}
