//! `list` and `status`: what there is, asked from the kernel.

use serde::Serialize;

use super::{Context, need_root, unknown};
use crate::cgroup::CgroupRecord;
use crate::error::{Context as _, Error};
use crate::isolation::Isolation as Settings;
use crate::layout::Name;
use crate::linger::{HostMount, Role};
use crate::lock::name_is_held;
use crate::observe::{State, state_of};
use crate::report;
use crate::state::{CableRecord, DiskRecord, recorded};

/// A subhost as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    state: &'static str,
    init_pid: Option<u32>,
    init_program: Option<String>,
    supervisor_pid: Option<u32>,
    netns: Option<String>,
    netns_inode: Option<u64>,
    cables: Vec<CableRecord>,
    disks: Vec<DiskRecord>,
    isolation: Option<Isolation>,
    cgroup: Option<CgroupRecord>,
    started: Option<u64>,
    /// Mounts on the host that stay until it is stopped.
    mounts: Vec<HostMount>,
}

/// What keeps a subhost apart from the host.
#[derive(Debug, Serialize)]
struct Isolation {
    user_namespace: bool,
    first_id: u32,
    id_count: u32,
    idmapped_root: bool,
    locked_mounts: bool,
    #[serde(flatten)]
    settings: Settings,
    device_filter: bool,
    cgroup: bool,
}

/// Lists all subhosts that are configured or run.
pub(super) fn list(context: &Context) -> Result<u8, Error> {
    need_root("list")?;
    let mut names = context.layout.configured().step("list the configurations")?;
    names.extend(context.layout.trees().step("list the trees")?);
    names.extend(recorded(&context.layout).step("list the records")?);
    names.sort();
    names.dedup();
    let mut shown = Vec::new();
    for name in &names {
        shown.push(look(context, name));
    }
    if context.json {
        report::print_json(&shown)?;
    } else {
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let rows: Vec<Vec<String>> = shown
            .iter()
            .map(|subhost| {
                vec![
                    subhost.name.clone(),
                    subhost.state.to_owned(),
                    text(subhost.init_pid.map(|pid| pid.to_string())),
                    text(join(
                        subhost
                            .cables
                            .iter()
                            .map(|cable| format!("{}={}", cable.host, cable.bridge.as_deref().unwrap_or(""))),
                    )),
                    text(join(
                        subhost.disks.iter().map(|disk| format!("{}={}", disk.node, disk.image.display())),
                    )),
                ]
            })
            .collect();
        report::print(&report::table(&["NAME", "STATE", "INIT", "CABLES", "DISKS"], &rows))?;
    }
    Ok(0)
}

/// Shows one subhost.
pub(super) fn status(context: &Context, name: &Name) -> Result<u8, Error> {
    need_root("status")?;
    let shown = look(context, name);
    if shown.state == "stopped" && !context.layout.is_known(name) {
        return Err(unknown(name));
    }
    if context.json {
        report::print_json(&shown)?;
        return Ok(0);
    }
    let mut rows = vec![vec!["name".into(), shown.name], vec!["state".into(), shown.state.into()]];
    let mut row = |key: &str, value: String| rows.push(vec![key.to_owned(), value]);
    if let Some(pid) = shown.init_pid {
        row("init", format!("{pid} {}", shown.init_program.unwrap_or_default()));
    }
    row("supervisor", shown.supervisor_pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string()));
    if let Some(inode) = shown.netns_inode {
        row("netns", format!("{} (inode {inode})", shown.netns.unwrap_or_else(|| "not pinned".to_owned())));
    }
    for cable in &shown.cables {
        row(
            &cable.guest,
            format!("{} {} on {}", cable.mac, cable.host, cable.bridge.as_deref().unwrap_or("no bridge")),
        );
    }
    for disk in &shown.disks {
        let by = disk.loop_number.map_or("itself".to_owned(), |number| format!("by /dev/loop{number}"));
        row(&disk.node, format!("{} partition {} {by}", disk.image.display(), disk.partition));
    }
    for mount in shown.mounts.iter().filter(|mount| mount.role != Role::Screen) {
        row("mount", mount.place.display().to_string());
    }
    if let Some(isolation) = shown.isolation {
        let last = u64::from(isolation.first_id) + u64::from(isolation.id_count) - 1;
        row("ids", format!("{}-{last}", isolation.first_id));
        for open in isolation.settings.open() {
            row("open", open);
        }
        if !isolation.device_filter {
            row("open", "there is no filter of devices".to_owned());
        }
    }
    if let Some(cgroup) = shown.cgroup {
        for directory in &cgroup.directories {
            row("cgroup", directory.path.display().to_string());
        }
        for limit in cgroup.limits {
            row("limit", limit);
        }
        for unenforced in cgroup.not_enforced {
            row("note", unenforced);
        }
    }
    report::print(&report::table(&["WHAT", "VALUE"], &rows))?;
    Ok(0)
}

fn look(context: &Context, name: &Name) -> Shown {
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
        Ok(State::Stopped) if starting => ("starting", None),
        Ok(State::Stopped) => ("stopped", None),
        Ok(State::Running(record)) => ("running", Some(record)),
        Ok(State::Lingering(mut record)) => {
            // It went with the processes.
            record.cgroup.directories.clear();
            ("lingering", Some(record))
        }
        Ok(State::Stale(record)) => ("ended", Some(record)),
        // One record that is not ours to read must not hide the other subhosts.
        Err(error) => {
            report::note(context.quiet, &format!("warning: record {error}"));
            ("unreadable", None)
        }
    };
    let running = state == "running";
    match record {
        None => Shown {
            name: name.to_string(),
            state,
            init_pid: None,
            init_program: None,
            supervisor_pid: None,
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
            supervisor_pid: record.supervisor.is_alive().then_some(record.supervisor.pid),
            netns: record.pinned.then(|| name.to_string()),
            netns_inode: Some(record.netns_inode),
            cables: record.cables,
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

fn join(words: impl Iterator<Item = String>) -> Option<String> {
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(" "))
}
