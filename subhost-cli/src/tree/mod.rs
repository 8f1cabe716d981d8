//! The tree of a subhost that `start` starts: what its root is made of, and how it is mounted.

mod mount;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde::Serialize;
use subhost_config::SubhostConfig;
use subhost_config::schema::{DiskSpec, PartitionChoice};
use subhost_mount::attached::MountId;
use subhost_mount::rootdir::RootDir;

use crate::error::{Complaint, Context, Error};
use crate::json;
use crate::layout::{Layout, Name};

pub use mount::{Parts, View};

/// The guest's tree, and the overlay's work directory: in the subhost's directory, or at the top of its image.
const OWN: [&str; 2] = ["root", "work"];

/// Where the host sees the root, and the image, in the subhost's directory.
pub const LIVE: &str = "live";
/// See [`LIVE`].
pub const MNT: &str = "mnt";

/// What the root of the subhost is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// The subhost's directory, without links in its path.
    #[serde(serialize_with = "json::path")]
    pub directory: PathBuf,
    /// Layers that are only read, the topmost first. Without one, the root is the guest's tree itself.
    #[serde(serialize_with = "json::paths")]
    pub base: Vec<PathBuf>,
    /// The image that holds the guest's tree; the plan names it among the images.
    #[serde(skip)]
    pub image: Option<PathBuf>,
    /// The guest's own tree; in the image, if there is one.
    #[serde(serialize_with = "json::path")]
    pub root: PathBuf,
    /// The overlay's work directory, beside it.
    #[serde(serialize_with = "json::path")]
    pub work: PathBuf,
}

impl Tree {
    /// The tree of a subhost, as its configuration has it.
    ///
    /// # Errors
    /// It has no directory, or others than root could exchange what is in that.
    pub fn of(layout: &Layout, name: &Name, config: &SubhostConfig) -> Result<Tree, Error> {
        let path = layout.tree(name);
        let refused = |what: String| Complaint::new(format!("subhost {name}: {what}"));
        let directory = path.canonicalize().map_err(|error| {
            let complaint = refused(format!("its directory {}: {error}", path.display()));
            Error::refused(
                complaint
                    .hint(format!("put a system into {0}/root, or BASE=DIR into {0}/config", path.display())),
            )
        })?;
        if let Some(reason) = distrust(&directory) {
            let hint = "only root may own and write it, and the directories above it";
            return Err(Error::refused(refused(format!("is not trusted: {reason}")).hint(hint)));
        }
        let image = directory.join(format!("{name}.img"));
        let has_own = config.root.value.is_some() || config.work.value.is_some();
        let image = (!has_own && image.exists()).then_some(image);
        let [root, work] = OWN.map(|own| if image.is_some() { own.into() } else { directory.join(own) });
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        Ok(Tree {
            base: config.base.value.iter().map(real).collect(),
            root: config.root.value.as_ref().map_or(root, real),
            work: config.work.value.as_ref().map_or(work, real),
            directory,
            image,
        })
    }

    /// Where the host sees the root.
    pub fn live(&self) -> PathBuf {
        self.directory.join(LIVE)
    }

    /// Where the host sees the image.
    pub fn mnt(&self) -> PathBuf {
        self.directory.join(MNT)
    }

    /// The image as a disk.
    pub fn disk(&self) -> Option<DiskSpec> {
        let image = self.image.clone()?;
        Some(DiskSpec { node: "image".to_owned(), partition: PartitionChoice::Number(0), image })
    }

    /// What is wrong with the directories.
    pub fn complaints(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut directory = |setting: &str, path: &Path, hint: &str| match std::fs::metadata(path) {
            _ if path == Path::new("/") => complaints.push(
                Complaint::new(format!("{setting}=/: would give the host's own files to the guest"))
                    .hint("subhostctl run --overlay / shows them to a command, and keeps no change"),
            ),
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                complaints.push(Complaint::new(format!("{setting}={}: is not a directory", path.display())));
            }
            Err(error) => complaints
                .push(Complaint::new(format!("{setting}={}: {error}", path.display())).hint(hint.to_owned())),
        };
        for base in &self.base {
            directory("BASE", base, "it is the system that is shared, as debootstrap makes one");
        }
        if self.image.is_none() {
            if self.base.is_empty() {
                directory("ROOT", &self.root, "without BASE it is the whole system");
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

    /// Makes what is missing of its directory, and takes it from other users: what is below may be set-user-id.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn prepare(&self) -> Result<Option<String>, Error> {
        let step = || format!("prepare {}", self.directory.display());
        let mode = std::fs::metadata(&self.directory).step(step())?.mode();
        for place in [self.live(), self.mnt()] {
            make_directory(&place, 0o700).step(step())?;
        }
        if self.image.is_none() && !self.base.is_empty() {
            self.make_own(&self.root, &self.work).step(step())?;
        }
        if mode & 0o077 == 0 {
            return Ok(None);
        }
        std::fs::set_permissions(&self.directory, PermissionsExt::from_mode(0o700)).step(step())?;
        Ok(Some(format!(
            "{}: is for root alone from now on, as what is below may be set-user-id",
            self.directory.display()
        )))
    }

    /// The guest's tree looks like the base, whose root directory it covers.
    fn make_own(&self, root: &Path, work: &Path) -> io::Result<()> {
        if make_directory(root, 0o755)?
            && let Some(base) = self.base.first()
        {
            let meta = std::fs::metadata(base)?;
            chown(root, Some(meta.uid()), Some(meta.gid()))?;
            std::fs::set_permissions(root, meta.permissions())?;
        }
        make_directory(work, 0o700).map(drop)
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

/// The mount that a directory is in, or is going to be in.
fn mount_of(path: &Path) -> Option<MountId> {
    let there = path.ancestors().find_map(|path| RootDir::open(path).ok())?;
    MountId::of(there.as_fd()).ok()
}

/// True if it was not there before.
fn make_directory(path: &Path, mode: u32) -> io::Result<bool> {
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why others than root could exchange what is in a directory, if they could.
fn distrust(directory: &Path) -> Option<String> {
    directory.ancestors().find_map(|path| {
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
