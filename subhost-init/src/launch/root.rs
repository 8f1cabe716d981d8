//! In the child: its mounts, from the copy of the caller's to a root of its own.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsmount, fsopen, mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use crate::child::{Failure, at};
use crate::{Step, sys};

/// What becomes the guest's tree. Paths are the caller's.
pub(super) struct Tree<'a> {
    pub(super) root: &'a CStr,
    pub(super) writable_sys: bool,
    /// What is seen at `/proc/cmdline`.
    pub(super) cmdline: Option<&'a CStr>,
}

impl Tree<'_> {
    /// Leaves the caller's tree for this one, and attaches new instances of proc and sysfs there.
    pub(super) fn take(&self) -> Result<(), Failure> {
        let Tree { root, writable_sys, cmdline } = *self;
        // The copy of a mount namespace for another user namespace receives what is mounted in the original; cut that.
        at(
            Step::PrivateMounts,
            mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC),
        )?;
        // Made now, while the caller's are still seen: in a user namespace the kernel gives a new proc or sysfs only to one who
        // sees an unmasked one already.
        let confined = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let proc = at(Step::MountProc, detached(c"proc", confined))?;
        let read_only =
            if writable_sys { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
        let sys = at(Step::MountSys, detached(c"sysfs", confined | read_only))?;

        let cmdline = at(Step::CommandLine, cmdline.map(clone_read_only).transpose())?;

        // The copied mounts are locked together, and pivot_root refuses a locked one; the top of a clone is free. By path, as a
        // descriptor of the caller's is of a mount in another namespace.
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = at(Step::CloneRoot, open_tree(CWD, root, flags))?;
        at(Step::AttachRoot, move_mount(&tree, c"", CWD, root, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH))?;
        at(Step::PivotRoot, fchdir(&tree))?;
        // Both the same: the old root then lies over the new one, and is what "." unmounts (pivot_root(2)).
        at(Step::PivotRoot, pivot_root(c".", c"."))?;
        at(Step::DetachOldRoot, unmount(c".", UnmountFlags::DETACH))?;
        at(Step::DetachOldRoot, chdir(c"/"))?;

        at(Step::AttachProc, attach(&proc, tree.as_fd(), c"proc"))?;
        at(Step::AttachSys, attach(&sys, tree.as_fd(), c"sys"))?;
        if let Some(cmdline) = &cmdline {
            let target = at(
                Step::CommandLine,
                openat(&proc, c"cmdline", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
            )?;
            at(Step::CommandLine, attach_to(cmdline, &target))?;
        }
        // POSIX message queues are a convenience for guests that have the place prepared.
        if let Ok(dev) = directory(tree.as_fd(), c"dev")
            && let Ok(target) = directory(dev.as_fd(), c"mqueue")
            && let Ok(queue) = detached(c"mqueue", confined)
        {
            let _ = attach_to(&queue, &target);
        }
        Ok(())
    }
}

/// A mount of one file that cannot be written to.
fn clone_read_only(file: &CStr) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, file, flags)?;
    sys::mount::set_mount_attributes(mount.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY.bits(), 0)?;
    Ok(mount)
}

fn detached(kind: &CStr, attributes: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn attach(mount: &OwnedFd, root: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    attach_to(mount, &directory(root, name)?)
}

/// A directory in a tree, and no link to one: the tree is the guest's, and hostile.
fn directory(tree: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(tree, name, flags, Mode::empty())
}

fn attach_to(mount: &OwnedFd, target: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}
