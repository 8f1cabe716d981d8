//! What has been booted: left to its supervisor, given up, or gone on with when it reboots.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use subhost_init::console::Pty;
use subhost_init::launch::Running;
use subhost_init::process::keep_all_on_exec;
use subhost_init::userns::UserNamespace;
use subhost_net::netns::Netns;

use super::{Network, Resources};
use crate::claim::{hibernate, sweep};
use crate::error::{Context, Error};
use crate::events::Event;
use crate::handover::{self, Again, Charge, Place, Task, Watched};
use crate::idrange::IdRange;
use crate::layout::{Layout, Name};
use crate::lock::{Lock, await_name};
use crate::state::Record;

/// A subhost that runs, and all that lives as long as its supervisor.
pub struct Booted {
    /// Its record, as published.
    pub record: Record,
    /// Its PID 1.
    pub running: Running,
    /// Its terminal. Holding the slave keeps the master from reporting an end between two programs.
    pub pty: Option<Pty>,
    /// What a reader should know.
    pub notes: Vec<String>,
    pub(super) control: Option<OwnedFd>,
    pub(super) layout: Layout,
    pub(super) name: Name,
    pub(super) resources: Resources,
    /// Which of its disks are to go past the page cache later.
    pub(super) cached: Vec<bool>,
}

/// What the next run of a guest has from the one that has ended.
pub struct Kept {
    pub(super) lock: Lock,
    pub(super) network: Option<Network>,
}

impl Booted {
    /// Has its disks go past the host's page cache from now on, where that pays: what is read once needs not be there twice, and
    /// much is read faster. Where it cannot be done nothing is lost.
    pub fn leave_cache(&mut self) {
        let cached = std::mem::take(&mut self.cached);
        if !cached.contains(&true) {
            return;
        }
        let devices = Arc::clone(&self.resources.devices);
        // Not waited for: what is under way comes first, and a disk may take its time.
        let _ = std::thread::Builder::new().spawn(move || {
            for device in
                devices.iter().zip(cached).filter_map(|(device, cached)| device.as_ref().filter(|_| cached))
            {
                let _ = device.set_direct(true);
            }
        });
    }

    /// Takes its names back and gives up what it was made of, after its PID 1 has ended. What is to linger does.
    ///
    /// # Errors
    /// Something of it is left.
    pub fn clean_up(self) -> Result<(), Error> {
        let lock = await_name(&self.layout, &self.name).step(format!("lock the name {}", self.name))?;
        // Late as we may be, a later subhost of that name keeps its own.
        let swept = match self.record.lingers {
            Some(_) => hibernate(&self.layout, &self.name, &self.record),
            None => sweep(&self.layout, &self.name, &self.record),
        };
        drop(lock);
        drop(self.resources);
        swept
    }

    /// Leaves it to the lean supervisor, as which this process goes on: comes back only with an error, and the subhost has ended then.
    pub fn supervise(self, manner: Manner) -> Error {
        Event::beginning(&self.name, &self.record).note(&self.layout);
        let step = format!("supervise {}", self.name);
        let error = match self.hand_over(manner) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        self.give_up(Error::Step { step, source: error.into(), hint: None })
    }

    /// Ends what cannot be watched over, for this reason; comes back with it, and what is left.
    pub fn give_up(mut self, reason: Error) -> Error {
        let ended = self.running.kill().and_then(|()| self.running.wait());
        let ended = ended.step(format!("end {}", self.name));
        match ended.and_then(|_| self.clean_up()) {
            Ok(()) => reason,
            Err(left) => Error::Left([reason.into_complaints(), left.into_complaints()].concat()),
        }
    }

    fn hand_over(&self, manner: Manner) -> std::io::Result<std::convert::Infallible> {
        let (record, range) = (&self.record, &self.resources.range);
        let is_ours = record.init_program == "subhost-init";
        let charge = Charge {
            name: record.name.clone(),
            root_dir: self.layout.root_dir.clone().into(),
            quiet: manner.quiet,
            background: manner.background,
            announce: manner.announce,
            origin: record.origin.clone().unwrap_or_default(),
            policy: record.policy.clone(),
            failures: manner.failures,
            has_control: self.control.is_some(),
            task: Task::Watch(Watched {
                init: record.init.clone(),
                init_program: record.init_program.clone(),
                is_child: true,
                // A guest's own init does not tell.
                ready: !is_ours,
                ending: false,
                place: Place {
                    first_id: range.first,
                    id_count: range.count,
                    has_lock: range.lock.is_some(),
                    cables: Vec::new(),
                },
                has_socket: is_ours,
                has_console: self.pty.is_some(),
            }),
        };
        let mut fds =
            vec![self.running.pidfd(), self.resources.user_namespace.as_fd(), self.resources.netns.as_fd()];
        fds.extend(range.lock.as_ref().map(AsFd::as_fd));
        fds.extend(self.control.as_ref().map(AsFd::as_fd));
        fds.extend(is_ours.then(|| self.running.socket()));
        fds.extend(self.pty.as_ref().map(|pty| pty.master.as_fd()));
        // Its disks, and the terminal's other side, stay open as they are.
        keep_all_on_exec().map_err(std::io::Error::other)?;
        Err(handover::supervise(&charge, &fds))
    }
}

/// How a supervisor goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Errors only.
    pub quiet: bool,
    /// Whether it runs without a terminal.
    pub background: bool,
    /// Whether whoever started it waits until the subhost is ready.
    pub announce: bool,
    /// How often in a row it has failed.
    pub failures: u32,
}

impl Kept {
    /// What a supervisor has handed over.
    ///
    /// # Errors
    /// It is not what it should be.
    pub fn from_supervisor(again: &Again, mut fds: impl Iterator<Item = OwnedFd>) -> Result<Kept, Error> {
        let step = || "go on with the run before".to_owned();
        let mut next = || fds.next().ok_or("a descriptor is missing").step(step());
        let lock = Lock::from(next()?);
        let Some(place) = &again.place else { return Ok(Kept { lock, network: None }) };
        let user_namespace = UserNamespace::from_fd(next()?).step(step())?;
        let netns = Netns::from_fd(next()?).step(step())?;
        let lock_of_ids = place.has_lock.then(|| next().map(Lock::from)).transpose()?;
        let range = IdRange { first: place.first_id, count: place.id_count, lock: lock_of_ids };
        Ok(Kept {
            lock,
            network: Some(Network { range, user_namespace, netns, cables: place.cables.clone() }),
        })
    }
}
