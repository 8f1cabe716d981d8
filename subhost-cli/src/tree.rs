//! The tree of a subhost that `start` starts: what its root is made of, and how it is mounted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde::Serialize;
use subhost_config::SubhostConfig;
use subhost_config::schema::{DiskSpec, PartitionChoice};
use subhost_mount::attached::MountId;
use subhost_mount::bind::bind;
use subhost_mount::device::Device;
use subhost_mount::filesystem::{FileSystem, Mount, MountAttributes, Propagation};
use subhost_mount::overlay::{Layer, Upper, merge};
use subhost_mount::rootdir::{FileKind, RootDir};

use crate::error::{Complaint, Context, Error};
use crate::json;
use crate::layout::{Layout, Name};
use crate::linger::Role;
use crate::observe::hint_of;
use crate::plan::Plan;

/// The guest's tree, and the overlay's work folder: in the subhost's folder, or at the top of its image.
const OWN: [&str; 2] = ["root", "work"];

/// What the root of the subhost is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// The subhost's folder, without links in its path.
    #[serde(serialize_with = "json::path")]
    pub folder: PathBuf,
    /// Layers that are only read, the topmost first. Without one, the root is the guest's tree itself.
    #[serde(serialize_with = "json::paths")]
    pub base: Vec<PathBuf>,
    /// The image that holds the guest's tree; the plan names it among the images.
    #[serde(skip)]
    pub image: Option<PathBuf>,
    /// The guest's own tree; in the image, if there is one.
    #[serde(serialize_with = "json::path")]
    pub root: PathBuf,
    /// The overlay's work folder, beside it.
    #[serde(serialize_with = "json::path")]
    pub work: PathBuf,
}

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
    /// The tree of a subhost, as its configuration has it.
    ///
    /// # Errors
    /// It has no folder, or others than root could exchange what is in that.
    pub fn of(layout: &Layout, name: &Name, config: &SubhostConfig) -> Result<Tree, Error> {
        let path = layout.tree(name);
        let refused = |what: String| Complaint::new(format!("subhost {name}: {what}"));
        let folder = path.canonicalize().map_err(|error| {
            let complaint = refused(format!("its folder {}: {error}", path.display()));
            Error::refused(
                complaint.hint(format!("a system in {0}/root, or BASE in {0}/config", path.display())),
            )
        })?;
        if let Some(reason) = distrust(&folder) {
            let hint = "only root may own and write it, and the folders above it";
            return Err(Error::refused(refused(format!("is not trusted: {reason}")).hint(hint)));
        }
        let image = folder.join(format!("{name}.img"));
        let has_own = config.root.value.is_some() || config.work.value.is_some();
        let image = (!has_own && image.exists()).then_some(image);
        let [root, work] = OWN.map(|own| if image.is_some() { own.into() } else { folder.join(own) });
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        Ok(Tree {
            base: config.base.value.iter().map(real).collect(),
            root: config.root.value.as_ref().map_or(root, real),
            work: config.work.value.as_ref().map_or(work, real),
            folder,
            image,
        })
    }

    /// Where the host sees the root.
    pub fn live(&self) -> PathBuf {
        self.folder.join("live")
    }

    /// Where the host sees the image.
    pub fn mnt(&self) -> PathBuf {
        self.folder.join("mnt")
    }

    /// The image as a disk.
    pub fn disk(&self) -> Option<DiskSpec> {
        let image = self.image.clone()?;
        Some(DiskSpec { node: "image".to_owned(), partition: PartitionChoice::Number(0), image })
    }

    /// What is wrong with the folders.
    pub fn complaints(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut folder = |setting: &str, path: &Path, hint: &str| match std::fs::metadata(path) {
            _ if path == Path::new("/") => complaints.push(
                Complaint::new(format!("{setting}=/: would give the host's own files to the guest"))
                    .hint("subhostctl run --overlay / shows them to a command, and keeps no change"),
            ),
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                complaints.push(Complaint::new(format!("{setting}={}: is no folder", path.display())));
            }
            Err(error) => complaints
                .push(Complaint::new(format!("{setting}={}: {error}", path.display())).hint(hint.to_owned())),
        };
        for base in &self.base {
            folder("BASE", base, "it is the system that is shared, as debootstrap makes one");
        }
        if self.image.is_none() {
            if self.base.is_empty() {
                folder("ROOT", &self.root, "without BASE it is the whole system");
            } else if mount_of(&self.root) != mount_of(&self.work) {
                complaints.push(Complaint::new(format!(
                    "ROOT={} and WORK={}: are in different mounts, where no overlay can be made",
                    self.root.display(),
                    self.work.display()
                )));
            }
        }
        complaints
    }

    /// Makes what is missing of its folder, and takes it from other users: what is below may be set-user-id.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn prepare(&self) -> Result<Option<String>, Error> {
        let step = || format!("prepare {}", self.folder.display());
        let mode = std::fs::metadata(&self.folder).step(step())?.mode();
        for place in [self.live(), self.mnt()] {
            make_folder(&place, 0o700).step(step())?;
        }
        if self.image.is_none() && !self.base.is_empty() {
            self.make_own(&self.root, &self.work).step(step())?;
        }
        if mode & 0o077 == 0 {
            return Ok(None);
        }
        std::fs::set_permissions(&self.folder, PermissionsExt::from_mode(0o700)).step(step())?;
        Ok(Some(format!(
            "{}: is for root alone from now on, as what is below may be set-user-id",
            self.folder.display()
        )))
    }

    /// The guest's tree looks like the base, whose root folder it covers.
    fn make_own(&self, root: &Path, work: &Path) -> io::Result<()> {
        if make_folder(root, 0o755)?
            && let Some(base) = self.base.first()
        {
            let meta = std::fs::metadata(base)?;
            chown(root, Some(meta.uid()), Some(meta.gid()))?;
            std::fs::set_permissions(root, meta.permissions())?;
        }
        make_folder(work, 0o700).map(drop)
    }

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

    /// Makes a copy of what the host sees what the guest is to have.
    fn enter(&self, mount: &Mount, merged: bool, user_namespace: BorrowedFd<'_>) -> Result<(), Error> {
        let step = || format!("enter {}", self.live().display());
        mount.set_attributes(MountAttributes::NODEV, MountAttributes::empty(), true).step(step())?;
        mount.set_attributes(MountAttributes::empty(), MountAttributes::NOSUID, false).step(step())?;
        if merged { Ok(()) } else { map_all(mount, user_namespace, &self.live()) }
    }

    /// Attaches the image, and sees to it that what the root is made of is in it.
    fn attach_image(&self, image: &Mount, at: &Path) -> Result<(), Error> {
        let step = || format!("mount the image in {}", self.folder.display());
        std::fs::create_dir(at).step(step())?;
        image.attach_at(at).step(step())?;
        let [root, work] = OWN.map(|own| at.join(own));
        if !self.base.is_empty() {
            self.make_own(&root, &work).step(step())?;
        }
        // They may be links that lead out of it.
        let tree = image.root().step(step())?;
        for own in OWN.iter().take(if self.base.is_empty() { 1 } else { 2 }) {
            let kind = tree.symlink_metadata(Path::new(own)).step(step())?.kind;
            if kind != FileKind::Directory {
                return Err(format!("/{own} in it is no folder")).step(step());
            }
        }
        Ok(())
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
        let step = || format!("overlay {} over its base", self.root.display());
        // Both have to be in one mount, so it is the folder above both that is mapped.
        let above = above_both(root, work);
        let mapped = Layer::open(above).and_then(|layer| layer.idmapped(user_namespace)).step(step())?;
        let below = |path: &Path| mapped.below(path.strip_prefix(above).unwrap_or(path));
        let upper = Upper::Kept { upper: below(root).step(step())?, work: below(work).step(step())? };
        let lower = self.base.iter().map(|base| Layer::open(base)?.idmapped(user_namespace));
        let lower = lower.collect::<Result<Vec<_>, _>>().step(step())?;
        merge(lower, upper, &format!("subhost-{name}"), MountAttributes::NODEV).step(step())
    }

    /// As the commands that do the same by hand.
    pub fn commands(&self, map: &str) -> Vec<String> {
        let quote = |path: &Path| crate::shell::quote(path);
        let live = quote(&self.live());
        let mnt = self.mnt();
        let (mut root, mut work) = (self.root.clone(), self.work.clone());
        let mut lines = Vec::new();
        if let Some(image) = &self.image {
            lines.push(format!("mount -o loop,nodev,nosuid {} {}  # lingers", quote(image), quote(&mnt)));
            (root, work) = (mnt.join(&root), mnt.join(&work));
        }
        let (root, work) = (quote(&root), quote(&work));
        lines.push(if self.base.is_empty() {
            format!("mount --rbind -o nodev,nosuid {root} {live}  # lingers; in the guest idmapped {map}, and without nosuid")
        } else {
            let base: Vec<String> = self.base.iter().map(|base| quote(base)).collect();
            format!("mount -t overlay -o nodev,nosuid,lowerdir={},upperdir={root},workdir={work} overlay {live}  # lingers; layers idmapped {map}; in the guest without nosuid", base.join(":"))
        });
        lines
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

/// Maps the ids of a tree, and of what is mounted in it.
fn map_all(mount: &Mount, user_namespace: BorrowedFd<'_>, place: &Path) -> Result<(), Error> {
    mount.idmap_all(user_namespace).map_err(|error| {
        let hint = hint_of(&error).map(|hint| format!("{hint}, and nothing else mounted in it"));
        let step = format!("map the ids of {}, and of what is mounted in it", place.display());
        Error::Step { step, source: error.into(), hint }
    })
}

/// The folder that is nearest to both.
fn above_both<'a>(root: &'a Path, work: &Path) -> &'a Path {
    root.ancestors().find(|above| work.starts_with(above)).unwrap_or(root)
}

/// The mount that a folder is in, or is going to be in.
fn mount_of(path: &Path) -> Option<MountId> {
    let there = path.ancestors().find_map(|path| RootDir::open(path).ok())?;
    MountId::of(there.as_fd()).ok()
}

/// True if it was not there before.
fn make_folder(path: &Path, mode: u32) -> io::Result<bool> {
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why others than root could exchange what is in a folder, if they could.
fn distrust(folder: &Path) -> Option<String> {
    folder.ancestors().find_map(|path| {
        let meta = std::fs::metadata(path).ok()?;
        let is_sticky = meta.mode() & 0o1000 != 0;
        match (meta.uid(), meta.mode() & 0o022) {
            (0, 0) => None,
            (0, _) if is_sticky => None,
            (0, _) => Some(format!("{} may be written by others", path.display())),
            (uid, _) => Some(format!("{} belongs to user {uid}", path.display())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_above_both_is_the_nearest() {
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
