//! `stop`: orderly, then by force. `kill`: by force, or a signal.

use std::time::{Duration, Instant};

use subhost_init::force::uninterruptible;
use subhost_init::process::ProcessHandle;
use subhost_net::cable::wait_gone;
use subhost_net::name::LinkName;

use super::{Context, at_once, each_job, need_root};
use crate::args;
use crate::cgroup::sweep_name;
use crate::claim::{await_disks, hibernate, sweep, sweep_torn};
use crate::control::{self, Word};
use crate::error::{Complaint, Context as _, Error};
use crate::layout::{Layout, Name};
use crate::lock::{await_name, name_is_held};
use crate::names::expand;
use crate::observe::{State, state_of};
use crate::order::{Job, break_circles, reversed};
use crate::shutdown::{self, Stopped};
use crate::state::{CableRecord, Process, Record, is_torn, recorded};
use crate::supervise::STAY_OFF;

/// When ours is killed, counted from the stop time: later than it ends by itself.
const OURS: Duration = Duration::from_millis(1600);
/// When all is over or told to be stuck, counted so too.
const OVER: Duration = Duration::from_secs(2);
/// How long the supervisor has to take its names back before we do it.
const SUPERVISOR: Duration = Duration::from_secs(5);
/// How many are stopped at the same time at least: a host that goes down gives little time.
const STOPS: usize = 16;
/// How often is looked whether the supervisor has booted it again instead.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long the kernel may take to let the host ends go.
const LINKS: Duration = Duration::from_secs(10);

/// How many processes are told of that no signal reaches.
const STUCK_TOLD: usize = 4;

/// What is said of one that is not there.
const NOT_RUNNING: &str = "does not run";

/// How a subhost is ended.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// As it would itself, then by force; the time that it has, if not its own.
    Orderly(Option<Duration>),
    /// By SIGKILL alone.
    Force,
}

/// Stops each subhost; goes on after one that cannot be stopped.
pub(super) fn stop(context: &Context, args: &args::Stop) -> Result<u8, Error> {
    need_root("stop")?;
    let names = match args.all {
        true => running(&context.layout)?,
        false => expand(&args.names, "running subhost", || running(&context.layout))?,
    };
    let how = How::Orderly(args.timeout.map(Duration::from_secs));
    let mut jobs: Vec<Job> = names.iter().map(|name| job_of(&context.layout, name)).collect();
    break_circles(&mut jobs);
    // Those that were started after others end before them.
    let stop = |name: &Name| -> Result<String, Error> {
        let cables = if args.wait { host_ends(&context.layout, name)? } else { Vec::new() };
        let text = stop_one(&context.layout, name, how)?;
        if !cables.is_empty() {
            wait_gone(&cables, LINKS).step(format!("stop {name}"))?;
        }
        Ok(text)
    };
    Ok(each_job(context, &reversed(&jobs), STOPS.max(at_once()), |name| stop(name).map_err(left)))
}

/// Its name, and after which others it was to be booted.
fn job_of(layout: &Layout, name: &Name) -> Job {
    let after = match state_of(layout, name) {
        Ok(State::Running(record)) => record.after.iter().filter_map(|name| name.parse().ok()).collect(),
        _ => Vec::new(),
    };
    Job { after, ..Job::new(name.clone()) }
}

/// Ends each subhost at once, or sends its init a signal.
pub(super) fn kill(context: &Context, args: &args::Kill) -> Result<u8, Error> {
    need_root("kill")?;
    let names = expand(&args.names, "running subhost", || running(&context.layout))?;
    each(context, &names, |name| match args.signal {
        None => stop_one(&context.layout, name, How::Force),
        Some(signal) => send(&context.layout, name, signal),
    })
}

/// All that run, and those that are about to.
pub(super) fn running(layout: &Layout) -> Result<Vec<Name>, Error> {
    let mut names = recorded(layout).step("list the records")?;
    for name in layout.configured().step("list the configurations")? {
        if name_is_held(layout, &name).step(format!("look at the lock of {name}"))? {
            names.push(name);
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Does it for each, and goes on after one that it failed for.
fn each(
    context: &Context,
    names: &[Name],
    mut act: impl FnMut(&Name) -> Result<String, Error>,
) -> Result<u8, Error> {
    super::each(context, names, |name| act(name).map_err(left))
}

/// What is not stopped is left.
fn left(error: Error) -> Error {
    Error::Left(error.into_complaints())
}

/// Sends PID 1 of a subhost a signal.
fn send(layout: &Layout, name: &Name, signal: i32) -> Result<String, Error> {
    let step = || format!("signal {name}");
    let State::Running(record) = state(layout, name)? else { return Ok(NOT_RUNNING.to_owned()) };
    let init = record.init.identity().open().step(step())?;
    let sent = init.map(|init| init.signal(signal)).transpose().step(step())?;
    Ok(if sent == Some(true) { format!("signal {signal} sent") } else { NOT_RUNNING.to_owned() })
}

/// The host ends of its cables.
fn host_ends(layout: &Layout, name: &Name) -> Result<Vec<LinkName>, Error> {
    let Ok(State::Running(record) | State::Lingering(record) | State::Stale(record)) = state_of(layout, name)
    else {
        return Ok(Vec::new());
    };
    let host_end = |cable: &CableRecord| cable.host.parse().step(format!("cable {}", cable.host));
    record.cables.iter().map(host_end).collect()
}

/// Ends it, and whatever its supervisor boots after that, until nothing of the name runs while its lock is held: a boot holds
/// that from its first look until the subhost runs, also between the two runs of one that reboots.
pub(super) fn stop_one(layout: &Layout, name: &Name, how: How) -> Result<String, Error> {
    let mut text = NOT_RUNNING.to_owned();
    let mut supervisor: Option<Process> = None;
    let mut netns_inode = None;
    let mut disks = Vec::new();
    loop {
        let found = match state(layout, name) {
            Err(_) if end_torn(layout, name)? => {
                return Ok("had a torn record; its names are removed".to_owned());
            }
            found => found?,
        };
        match found {
            // Somebody has started a new one since, which is not what was to be stopped. One that restarts keeps its network,
            // whoever supervises it by then.
            State::Running(record)
                if supervisor.as_ref().is_some_and(|it| *it != record.supervisor)
                    && netns_inode != Some(record.netns_inode) =>
            {
                return Ok(text);
            }
            State::Running(record) => {
                tell(name, &record.supervisor)?;
                text = end(name, &record, how)?;
                netns_inode = Some(record.netns_inode);
                supervisor = Some(record.supervisor);
                disks = record.disks;
            }
            State::Stale(record) | State::Lingering(record) if supervisor.is_none() => {
                supervisor = Some(record.supervisor);
            }
            State::Stale(_) | State::Lingering(_) | State::Stopped => {}
        }
        if let Some(supervisor) = &supervisor {
            await_supervisor(layout, name, supervisor)?;
        }
        if stay_off(layout, name) && text == NOT_RUNNING {
            text = "is not booted again".to_owned();
        }
        let _lock = await_name(layout, name).step(format!("lock the name {name}"))?;
        match state(layout, name)? {
            State::Stopped => {
                sweep_name(name)?;
                control::remove(layout, name).step(format!("remove the control socket of {name}"))?;
                await_disks(&disks);
                return Ok(text);
            }
            // What lingers is not to be ended, but undone.
            State::Lingering(record) if matches!(how, How::Force) => {
                hibernate(layout, name, &record)?;
                return Ok(text);
            }
            State::Stale(record) | State::Lingering(record) => {
                sweep(layout, name, &record)?;
                let is_free = await_disks(&record.disks);
                if record.lingers.is_some() && !is_free {
                    return Err(still_held(name, &record));
                }
                return Ok(match (text.as_str(), &record.lingers) {
                    (NOT_RUNNING, Some(_)) => "lingered; it is undone".to_owned(),
                    (NOT_RUNNING, None) => "had ended; its names are removed".to_owned(),
                    _ => text,
                });
            }
            State::Running(_) => {}
        }
    }
}

/// Removes what is left of one whose record cannot be read as a crash of the host has torn it. True if there was one.
fn end_torn(layout: &Layout, name: &Name) -> Result<bool, Error> {
    if !is_torn(layout, name) {
        return Ok(false);
    }
    let _lock = await_name(layout, name).step(format!("lock the name {name}"))?;
    sweep_torn(layout, name)
}

/// What is said of an image that somebody has still open, in what was mounted.
fn still_held(name: &Name, record: &Record) -> Error {
    let images: Vec<_> = record.disks.iter().map(|disk| disk.image.display().to_string()).collect();
    let images = images.join(" ");
    Error::Left(vec![
        Complaint::new(format!(
            "subhost {name}: {images}: is unmounted, but a process has something of it open"
        ))
        .hint(format!("subhostctl mounts {images} tells which")),
    ])
}

/// Ends the one run of it that goes on now.
fn end(name: &Name, record: &Record, how: How) -> Result<String, Error> {
    let (stopped, asked) = match how {
        How::Orderly(timeout) => {
            let stop_time = timeout.unwrap_or(Duration::from_millis(record.stop_timeout_ms));
            let by_itself = timeout.is_none() && record.init_program == "subhost-init";
            let kill_after = stop_time + if by_itself { OURS } else { Duration::ZERO };
            shutdown::stop(record, kill_after, stop_time + OVER)?
        }
        How::Force => (shutdown::kill(record)?, None),
    };
    // Of ours there is nothing to say.
    let asked = asked.filter(|_| record.init_program != "subhost-init");
    let asked = asked.map_or_else(String::new, |asked| format!(" (asked {})", asked.how));
    match stopped {
        Stopped::Already | Stopped::Orderly => Ok(format!("stopped{asked}")),
        Stopped::Killed if matches!(how, How::Force) => Ok("killed".to_owned()),
        Stopped::Killed => Ok(format!("did not stop in time, and was killed{asked}")),
        Stopped::Stuck => Err(Error::Left(vec![stuck(name, record)])),
    }
}

/// Tells a supervisor that waits until it is time to boot again that it is not to. It has the name locked until it is gone.
fn stay_off(layout: &Layout, name: &Name) -> bool {
    let Ok(Some(socket)) = control::ask(layout, name, Word::StayOff) else { return false };
    matches!(control::answer(&socket, Instant::now() + SUPERVISOR), Some((Word::Waiting, _)))
}

/// What is left of one that was killed and has not ended.
fn stuck(name: &Name, record: &Record) -> Complaint {
    let waiting = uninterruptible(record.init.pid_namespace);
    let mut lines: Vec<String> = waiting
        .iter()
        .take(STUCK_TOLD)
        .map(|process| format!("process {} ({}) waits in {}", process.pid, process.name, process.function))
        .collect();
    match waiting.len() {
        0 => lines.push(format!("process {} is ending still", record.init.pid)),
        all if all > STUCK_TOLD => lines.push(format!("{} more", all - STUCK_TOLD)),
        _ => {}
    }
    Complaint::new(format!("subhost {name}: was killed, and has not ended: {}", lines.join(", ")))
        .hint("it ends when the kernel has what is waited for: a disk that answers, a file system that is no longer frozen; dmesg may tell")
}

/// Tells the supervisor that it is not to boot it again; gives it, if it is there.
fn tell(name: &Name, supervisor: &Process) -> Result<Option<ProcessHandle>, Error> {
    let step = || format!("tell the supervisor of {name}");
    let supervisor = supervisor.identity().open().step(step())?;
    if let Some(supervisor) = &supervisor {
        supervisor.signal(STAY_OFF as i32).step(step())?;
    }
    Ok(supervisor)
}

/// Gives the supervisor time to take its names back and to give up what it holds; it may also have been about to boot when it
/// was told.
fn await_supervisor(layout: &Layout, name: &Name, supervisor: &Process) -> Result<(), Error> {
    let Some(supervisor) = tell(name, supervisor)? else { return Ok(()) };
    let deadline = Instant::now() + SUPERVISOR;
    loop {
        let look_again = Instant::now() + LOOK_AGAIN;
        let is_gone = supervisor.wait_gone(look_again).step(format!("wait for the supervisor of {name}"))?;
        if is_gone || Instant::now() >= deadline || matches!(state(layout, name)?, State::Running(_)) {
            return Ok(());
        }
    }
}

fn state(layout: &Layout, name: &Name) -> Result<State, Error> {
    state_of(layout, name).step(format!("read the record of {name}"))
}
