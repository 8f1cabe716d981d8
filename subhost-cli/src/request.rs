//! What a person asked for, from the configuration and the command line together.

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

use subhost_config::SubhostConfig;
use subhost_config::schema::{CableSpec, DiskSpec, InitChoice, PowerOff, UserNs};

use crate::layout::Name;
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
    /// Its cables, in order: `eth0`, `eth1`, …
    pub cables: Vec<CableSpec>,
    /// What its network is to be beside them.
    pub network: Wanted,
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
}

impl Request {
    /// A subhost from its configuration.
    pub fn from_config(name: Name, config: &SubhostConfig) -> Request {
        Request {
            name,
            named: true,
            root: Root::Disk,
            disks: config.disks.value.clone(),
            cables: config.cables.value.clone(),
            network: Wanted::from_config(config),
            hostname: config.hostname.value.clone(),
            init: config.init.value.clone(),
            runlevel: config.runlevel.value,
            stop_timeout: config.stop_timeout.value,
            immediate: config.poweroff.value == PowerOff::Immediate,
            skip_scripts: config.skip_scripts.value.clone(),
            user_namespace: config.userns.value,
            payload: None,
            hidden: Vec::new(),
        }
    }
}
