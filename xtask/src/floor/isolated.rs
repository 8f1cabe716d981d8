//! All that the program isolates a guest with: a user namespace with a map, the root idmapped to it, a network namespace
//! that belongs to it, a cgroup of version 2, mounts that are locked, fewer capabilities, a system call filter, and a
//! PID 1 that waits for the program.

use std::ffi::{c_int, c_long};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, mkdir, open, rmdir};
use rustix::mount::{
    MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change,
    move_mount, open_tree, unmount,
};
use rustix::process::{fchdir, pivot_root};
use rustix::system::sethostname;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Floor, furnish, link, links_up, mount_at, step, sys, wait};
use crate::Outcome;

/// Where the tree is built, in a mount namespace of its own.
const STAGE: &str = "/run/floor";
/// A range of ids that no subhost has.
const FIRST_ID: u32 = 1_900_000_000;
/// What the program takes away by default.
const DROPPED: [c_long; 13] = [16, 17, 25, 27, 30, 32, 33, 34, 35, 36, 37, 38, 39];

/// The exit status of the program, or the number of the step that failed.
pub(super) fn run(floor: &Floor) -> Outcome<c_int> {
    match mkdir(STAGE, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(format!("{STAGE}: {errno}").into()),
    }
    let users = user_namespace()?;
    let network = network_namespace(&users)?;
    let root = floor.root.mount(Some(&users))?;
    let netlink = link::socket()?;
    for (index, mac) in (0..).zip(&floor.macs) {
        let peer = link::Peer::Fd(network.as_raw_fd().cast_unsigned());
        link::transact(&netlink, &link::cable(floor.bridge, index, *mac, peer))?;
    }
    let group = cgroup().map(|directory| -> Outcome<_> {
        let group = directory.join(format!("floor-{}", std::process::id()));
        mkdir(&group, Mode::from_raw_mode(0o755)).map_err(|errno| format!("{}: {errno}", group.display()))?;
        let fd = open(&group, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok((group, fd))
    });
    let group = group.transpose()?;
    let into = group.as_ref().map(|(_, fd)| fd.as_fd());
    let stage = sys::fork(libc::CLONE_NEWNS, into, &mut || {
        let result = stage(&root, &users, &network, floor);
        result.unwrap_or_else(|step| step)
    })?;
    let status = wait(stage)?;
    if let Some((path, _)) = &group {
        rmdir(path)?;
    }
    Ok(status)
}

/// The cgroup that subhosts are in, where the host has version 2.
fn cgroup() -> Option<PathBuf> {
    ["/sys/fs/cgroup/unified/subhost", "/sys/fs/cgroup/subhost"]
        .map(PathBuf::from)
        .into_iter()
        .find(|directory| directory.join("cgroup.procs").exists())
}

fn user_namespace() -> Outcome<OwnedFd> {
    let (reader, writer) = std::io::pipe()?;
    let pid = sys::fork(libc::CLONE_NEWUSER, None, &mut || {
        // Of this end there must be no copy, or it never ends.
        sys::close(writer.as_raw_fd());
        let _ = rustix::io::read(&reader, &mut [0; 1]);
        0
    })?;
    let directory = Path::new("/proc").join(pid.as_raw_pid().to_string());
    for map in ["uid_map", "gid_map"] {
        fs::write(directory.join(map), format!("0 {FIRST_ID} 65536\n"))?;
    }
    let users = open(directory.join("ns/user"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    drop(writer);
    wait(pid)?;
    Ok(users)
}

fn network_namespace(users: &OwnedFd) -> Outcome<OwnedFd> {
    let mut made = None;
    let pid = sys::vfork(libc::CLONE_FILES, &mut || {
        if move_into_link_name_space(users.as_fd(), Some(LinkNameSpaceType::User)).is_err() {
            return 1;
        }
        if sys::unshare_network().is_err() {
            return 2;
        }
        made = open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
        0
    })?;
    match wait(pid)? {
        0 => made.ok_or_else(|| "the network namespace cannot be opened".into()),
        step => Err(format!("no network namespace: step {step}").into()),
    }
}

/// On the host's side: builds the tree, then starts PID 1, and has its status.
fn stage(root: &OwnedFd, users: &OwnedFd, network: &OwnedFd, floor: &Floor) -> Result<c_int, c_int> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(step(20))?;
    move_mount(root, "", CWD, STAGE, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(step(21))?;
    furnish(root)?;
    let enter = |namespace: &OwnedFd, kind| move_into_link_name_space(namespace.as_fd(), Some(kind));
    enter(users, LinkNameSpaceType::User).map_err(step(22))?;
    enter(network, LinkNameSpaceType::Network).map_err(step(23))?;
    let namespaces = libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWCGROUP;
    let init = sys::vfork(namespaces, &mut || init(floor).unwrap_or_else(|step| step)).map_err(step(24))?;
    wait(init).map_err(step(25))
}

/// In the guest's namespaces.
fn init(floor: &Floor) -> Result<c_int, c_int> {
    let recursive =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let root = open_tree(CWD, STAGE, recursive).map_err(step(26))?;
    move_mount(&root, "", CWD, STAGE, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(step(2))?;
    fchdir(&root).map_err(step(3))?;
    // Before the host's are gone: the kernel lets nobody mount them who sees none.
    let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount_at(&root, "proc", "proc", &[], quiet).map_err(step(6))?;
    mount_at(&root, "sys", "sysfs", &[], quiet | MountAttrFlags::MOUNT_ATTR_RDONLY).map_err(step(7))?;
    pivot_root(".", ".").map_err(step(4))?;
    unmount(".", UnmountFlags::DETACH).map_err(step(5))?;
    sethostname(b"sub").map_err(step(1))?;
    links_up(floor.macs.len())?;
    sys::drop_capabilities(&DROPPED).map_err(step(27))?;
    sys::filter().map_err(step(28))?;
    let payload = sys::vfork(0, &mut || sys::execute(floor.payload).map_or(18, |()| 0)).map_err(step(29))?;
    wait(payload).map_err(step(30))
}
