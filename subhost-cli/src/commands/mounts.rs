//! `mounts`: what is mounted, and who holds it.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use subhost_mount::loopdev::LoopDevice;
use subhost_mount::mountinfo::{Census, Holders, HoldingProcess, MountEntry, MountNamespace, Process};

use super::{Context, need_root};
use crate::error::{Complaint, Context as _, Error};
use crate::observe::running;
use crate::report;

/// How many holders of one mount a line of the table names.
const NAMED: usize = 3;

#[derive(Serialize)]
struct Shown {
    mounts: Vec<ShownMount>,
    /// The block device that was asked for, and the loop devices over it or over the image.
    devices: Vec<ShownDevice>,
    /// Processes that could not be looked at.
    unseen_processes: usize,
}

#[derive(Serialize)]
struct ShownDevice {
    #[serde(serialize_with = "crate::json::path")]
    path: PathBuf,
    /// Those that have it or something on it open, also by a mount that is in no table.
    processes: Vec<ShownProcess>,
}

#[derive(Serialize)]
struct ShownMount {
    /// `host`, or the subhost in whose namespace it is; null for other namespaces.
    owner: Option<String>,
    namespace: u64,
    id: u32,
    parent: u32,
    #[serde(serialize_with = "crate::json::path")]
    target: PathBuf,
    #[serde(serialize_with = "crate::json::path")]
    source: PathBuf,
    #[serde(serialize_with = "crate::json::path")]
    root: PathBuf,
    #[serde(rename = "type")]
    kind: String,
    device: String,
    options: Vec<String>,
    #[serde(serialize_with = "crate::json::paths")]
    super_options: Vec<PathBuf>,
    propagation: String,
    processes: Vec<ShownProcess>,
    /// The other namespaces that have it, or a copy of it.
    namespaces: Vec<ShownNamespace>,
}

#[derive(Serialize)]
struct ShownProcess {
    pid: u32,
    comm: String,
    how: Vec<String>,
}

#[derive(Serialize)]
struct ShownNamespace {
    owner: Option<String>,
    inode: u64,
    #[serde(serialize_with = "crate::json::paths")]
    mounted_at: Vec<PathBuf>,
    members: Vec<ShownMember>,
}

#[derive(Serialize)]
struct ShownMember {
    pid: u32,
    comm: String,
}

/// The processes and namespaces, with whose they are.
struct View {
    census: Census,
    /// Our own namespace.
    own: u64,
    /// Subhosts that run, with the process id of their init.
    subhosts: Vec<(String, u32)>,
}

/// Shows the mounts at and below `path`, of a block device or of the loop devices over an image, or those of all subhosts.
/// Changes nothing.
pub(super) fn mounts(context: &Context, path: Option<&Path>) -> Result<u8, Error> {
    if path.is_none() {
        need_root("mounts")?;
    }
    let target = path.map(target).transpose()?;
    let view = View {
        census: Census::take().step("look at the processes")?,
        own: std::fs::metadata("/proc/self/ns/mnt").step("look at /proc/self/ns/mnt")?.ino(),
        subhosts: running(&context.layout)
            .unwrap_or_default()
            .into_iter()
            .map(|record| (record.name, record.init.pid))
            .collect(),
    };
    let mut mounts = Vec::new();
    for namespace in &view.census.namespaces {
        for entry in namespace.table.unmount_order().into_iter().rev() {
            let wanted = match &target {
                None => view.subhost(namespace).is_some(),
                Some(target) => {
                    let number = rustix::fs::makedev(entry.device.0, entry.device.1);
                    target.devices.iter().any(|(_, device)| *device == number)
                        || (namespace.inode == view.own && entry.mount_point.starts_with(&target.path))
                }
            };
            if wanted {
                mounts.push(view.mount(namespace, entry));
            }
        }
    }
    let devices = target.into_iter().flat_map(|target| target.devices);
    let device = |(path, number)| ShownDevice {
        path,
        processes: shown_processes(view.census.of_device(number).processes),
    };
    let devices = devices.map(device).collect();
    let shown = Shown { mounts, devices, unseen_processes: view.census.unseen };
    if context.json {
        report::print_json(&shown)?;
    } else {
        let mut rows: Vec<Vec<String>> = shown.mounts.iter().map(row).collect();
        for device in &shown.devices {
            let mut cells = vec!["-".to_owned(); 7];
            cells[2] = device.path.display().to_string();
            cells[6] = some(device.processes.iter().map(ShownProcess::line).collect());
            rows.push(cells);
        }
        report::print(&report::table(
            context.colour,
            &["WHERE", "TARGET", "SOURCE", "TYPE", "OPTIONS", "PROPAGATION", "HELD BY"],
            &rows,
        ))?;
    }
    if path.is_some_and(Path::is_file) && !rustix::process::geteuid().is_root() {
        report::note(context.quiet, "only root sees which loop devices show this file");
    }
    if shown.unseen_processes > 0 {
        let count = shown.unseen_processes;
        report::note(
            context.quiet,
            &format!("not all processes could be looked at, and may hold more: {count}"),
        );
    }
    Ok(0)
}

/// What is looked for: mounts at and below a path, and those of the devices that are there.
struct Target {
    path: PathBuf,
    /// The block device at the path, and the loop devices over it or over the file.
    devices: Vec<(PathBuf, u64)>,
}

fn target(path: &Path) -> Result<Target, Error> {
    let refuse = |error: &io::Error| {
        Error::refused(
            Complaint::new(format!("mounts {}: {error}", path.display()))
                .hint("give a directory, an image, a file or a block device of this host"),
        )
    };
    let real = match std::fs::canonicalize(path) {
        // The root of a file system whose server has gone, say: it can be looked for all the same.
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let path = std::path::absolute(path).map_err(|_| refuse(&error))?;
            return Ok(Target { path, devices: Vec::new() });
        }
        other => other.map_err(|error| refuse(&error))?,
    };
    let mut devices = Vec::new();
    let rdev = |path: &Path| std::fs::metadata(path).map(|meta| meta.rdev());
    if let Ok(meta) = std::fs::metadata(&real) {
        if meta.file_type().is_block_device() {
            devices.push((real.clone(), meta.rdev()));
        }
        if !meta.is_dir() {
            let loops = LoopDevice::over(&real).step("look at the loop devices")?;
            devices
                .extend(loops.into_iter().filter_map(|node| rdev(&node).ok().map(|number| (node, number))));
        }
    }
    Ok(Target { path: real, devices })
}

impl View {
    fn subhost(&self, namespace: &MountNamespace) -> Option<&str> {
        self.subhost_of(namespace.inode, &namespace.members)
    }

    fn subhost_of(&self, inode: u64, members: &[Process]) -> Option<&str> {
        let is_init = |pid: u32| inode != self.own && members.iter().any(|process| process.pid == pid);
        self.subhosts.iter().find(|(_, pid)| is_init(*pid)).map(|(name, _)| name.as_str())
    }

    fn owner(&self, inode: u64, members: &[Process]) -> Option<String> {
        if inode == self.own {
            return Some("host".to_owned());
        }
        self.subhost_of(inode, members).map(str::to_owned)
    }

    fn mount(&self, namespace: &MountNamespace, entry: &MountEntry) -> ShownMount {
        let Holders { namespaces, processes } = self.census.of_mount(entry.id);
        let others = namespaces.into_iter().filter(|one| one.inode != namespace.inode);
        ShownMount {
            owner: self.owner(namespace.inode, &namespace.members),
            namespace: namespace.inode,
            id: entry.id,
            parent: entry.parent,
            target: entry.mount_point.clone(),
            source: entry.source.clone().into(),
            root: entry.root.clone(),
            kind: entry.kind.clone(),
            device: format!("{}:{}", entry.device.0, entry.device.1),
            options: entry.options.split(',').map(str::to_owned).collect(),
            super_options: entry.super_option_list.iter().map(PathBuf::from).collect(),
            propagation: propagation(entry),
            processes: shown_processes(processes),
            namespaces: others
                .map(|one| ShownNamespace {
                    owner: self.owner(one.inode, &one.members),
                    inode: one.inode,
                    mounted_at: one.mounted_at,
                    members: one.members.into_iter().map(member).collect(),
                })
                .collect(),
        }
    }
}

/// All but ourselves, who only look.
fn shown_processes(holding: Vec<HoldingProcess>) -> Vec<ShownProcess> {
    let others = holding.into_iter().filter(|one| one.process.pid != std::process::id());
    others
        .map(|HoldingProcess { process: Process { pid, comm }, how }| ShownProcess {
            pid,
            comm,
            how: how.iter().map(ToString::to_string).collect(),
        })
        .collect()
}

impl ShownProcess {
    fn line(&self) -> String {
        format!("{} {} ({})", self.comm, self.pid, self.how.join(" "))
    }
}

fn member(process: Process) -> ShownMember {
    ShownMember { pid: process.pid, comm: process.comm }
}

fn propagation(entry: &MountEntry) -> String {
    let found = entry.propagation();
    let words = [
        found.shared.map(|group| format!("shared:{group}")),
        found.master.map(|group| format!("slave:{group}")),
        found.unbindable.then(|| "unbindable".to_owned()),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() { "private".to_owned() } else { words.join(",") }
}

fn row(mount: &ShownMount) -> Vec<String> {
    vec![
        mount.owner.clone().unwrap_or_else(|| format!("mnt:[{}]", mount.namespace)),
        mount.target.display().to_string(),
        if mount.source.as_os_str().is_empty() { "-".to_owned() } else { mount.source.display().to_string() },
        mount.kind.clone(),
        mount.options.join(","),
        mount.propagation.clone(),
        held_by(mount),
    ]
}

fn held_by(mount: &ShownMount) -> String {
    let mut words: Vec<String> = mount.processes.iter().map(ShownProcess::line).collect();
    words.extend(mount.namespaces.iter().map(|one| {
        let first = one.members.first().map_or_else(String::new, |it| format!(" of {} {}", it.comm, it.pid));
        match &one.owner {
            Some(owner) => format!("{owner} {}", one.inode),
            None => format!("mnt:[{}]{first}", one.inode),
        }
    }));
    some(words)
}

/// The first of the holders, and how many more there are.
fn some(mut holders: Vec<String>) -> String {
    let more = holders.len().saturating_sub(NAMED);
    holders.truncate(NAMED);
    if more > 0 {
        holders.push(format!("and {more} more"));
    }
    if holders.is_empty() { "-".to_owned() } else { holders.join(", ") }
}
