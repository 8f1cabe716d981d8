//! The cgroup of a guest: frozen, killed, found again, removed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Gid, OFlags, Uid, chownat, fstat};
use rustix::io::{Errno, retry_on_intr};

use super::directory::{
    PATIENCE, has_line, open_below, open_hierarchy, read_file, remove_directory, system, write_file,
};
use super::plan::{Setting, Subject, Unenforced, Version};
use crate::{Error, Result};

/// A directory of a guest's cgroup, as it can be recorded: no other one has its inode.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CgroupDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// Its inode.
    pub inode: u64,
}

/// A guest's cgroup. One that was made and is dropped before [`Cgroup::keep`] is removed.
#[derive(Debug)]
pub struct Cgroup {
    pub(super) groups: Vec<Group>,
    pub(super) unenforced: Vec<Unenforced>,
    pub(super) has_device_filter: bool,
    /// Whether it is removed when this value is dropped.
    pub(super) ours_alone: bool,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) version: Version,
    pub(super) path: PathBuf,
    pub(super) directory: OwnedFd,
    pub(super) inode: u64,
}

impl Cgroup {
    /// Finds the directories of a cgroup again, those that are still there.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn open(directories: &[CgroupDirectory]) -> Result<Cgroup> {
        let mut groups = Vec::new();
        for CgroupDirectory { path, inode } in directories {
            let (directory, version) = match open_hierarchy(path) {
                // Not a hierarchy any more: it was unmounted.
                Err(Errno::NOENT | Errno::NODEV) => continue,
                opened => opened.map_err(|errno| system("open the cgroup", path, errno))?,
            };
            let found = fstat(&directory).map_err(|errno| system("look at the cgroup", path, errno))?.st_ino;
            if found == *inode {
                groups.push(Group { version, path: path.clone(), directory, inode: found });
            }
        }
        Ok(Cgroup { groups, unenforced: Vec::new(), has_device_filter: false, ours_alone: false })
    }

    /// What was asked for and is not enforced.
    #[must_use]
    pub fn unenforced(&self) -> &[Unenforced] {
        &self.unenforced
    }

    /// Whether devices are filtered (of one that was made, not found).
    #[must_use]
    pub fn has_device_filter(&self) -> bool {
        self.has_device_filter
    }

    /// The directory of version 2, for [`Launch::cgroup`](crate::launch::Launch::cgroup).
    ///
    /// # Errors
    /// [`Error::System`]: no descriptor is left.
    pub fn unified(&self) -> Result<Option<OwnedFd>> {
        let clone = |group: &Group| {
            group.directory.try_clone().map_err(|source| group.error("duplicate the descriptor of", source))
        };
        self.unified_group().map(clone).transpose()
    }

    /// Lets an id of the host make groups in it and move its processes among them (cgroups(7), delegation), but set no limit
    /// and turn on no controller: then processes could not be in it itself any more, as those of
    /// [`Enter`](crate::enter::Enter) are. `false` without version 2.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn delegate(&self, owner: u32) -> Result<bool> {
        let Some(group) = self.unified_group() else { return Ok(false) };
        let owner = (Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)));
        for file in ["cgroup.procs", "cgroup.threads", "."] {
            chownat(&group.directory, file, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| group.error("give away", errno.into()))?;
        }
        Ok(true)
    }

    /// The files by which one enters those of version 1, for
    /// [`Launch::legacy_cgroups`](crate::launch::Launch::legacy_cgroups).
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn legacy_entries(&self) -> Result<Vec<OwnedFd>> {
        let legacy = self.groups.iter().filter(|group| group.version == Version::Legacy);
        let entry = |group: &Group| {
            open_below(group.directory.as_fd(), "cgroup.procs", OFlags::WRONLY)
                .map_err(|errno| group.error("enter", errno.into()))
        };
        legacy.map(entry).collect()
    }

    /// Keeps it when this value is dropped; tells where it is.
    pub fn keep(&mut self) -> Vec<CgroupDirectory> {
        self.ours_alone = false;
        self.directories()
    }

    /// Where it is.
    #[must_use]
    pub fn directories(&self) -> Vec<CgroupDirectory> {
        let directory = |group: &Group| CgroupDirectory { path: group.path.clone(), inode: group.inode };
        self.groups.iter().map(directory).collect()
    }

    /// Kills all processes in it at once; `false` where the kernel cannot (before 5.14, or without version 2).
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn kill(&self) -> Result<bool> {
        let Some(group) = self.unified_group() else { return Ok(false) };
        match write_file(group.directory.as_fd(), "cgroup.kill", "1") {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            // Removed meanwhile.
            Err(Errno::NODEV) => Ok(true),
            Err(errno) => Err(group.error("kill all in", errno.into())),
        }
    }

    /// Stops all processes in it, and returns when they stand still; `false` without version 2, or where some do not
    /// within the time.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn freeze(&self, within: Duration) -> Result<bool> {
        self.set_frozen("1", "frozen 1", within)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn thaw(&self, within: Duration) -> Result<bool> {
        self.set_frozen("0", "frozen 0", within)
    }

    /// Whether all processes in it stand still; never without version 2.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn is_frozen(&self) -> Result<bool> {
        let Some(group) = self.unified_group() else { return Ok(false) };
        let events = open_below(group.directory.as_fd(), "cgroup.events", OFlags::RDONLY)
            .and_then(|events| read_file(&events));
        Ok(has_line(&events.map_err(|errno| group.error("look at", errno.into()))?, "frozen 1"))
    }

    fn set_frozen(&self, value: &str, event: &str, within: Duration) -> Result<bool> {
        let Some(group) = self.unified_group() else { return Ok(false) };
        let failed = |errno: Errno| group.error("freeze or thaw", errno.into());
        let deadline = Instant::now() + within;
        let directory = group.directory.as_fd();
        write_file(directory, "cgroup.freeze", value).map_err(failed)?;
        let events = open_below(directory, "cgroup.events", OFlags::RDONLY).map_err(failed)?;
        loop {
            // Read before it is waited for, so that no change is missed.
            if has_line(&read_file(&events).map_err(failed)?, event) {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let left = Timespec::try_from(left).map_err(|_| failed(Errno::INVAL))?;
            retry_on_intr(|| poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&left)))
                .map_err(failed)?;
        }
    }

    /// Removes it with the cgroups that its guest made in it, and kills what is left in there. That it is gone already is
    /// success.
    ///
    /// # Errors
    /// [`Error::System`], with `EBUSY` when a process in it does not end even so.
    pub fn remove(&mut self) -> Result<()> {
        self.ours_alone = false;
        let deadline = Instant::now() + PATIENCE;
        // That of version 2 last: while it is there, the others are looked for (see `sweep`).
        while let Some(group) = self.groups.last() {
            if let Err(errno) = group.remove(None) {
                if errno != Errno::BUSY {
                    return Err(group.error("remove", errno.into()));
                }
                self.kill()?;
                group.remove(Some(deadline)).map_err(|errno| group.error("remove", errno.into()))?;
            }
            self.groups.pop();
        }
        Ok(())
    }

    fn unified_group(&self) -> Option<&Group> {
        self.groups.iter().find(|group| group.version == Version::Unified)
    }

    /// Notes it, once for each subject: the first reason is the cause.
    pub(super) fn not_enforced(&mut self, unenforced: Vec<Unenforced>) {
        for one in unenforced {
            self.has_device_filter &= one.subject != Subject::Devices;
            if self.unenforced.iter().all(|it| it.subject != one.subject) {
                self.unenforced.push(one);
            }
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if self.ours_alone {
            let _ = self.remove();
        }
    }
}

impl Group {
    /// Writes the settings, and tells which could not be.
    pub(super) fn write_all(&self, settings: &[Setting]) -> Vec<Unenforced> {
        let failed = settings.iter().filter_map(|it| Some((it, self.write(it).err()?)));
        failed
            .filter(|(setting, _)| !setting.extra)
            .map(|(setting, reason)| Unenforced { subject: setting.subject, reason })
            .collect()
    }

    /// The first of its files that is there gets its value.
    fn write(&self, setting: &Setting) -> std::result::Result<(), String> {
        let mut reason = String::new();
        for (file, value) in &setting.files {
            match write_file(self.directory.as_fd(), file, value) {
                Ok(()) => return Ok(()),
                Err(errno) => {
                    reason = format!("{}: {}", self.path.join(file).display(), io::Error::from(errno));
                    if errno != Errno::NOENT {
                        break;
                    }
                }
            }
        }
        Err(reason)
    }

    fn remove(&self, deadline: Option<Instant>) -> std::result::Result<(), Errno> {
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(Errno::INVAL);
        };
        let (parent, _) = match open_hierarchy(parent) {
            Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
            opened => opened?,
        };
        let found = match open_below(parent.as_fd(), name, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => return Ok(()),
            found => fstat(found?)?.st_ino,
        };
        // Another one of that name is not ours.
        if found == self.inode { remove_directory(parent.as_fd(), name.as_ref(), deadline) } else { Ok(()) }
    }

    fn error(&self, operation: &'static str, source: io::Error) -> Error {
        Error::System { operation, object: format!("cgroup {}", self.path.display()), source }
    }
}
