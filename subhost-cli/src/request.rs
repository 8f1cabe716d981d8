//! What a person asked for, from the configuration and the command line together.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use subhost_config::SubhostConfig;
use subhost_config::schema::{CableSpec, DiskSpec, InitChoice, PowerOff, UserNs};
use subhost_mount::fstype::AllowedTypes;

use crate::cgroup;
use crate::layout::{Layout, Name};
use crate::network::Wanted;

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The first of the disks.
    Disk,
    /// An ephemeral layer over a folder of the host.
    Overlay(PathBuf),
    /// A folder of the host itself.
    Tree(PathBuf),
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
    /// What runs as PID 1.
    pub init: InitChoice,
    /// The run level after start.
    pub runlevel: char,
    /// Longest orderly stop.
    pub stop_timeout: Duration,
    /// True if any byte in `/run/initctl` powers off at once.
    pub immediate: bool,
    /// Start scripts to leave out.
    pub skip_scripts: Vec<String>,
    /// Its id range.
    pub user_namespace: UserNs,
    /// A command to run instead of the start scripts.
    pub payload: Option<Vec<CString>>,
    /// Folders of the host that an overlay must not show.
    pub hidden: Vec<PathBuf>,
    /// True if the command reads its disks itself: nothing of them is mounted, and nobody can write to them.
    pub reads_disks: bool,
}

impl Request {
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
            filesystems: config.filesystems.value.clone(),
            cables: config.cables.value.clone(),
            network: Wanted::from_config(config),
            cgroup: cgroup::Wanted::from_config(config),
            hostname: config.hostname.value.clone(),
            init: config.init.value.clone(),
            runlevel: config.runlevel.value,
            stop_timeout: config.stop_timeout.value,
            immediate: config.poweroff.value == PowerOff::Immediate,
            skip_scripts: config.skip_scripts.value.clone(),
            user_namespace: config.userns.value,
            payload: None,
            hidden: Vec::new(),
            reads_disks: false,
        }
    }

    /// A command in a fresh subhost without a name, disks and cables.
    pub fn from_command(name: Name, root: Root, command: Vec<CString>, layout: &Layout) -> Request {
        Request {
            name,
            named: false,
            root,
            disks: Vec::new(),
            filesystems: Vec::new(),
            cables: Vec::new(),
            network: Wanted::default(),
            cgroup: cgroup::Wanted::default(),
            hostname: None,
            init: InitChoice::Subhost,
            runlevel: '2',
            stop_timeout: Duration::from_secs(10),
            immediate: false,
            skip_scripts: Vec::new(),
            user_namespace: UserNs::Auto,
            payload: Some(command),
            // As the overlay's own path is: without links.
            hidden: [&*layout.root_dir, Path::new("/opt/subhost")]
                .iter()
                .filter_map(|path| std::fs::canonicalize(path).ok())
                .collect(),
            reads_disks: false,
        }
    }
}
