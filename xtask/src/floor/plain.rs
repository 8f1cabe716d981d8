//! Namespaces alone: the program is PID 1 of new ones.

use std::ffi::{CStr, c_int};
use std::os::fd::OwnedFd;

use rustix::fs::CWD;
use rustix::mount::{MountAttrFlags, MoveMountFlags, UnmountFlags, move_mount, unmount};
use rustix::process::{fchdir, pivot_root};
use rustix::system::sethostname;

use super::{Floor, furnish, link, links_up, mount_at, step, sys, wait};
use crate::Outcome;

/// The exit status of the program, or the number of the step that failed.
pub(super) fn run(floor: &Floor) -> Outcome<c_int> {
    let root = floor.root.mount(None)?;
    let netlink = link::socket()?;
    let cables: Vec<Vec<u8>> = (0..)
        .zip(&floor.macs)
        .map(|(index, mac)| {
            // The namespace of the pid 1 that the sender sees.
            link::cable(floor.bridge, index, *mac, link::Peer::Pid(1))
        })
        .collect();
    let mut namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
    if !cables.is_empty() {
        namespaces |= libc::CLONE_NEWNET;
    }
    let pid = sys::vfork(namespaces, &mut || {
        let result = enter(&root, &netlink, &cables, floor.payload);
        result.err().unwrap_or(0)
    })?;
    Ok(wait(pid)?)
}

/// The child's way to its program: `Err` has the number of the step that failed.
fn enter(root: &OwnedFd, netlink: &OwnedFd, cables: &[Vec<u8>], payload: [&CStr; 2]) -> Result<(), c_int> {
    sethostname(b"sub").map_err(step(1))?;
    move_mount(root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(step(2))?;
    fchdir(root).map_err(step(3))?;
    pivot_root(".", ".").map_err(step(4))?;
    unmount(".", UnmountFlags::DETACH).map_err(step(5))?;
    let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount_at(root, "proc", "proc", &[], quiet).map_err(step(6))?;
    mount_at(root, "sys", "sysfs", &[], quiet | MountAttrFlags::MOUNT_ATTR_RDONLY).map_err(step(7))?;
    furnish(root)?;
    for cable in cables {
        link::transact(netlink, cable).map_err(step(15))?;
    }
    if !cables.is_empty() {
        links_up(cables.len())?;
    }
    sys::execute(payload).map_err(step(18))
}
