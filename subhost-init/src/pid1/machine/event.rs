//! The vocabulary of the machine: what it is told, where it stands, what it orders.

use super::super::initctl::Order;
use super::super::message::{End, Message, Program, Request};

/// What the configuration decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The runlevel to boot to, an ASCII digit.
    pub runlevel: u8,
    /// From the start to the first runlevel, in milliseconds, after which a script that has not ended is told of; 0 for never.
    pub boot_ms: u64,
    /// From the request to the end of `rc 0`, in milliseconds.
    pub stop_ms: u64,
    /// From SIGTERM to SIGKILL, in milliseconds.
    pub grace_ms: u64,
    /// Whether bytes in `/run/initctl` that are no request end the subhost without `rc 0`.
    pub immediate: bool,
    /// Whether there is something to run between the start script and the runlevel.
    pub boot: bool,
    /// Whether the program of the runlevel runs as long as the guest.
    pub stays: bool,
    /// Whether a payload takes the place of the scripts.
    pub payload: bool,
}

/// Where the guest stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was started.
    Start,
    /// The start script runs, or what is run behind it.
    SystemInit,
    /// A runlevel script, or the single-user shell, runs.
    Runlevel,
    /// The scripts have ended; the guest's services run.
    Running,
    /// The payload runs.
    Payload,
    /// `rc 0` or `rc 6` runs.
    ShuttingDown,
    /// SIGTERM was sent to all.
    Terminating,
    /// SIGKILL was sent to all.
    Killing,
    /// The last effects were given out.
    Done,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// PID 1 begins.
    Start,
    /// The program of the last [`Effect::Spawn`] runs under this pid.
    Spawned(i32),
    /// The program of the last [`Effect::Spawn`] could not be started, for this `errno`.
    NotSpawned(i32),
    /// A child was reaped.
    ChildExited {
        /// Which one.
        pid: i32,
        /// Its exit status, 128 + n for signal n.
        status: u8,
    },
    /// Something was written to `/run/initctl`.
    Initctl(Order),
    /// SIGINT: the machine's ctrl-alt-del.
    Interrupt,
    /// SIGPWR, or SIGUSR2: busybox's `poweroff`.
    PowerSignal,
    /// SIGTERM: busybox's `reboot`.
    Terminate,
    /// SIGUSR1: sysvinit opens its FIFO again; from busybox's `halt`, it is a halt.
    User1 {
        /// Whether the FIFO that is held stands at its place, so that there is nothing to open again.
        held: bool,
    },
    /// The supervisor asked for something.
    Host(Request),
    /// The supervisor is gone.
    HostGone,
    /// The time of [`Machine::deadline`](super::Machine::deadline) has come.
    Deadline,
    /// There is no process left but PID 1.
    NobodyLeft,
}

/// What is to be done, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a program, then report [`Event::Spawned`] or [`Event::NotSpawned`]. It is always the last effect.
    Spawn {
        /// Which one.
        program: Program,
        /// For `RUNLEVEL` in its environment.
        level: u8,
        /// For `PREVLEVEL` in its environment.
        previous: u8,
    },
    /// Send this signal to everything but PID 1.
    SignalAll(i32),
    /// Send a signal to a process group.
    SignalGroup {
        /// Its leader.
        pid: i32,
        /// The signal's number.
        signal: i32,
    },
    /// Make sure that `/run/initctl` is the FIFO that is held.
    RenewInitctl,
    /// Write the boot record to `/run/utmp`.
    RecordBoot,
    /// Write the runlevel record to `/run/utmp`.
    RecordLevel {
        /// The new level, ASCII.
        level: u8,
        /// The one before.
        previous: u8,
    },
    /// Tell the supervisor.
    Tell(Message),
    /// From now on read the console's other end, so that its writers never block.
    DrainConsole,
    /// Leave the console's other end to the supervisor again.
    LeaveConsole,
    /// Hold a new socket to the supervisor by both ends, so that a new one can take the other.
    OfferSocket,
    /// Close the end that was offered: a supervisor has it.
    EndOffer,
    /// Write the root file system's data out.
    Sync,
    /// The end; nothing follows.
    Finish(End),
}

/// The effects of one event, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    list: [Option<Effect>; 8],
}

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        if let Some(slot) = self.list.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(effect);
        }
    }

    /// The effects, in order.
    pub fn iter(&self) -> impl Iterator<Item = Effect> {
        self.list.into_iter().flatten()
    }
}
