//! `recover`: makes whole what a crash has left.

use super::{Context, need_root};
use crate::adopt::{self, Adoption};
use crate::args;
use crate::cgroup::sweep_name;
use crate::claim::{complete, sweep, sweep_torn};
use crate::control;
use crate::error::{Complaint, Context as _, Error};
use crate::events::Event;
#[cfg(feature = "images")]
use crate::images::leftover;
use crate::layout::{Layout, Name};
use crate::lock::{await_name, name_is_held};
use crate::observe::{State, state_of};
use crate::report;
use crate::state::{self, recorded};

/// Recovers some subhosts, or all that there is something of.
pub(super) fn recover(context: &Context, args: &args::Recover) -> Result<u8, Error> {
    need_root("recover")?;
    let layout = &context.layout;
    if let (true, Some(name)) = (args.background, args.names.first()) {
        adopt::become_supervisor(layout, name)?;
        return Ok(0);
    }
    let mut names = args.names.clone();
    if names.is_empty() {
        names = recorded(layout).step("list the records")?;
        names.extend(control::names(layout));
        names.sort();
        names.dedup();
    }
    let mut left = Vec::new();
    for name in &names {
        match recover_one(layout, name) {
            Ok(Some(text)) => report::note(context.quiet, &format!("{name}: {text}")),
            Ok(None) => {}
            Err(error) => left.extend(error.into_complaints()),
        }
    }
    #[cfg(feature = "images")]
    if let Err(error) = remove_leftovers(context, &args.names) {
        left.extend(error.into_complaints());
    }
    if left.is_empty() { Ok(0) } else { Err(Error::Left(left)) }
}

/// Removes what commands for images and trees have left, of some subhosts or of all.
#[cfg(feature = "images")]
fn remove_leftovers(context: &Context, names: &[Name]) -> Result<(), Error> {
    let layout = &context.layout;
    for left in leftover::find(layout, context.how)? {
        let (name, path) = (&left.name, left.path.display());
        if (names.is_empty() || names.contains(name)) && leftover::remove(layout, &left)? {
            let what = format!("{name}: {path}, which a {} has left, is removed", left.command());
            report::note(context.quiet, &what);
        }
    }
    Ok(())
}

/// What was done, if anything was to be done.
fn recover_one(layout: &Layout, name: &Name) -> Result<Option<String>, Error> {
    let state = || state_of(layout, name).step(format!("read the record of {name}"));
    if state::is_torn(layout, name) {
        let _lock = await_name(layout, name).step(format!("lock the name {name}"))?;
        if sweep_torn(layout, name)? {
            return Ok(Some("had a torn record; its names are removed".to_owned()));
        }
    }
    match state()? {
        State::Running(record) if record.supervisor.is_alive() => Ok(None),
        State::Running(record) if record.origin.is_none() => {
            let command = &record.command;
            let message = format!("subhost {name}: runs without the {command} that has started it");
            let hint = format!("subhostctl stop {name} ends it");
            Err(Error::refused(Complaint::new(message).hint(hint)))
        }
        State::Running(record) => {
            let taken = complete(layout, name, &record).and_then(|()| adopt::start(layout, name));
            if let Ok(Adoption::Taken) = taken {
                return Ok(Some(format!("has a supervisor again; its init is {}", record.init.pid)));
            }
            // It may have ended meanwhile, or somebody else was first.
            match state()? {
                State::Running(now) if now.init == record.init && !now.supervisor.is_alive() => {}
                _ => return recover_one(layout, name),
            }
            taken?;
            Err(Error::Left(vec![Complaint::new(format!("subhost {name}: still runs without a supervisor"))]))
        }
        // It is just being started or stopped, or waits to be booted again.
        State::Stopped if name_is_held(layout, name).step(format!("look at {name}"))? => Ok(None),
        State::Lingering(_) => Ok(None),
        // Between two runs: its supervisor clears it away or boots it again, and would take a missing record for a stop.
        State::Stale(record) if record.supervisor.is_alive() => Ok(None),
        State::Stopped | State::Stale(_) => {
            let _lock = await_name(layout, name).step(format!("lock the name {name}"))?;
            match state()? {
                State::Running(_) | State::Lingering(_) => Ok(None),
                State::Stale(record) if record.supervisor.is_alive() => Ok(None),
                State::Stale(record) => {
                    if adopt::is_wanted(&record) {
                        Event::unseen_end(name, &record).note(layout);
                    }
                    sweep(layout, name, &record)?;
                    Ok(Some("had ended; its names are removed".to_owned()))
                }
                State::Stopped => {
                    let is_left = layout.control(name).exists();
                    control::remove(layout, name).step(format!("remove the control socket of {name}"))?;
                    sweep_name(name)?;
                    Ok(is_left.then(|| "did not run; its control socket is removed".to_owned()))
                }
            }
        }
    }
}
