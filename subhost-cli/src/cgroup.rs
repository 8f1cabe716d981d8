//! The cgroup of a subhost: its limits, the devices of the host that it gets, and what of that is not enforced here.

use std::fs::File;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::mount::{MountFlags, mount};
use serde::{Deserialize, Serialize};
use subhost_config::SubhostConfig;
use subhost_config::schema::DeviceSpec;
use subhost_init::cgroup::{
    Cgroup, CgroupDirectory, CgroupPlan, DeviceKind, DeviceRule, Hierarchies, Limits, PARENT, Subject,
    Unenforced, Version, sweep,
};

use crate::error::{Complaint, Context, Error};
use crate::layout::{Layout, Name};
use crate::lock::make_private_dir;
use crate::shell;

/// How long processes may take to go on that stood still.
const THAWS: Duration = Duration::from_secs(5);

/// What is in every guest's `/dev`, or made there for other reasons.
const OURS: [&str; 15] = [
    "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue", "fd",
    "stdin", "stdout", "stderr",
];

/// What the configuration asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The limits.
    pub limits: Limits,
    /// Devices of the host.
    pub devices: Vec<DeviceSpec>,
}

impl Wanted {
    /// What a configuration asks for.
    pub fn from_config(config: &SubhostConfig) -> Wanted {
        let limits = Limits {
            cpu_thousandths: config.cpu_thousandths.value,
            memory_bytes: config.memory_bytes.value,
            tasks: config.tasks.value,
            io_weight: config.io_weight.value,
        };
        Wanted { limits, devices: config.devices.value.clone() }
    }
}

/// A device of the host, as it is found there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostDevice {
    /// Its path below `/dev`.
    #[serde(serialize_with = "crate::json::path")]
    pub name: PathBuf,
    /// True for a device of blocks.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permissions.
    pub mode: u32,
    /// True if the guest may only read it.
    pub read_only: bool,
}

impl HostDevice {
    fn find(spec: &DeviceSpec) -> Result<HostDevice, Complaint> {
        let wrong = |what: &str| Complaint::new(format!("DEVICES: {}: {what}", spec.path.display()));
        let name = spec.path.strip_prefix("/dev").map_err(|_| wrong("is not below /dev"))?;
        let first = name.components().next();
        if first.is_some_and(|first| OURS.iter().any(|ours| first.as_os_str() == *ours)) {
            return Err(wrong("every guest has its own"));
        }
        let meta = std::fs::metadata(&spec.path).map_err(|error| wrong(&error.to_string()))?;
        let kind = meta.file_type();
        if !kind.is_char_device() && !kind.is_block_device() {
            return Err(wrong("is not a device"));
        }
        Ok(HostDevice {
            name: name.to_owned(),
            block: kind.is_block_device(),
            major: rustix::fs::major(meta.rdev()),
            minor: rustix::fs::minor(meta.rdev()),
            mode: meta.mode() & 0o777,
            read_only: spec.read_only,
        })
    }

    fn rule(&self) -> DeviceRule {
        DeviceRule {
            kind: if self.block { DeviceKind::Block } else { DeviceKind::Char },
            major: self.major,
            minor: Some(self.minor),
            writable: !self.read_only,
        }
    }
}

/// Sees to it that the host has cgroups of version 2 somewhere: without them no group ends or stands still at once. Where they
/// cannot be mounted, as in a container, all goes on without, and what is then not enforced is said.
pub fn ensure_unified(layout: &Layout) {
    let is_there = || Hierarchies::observe_unified().is_ok_and(|found| found.unified.is_some());
    if is_there() {
        return;
    }
    let place = layout.cgroups();
    let made = make_private_dir(&layout.run_dir).and_then(|()| make_private_dir(&place));
    let Ok(directory) = made.and_then(|()| File::open(&place)) else { return };
    // Of two who are here at once, the second one finds what the first one has mounted.
    if flock(&directory, FlockOperation::LockExclusive).is_ok() && !is_there() {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let _ = mount("cgroup2", &place, "cgroup2", flags, None);
    }
}

/// What was found on the host for it.
#[derive(Debug, Default)]
pub struct Found {
    hierarchies: Hierarchies,
    devices: Vec<HostDevice>,
    /// The name of its directory.
    name: String,
}

impl Found {
    /// Looks at the hierarchies, as far as they are needed, and the devices.
    pub fn of(
        wanted: &Wanted,
        name: &Name,
        named: bool,
        complaints: &mut Vec<Complaint>,
        notes: &mut Vec<String>,
    ) -> Found {
        let hierarchies = if wanted.limits == Limits::default() {
            Hierarchies::observe_unified()
        } else {
            Hierarchies::observe()
        };
        let hierarchies = hierarchies.unwrap_or_else(|error| {
            complaints.push(Complaint::new(error.to_string()));
            Hierarchies::default()
        });
        if hierarchies.unified.is_none() {
            notes.push(
                "cgroups of version 2 are not mounted: boot mounts them at /run/subhost/cgroup, if it may"
                    .to_owned(),
            );
        }
        let mut devices = Vec::new();
        for spec in &wanted.devices {
            match HostDevice::find(spec) {
                Ok(device) => devices.push(device),
                Err(complaint) => complaints.push(complaint),
            }
        }
        Found { hierarchies, devices, name: directory_name(name, named) }
    }

    /// Plans the cgroup.
    pub fn plan(&self, wanted: &Wanted) -> PlannedCgroup {
        let rules: Vec<DeviceRule> = self.devices.iter().map(HostDevice::rule).collect();
        let plan = CgroupPlan::make(&self.name, &wanted.limits, &rules, &self.hierarchies);
        PlannedCgroup {
            directories: plan.groups.iter().map(|it| it.mount_point.join(PARENT).join(&plan.name)).collect(),
            limits: described(&wanted.limits),
            devices: self.devices.clone(),
            not_enforced: plan.unenforced.iter().map(text_of).collect(),
            plan,
        }
    }
}

/// Names of people are unique on a host; those that we make are so in their PID namespace.
fn directory_name(name: &Name, named: bool) -> String {
    if named { name.to_string() } else { format!("{name}.{}", pid_namespace()) }
}

fn pid_namespace() -> u64 {
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

/// The cgroup of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedCgroup {
    /// Its directories, one in each hierarchy.
    #[serde(serialize_with = "crate::json::paths")]
    pub directories: Vec<PathBuf>,
    /// The limits, as in the configuration.
    pub limits: Vec<String>,
    /// Devices of the host.
    pub devices: Vec<HostDevice>,
    /// What is not enforced on this host, and why.
    pub not_enforced: Vec<String>,
    #[serde(skip)]
    plan: CgroupPlan,
}

impl PlannedCgroup {
    /// As the commands that do the same by hand.
    pub fn commands(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (group, path) in self.plan.groups.iter().zip(&self.directories) {
            let path = shell::quote(path);
            for controller in &group.controllers {
                let file = shell::quote(group.mount_point.join("cgroup.subtree_control"));
                lines.push(format!("echo +{controller} > {file}  # and in {PARENT} below"));
            }
            lines.push(format!("mkdir -p {path}"));
            if group.version == Version::Unified {
                lines.push(format!("# in {path} a program of the kernel refuses all other devices"));
            }
            for (file, value) in group.settings.iter().filter_map(|setting| setting.files.first()) {
                lines.push(format!("echo {value} > {path}/{file}"));
            }
        }
        lines
    }

    /// Makes it, in the place of one that a killed boot of this name has left. These devices may be opened, too.
    ///
    /// # Errors
    /// One of that name has processes in it, or it cannot be made.
    pub fn create(&self, more: impl IntoIterator<Item = DeviceRule>) -> Result<Cgroup, Error> {
        let step = || format!("make the cgroup {}", self.plan.name);
        if let Some(first) = self.directories.first() {
            remove_leftovers(first, &self.plan.name);
            if first.exists() {
                let everywhere = Hierarchies::observe().step(step())?;
                sweep(&self.plan.name, &everywhere).map_err(|error| Error::Step {
                    step: step(),
                    source: error.into(),
                    hint: Some(format!("{}/cgroup.procs tells which processes are in it", first.display())),
                })?;
            }
        }
        let mut plan = self.plan.clone();
        plan.devices.extend(more);
        plan.create().step(step())
    }
}

/// For one without a name of its own: directories of others that killed commands have left, as nobody boots one of that name
/// again. One that has processes is not removed by the kernel.
fn remove_leftovers(beside: &Path, name: &str) {
    let own = format!(".{}", pid_namespace());
    if !name.ends_with(&own) {
        return;
    }
    let entries = beside.parent().map(std::fs::read_dir);
    for entry in entries.into_iter().flatten().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let pid =
            name.to_str().and_then(|name| name.strip_suffix(&own)?.rsplit('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// The cgroup of a running subhost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupRecord {
    /// Its directories.
    pub directories: Vec<DirectoryRecord>,
    /// The limits, as in the configuration.
    pub limits: Vec<String>,
    /// True if the guest can only open the devices that it is meant to.
    pub device_filter: bool,
    /// What is not enforced, and why.
    pub not_enforced: Vec<String>,
}

/// A directory of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryRecord {
    /// Where it is.
    pub path: PathBuf,
    /// Its inode: another one of that name is not ours.
    pub inode: u64,
}

impl CgroupRecord {
    /// What is to be known later of one that was just made.
    pub fn of(cgroup: &Cgroup, planned: &PlannedCgroup) -> CgroupRecord {
        let directory = |it: CgroupDirectory| DirectoryRecord { path: it.path, inode: it.inode };
        CgroupRecord {
            directories: cgroup.directories().into_iter().map(directory).collect(),
            limits: planned.limits.clone(),
            device_filter: cgroup.has_device_filter(),
            not_enforced: cgroup.unenforced().iter().map(text_of).collect(),
        }
    }

    /// Lets what is in it go on, if it stands still. True if it does then.
    ///
    /// # Errors
    /// The cgroup cannot be opened or written to.
    pub fn thaw(&self) -> Result<bool, subhost_init::Error> {
        if self.is_frozen() { self.open()?.thaw(THAWS) } else { Ok(true) }
    }

    /// True while all that is in it stands still.
    pub fn is_frozen(&self) -> bool {
        self.open().and_then(|cgroup| cgroup.is_frozen()).unwrap_or(false)
    }

    /// Opens it, as far as it is still there.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn open(&self) -> Result<Cgroup, subhost_init::Error> {
        let directory = |it: &DirectoryRecord| CgroupDirectory { path: it.path.clone(), inode: it.inode };
        Cgroup::open(&self.directories.iter().map(directory).collect::<Vec<_>>())
    }
}

/// Removes what a killed boot of this name has left without a record.
///
/// # Errors
/// Something is left that has processes in it.
pub fn sweep_name(name: &Name) -> Result<(), Error> {
    let step = || format!("remove the cgroup {name}");
    // Of its directories that of version 2 is made first and removed last.
    let unified = Hierarchies::observe_unified().step(step())?.unified;
    if unified.is_some_and(|it| !it.mount_point.join(PARENT).join(name.as_str()).exists()) {
        return Ok(());
    }
    sweep(name.as_str(), &Hierarchies::observe().step(step())?).step(step())
}

fn text_of(unenforced: &Unenforced) -> String {
    let what = match unenforced.subject {
        Subject::Cpu => "CPUS",
        Subject::Memory => "MEMORY",
        Subject::Tasks => "TASKS",
        Subject::IoWeight => "IO_WEIGHT",
        Subject::Devices => "the device filter",
    };
    format!("{what} is not enforced: {}", unenforced.reason)
}

fn described(limits: &Limits) -> Vec<String> {
    let cpus = limits.cpu_thousandths.map(|it| format!("CPUS={}", f64::from(it) / 1000.0));
    let memory = limits.memory_bytes.map(|it| format!("MEMORY={it}"));
    let tasks = limits.tasks.map(|it| format!("TASKS={it}"));
    let weight = limits.io_weight.map(|it| format!("IO_WEIGHT={it}"));
    [cpus, memory, tasks, weight].into_iter().flatten().collect()
}
