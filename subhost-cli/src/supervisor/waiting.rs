//! A supervisor without a guest, until it is time to boot again.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::cause;
use super::{LATE, Source, leave_caller, poll_all};
use crate::control::{self, Answers, Control};
use crate::error::{Context, Error};
use crate::events::Event;
use crate::handover::{self, Again, Charge, Task};
use crate::layout::{Layout, Name};
use crate::lock::Lock;
use crate::report;
use crate::supervise::Signals;

/// Goes on as a supervisor that waits until it is time to boot again, with the name locked: a failure more in a row. Comes back only
/// with an error.
pub fn wait_again(mut charge: Charge, lock: &Lock, layout: &Layout, name: &Name) -> Error {
    let delay = cause::delay(charge.failures);
    charge.failures = charge.failures.saturating_add(1);
    charge.task = Task::Wait { delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX) };
    let text = format!("is booted again in {} s", delay.as_secs_f64());
    report::note(charge.quiet, &format!("{name}: {text}"));
    Event::now(name, "restart", text).note(layout);
    if std::mem::take(&mut charge.announce)
        && let Err(error) = leave_caller(LATE)
    {
        return error;
    }
    let control = control::open(layout, name).ok();
    charge.has_control = control.is_some();
    let mut fds = vec![lock.as_fd()];
    fds.extend(control.as_ref().map(AsFd::as_fd));
    let step = format!("wait until {name} is booted again");
    let error = handover::supervise(&charge, &fds);
    let _ = control::remove(layout, name);
    Error::Step { step, source: error.into(), hint: None }
}

/// Waits until it is time to boot again.
pub(super) fn wait(
    charge: Charge,
    layout: &Layout,
    name: &Name,
    signals: &Signals,
    lock: Lock,
    mut control: Option<Control>,
    delay: Duration,
) -> Result<u8, Error> {
    let until = Instant::now() + delay;
    let mut stay_off = false;
    while !stay_off && Instant::now() < until {
        let mut sources = vec![(Source::Signals, signals.as_fd())];
        sources.extend(control.iter().flat_map(Control::fds).map(|fd| (Source::Control, fd)));
        let ready = poll_all(&sources, Some(until.saturating_duration_since(Instant::now())))?;
        if ready.contains(&Source::Control)
            && let Some(control) = &mut control
        {
            stay_off |= control.serve(Answers { console: None, ready: false, waits: true });
        }
        stay_off |= signals.ask_to_end();
    }
    drop(control);
    control::remove(layout, name).step(format!("remove the control socket of {name}"))?;
    if stay_off {
        let text = "is not booted again: it was stopped";
        report::note(charge.quiet, &format!("{name}: {text}"));
        Event::now(name, "stop", text).note(layout);
        return Ok(0);
    }
    let again = Again {
        origin: charge.origin,
        background: charge.background,
        announce: charge.announce,
        failures: charge.failures,
        policy: charge.policy,
        place: None,
    };
    Err(handover::boot_again(&again, &[lock.as_fd()])).step(format!("boot {name} again"))
}
