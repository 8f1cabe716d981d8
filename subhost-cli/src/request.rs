//! What a person asked for, from the configuration and the command line together.

use std::ffi::{CString, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use subhost_config::SubhostConfig;
use subhost_config::schema::{
    self, BindSpec, CableSpec, DiskSpec, EnvironmentVariable, InitChoice, PowerOff, UserNs,
};
use subhost_mount::fstype::AllowedTypes;

use crate::cgroup;
use crate::handover::Restart;
use crate::isolation::Isolation;
use crate::layout::{Layout, Name};
use crate::network::Wanted;
use crate::tree::Tree;

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The first of the disks.
    Disk,
    /// An ephemeral layer over a directory of the host.
    Overlay(PathBuf),
    /// A directory of the host itself.
    Tree(PathBuf),
    /// One whose mounts linger.
    Lingering(Tree),
}

/// What becomes of what the guest writes to its disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Changes {
    /// It is kept.
    Kept,
    /// It goes to a layer in memory, and with that.
    Ephemeral,
    /// Nothing can be written.
    Refused,
}

/// A subhost to boot, or a command to run in one.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its name.
    pub name: Name,
    /// True if the name was given by a person; its netns is then pinned under it.
    pub named: bool,
    /// Where its root comes from.
    pub root: Root,
    /// Its disks, in order.
    pub disks: Vec<DiskSpec>,
    /// Directories and files of the host that it gets.
    pub binds: Vec<BindSpec>,
    /// What becomes of what is written to its disks.
    pub changes: Changes,
    /// The size of tmpfs mounts, in bytes.
    pub tmpfs_bytes: Option<u64>,
    /// Types of file system that they may hold, beside those that always may.
    pub filesystems: Vec<String>,
    /// Its cables, in order: `eth0`, `eth1`, …
    pub cables: Vec<CableSpec>,
    /// What its network is to be beside them.
    pub network: Wanted,
    /// Its limits, and devices of the host.
    pub cgroup: cgroup::Wanted,
    /// Its host name, if it is not the name.
    pub hostname: Option<String>,
    /// What it reads as the kernel's command line, if not the host's.
    pub cmdline: Option<OsString>,
    /// Variables for its PID 1.
    pub environment: Vec<EnvironmentVariable>,
    /// What runs as PID 1.
    pub init: InitChoice,
    /// The run level after start.
    pub runlevel: char,
    /// Longest orderly stop.
    pub stop_timeout: Duration,
    /// After what time is told which start script hangs; zero for never.
    pub boot_timeout: Duration,
    /// True if any byte in `/run/initctl` powers off at once.
    pub immediate: bool,
    /// Start scripts to leave out.
    pub skip_scripts: Vec<String>,
    /// How far it is kept apart.
    pub isolation: Isolation,
    /// Its id range.
    pub user_namespace: UserNs,
    /// A command to run instead of the start scripts.
    pub payload: Option<Vec<CString>>,
    /// True if that is PID 1 itself, and not a child of ours.
    pub as_init: bool,
    /// Directories of the host that an overlay must not show.
    pub hidden: Vec<PathBuf>,
    /// Those that are to be booted before it.
    pub after: Vec<String>,
    /// What its supervisor is to do beside watching it.
    pub restart: Restart,
    /// How much of its console is kept, in bytes.
    pub log_bytes: u64,
    /// True if the command reads its disks itself: nothing of them is mounted, and nobody can write to them.
    pub reads_disks: bool,
    /// True if a disk that is not where the guest's fstab says is no reason to give up: it is shown elsewhere.
    pub rescues: bool,
}

impl Request {
    /// Whether nothing can be done without its first disk.
    pub fn has_root_on_disk(&self) -> bool {
        match &self.root {
            Root::Disk => true,
            Root::Lingering(tree) => tree.image.is_some(),
            Root::Overlay(_) | Root::Tree(_) => false,
        }
    }

    /// Whether no byte of its disks changes.
    pub fn only_reads_disks(&self) -> bool {
        self.reads_disks || self.changes != Changes::Kept
    }

    /// Whether its images are read and written through the host's page cache at first: most commands are over soon, and find there
    /// what the one before has read.
    pub fn begins_in_cache(&self) -> bool {
        self.payload.is_some() && !matches!(self.root, Root::Lingering(_))
    }

    /// The types of file system that its disks may hold.
    pub fn allowed_types(&self) -> AllowedTypes {
        AllowedTypes::default().and(self.filesystems.iter().cloned())
    }

    /// A subhost from its configuration.
    pub fn from_config(name: Name, config: &SubhostConfig) -> Request {
        Request {
            name,
            named: true,
            root: Root::Disk,
            disks: config.disks.value.clone(),
            changes: match (config.ephemeral.value, config.readonly.value) {
                (Some(true), _) => Changes::Ephemeral,
                (_, Some(true)) => Changes::Refused,
                _ => Changes::Kept,
            },
            binds: config.binds.value.clone(),
            tmpfs_bytes: config.tmpfs_bytes.value,
            filesystems: config.filesystems.value.clone(),
            cables: config.cables.value.clone(),
            network: Wanted::from_config(config),
            cgroup: cgroup::Wanted::from_config(config),
            hostname: config.hostname.value.clone(),
            cmdline: config.cmdline.value.clone(),
            environment: config.environment.value.clone(),
            init: config.init.value.clone(),
            runlevel: config.runlevel.value,
            stop_timeout: config.stop_timeout.value,
            boot_timeout: config.boot_timeout.value,
            immediate: config.poweroff.value == PowerOff::Immediate,
            skip_scripts: config.skip_scripts.value.clone(),
            isolation: Isolation::from_config(config),
            user_namespace: config.userns.value,
            payload: None,
            as_init: false,
            hidden: Vec::new(),
            after: config.after.value.clone(),
            restart: match config.restart.value {
                schema::Restart::OnFailure => Restart::OnFailure,
                schema::Restart::Always => Restart::Always,
                _ => Restart::No,
            },
            log_bytes: config.log_bytes.value,
            reads_disks: false,
            rescues: false,
        }
    }

    /// A command in a fresh subhost without a name, disks and cables.
    pub fn from_command(name: Name, root: Root, command: Vec<CString>, layout: &Layout) -> Request {
        Request {
            name,
            named: false,
            root,
            disks: Vec::new(),
            binds: Vec::new(),
            changes: Changes::Kept,
            tmpfs_bytes: None,
            filesystems: Vec::new(),
            cables: Vec::new(),
            network: Wanted::default(),
            cgroup: cgroup::Wanted::default(),
            hostname: None,
            cmdline: None,
            environment: Vec::new(),
            init: InitChoice::Subhost,
            runlevel: '2',
            stop_timeout: Duration::from_secs(10),
            boot_timeout: Duration::ZERO,
            immediate: false,
            skip_scripts: Vec::new(),
            isolation: Isolation::default(),
            user_namespace: UserNs::Auto,
            payload: Some(command),
            as_init: false,
            // As the overlay's own path is: without links.
            hidden: [&*layout.root_dir, &*layout.subhost_dir, Path::new("/opt/subhost")]
                .iter()
                .filter_map(|path| std::fs::canonicalize(path).ok())
                .collect(),
            after: Vec::new(),
            restart: Restart::No,
            log_bytes: 0,
            reads_disks: false,
            rescues: false,
        }
    }
}
