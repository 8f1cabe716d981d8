//! `stop`: orderly, then by force.

use std::time::{Duration, Instant};

use super::{Context, need_root};
use crate::args;
use crate::boot::sweep;
use crate::error::{Complaint, Context as _, Error};
use crate::layout::{Layout, Name};
use crate::lock::await_name;
use crate::observe::{State, state_of};
use crate::report;
use crate::shutdown::{self, Stopped};
use crate::state::Record;

/// Time that PID 1 has beyond its own deadlines.
const MARGIN: Duration = Duration::from_secs(2);
/// How long the supervisor has to take its names back before we do it.
const SUPERVISOR: Duration = Duration::from_secs(5);

/// Stops each subhost; goes on after one that cannot be stopped.
pub(super) fn stop(context: &Context, args: &args::Stop) -> Result<u8, Error> {
    need_root("stop")?;
    let mut left = Vec::new();
    for name in &args.names {
        match stop_one(&context.layout, name, args.timeout.map(Duration::from_secs)) {
            Ok(text) => report::note(context.quiet, &format!("{name}: {text}")),
            Err(Error::Left(complaints) | Error::Refused(complaints)) => left.extend(complaints),
            Err(error) => left.push(Complaint::new(error.to_string())),
        }
    }
    if left.is_empty() { Ok(0) } else { Err(Error::Left(left)) }
}

fn stop_one(layout: &Layout, name: &Name, timeout: Option<Duration>) -> Result<&'static str, Error> {
    match state_of(layout, name).step(format!("read the record of {name}"))? {
        State::Stopped => Ok("does not run"),
        State::Stale(record) => {
            take_names(layout, name, &record)?;
            Ok("had ended; its names are removed")
        }
        State::Running(record) => {
            let timeout = timeout.unwrap_or_else(|| Duration::from_millis(record.stop_timeout_ms) + MARGIN);
            let text = match shutdown::stop(&record, timeout)? {
                Stopped::Already | Stopped::Orderly => "stopped",
                Stopped::Killed => "did not stop in time, and was killed",
                Stopped::Stuck => {
                    return Err(Error::Left(vec![
                        Complaint::new(format!(
                            "subhost {name}: process {} does not end even when killed",
                            record.init.pid
                        ))
                        .hint("a process inside waits for a device or a server; dmesg may tell which"),
                    ]));
                }
            };
            take_names(layout, name, &record)?;
            Ok(text)
        }
    }
}

/// Its supervisor takes the names back; if that is gone, we do.
fn take_names(layout: &Layout, name: &Name, record: &Record) -> Result<(), Error> {
    if let Some(supervisor) =
        record.supervisor.identity().open().step(format!("find the supervisor of {name}"))?
    {
        supervisor
            .wait_gone(Instant::now() + SUPERVISOR)
            .step(format!("wait for the supervisor of {name}"))?;
    }
    let _lock = await_name(layout, name).step(format!("lock the name {name}"))?;
    match state_of(layout, name).step(format!("read the record of {name}"))? {
        State::Stale(record) => sweep(layout, name, &record),
        // A new one of that name has been started since: its names are not ours to take.
        State::Running(_) | State::Stopped => Ok(()),
    }
}
