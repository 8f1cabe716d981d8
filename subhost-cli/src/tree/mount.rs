//! How the root of a subhost that `start` starts is mounted: in the staging namespace, and for the host to see.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use subhost_mount::bind::bind;
use subhost_mount::device::Device;
use subhost_mount::filesystem::{FileSystem, Mount, MountAttributes, Propagation};
use subhost_mount::mountinfo::{Census, MountNamespace, Process};
use subhost_mount::overlay::{Layer, Upper, merge};
use subhost_mount::rootdir::{FileKind, RootDir};

use super::{OWN, Tree};
use crate::error::{Context, Error};
use crate::linger::Role;
use crate::observe::hint_of;
use crate::plan::Plan;

/// How long an upper layer of one that was undone is waited for, and how often is looked: each time the kernel logs it.
const GIVEN_BACK: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What is there of it before it is mounted: detached.
#[derive(Default)]
pub struct Parts {
    /// A copy of the whole that lingers.
    pub live: Option<Mount>,
    /// The image.
    pub image: Option<Mount>,
    /// True if what lingers is an overlay, whose layers have mapped ids.
    pub merged: bool,
    /// True if the image is on the host already.
    pub image_is_shown: bool,
}

/// A mount that the host is to see.
pub struct View {
    /// What it is for.
    pub role: Role,
    /// Where.
    pub place: PathBuf,
    /// What, detached.
    pub mount: Mount,
}

impl Tree {
    /// Mounts the image, detached.
    ///
    /// # Errors
    /// The kernel or our rules refuse it.
    pub fn mount_image(plan: &Plan, devices: &[Option<Device>]) -> Result<Option<Mount>, Error> {
        let Some((disk, Some(device))) = plan.disks.first().zip(devices.first()) else { return Ok(None) };
        let step = || format!("mount {}", plan.images[disk.image].display());
        let found = disk.superblock.as_ref().ok_or("no file system is known in it").step(step())?;
        let allowed = plan.filesystems.iter().cloned().collect();
        let system = FileSystem::of_image(found, device.path(), &allowed).step(step())?;
        let attributes = MountAttributes::NODEV | MountAttributes::NOSUID;
        device.mount(system.attributes(attributes)).step(step()).map(Some)
    }

    /// Attaches the root at `live`, and the image beside it, in the staging namespace of the calling thread. Returns what the
    /// host is to see, and does not yet.
    ///
    /// # Errors
    /// The first step that failed.
    pub fn mount(
        &self,
        name: &str,
        parts: &Parts,
        user_namespace: BorrowedFd<'_>,
        live: &Path,
    ) -> Result<Vec<View>, Error> {
        if let Some(mount) = &parts.live {
            self.enter(mount, parts.merged, user_namespace)?;
            mount.attach_at(live).step("attach the root")?;
            return Ok(Vec::new());
        }
        let mut views = Vec::new();
        let at = live.with_file_name("image");
        let [root, work] = match &parts.image {
            None => [self.root.clone(), self.work.clone()],
            Some(image) => {
                self.attach_image(image, &at)?;
                if !parts.image_is_shown {
                    views.push(View::of(Role::Image, self.mnt(), &at, false)?);
                }
                OWN.map(|own| at.join(own))
            }
        };
        if self.base.is_empty() {
            let mount = self.bind(&root, user_namespace)?;
            mount.attach_at(live).step("attach the root")?;
            views.push(View::of(Role::Root, self.live(), &root, true)?);
        } else {
            let mount = self.merge(name, &root, &work, user_namespace)?;
            mount.attach_at(live).step("attach the root")?;
            views.push(View::of(Role::Root, self.live(), live, false)?);
        }
        Ok(views)
    }

    /// Opens the root of one that is stopped: it is mounted nowhere, and its ids are those on the disk. What is returned besides
    /// keeps it. The image, if there is one, is to be given.
    ///
    /// # Errors
    /// The first step that failed.
    pub fn open(&self, image: Option<Mount>, writable: bool) -> Result<(RootDir, Option<Mount>), Error> {
        let step = || format!("open the root of {}", self.directory.display());
        if self.base.is_empty() {
            let Some(image) = image else { return Ok((RootDir::open(&self.root).step(step())?, None)) };
            let top = self.demand_own(&image)?;
            let root = RootDir::from_fd(top.open_path(Path::new(OWN[0])).step(step())?);
            return Ok((root, Some(image)));
        }
        let (above, [root, work]) = match image {
            Some(image) => {
                self.demand_own(&image)?;
                (Layer::detached(image), OWN.map(PathBuf::from))
            }
            None => {
                let above = above_both(&self.root, &self.work);
                let below = |path: &Path| path.strip_prefix(above).unwrap_or(path).to_owned();
                (Layer::open(above), [below(&self.root), below(&self.work)])
            }
        };
        let above = above.step(step())?;
        let base = self.base.iter().map(|base| Layer::open(base)).collect::<Result<Vec<_>, _>>();
        let (mut lower, own) = (base.step(step())?, above.below(&root).step(step())?);
        let upper = if writable {
            Upper::Kept { upper: own, work: above.below(&work).step(step())? }
        } else {
            lower.insert(0, own);
            Upper::Nothing
        };
        let merged = merge(lower, upper, "subhost-cp", MountAttributes::NODEV | MountAttributes::NOSUID);
        let merged = merged.step(step())?;
        Ok((merged.root().step(step())?, Some(merged)))
    }

    /// Makes a copy of what the host sees what the guest is to have.
    fn enter(&self, mount: &Mount, merged: bool, user_namespace: BorrowedFd<'_>) -> Result<(), Error> {
        let step = || format!("enter {}", self.live().display());
        mount.set_attributes(MountAttributes::NODEV, MountAttributes::empty(), true).step(step())?;
        mount.set_attributes(MountAttributes::empty(), MountAttributes::NOSUID, false).step(step())?;
        if merged { Ok(()) } else { map_all(mount, user_namespace, &self.live()) }
    }

    /// Attaches the image, and sees to it that what the root is made of is in it.
    fn attach_image(&self, image: &Mount, at: &Path) -> Result<(), Error> {
        let step = || format!("mount the image in {}", self.directory.display());
        std::fs::create_dir(at).step(step())?;
        image.attach_at(at).step(step())?;
        let [root, work] = OWN.map(|own| at.join(own));
        if !self.base.is_empty() {
            self.make_own(&root, &work).step(step())?;
        }
        self.demand_own(image).map(drop)
    }

    /// The directories in the image may be links that lead out of it.
    fn demand_own(&self, image: &Mount) -> Result<RootDir, Error> {
        let step = || format!("mount the image in {}", self.directory.display());
        let top = image.root().step(step())?;
        for own in OWN.iter().take(if self.base.is_empty() { 1 } else { 2 }) {
            let kind = top.symlink_metadata(Path::new(own)).step(step())?.kind;
            if kind != FileKind::Directory {
                return Err(format!("/{own} in it is not a directory")).step(step());
            }
        }
        Ok(top)
    }

    fn bind(&self, root: &Path, user_namespace: BorrowedFd<'_>) -> Result<Mount, Error> {
        let step = || format!("bind {}", self.root.display());
        let mount = bind(root, true).step(step())?;
        mount.set_attributes(MountAttributes::NODEV, MountAttributes::empty(), true).step(step())?;
        if self.image.is_some() {
            // It has that for the host's sake.
            mount.set_attributes(MountAttributes::empty(), MountAttributes::NOSUID, false).step(step())?;
        }
        map_all(&mount, user_namespace, &self.root)?;
        Ok(mount)
    }

    fn merge(
        &self,
        name: &str,
        root: &Path,
        work: &Path,
        user_namespace: BorrowedFd<'_>,
    ) -> Result<Mount, Error> {
        let source = format!("subhost-{name}");
        let deadline = Instant::now() + GIVEN_BACK;
        loop {
            let error = match self.merge_once(&source, root, work, user_namespace) {
                Ok(mount) => return Ok(mount),
                Err(error) => error,
            };
            let in_use = is_busy(&error);
            // As with a disk, a namespace that is just being made may have had the last one in it.
            if in_use && Instant::now() < deadline {
                std::thread::sleep(LOOK_AGAIN);
                continue;
            }
            let step = format!("overlay {} over its base", self.root.display());
            let hint = if in_use { holders(&source) } else { hint_of(&error) };
            return Err(Error::Step { step, source: error.into(), hint });
        }
    }

    fn merge_once(
        &self,
        source: &str,
        root: &Path,
        work: &Path,
        user_namespace: BorrowedFd<'_>,
    ) -> subhost_mount::Result<Mount> {
        // Both have to be in one mount, so it is the directory above both that is mapped.
        let above = above_both(root, work);
        let mapped = Layer::open(above)?.idmapped(user_namespace)?;
        let below = |path: &Path| mapped.below(path.strip_prefix(above).unwrap_or(path));
        let upper = Upper::Kept { upper: below(root)?, work: below(work)? };
        let lower = self.base.iter().map(|base| Layer::open(base)?.idmapped(user_namespace));
        merge(lower.collect::<Result<Vec<_>, _>>()?, upper, source, MountAttributes::NODEV)
    }
}

impl View {
    /// A copy of what is at a path. What is mounted below it keeps its own attributes.
    ///
    /// # Errors
    /// The step that failed.
    pub fn of(role: Role, place: PathBuf, path: &Path, recursive: bool) -> Result<View, Error> {
        let step = || format!("show {}", place.display());
        let mount = bind(path, recursive).step(step())?;
        let attributes = MountAttributes::NODEV | MountAttributes::NOSUID;
        mount.set_attributes(attributes, MountAttributes::empty(), false).step(step())?;
        mount.set_propagation(Propagation::Private, true).step(step())?;
        Ok(View { role, place, mount })
    }
}

fn is_busy(error: &subhost_mount::Error) -> bool {
    matches!(error, subhost_mount::Error::System { source, .. } if source.kind() == io::ErrorKind::ResourceBusy)
}

/// In which mount namespaces an overlay is, of those who did not see it go.
fn holders(source: &str) -> Option<String> {
    let census = Census::take().ok()?;
    let has_it =
        |namespace: &&MountNamespace| namespace.table.entries.iter().any(|entry| entry.source == source);
    let members = census.namespaces.iter().filter(has_it).filter_map(|namespace| namespace.members.first());
    let members: Vec<_> = members.map(Process::to_string).collect();
    let where_it_is = format!("it is mounted in the mount namespace of {}", members.join(", "));
    (!members.is_empty()).then_some(where_it_is)
}

/// Maps the ids of a tree, and of what is mounted in it.
fn map_all(mount: &Mount, user_namespace: BorrowedFd<'_>, place: &Path) -> Result<(), Error> {
    mount.idmap_all(user_namespace).map_err(|error| {
        let hint = hint_of(&error).map(|hint| format!("{hint}, and nothing else mounted in it"));
        let step = format!("map the ids of {}, and of what is mounted in it", place.display());
        Error::Step { step, source: error.into(), hint }
    })
}

/// The directory that is nearest to both.
fn above_both<'a>(root: &'a Path, work: &Path) -> &'a Path {
    root.ancestors().find(|above| work.starts_with(above)).unwrap_or(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_above_both_is_the_nearest() {
        for (root, work, above) in [
            ("/opt/subhost/web/root", "/opt/subhost/web/work", "/opt/subhost/web"),
            ("/srv/a/root", "/srv/b/work", "/srv"),
            ("/srv/root", "/var/work", "/"),
            ("/srv/web", "/srv/web2", "/srv"),
        ] {
            assert_eq!(above_both(Path::new(root), Path::new(work)), Path::new(above), "{root} {work}");
        }
    }
}
