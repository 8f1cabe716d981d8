//! Makes the cgroup of a plan.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{OFlags, fstat};
use rustix::io::Errno;

use super::devices::{self, DeviceRule};
use super::directory::{
    check_name, make_directory, make_parent, open_below, open_hierarchy, system, write_file,
};
use super::group::{Cgroup, Group};
use super::plan::{CgroupPlan, PARENT, PlannedGroup, Subject, Version};
use crate::{Error, Result, sys};

impl CgroupPlan {
    /// Makes the directories and writes what is to be there. What cannot be enforced is told by [`Cgroup::unenforced`], as
    /// on a host whose cgroups cannot be written.
    ///
    /// # Errors
    /// [`Error::Refused`] for a name that is none, or when there is one of that name with processes in it;
    /// [`Error::System`].
    pub fn create(&self) -> Result<Cgroup> {
        check_name(&self.name)?;
        let mut cgroup = Cgroup {
            groups: Vec::new(),
            unenforced: self.unenforced.clone(),
            has_device_filter: self.unenforced.iter().all(|it| it.subject != Subject::Devices),
            ours_alone: true,
        };
        for group in &self.groups {
            self.create_group(group, &mut cgroup)?;
        }
        Ok(cgroup)
    }

    fn create_group(&self, planned: &PlannedGroup, cgroup: &mut Cgroup) -> Result<()> {
        let parent_path = planned.mount_point.join(PARENT);
        let path = parent_path.join(&self.name);
        let made = open_hierarchy(&planned.mount_point).and_then(|(hierarchy, _)| {
            let parent = make_parent(hierarchy.as_fd())?;
            make_directory(parent.as_fd(), &self.name)?;
            Ok((hierarchy, parent))
        });
        let (hierarchy, parent) = match made {
            Ok(made) => made,
            Err(errno @ (Errno::ROFS | Errno::ACCESS | Errno::PERM)) => {
                let reason = format!("{}: {}", path.display(), io::Error::from(errno));
                let filter = (planned.version == Version::Unified).then_some(Subject::Devices);
                let subjects = planned.settings.iter().filter(|it| !it.extra).map(|it| it.subject);
                for subject in subjects.chain(filter) {
                    cgroup.not_enforced(subject, &reason);
                }
                return Ok(());
            }
            Err(Errno::BUSY) => {
                return Err(Error::Refused {
                    object: format!("cgroup {}", path.display()),
                    reason: "is there already, with processes in it that are not known",
                });
            }
            Err(errno) => return Err(system("make the cgroup", &path, errno)),
        };
        let directory = open_below(parent.as_fd(), &self.name, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|errno| system("open the cgroup", &path, errno))?;
        let inode = fstat(&directory).map_err(|errno| system("look at the cgroup", &path, errno))?.st_ino;
        for controller in &planned.controllers {
            // Where it cannot be turned on, the files below are missing, and what that means is told there.
            let enable = format!("+{controller}");
            let _ = write_file(hierarchy.as_fd(), "cgroup.subtree_control", &enable)
                .and_then(|()| write_file(parent.as_fd(), "cgroup.subtree_control", &enable));
        }
        let group = Group { version: planned.version, path, directory, inode };
        for setting in &planned.settings {
            if let Err(reason) = group.write(setting) {
                cgroup.not_enforced(setting.subject, &reason);
            }
        }
        let fd = group.directory.as_fd();
        if planned.version == Version::Unified
            && let Err(error) = self.filter_devices(parent.as_fd(), fd)
        {
            cgroup.groups.push(group);
            return self.filter_devices_by_controller(cgroup, &error);
        }
        cgroup.groups.push(group);
        Ok(())
    }

    /// One program for all guests on their parent, so that a guest without devices of its own costs nothing.
    fn filter_devices(&self, parent: BorrowedFd<'_>, own: BorrowedFd<'_>) -> io::Result<()> {
        ensure_program(parent, &DeviceRule::ALWAYS)?;
        if self.devices.is_empty() { Ok(()) } else { ensure_program(own, &self.rules()) }
    }

    /// For kernels without such programs.
    fn filter_devices_by_controller(&self, cgroup: &mut Cgroup, error: &io::Error) -> Result<()> {
        let Some(mount_point) = &self.device_controller else {
            cgroup.not_enforced(Subject::Devices, &format!("the kernel takes no program for it: {error}"));
            return Ok(());
        };
        let settings = self.device_settings();
        let group = PlannedGroup { settings, ..PlannedGroup::new(Version::Legacy, mount_point.clone()) };
        self.create_group(&group, cgroup)
    }
}

/// Attaches the program for these rules, unless that is the one which is there.
fn ensure_program(cgroup: BorrowedFd<'_>, rules: &[DeviceRule]) -> io::Result<()> {
    let program = devices::program(rules);
    let name = devices::name(&program);
    if sys::bpf::attached(cgroup)?.is_some_and(|attached| attached == name) {
        return Ok(());
    }
    sys::bpf::attach(cgroup, sys::bpf::load(&program, &name)?.as_fd())
}
