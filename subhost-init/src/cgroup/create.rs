//! Makes the cgroup of a plan.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use super::devices::{self, DeviceRule};
use super::directory::{check_name, make_directory, make_parent, open_hierarchy, system, write_file};
use super::group::{Cgroup, Group};
use super::hierarchy::Hierarchies;
use super::plan::{CgroupPlan, PARENT, PlannedGroup, Subject, Unenforced, Version};
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
        let path = planned.mount_point.join(PARENT).join(&self.name);
        // Two controllers of version 1 may share a hierarchy.
        if let Some(group) = cgroup.groups.iter().find(|group| group.path == path) {
            let failed = group.write_all(&planned.settings);
            cgroup.not_enforced(failed);
            return Ok(());
        }
        let made = open_hierarchy(&planned.mount_point).and_then(|(hierarchy, _)| {
            let parent = make_parent(hierarchy.as_fd())?;
            let directory = make_directory(parent.as_fd(), &self.name)?;
            Ok((hierarchy, parent, directory))
        });
        let (hierarchy, parent, (directory, inode)) = match made {
            Ok(made) => made,
            // Not to be written, or something else is mounted over it.
            Err(errno @ (Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::NODEV | Errno::NOENT)) => {
                let reason = format!("{}: {}", path.display(), io::Error::from(errno));
                let filter = (planned.version == Version::Unified).then_some(Subject::Devices);
                let subjects = planned.settings.iter().filter(|it| !it.extra).map(|it| it.subject);
                let unenforced = |subject| Unenforced { subject, reason: reason.clone() };
                cgroup.not_enforced(subjects.chain(filter).map(unenforced).collect());
                return Ok(());
            }
            Err(Errno::BUSY) if path.symlink_metadata().is_ok() => {
                return Err(Error::Refused {
                    object: format!("cgroup {}", path.display()),
                    reason: "is there already, with processes in it that are not known",
                });
            }
            Err(errno) => return Err(system("make the cgroup", &path, errno)),
        };
        let group = Group { version: planned.version, path, directory, inode };
        let mut failed = Vec::new();
        for controller in &planned.controllers {
            let enable = format!("+{controller}");
            let enabled = write_file(hierarchy.as_fd(), "cgroup.subtree_control", &enable)
                .and_then(|()| write_file(parent.as_fd(), "cgroup.subtree_control", &enable));
            if let Err(errno) = enabled {
                let reason =
                    format!("the controller {controller} cannot be turned on: {}", io::Error::from(errno));
                let is_its = |file: &str| file.split('.').next() == Some(controller);
                let its = planned.settings.iter().filter(|it| it.files.iter().any(|(file, _)| is_its(file)));
                failed.extend(its.map(|it| Unenforced { subject: it.subject, reason: reason.clone() }));
            }
        }
        failed.extend(group.write_all(&planned.settings));
        cgroup.not_enforced(failed);
        let filtered = match planned.version {
            Version::Unified => self.filter_devices(parent.as_fd(), group.directory.as_fd()),
            Version::Legacy => Ok(()),
        };
        cgroup.groups.push(group);
        filtered.or_else(|error| self.filter_devices_by_controller(cgroup, &error))
    }

    /// One program for all guests on their parent, so that a guest without devices of its own costs nothing.
    fn filter_devices(&self, parent: BorrowedFd<'_>, own: BorrowedFd<'_>) -> io::Result<()> {
        ensure_program(parent, &DeviceRule::ALWAYS)?;
        if self.devices.is_empty() { Ok(()) } else { ensure_program(own, &self.rules()) }
    }

    /// For kernels without such programs.
    fn filter_devices_by_controller(&self, cgroup: &mut Cgroup, error: &io::Error) -> Result<()> {
        let host = Hierarchies::observe()?;
        let Some(controller) = host.legacy_with("devices") else {
            let reason = format!("the kernel takes no program for it: {error}");
            cgroup.not_enforced(vec![Unenforced { subject: Subject::Devices, reason }]);
            return Ok(());
        };
        let settings = self.device_settings();
        let group =
            PlannedGroup { settings, ..PlannedGroup::new(Version::Legacy, controller.mount_point.clone()) };
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
