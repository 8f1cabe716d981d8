//! A new supervisor for a guest whose own is gone.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use subhost_init::process::close_on_exec_from;
use subhost_net::netns::Netns;

use crate::claim::complete;
use crate::control;
use crate::error::{Complaint, Context, Error};
use crate::events::Event;
use crate::handover::{self, Charge, Place, Task, Watched};
use crate::idrange;
use crate::layout::{Layout, Name};
use crate::lock::await_name;
use crate::observe::{State, state_of};
use crate::report;
use crate::state::{self, Process, Record};
use crate::supervise::Signals;

/// How long PID 1 has to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How soon is looked again at one that is just being started.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Whether a guest runs without its supervisor, and can have another one.
pub fn is_wanted(record: &Record) -> bool {
    record.origin.is_some() && !record.supervisor.is_alive()
}

/// What has become of the wish for a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// It has the one that was started.
    Taken,
    /// Another command was first.
    ByAnother,
    /// It has none; why not is said on our standard error.
    Refused,
}

/// Starts a supervisor in the background, and waits until it is one, or until another command that is at it has made one.
///
/// # Errors
/// It cannot be started.
pub fn start(layout: &Layout, name: &Name) -> Result<Adoption, Error> {
    let step = || format!("start a supervisor of {name}");
    let root_dir = std::path::absolute(&layout.root_dir).step(step())?;
    let mut command = Command::new(std::env::current_exe().step("find the running program")?);
    command.arg("--root-dir").arg(root_dir).args(["recover", "--background", name.as_str()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    // Whatever else we were given, a lock or a pipe, is not to be held as long as the subhost runs.
    close_on_exec_from(3).step("keep the caller's files from the supervisor")?;
    let mut supervisor = command.spawn().step(step())?;
    if answer_of(&mut supervisor).step(step())?.is_some() {
        return Ok(Adoption::Taken);
    }
    let status = supervisor.wait().step(step())?;
    Ok(if status.success() { Adoption::ByAnother } else { Adoption::Refused })
}

/// What a supervisor in the background answers; `None` when it has none, and ends.
///
/// # Errors
/// It cannot be heard, and was killed: nobody would be told what becomes of it.
pub fn answer_of(supervisor: &mut Child) -> std::io::Result<Option<[u8; 1]>> {
    let mut answer = [0];
    let Some(mut out) = supervisor.stdout.take() else { return Ok(None) };
    match out.read_exact(&mut answer) {
        Ok(()) => Ok(Some(answer)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => {
            supervisor.kill()?;
            supervisor.wait()?;
            Err(error)
        }
    }
}

/// Becomes the supervisor in the background of a guest that runs without one; comes back where it has one already.
///
/// # Errors
/// It cannot be supervised, or another command is at it for too long.
pub fn become_supervisor(layout: &Layout, name: &Name) -> Result<(), Error> {
    let refused = |why: &str| Error::refused(Complaint::new(format!("subhost {name}: {why}")));
    drop(Signals::block()?);
    rustix::process::setsid().step("start a session")?;
    rustix::process::chdir("/").step("leave the caller's directory")?;
    // Held until the record says who supervises it: there is one new supervisor. Who has it may be just that one, of a
    // command that was killed.
    let lock = await_name(layout, name).step(format!("lock the name {name}"))?;
    let state = state_of(layout, name).step(format!("read the record of {name}"))?;
    let State::Running(mut record) = state else { return Err(refused("does not run")) };
    let origin = record.origin.clone().ok_or_else(|| refused("was not started by boot"))?;
    if record.supervisor.is_alive() {
        return Ok(());
    }
    let step = || format!("take over {name}");
    let deadline = Instant::now() + ANSWER;
    while state::is_looked_at(layout, name, &record) && Instant::now() < deadline {
        std::thread::sleep(LOOK_AGAIN);
    }
    complete(layout, name, &record)?;
    let init = record.init.identity().open().step(step())?.ok_or_else(|| refused("has just ended"))?;
    let file = match std::fs::File::open(format!("/proc/{}/ns/net", record.init.pid)) {
        // One that ends has no namespaces any more before it is seen to have ended, while it waits for its children.
        Err(_) if init.wait_gone(Instant::now() + ANSWER).unwrap_or(false) => {
            return Err(refused("has just ended"));
        }
        file => file.step(step())?,
    };
    let netns = Netns::from_fd(file.into()).step(step())?;
    // PID 1 is the guest's, and may have gone elsewhere.
    if netns.inode() != record.netns_inode {
        return Err(refused("its PID 1 is in another network namespace than it was booted in"));
    }
    let user_namespace = netns.user_namespace().step(step())?;
    let range = idrange::hold(layout, &record)?;
    let adopted = match record.init_program.as_str() {
        "subhost-init" => subhost_init::adopt::adopt(&init, Instant::now() + ANSWER).map_err(|error| {
            report::note(false, &format!("{name}: {error}"));
        }),
        _ => Err(()),
    };
    let adopted = adopted.ok();
    record.console = adopted.as_ref().is_some_and(|adopted| adopted.console.is_some());
    if !record.console {
        report::note(false, &format!("{name}: console and log are lost until the next boot"));
    }
    record.supervisor = Process::own().step("identify the supervisor")?.clone();
    state::replace(layout, name, &record).step(format!("replace the record of {name}"))?;
    let control = control::open(layout, name).step(format!("make the control socket of {name}"))?;
    Event::now(name, "adopted", "has a new supervisor").of_init(record.init.pid).note(layout);
    drop(lock);
    let charge = Charge {
        name: name.to_string(),
        root_dir: layout.root_dir.clone().into(),
        quiet: true,
        background: true,
        announce: true,
        origin,
        policy: record.policy.clone(),
        failures: 0,
        has_control: true,
        task: Task::Watch(Watched {
            init: record.init.clone(),
            init_program: record.init_program.clone(),
            is_child: false,
            // A guest's own init does not tell.
            ready: adopted.as_ref().is_none_or(|adopted| adopted.ready),
            ending: adopted.as_ref().is_some_and(|adopted| adopted.end.is_some()),
            place: Place {
                first_id: range.first,
                id_count: range.count,
                has_lock: range.lock.is_some(),
                cables: Vec::new(),
            },
            has_socket: adopted.is_some(),
            has_console: record.console,
        }),
    };
    let mut fds = vec![init.as_fd(), user_namespace.as_fd(), netns.as_fd()];
    fds.extend(range.lock.as_ref().map(AsFd::as_fd));
    fds.push(control.as_fd());
    fds.extend(adopted.as_ref().map(|adopted| adopted.socket.as_fd()));
    let console = adopted.as_ref().and_then(|adopted| adopted.console.as_ref());
    fds.extend(console.map(AsFd::as_fd));
    Err(handover::supervise(&charge, &fds)).step(step())
}
