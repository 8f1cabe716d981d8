//! A subhost as `list`, `status` and `inspect` show it: its record, and what the kernel has of it now.

use serde::Serialize;
use subhost_net::name::host_end;
use subhost_net::observe::{Link, Observed};

use super::Context;
use crate::cgroup::CgroupRecord;
use crate::control;
use crate::events::Event;
use crate::isolation::Isolation as Settings;
use crate::layout::Name;
use crate::linger::HostMount;
use crate::lock::name_is_held;
use crate::observe::{State, state_of};
use crate::report;
use crate::state::{CableRecord, DiskRecord};

/// A subhost as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) init_pid: Option<u32>,
    pub(super) init_program: Option<String>,
    pub(super) supervisor_pid: Option<u32>,
    /// `supervised`, or `unsupervised` when its supervisor was killed.
    pub(super) supervision: Option<&'static str>,
    /// False when its console was lost with a supervisor.
    pub(super) console: Option<bool>,
    /// How its last run has ended; not in `list`.
    pub(super) last_end: Option<Event>,
    pub(super) netns: Option<String>,
    pub(super) netns_inode: Option<u64>,
    pub(super) cables: Vec<ShownCable>,
    pub(super) disks: Vec<DiskRecord>,
    pub(super) isolation: Option<Isolation>,
    pub(super) cgroup: Option<CgroupRecord>,
    pub(super) started: Option<u64>,
    /// Mounts on the host that stay until it is stopped.
    pub(super) mounts: Vec<HostMount>,
}

impl Shown {
    /// Whether something of it runs, or stands still.
    pub(super) fn runs(&self) -> bool {
        ["running", "paused"].contains(&self.state)
    }
}

/// What keeps a subhost apart from the host.
#[derive(Debug, Serialize)]
pub(super) struct Isolation {
    pub(super) user_namespace: bool,
    pub(super) first_id: u32,
    pub(super) id_count: u32,
    pub(super) idmapped_root: bool,
    pub(super) locked_mounts: bool,
    #[serde(flatten)]
    pub(super) settings: Settings,
    pub(super) device_filter: bool,
    pub(super) cgroup: bool,
}

/// A cable as it was made, and its host end as it is now.
#[derive(Debug, Serialize)]
pub(super) struct ShownCable {
    #[serde(flatten)]
    pub(super) made: CableRecord,
    /// Whether the link of that ifindex has that name, or the full one that was shortened.
    pub(super) present: bool,
    /// Whether it is up.
    pub(super) up: bool,
    /// The bridge that it is a port of now.
    pub(super) bridge_now: Option<String>,
    /// Whether it is isolated there: by flags of the port that anybody with power over the host can lift.
    pub(super) isolated_now: bool,
}

/// The cables of a subhost, in order.
pub(super) fn cables(subhost: &Name, made: Vec<CableRecord>, links: &Observed) -> Vec<ShownCable> {
    (0..).zip(made).map(|(index, cable)| ShownCable::of(subhost, index, cable, links)).collect()
}

impl ShownCable {
    fn of(subhost: &Name, index: u32, made: CableRecord, links: &Observed) -> ShownCable {
        let altname = host_end(subhost.as_str(), index).ok().and_then(|end| end.altname);
        let is_called = |link: &Link, name: Option<&String>| name.is_some_and(|name| link.has_name(name));
        let link = links
            .by_index(made.host_ifindex)
            .filter(|link| is_called(link, Some(&made.host)) || is_called(link, altname.as_ref()));
        let bridge = link.and_then(|link| link.controller).and_then(|bridge| links.by_index(bridge));
        // By the name that the configuration has for it, if that is one of its names.
        let name = |bridge: &Link| made.bridge.clone().filter(|name| bridge.has_name(name));
        ShownCable {
            present: link.is_some(),
            up: link.is_some_and(|link| link.up),
            isolated_now: link.and_then(|link| link.port).is_some_and(|port| port.isolated && port.locked),
            bridge_now: bridge.map(|bridge| name(bridge).unwrap_or_else(|| bridge.name.clone())),
            made,
        }
    }

    /// Whether it was made isolated, and is not any more.
    pub(super) fn is_open(&self) -> bool {
        self.present && self.made.isolated && !self.isolated_now
    }

    /// In what it is not as it was made, while its subhost runs.
    pub(super) fn difference(&self) -> Option<String> {
        if !self.present {
            return Some("gone".to_owned());
        }
        let open = self.is_open().then(|| "not isolated".to_owned());
        let bridge = (self.bridge_now != self.made.bridge)
            .then(|| format!("now on {}", self.bridge_now.as_deref().unwrap_or("no bridge")));
        let down = (!self.up).then(|| "down".to_owned());
        let words: Vec<String> = bridge.into_iter().chain(open).chain(down).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// Looks at one, whose cables are among these links.
pub(super) fn look(context: &Context, name: &Name, links: &Observed) -> Shown {
    let layout = &context.layout;
    let mut starting = false;
    let mut state = state_of(layout, name);
    if matches!(state, Ok(State::Stopped)) {
        // Between two runs, too, when it reboots.
        starting = name_is_held(layout, name).unwrap_or(false);
        // If not, it may have been until just now.
        state = state_of(layout, name);
    }
    let (state, record) = match state {
        Ok(State::Stopped) if starting && control::waits(layout, name) => ("restarting", None),
        Ok(State::Stopped) if starting => ("starting", None),
        Ok(State::Stopped) => ("stopped", None),
        Ok(State::Running(record)) if record.cgroup.is_frozen() => ("paused", Some(record)),
        Ok(State::Running(record)) => ("running", Some(record)),
        Ok(State::Lingering(mut record)) => {
            // It went with the processes.
            record.cgroup.directories.clear();
            ("lingering", Some(record))
        }
        Ok(State::Stale(record)) => ("ended", Some(record)),
        // One record that is not ours to read must not hide the other subhosts.
        Err(error) => {
            report::note(context.quiet, &format!("warning: subhost {name}: {error}"));
            ("unreadable", None)
        }
    };
    let running = ["running", "paused"].contains(&state);
    let supervised = record.as_ref().is_some_and(|record| record.supervisor.is_alive());
    match record {
        None => Shown {
            name: name.to_string(),
            state,
            init_pid: None,
            init_program: None,
            supervisor_pid: None,
            supervision: None,
            console: None,
            last_end: None,
            netns: None,
            netns_inode: None,
            cables: Vec::new(),
            disks: Vec::new(),
            isolation: None,
            cgroup: None,
            started: None,
            mounts: Vec::new(),
        },
        Some(record) => Shown {
            name: record.name,
            state,
            init_pid: running.then_some(record.init.pid),
            init_program: Some(record.init_program),
            supervisor_pid: supervised.then_some(record.supervisor.pid),
            supervision: running.then_some(if supervised { "supervised" } else { "unsupervised" }),
            console: Some(record.console),
            last_end: None,
            netns: record.pinned.then(|| name.to_string()),
            netns_inode: Some(record.netns_inode),
            cables: cables(name, record.cables, links),
            disks: record.disks,
            isolation: Some(Isolation {
                user_namespace: true,
                first_id: record.first_id,
                id_count: record.id_count,
                idmapped_root: true,
                locked_mounts: true,
                settings: record.isolation,
                device_filter: record.cgroup.device_filter,
                cgroup: !record.cgroup.directories.is_empty(),
            }),
            cgroup: Some(record.cgroup),
            started: Some(record.started),
            mounts: record.lingers.map_or(Vec::new(), |lingers| lingers.mounts),
        },
    }
}
