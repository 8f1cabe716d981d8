//! The further disks of a rescue: where the guest's fstab says, and else where they can be seen.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use subhost_mount::filesystem::{Mount, MountAttributes};
use subhost_mount::rootdir::{MountPoint, RootDir};

use super::{Stage, Staged};
use crate::error::{Context, Error};
use crate::fstab;
use crate::plan::PlannedRoot;
use crate::sorted::sort_by_key;

/// In `/run`, which is ours, so that nothing on the disk has to be there for it.
const ELSEWHERE: &str = "/run/rescue";

impl Stage {
    /// Mounts the disks from `first` on. None of them is a reason to give up.
    pub(super) fn rescue_disks(
        &self,
        root: &RootDir,
        first: usize,
        staged: &mut Staged,
    ) -> Result<(), Error> {
        let disks = self.plan.disks.get(first..).unwrap_or_default();
        // An overlay's fstab is the host's.
        let table = if self.plan.root == PlannedRoot::Disk { fstab::read(root) } else { Vec::new() };
        let mut lines: Vec<_> = (first..).zip(fstab::assign(&table, disks)).collect();
        // What is mounted below another's mount point comes after that.
        let depth = |place: PathBuf| place.components().count();
        sort_by_key(&mut lines, |(_, entry)| {
            entry.and_then(|entry| entry.place().ok()).map_or(usize::MAX, depth)
        });
        for (index, entry) in lines {
            let node = &self.plan.disks[index].node;
            let mut reason = String::new();
            if let Some(entry) = entry {
                match self.mount_further(root, index, entry) {
                    Ok(mount) => {
                        staged.mounts.push(mount);
                        continue;
                    }
                    Err(error) => reason = format!(" ({error})"),
                }
            }
            let place = Path::new(ELSEWHERE).join(node);
            match self.mount_elsewhere(root, index, &place) {
                Ok(mount) => {
                    staged.mounts.push(mount);
                    staged.notes.push(format!("disk {node}: is at {}{reason}", place.display()));
                }
                Err(error) => staged.notes.push(format!("disk {node}: not mounted: {error}")),
            }
        }
        Ok(())
    }

    fn mount_elsewhere(&self, root: &RootDir, index: usize, place: &Path) -> Result<Mount, Error> {
        let step = || format!("attach {} at {}", self.plan.disks[index].node, place.display());
        let mount = self.mount_disk(index, MountAttributes::empty())?;
        root.create_dir_all(place, 0o755).step(step())?;
        let target = root.mount_point(place, MountPoint::Directory).step(step())?;
        mount.attach(target.as_fd()).step(step())?;
        Ok(mount)
    }
}
