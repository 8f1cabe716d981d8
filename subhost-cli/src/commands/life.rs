//! `restart` and `reboot`, `pause` and `resume`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::stop::{How, running as all_running, stop_one};
use super::{Context, each, need_root, unknown};
use crate::args;
use crate::error::{Complaint, Context as _, Error};
use crate::layout::Name;
use crate::lock::await_name;
use crate::names::{Names, expand};
use crate::observe::{State, state_of};
use crate::origin::Origin;
use crate::report;
use crate::shutdown::{self, Ask};
use crate::state::Record;

/// How long processes may take to stand still, or to go on.
const STILL: Duration = Duration::from_secs(5);
/// How soon a restart that may not have been heard is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// What a subhost that reboots has beyond its stop time, to make its tree anew.
const MARGIN: Duration = Duration::from_secs(10);
/// How often is looked whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Stops each, and boots it as it was booted before; one that does not run is booted.
pub(super) fn restart(context: &Context, args: &args::Restart) -> Result<u8, Error> {
    need_root("restart")?;
    let how = How::Orderly(args.timeout.map(Duration::from_secs));
    each(context, &running_of(context, &args.names)?, |name| {
        let origin = match state(context, name)? {
            State::Running(record) | State::Lingering(record) | State::Stale(record) => origin_of(&record)?,
            State::Stopped if context.layout.config(name).is_file() => Origin::of_name(&context.layout, name),
            State::Stopped if context.layout.is_tree(name) => {
                let complaint =
                    Complaint::new(format!("subhost {name}: is a directory, and no system to boot"));
                return Err(Error::refused(complaint.hint(format!("subhostctl start {name} starts it"))));
            }
            State::Stopped => return Err(unknown(name)),
        };
        let stopped = stop_one(&context.layout, name, how)?;
        report::note(context.quiet, &format!("{name}: {stopped}"));
        let mut boot = origin.command()?;
        let booted = boot.stdin(Stdio::null()).status().step(format!("boot {name}"))?;
        if booted.success() {
            return Ok("ready".to_owned());
        }
        Err(Error::Step {
            step: format!("boot {name}"),
            source: "it did not become ready, as told above".into(),
            hint: Some(format!("subhostctl status {name} tells whether it runs")),
        })
    })
}

/// Has each restart from inside, with its namespaces, cables and addresses, and waits until the next run has begun.
pub(super) fn reboot(context: &Context, names: &[Names]) -> Result<u8, Error> {
    need_root("reboot")?;
    each(context, &running_of(context, names)?, |name| {
        let record = running(context, name)?;
        origin_of(&record)?;
        not_paused(&record)?;
        if !record.supervisor.is_alive() {
            return Err(Error::refused(
                Complaint::new(format!("subhost {name}: has no supervisor, which would boot it again"))
                    .hint(format!("subhostctl recover {name} gives it one")),
            ));
        }
        reboot_one(context, name, &record)
    })
}

fn reboot_one(context: &Context, name: &Name, record: &Record) -> Result<String, Error> {
    let deadline = Instant::now() + Duration::from_millis(record.stop_timeout_ms) + MARGIN;
    let mut asked = shutdown::ask(record, Ask::Reboot)?;
    let mut ask_again = Instant::now() + ASK_AGAIN;
    loop {
        match state(context, name)? {
            State::Running(next) if next.init != record.init => {
                return Ok(format!("reboots (asked {}), with init {}", asked.how, next.init.pid));
            }
            State::Running(_) if asked.again && Instant::now() >= ask_again => {
                asked = shutdown::ask(record, Ask::Reboot)?;
                ask_again = Instant::now() + ASK_AGAIN;
            }
            // Between the two runs the supervisor holds the name; when it has let go, and nothing runs, that was the end.
            State::Stopped | State::Stale(_) if !record.supervisor.is_alive() => {
                let _lock = await_name(&context.layout, name).step(format!("lock the name {name}"))?;
                if !matches!(state(context, name)?, State::Running(_)) {
                    return Err("it has ended instead").step(format!("reboot {name}"));
                }
            }
            _ => {}
        }
        if Instant::now() >= deadline {
            return Err(Error::Step {
                step: format!("reboot {name}"),
                source: format!("it was asked {}, and goes on", asked.how).into(),
                hint: Some(format!("subhostctl restart {name} does not leave it the choice")),
            });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Makes all processes of each stand still.
pub(super) fn pause(context: &Context, names: &[Names]) -> Result<u8, Error> {
    need_root("pause")?;
    each(context, &running_of(context, names)?, |name| {
        let record = running(context, name)?;
        let step = || format!("pause {name}");
        let cgroup = record.cgroup.open().step(step())?;
        if cgroup.unified().step(step())?.is_none() {
            return Err(Error::refused(
                Complaint::new(format!("subhost {name}: is in no cgroup of version 2, which pausing needs"))
                    .hint("boot it again, outside of any container"),
            ));
        }
        if cgroup.freeze(STILL).step(step())? {
            return Ok("paused".to_owned());
        }
        cgroup.thaw(STILL).step(step())?;
        Err("some of its processes did not stand still in time: it goes on").step(step())
    })
}

/// Lets the processes of each go on.
pub(super) fn resume(context: &Context, names: &[Names]) -> Result<u8, Error> {
    need_root("resume")?;
    each(context, &running_of(context, names)?, |name| {
        let record = running(context, name)?;
        if !record.cgroup.is_frozen() {
            return Ok("is not paused".to_owned());
        }
        let step = || format!("resume {name}");
        if record.cgroup.thaw().step(step())? {
            return Ok("goes on".to_owned());
        }
        Err("it does not go on: what it is in may be frozen, too").step(step())
    })
}

/// Refuses what would wait for a process that stands still.
///
/// # Errors
/// It is paused.
pub(super) fn not_paused(record: &Record) -> Result<(), Error> {
    if !record.cgroup.is_frozen() {
        return Ok(());
    }
    let name = &record.name;
    Err(Error::refused(
        Complaint::new(format!("subhost {name}: is paused"))
            .hint(format!("subhostctl resume {name} lets it go on")),
    ))
}

fn running_of(context: &Context, given: &[Names]) -> Result<Vec<Name>, Error> {
    expand(given, "running subhost", || all_running(&context.layout))
}

/// How it was booted.
fn origin_of(record: &Record) -> Result<Origin, Error> {
    if let Some(origin) = &record.origin {
        return Ok(origin.clone());
    }
    let what = format!("subhost {}: is not a system that was booted, but a command", record.name);
    let hint = format!("subhostctl stop {0} ends it, and start {0} -- CMD begins anew", record.name);
    Err(Error::refused(Complaint::new(what).hint(hint)))
}

fn running(context: &Context, name: &Name) -> Result<Record, Error> {
    match state(context, name)? {
        State::Running(record) => Ok(*record),
        State::Lingering(_) | State::Stale(_) => {
            Err(Error::refused(Complaint::new(format!("subhost {name}: does not run"))))
        }
        State::Stopped if context.layout.config(name).is_file() => {
            let hint = format!("subhostctl boot {name} starts it");
            Err(Error::refused(Complaint::new(format!("subhost {name}: does not run")).hint(hint)))
        }
        State::Stopped => Err(unknown(name)),
    }
}

fn state(context: &Context, name: &Name) -> Result<State, Error> {
    state_of(&context.layout, name).step(format!("read the record of {name}"))
}
