//! `wait`: until subhosts have ended, or are ready.

use std::time::{Duration, Instant};

use super::{Context, need_root, stop, unknown};
use crate::adopt;
use crate::args;
use crate::control::{self, Word};
use crate::error::{Complaint, Context as _, Error};
use crate::layout::{Layout, Name};
use crate::lock::name_is_held;
use crate::names::expand;
use crate::observe::{State, state_of};

/// How often is looked at what cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a supervisor may take to say what it does.
const ANSWER: Duration = Duration::from_secs(2);
/// How long is waited where no end is given.
const FOREVER: Duration = Duration::from_secs(3600 * 24 * 365);

/// Waits for all of them, and tells those that go on.
pub(super) fn wait(context: &Context, args: &args::Wait) -> Result<u8, Error> {
    need_root("wait")?;
    let deadline = Instant::now() + args.timeout.map_or(FOREVER, Duration::from_secs);
    let mut running = Vec::new();
    let names = expand(&args.names, "running subhost", || stop::running(&context.layout))?;
    for name in &names {
        let wait = if args.ready { wait_ready } else { wait_one };
        if !wait(&context.layout, name, deadline)? {
            running.push(name.as_str());
        }
    }
    if running.is_empty() {
        return Ok(0);
    }
    Err("timed out").step(format!("wait for {}", running.join(", ")))
}

/// True when nothing runs, and nobody is about to boot it again; false when that is not so at the deadline.
fn wait_one(layout: &Layout, name: &Name, deadline: Instant) -> Result<bool, Error> {
    let step = || format!("wait for {name}");
    let mut seen = false;
    loop {
        let soon = deadline.min(Instant::now() + LOOK_AGAIN);
        let (process, until) = match state_of(layout, name).step(step())? {
            State::Running(record) => (record.init.identity().open().step(step())?, deadline),
            // Its supervisor clears up, or boots it again: it need not end.
            State::Stale(record) => match record.supervisor.identity().open().step(step())? {
                None => return Ok(true),
                supervisor => (supervisor, soon),
            },
            State::Lingering(_) => return Ok(true),
            State::Stopped if name_is_held(layout, name).step(step())? => (None, soon),
            State::Stopped if seen || layout.is_known(name) => return Ok(true),
            State::Stopped => return Err(unknown(name)),
        };
        if Instant::now() >= deadline {
            return Ok(false);
        }
        match process {
            Some(process) => drop(process.wait_gone(until).step(step())?),
            None => std::thread::sleep(LOOK_AGAIN),
        }
        seen = true;
    }
}

/// True when it is ready; false when that is not so at the deadline.
fn wait_ready(layout: &Layout, name: &Name, deadline: Instant) -> Result<bool, Error> {
    let step = || format!("wait for {name}");
    loop {
        // It may be so already, which is told at once, whatever time there is to wait.
        if let Some(socket) = control::ask(layout, name, Word::Status).step(step())?
            && let Some((Word::Ready, _)) = control::answer(&socket, Instant::now() + ANSWER)
        {
            return Ok(true);
        }
        // Else a supervisor answers when it is so, and is gone for a moment when the guest reboots before.
        if let Some(socket) = control::ask(layout, name, Word::Ready).step(step())?
            && let Some((Word::Ready, _)) = control::answer(&socket, deadline)
        {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        match state_of(layout, name).step(step())? {
            State::Running(record) if adopt::is_wanted(&record) => {
                let hint = format!("subhostctl recover {name} gives it one");
                let message =
                    format!("subhost {name}: runs without a supervisor, and nobody tells when it is ready");
                return Err(Error::refused(Complaint::new(message).hint(hint)));
            }
            State::Running(_) => {}
            State::Stale(record) if record.supervisor.is_alive() => {}
            State::Stopped if name_is_held(layout, name).step(step())? => {}
            State::Stopped if !layout.is_known(name) => return Err(unknown(name)),
            State::Stopped | State::Lingering(_) | State::Stale(_) => {
                return Err("it does not run").step(step());
            }
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
