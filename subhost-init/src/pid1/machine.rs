//! What PID 1 does about what happens: a state machine, event → effects, without a system call.
//!
//! ```text
//! Start ─ SystemInit (rcS) ─ Runlevel (rc N) ⇄ Running ─┐
//!       └ Payload ───────────────────────────────┐      │ power-off or reboot is asked for
//!                                                │  ShuttingDown (rc 0 or rc 6)
//!                                                └─ Terminating (SIGTERM) ─ Killing (SIGKILL) ─ Done
//! ```
//!
//! Times are milliseconds of a clock that only goes forward, given with each event. From the request on, all is over
//! within the stop time and one and a half seconds, whatever the guest does.

mod event;

use super::initctl::Order;
use super::message::{End, Message, Program, Request, Why};
pub use event::{Effect, Effects, Event, Policy, State};

/// How long is waited for the processes to be gone after SIGKILL.
pub const KILL_MS: u64 = 500;

/// The least time, within the grace, that processes have between SIGTERM and SIGKILL when `rc 0` has used up the stop
/// time.
pub const LAST_GRACE_MS: u64 = 1_000;

/// How long before the end of the stop time a script that has not ended is told of.
pub const LATE_MS: u64 = 500;

/// Exit status when the payload cannot even be forked: our own failure, as `run` reports it.
pub const NOT_STARTED: u8 = 125;

/// SIGKILL, as the kernel numbers it.
pub const SIGKILL: i32 = 9;
/// SIGTERM, as the kernel numbers it.
pub const SIGTERM: i32 = 15;
/// SIGCONT, as the kernel numbers it.
pub const SIGCONT: i32 = 18;

/// PID 1's mind.
#[derive(Clone, Debug)]
pub struct Machine {
    policy: Policy,
    state: State,
    /// The current runlevel and the one before, as sysvinit tells them: `S` while rcS runs, `N` for none.
    level: u8,
    previous: u8,
    /// A level that was asked for while a script runs.
    wanted: Option<u8>,
    /// The program that is waited for, and its pid once it runs.
    program: Option<Program>,
    pid: Option<i32>,
    /// Status of the last script.
    status: u8,
    ready: bool,
    /// Whether was told of the script that keeps the end waiting.
    late: bool,
    end: End,
    /// When the stop time is over.
    stop_at: u64,
    deadline: Option<u64>,
}

impl Machine {
    /// A machine that waits for [`Event::Start`].
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            state: State::Start,
            level: b'N',
            previous: b'N',
            wanted: None,
            program: None,
            pid: None,
            status: 0,
            ready: false,
            late: false,
            end: End::PowerOff,
            stop_at: 0,
            deadline: None,
        }
    }

    /// Where the guest stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When [`Event::Deadline`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Whether the end was asked for; nothing that is written to `/run/initctl` matters then.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        matches!(self.state, State::ShuttingDown | State::Terminating | State::Killing | State::Done)
    }

    /// Whether the end of no child matters: the scripts have ended, and all that comes is orphans.
    #[must_use]
    pub fn awaits_nobody(&self) -> bool {
        self.state == State::Running && self.program.is_none()
    }

    /// Whether [`Event::NobodyLeft`] is waited for.
    #[must_use]
    pub fn awaits_emptiness(&self) -> bool {
        matches!(self.state, State::Terminating | State::Killing)
    }

    /// Takes an event at a time and tells what is to be done.
    pub fn handle(&mut self, now: u64, event: Event) -> Effects {
        let mut out = Effects::default();
        if self.state == State::Done {
            return out;
        }
        match event {
            Event::Start => self.start(now, &mut out),
            Event::Spawned(pid) => {
                if let Some(program) = self.program {
                    self.pid = Some(pid);
                    out.push(Effect::Tell(Message::Started(program)));
                    if self.policy.stays && self.state == State::Runlevel {
                        self.status = 0;
                        self.reached(&mut out);
                    }
                }
            }
            Event::NotSpawned(errno) => {
                if let Some(program) = self.program.take() {
                    out.push(Effect::Tell(Message::Skipped { program, errno }));
                    if program == Program::Payload {
                        self.status = NOT_STARTED;
                    }
                    self.ended(now, program, &mut out);
                }
            }
            Event::ChildExited { pid, status } => self.child_exited(now, pid, status, &mut out),
            Event::Initctl(Order::Level(b'0')) => self.stop(now, End::PowerOff, Why::Initctl, &mut out),
            Event::Initctl(Order::Level(b'6')) => self.stop(now, End::Reboot, Why::Initctl, &mut out),
            Event::Initctl(Order::Level(level)) => self.change_level(level, &mut out),
            Event::Initctl(Order::PowerFail) => self.stop(now, End::PowerOff, Why::Initctl, &mut out),
            Event::Initctl(Order::Stray) => self.stop(now, End::PowerOff, Why::StrayBytes, &mut out),
            Event::Interrupt | Event::Terminate => self.stop(now, End::Reboot, Why::Signal, &mut out),
            Event::PowerSignal => self.stop(now, End::PowerOff, Why::Signal, &mut out),
            // A start script that sends it has just made a FIFO (Debian's mountall.sh); once the scripts have ended, no
            // tool of sysvinit sends it while the FIFO is whole.
            Event::User1 { held: true } if matches!(self.state, State::Running | State::Payload) => {
                self.stop(now, End::PowerOff, Why::Signal, &mut out);
            }
            Event::User1 { .. } => {}
            Event::Host(Request::PowerOff) => {
                self.stay_off();
                self.stop(now, End::PowerOff, Why::Host, &mut out);
            }
            Event::Host(Request::Reboot) => self.stop(now, End::Reboot, Why::Host, &mut out),
            Event::Host(Request::Kill) => {
                self.stay_off();
                if !self.is_ending() {
                    self.begin_end(now, End::PowerOff, Why::Host, &mut out);
                }
                self.kill(now, &mut out);
            }
            Event::Host(Request::Signal(signal)) => {
                if let (Some(Program::Payload), Some(pid)) = (self.program, self.pid) {
                    out.push(Effect::SignalGroup { pid, signal: i32::from(signal) });
                }
            }
            Event::Host(Request::Adopt) => {
                out.push(Effect::EndOffer);
                out.push(Effect::LeaveConsole);
                let end = self.is_ending().then_some(self.end);
                out.push(Effect::Tell(Message::Adopted { ready: self.ready, end }));
            }
            Event::HostGone => {
                out.push(Effect::DrainConsole);
                out.push(Effect::OfferSocket);
            }
            Event::Deadline => self.time_over(now, &mut out),
            Event::NobodyLeft => {
                if self.awaits_emptiness() {
                    self.finish(&mut out);
                }
            }
        }
        out
    }

    fn start(&mut self, now: u64, out: &mut Effects) {
        if self.state != State::Start {
            return;
        }
        if self.policy.payload {
            self.state = State::Payload;
            return self.spawn(Program::Payload, out);
        }
        self.state = State::SystemInit;
        self.deadline = (self.policy.boot_ms > 0).then(|| now.saturating_add(self.policy.boot_ms));
        out.push(Effect::RecordBoot);
        self.enter(b'S', out);
        self.spawn(Program::SystemInit, out);
    }

    /// Makes a level the current one.
    fn enter(&mut self, level: u8, out: &mut Effects) {
        // sysvinit shows the first runlevel with `N` before it, not with the `S` of the start script.
        self.previous = if self.ready || self.level != b'S' { self.level } else { b'N' };
        self.level = level;
        out.push(Effect::RecordLevel { level, previous: self.previous });
    }

    fn spawn(&mut self, program: Program, out: &mut Effects) {
        self.program = Some(program);
        self.pid = None;
        out.push(Effect::Spawn { program, level: self.level, previous: self.previous });
    }

    fn run_level(&mut self, level: u8, out: &mut Effects) {
        self.state = State::Runlevel;
        self.enter(level, out);
        self.spawn(if level == b'S' { Program::Single } else { Program::Runlevel(level) }, out);
    }

    fn change_level(&mut self, level: u8, out: &mut Effects) {
        match self.state {
            // There is but one.
            _ if self.policy.stays => {}
            State::SystemInit | State::Runlevel => self.wanted = Some(level),
            State::Running if level != self.level => self.run_level(level, out),
            _ => {}
        }
    }

    fn child_exited(&mut self, now: u64, pid: i32, status: u8, out: &mut Effects) {
        if self.pid != Some(pid) {
            return;
        }
        self.pid = None;
        if let Some(program) = self.program.take() {
            self.status = status;
            out.push(Effect::Tell(match program {
                Program::Payload => Message::PayloadExited { status },
                _ => Message::Ended { program, status },
            }));
            self.ended(now, program, out);
        }
    }

    /// Goes on behind a program that has ended, or could not be started.
    fn ended(&mut self, now: u64, program: Program, out: &mut Effects) {
        match self.state {
            State::SystemInit if program == Program::SystemInit && self.policy.boot => {
                out.push(Effect::RenewInitctl);
                self.spawn(Program::Boot, out);
            }
            State::SystemInit => {
                // rcS may have hidden /run, and Debian's empties utmp: here sysvinit, too, writes its boot record.
                out.push(Effect::RenewInitctl);
                out.push(Effect::RecordBoot);
                let level = self.wanted.take().unwrap_or(self.policy.runlevel);
                self.run_level(level, out);
            }
            State::Runlevel => {
                self.reached(out);
                let next = match program {
                    // The single-user shell ends in the runlevel that was booted to.
                    Program::Single => Some(self.wanted.take().unwrap_or(self.policy.runlevel)),
                    _ => self.wanted.take(),
                };
                if let Some(level) = next.filter(|level| *level != self.level) {
                    self.run_level(level, out);
                }
            }
            State::Payload => {
                self.begin_end(now, End::Exit(self.status), Why::Payload, out);
                self.terminate(now, out);
            }
            State::ShuttingDown => self.terminate(now, out),
            State::Running if self.policy.stays => self.stop(now, End::PowerOff, Why::Payload, out),
            State::Start | State::Running | State::Terminating | State::Killing | State::Done => {}
        }
    }

    /// The runlevel's script has done its work.
    fn reached(&mut self, out: &mut Effects) {
        self.state = State::Running;
        self.deadline = None;
        out.push(Effect::RenewInitctl);
        if !self.ready {
            self.ready = true;
            out.push(Effect::Tell(Message::Ready { status: self.status }));
        }
    }

    fn begin_end(&mut self, now: u64, end: End, why: Why, out: &mut Effects) {
        self.end = end;
        self.stop_at = now.saturating_add(self.policy.stop_ms);
        out.push(Effect::Tell(Message::Stopping { end, why }));
    }

    /// A guest that is about to restart when the host wants it off does not.
    fn stay_off(&mut self) {
        if self.end == End::Reboot {
            self.end = End::PowerOff;
        }
    }

    fn stop(&mut self, now: u64, end: End, why: Why, out: &mut Effects) {
        if self.is_ending() {
            return;
        }
        self.begin_end(now, end, why, out);
        if self.policy.payload {
            return self.terminate(now, out);
        }
        if why == Why::StrayBytes && self.policy.immediate {
            self.stop_at = now;
            return self.terminate(now, out);
        }
        if let Some(pid) = self.pid.take() {
            // A start script that still runs, or hangs, must not work against rc 0.
            out.push(Effect::SignalGroup { pid, signal: SIGTERM });
        }
        self.state = State::ShuttingDown;
        self.deadline = Some(self.stop_at.saturating_sub(LATE_MS.min(self.policy.stop_ms / 2)));
        let level = if end == End::Reboot { b'6' } else { b'0' };
        self.enter(level, out);
        self.spawn(Program::Runlevel(level), out);
    }

    fn terminate(&mut self, now: u64, out: &mut Effects) {
        self.state = State::Terminating;
        let grace = now.saturating_add(self.policy.grace_ms);
        self.deadline = Some(grace.min(self.stop_at.max(now).saturating_add(LAST_GRACE_MS)));
        out.push(Effect::SignalAll(SIGTERM));
        // What is stopped takes no SIGTERM.
        out.push(Effect::SignalAll(SIGCONT));
    }

    fn kill(&mut self, now: u64, out: &mut Effects) {
        if self.state != State::Killing {
            self.state = State::Killing;
            self.deadline = Some(now.saturating_add(KILL_MS));
            out.push(Effect::SignalAll(SIGKILL));
        }
    }

    fn time_over(&mut self, now: u64, out: &mut Effects) {
        match self.state {
            State::SystemInit | State::Runlevel => {
                self.deadline = None;
                self.tell_late(out);
            }
            State::ShuttingDown if !self.late => {
                self.late = true;
                self.deadline = Some(self.stop_at);
                self.tell_late(out);
            }
            State::ShuttingDown => {
                if let Some(program) = self.program {
                    out.push(Effect::Tell(Message::TimedOut(program)));
                }
                self.terminate(now, out);
            }
            State::Terminating => self.kill(now, out),
            State::Killing => self.finish(out),
            _ => {}
        }
    }

    fn tell_late(&self, out: &mut Effects) {
        if let (Some(program), Some(pid)) = (self.program, self.pid) {
            out.push(Effect::Tell(Message::Late { program, pid }));
        }
    }

    fn finish(&mut self, out: &mut Effects) {
        self.state = State::Done;
        self.deadline = None;
        // After a payload the file systems are written out by their unmounting, and a `run` must not wait for a disk.
        if !matches!(self.end, End::Exit(_)) {
            out.push(Effect::Sync);
        }
        out.push(Effect::Tell(Message::Ending(self.end)));
        out.push(Effect::Finish(self.end));
    }
}

#[cfg(test)]
mod tests;
