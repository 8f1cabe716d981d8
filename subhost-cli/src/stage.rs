//! Builds the guest's tree in the staging namespace: root, `/dev`, `/run`, consoles, further disks.
//!
//! The staging namespace belongs to the initial user namespace, so every mount made here is locked for the
//! guest: it can neither unmount it nor lift `nodev`.

mod dev;
mod rescue;

use std::fs::Permissions;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use subhost_init::console::Pty;
use subhost_init::launch::Pid1Program;
use subhost_init::layout::Scripts;
use subhost_mount::bind::bind;
use subhost_mount::device::Device;
use subhost_mount::filesystem::{FileSystem, Mount, MountAttributes};
use subhost_mount::fstype::AllowedTypes;
use subhost_mount::overlay::{Layer, Upper, merge};
use subhost_mount::rootdir::{Metadata, MountPoint, NodeKind, RootDir};

use crate::error::{Context, Error};
use crate::fstab::{self, FstabEntry};
use crate::guest;
use crate::network::resolv_conf;
use crate::overlay::{self, half_of_memory};
use crate::plan::{Plan, PlannedInit, PlannedRoot};
use crate::request::Changes;
use crate::sorted::sort_by_key;
use crate::tree::{Parts, View};

/// Host group of `tty` inside, the owner of pseudo-terminals (as Debian numbers it).
const TTY_GID: u32 = 5;

/// What the staging thread needs.
pub struct Stage {
    /// The plan.
    pub plan: Plan,
    /// Directories of the host that an overlay must not show.
    pub hidden: Vec<PathBuf>,
    /// First host id of the guest's range.
    pub first_id: u32,
    /// The guest's user namespace.
    pub user_namespace: OwnedFd,
    /// The device of each disk.
    pub devices: Arc<Vec<Option<Device>>>,
    /// Directory that exists on the host and is covered in the staging namespace.
    pub work_dir: PathBuf,
    /// True if the guest gets a pseudo-terminal.
    pub terminal: bool,
    /// What is there of a root that lingers.
    pub parts: Parts,
}

/// The built tree.
pub struct Staged {
    /// Where the root is attached, in the staging namespace.
    pub live: PathBuf,
    /// Mounts that are given up after the guest has ended, so that unmounting happens in our own context.
    pub mounts: Vec<Mount>,
    /// The guest's terminal.
    pub pty: Option<Pty>,
    /// The guest's own init, where the plan asks for one.
    pub init: Option<String>,
    /// Whether that is systemd, which needs cgroups of its own.
    pub is_systemd: bool,
    /// What our PID 1 is to run, where it is to run the guest's scripts.
    pub scripts: Option<Scripts>,
    /// The file that stands for `/proc/cmdline`, in the staging namespace.
    pub cmdline: Option<PathBuf>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// What the host is to see of it.
    pub views: Vec<View>,
}

impl Stage {
    /// Builds the tree. Runs on the staging thread. Our PID 1 is also the no-op that stands for left-out scripts.
    ///
    /// # Errors
    /// The first step that failed.
    pub fn build(self, pid1: &Pid1Program) -> Result<Staged, Error> {
        FileSystem::new("tmpfs")
            .source("subhost")
            .option("mode", "0711")
            .attributes(MountAttributes::NODEV | MountAttributes::NOSUID)
            .mount()
            .and_then(|mount| mount.attach_at(&self.work_dir))
            .step("mount the staging directory")?;
        let live = self.work_dir.join("live");
        std::fs::create_dir(&live).step(format!("make {}", live.display()))?;
        // The terminal comes first: its slave must be a mount of this namespace to be bound into the guest.
        let pty = if self.terminal { Some(self.open_pty()?) } else { None };
        self.build_dev(pty.as_ref())?;
        let mut staged = Staged {
            live,
            mounts: Vec::new(),
            pty,
            init: None,
            is_systemd: false,
            scripts: None,
            cmdline: self.command_line()?,
            notes: Vec::new(),
            views: Vec::new(),
        };
        self.mount_root(&mut staged)?;
        let root = RootDir::open(&staged.live).step("open the root file system")?;
        self.check_init(&root, &mut staged)?;
        self.attach(&root, "/dev", bind(Path::new("/dev"), true), MountPoint::Directory)?;
        let run = self.mount_run(&root)?;
        if staged.is_systemd {
            guest::mask_remount(&run, self.first_id).step("mask what the guest's init cannot do")?;
        }
        self.name_servers(&root, &run, &mut staged)?;
        self.mount_disks(&root, &mut staged)?;
        self.mount_binds(&root)?;
        if !self.plan.init.is_command() {
            self.cover_scripts(&root, pid1)?;
        }
        Ok(staged)
    }

    /// A file that holds the kernel's command line as the guest is to read it.
    fn command_line(&self) -> Result<Option<PathBuf>, Error> {
        let Some(line) = &self.plan.cmdline else { return Ok(None) };
        let path = self.work_dir.join("cmdline");
        let text = [line.as_bytes(), b"\n"].concat();
        std::fs::write(&path, text).step(format!("write {}", path.display()))?;
        Ok(Some(path))
    }

    fn open_pty(&self) -> Result<Pty, Error> {
        let pty = Pty::open().step("open a pseudo-terminal")?;
        pty.set_owner(self.first_id, self.first_id + TTY_GID).step("own the pseudo-terminal")?;
        Ok(pty)
    }

    fn mount_root(&self, staged: &mut Staged) -> Result<(), Error> {
        match &self.plan.root {
            PlannedRoot::Disk => {
                let mount = self.mount_disk(0, MountAttributes::empty())?;
                mount.attach_at(&staged.live).step("attach the root file system")?;
                staged.mounts.push(mount);
            }
            PlannedRoot::Overlay(lower) => {
                let mount = overlay::mount_ephemeral(lower, self.user_namespace.as_fd(), &self.hidden)?;
                mount.attach_at(&staged.live).step("attach the overlay")?;
                for (directory, mount) in
                    overlay::mount_programs(lower, self.user_namespace.as_fd(), &self.hidden)?
                {
                    // Opened each time: the one before may be below.
                    let root = RootDir::open(&staged.live).step("open the root file system")?;
                    self.attach(&root, directory, Ok(mount), MountPoint::Directory)?;
                }
            }
            PlannedRoot::Tree(tree) => {
                let step = || format!("bind {}", tree.display());
                let mount = bind(tree, false).step(step())?;
                mount.set_attributes(MountAttributes::NODEV, MountAttributes::empty(), false).step(step())?;
                mount.idmap(self.user_namespace.as_fd()).step(step())?;
                mount.attach_at(&staged.live).step("attach the root directory")?;
            }
            PlannedRoot::Lingering(tree) => {
                let users = self.user_namespace.as_fd();
                staged.views = tree.mount(&self.plan.name, &self.parts, users, &staged.live)?;
            }
        }
        Ok(())
    }

    /// Mounts a disk of the plan, idmapped, detached.
    fn mount_disk(&self, index: usize, attributes: MountAttributes) -> Result<Mount, Error> {
        let disk = &self.plan.disks[index];
        let image = self.plan.images[disk.image].display();
        let step = || format!("mount {} partition {} ({image})", disk.node, disk.partition);
        let found = disk.superblock.as_ref().ok_or("no file system is known in it").step(step())?;
        let allowed: AllowedTypes = self.plan.filesystems.iter().cloned().collect();
        let failed = |error| {
            let hint = crate::observe::hint_of(&error);
            Error::Step { step: step(), source: error.into(), hint }
        };
        let filesystem = FileSystem::of_image(found, format!("/dev/{}", disk.node), &allowed);
        let read_only = match self.plan.changes {
            Changes::Kept => attributes & MountAttributes::RDONLY,
            Changes::Ephemeral | Changes::Refused => MountAttributes::RDONLY,
        };
        let mut filesystem = filesystem.map_err(failed)?.attributes(attributes | read_only);
        if !read_only.is_empty() {
            filesystem = filesystem.flag("ro");
        }
        let device = self.devices[index].as_ref().ok_or("it is not attached").step(step())?;
        let mount = device.mount(filesystem).map_err(failed)?;
        if self.plan.changes != Changes::Ephemeral {
            mount.idmap(self.user_namespace.as_fd()).step(step())?;
            return Ok(mount);
        }
        let layer = Layer::detached(mount).and_then(|layer| layer.idmapped(self.user_namespace.as_fd()));
        let size_bytes = self.plan.tmpfs_bytes.unwrap_or_else(half_of_memory);
        let node = format!("/dev/{}", disk.node);
        let attributes = MountAttributes::NODEV | attributes;
        merge(vec![layer.step(step())?], Upper::Ephemeral { size_bytes }, &node, attributes).map_err(failed)
    }

    fn check_init(&self, root: &RootDir, staged: &mut Staged) -> Result<(), Error> {
        let own = match &self.plan.init {
            PlannedInit::Payload | PlannedInit::Command => return Ok(()),
            PlannedInit::Subhost => None,
            PlannedInit::Auto => guest::own_init(root).map(|(path, _)| path.to_owned()),
            PlannedInit::Guest(path) => match guest::missing_init(root, path) {
                Some(complaint) => return Err(Error::refused(complaint)),
                None => Some(path.clone()),
            },
        };
        match (own, guest::layout(root)) {
            (Some(own), _) => {
                staged.is_systemd = guest::is_systemd(root, &own);
                if staged.is_systemd && !self.plan.isolation.nesting {
                    return Err(Error::refused(guest::no_nesting(&own)));
                }
                staged.init = Some(own);
            }
            (None, Some(layout)) => staged.scripts = Some(layout.scripts()),
            (None, None) => return Err(Error::refused(guest::no_start_scripts(root))),
        }
        Ok(())
    }

    /// `/run` with the FIFO of init(8), which must be there before rcS: a `/run` that is mounted is respected.
    fn mount_run(&self, root: &RootDir) -> Result<RootDir, Error> {
        let mount = self.tmpfs("run", "0755", MountAttributes::NOSUID | MountAttributes::NODEV)?;
        let run = mount.root().step("open /run")?;
        let own = |name: &Path| run.chown(name, self.first_id, self.first_id);
        let (initctl, lock, shm) = (Path::new("initctl"), Path::new("lock"), Path::new("shm"));
        let clean = Path::new(".clean");
        run.make_node(initctl, NodeKind::Fifo, 0o600, 0, 0)
            .and_then(|()| own(initctl))
            .step("make /run/initctl")?;
        run.create_dir(lock, 0o1777).and_then(|()| own(lock)).step("make /run/lock")?;
        // bootclean of Debian's initscripts counts its absence as a failure.
        run.symlink(Path::new("/dev/shm"), shm).and_then(|()| own(shm)).step("make /run/shm")?;
        // They would else empty it, too, with what was put there meanwhile, such as the state of OpenRC.
        run.create_file(clean, 0o644, b"").and_then(|()| own(clean)).step("make /run/.clean")?;
        self.attach(root, "/run", Ok(mount), MountPoint::Directory)?;
        Ok(run)
    }

    /// The guest's name servers, without a change to its disk: over its `/etc/resolv.conf`, or in `/run` where that is a
    /// link into it.
    fn name_servers(&self, root: &RootDir, run: &RootDir, staged: &mut Staged) -> Result<(), Error> {
        let servers = &self.plan.network.name_servers;
        if servers.is_empty() {
            return Ok(());
        }
        let (guests, text) = (Path::new("/etc/resolv.conf"), resolv_conf(servers));
        let step = "give the guest its name servers";
        if let Ok(link) = root.read_link(guests) {
            let Some(place) = below_run(&link) else {
                staged
                    .notes
                    .push(format!("DNS: not set, as {} links elsewhere than to /run", guests.display()));
                return Ok(());
            };
            if let Some(directory) = place.parent() {
                run.create_dir_all(directory, 0o755).step(step)?;
            }
            run.create_file(&place, 0o644, text.as_bytes()).step(step)?;
            return run.chown(&place, self.first_id, self.first_id).step(step);
        }
        let Ok(target) = root.mount_point(guests, MountPoint::File) else {
            staged.notes.push(format!("DNS: not set, as {} is not a file", guests.display()));
            return Ok(());
        };
        let ours = self.work_dir.join("resolv.conf");
        std::fs::write(&ours, text).step(step)?;
        std::os::unix::fs::chown(&ours, Some(self.first_id), Some(self.first_id)).step(step)?;
        let mount = bind(&ours, false).step(step)?;
        mount.attach(target.as_fd()).step(step)
    }

    /// The further disks, where the guest's fstab says; it cannot mount block devices itself.
    fn mount_disks(&self, root: &RootDir, staged: &mut Staged) -> Result<(), Error> {
        let first = usize::from(self.plan.root == PlannedRoot::Disk);
        let disks = self.plan.disks.get(first..).unwrap_or_default();
        if disks.is_empty() || self.plan.reads_disks {
            return Ok(());
        }
        if self.plan.rescues {
            return self.rescue_disks(root, first, staged);
        }
        let table = fstab::read(root);
        let mut found = Vec::new();
        for (index, (disk, entry)) in (first..).zip(disks.iter().zip(fstab::assign(&table, disks))) {
            let reason = match entry {
                None => "the guest's fstab does not name it",
                Some(entry) if entry.has("noauto") => "the guest's fstab says noauto",
                Some(_) if disk.filesystem.is_none() => "no file system is known in it",
                Some(entry) => {
                    found.push((index, entry));
                    continue;
                }
            };
            staged.notes.push(format!("disk {}: not mounted, as {reason}", disk.node));
        }
        // What is mounted below another's mount point comes after that, in whatever order they are given.
        sort_by_key(&mut found, |(_, entry)| entry.place().map_or(0, |place| place.components().count()));
        for (index, entry) in found {
            match self.mount_further(root, index, entry) {
                Ok(mount) => staged.mounts.push(mount),
                Err(error) if entry.has("nofail") => {
                    staged.notes.push(format!("disk {}: not mounted: {error}", self.plan.disks[index].node));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn mount_further(&self, root: &RootDir, index: usize, entry: &FstabEntry) -> Result<Mount, Error> {
        let step = || format!("attach {} at the guest's {}", self.plan.disks[index].node, entry.target);
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Step {
            step: step(),
            source,
            hint: Some("nofail in the guest's fstab boots without it".to_owned()),
        };
        let place = entry.place().map_err(|reason| failed(reason.into()))?;
        let target = root.mount_point(&place, MountPoint::Directory).map_err(|error| failed(error.into()))?;
        let mut attributes = MountAttributes::empty();
        for (option, attribute) in [
            ("ro", MountAttributes::RDONLY),
            ("nosuid", MountAttributes::NOSUID),
            ("noexec", MountAttributes::NOEXEC),
        ] {
            if entry.has(option) {
                attributes |= attribute;
            }
        }
        let mount = self.mount_disk(index, attributes)?;
        mount.attach(target.as_fd()).step(step())?;
        Ok(mount)
    }

    /// What the guest gets of the host's own files.
    fn mount_binds(&self, root: &RootDir) -> Result<(), Error> {
        for planned in &self.plan.binds {
            let (host, guest) = (planned.host.display(), planned.guest.display());
            let step = || format!("bind {host} to the guest's {guest}");
            let mount = bind(&planned.host, false).step(step())?;
            let meta = Metadata::of_fd(&mount).step(step())?;
            if (meta.device, meta.inode) != planned.source.id {
                return Err("it has been exchanged meanwhile").step(step());
            }
            let mut attributes = MountAttributes::NODEV | MountAttributes::NOSUID;
            if planned.read_only {
                attributes |= MountAttributes::RDONLY;
            }
            mount.set_attributes(attributes, MountAttributes::empty(), false).step(step())?;
            mount.idmap(self.user_namespace.as_fd()).step(step())?;
            let kind = if planned.source.is_directory { MountPoint::Directory } else { MountPoint::File };
            let failed = |error: subhost_mount::Error| Error::Step {
                step: step(),
                source: error.into(),
                hint: Some(format!("the guest needs a directory or file of its own at {guest}")),
            };
            let target = root.mount_point(&planned.guest, kind).map_err(failed)?;
            mount.attach(target.as_fd()).step(step())?;
        }
        Ok(())
    }

    /// Start scripts that assume a machine are covered by a program that does nothing.
    fn cover_scripts(&self, root: &RootDir, pid1: &Pid1Program) -> Result<(), Error> {
        for script in &self.plan.skip_scripts {
            let path = format!("/etc/init.d/{script}");
            let Ok(target) = root.mount_point(Path::new(&path), MountPoint::File) else { continue };
            let step = || format!("leave out {path}");
            // OpenRC and insserv want to know what a service is that others need.
            let mount = match guest::stand_in(root, &path) {
                Some(text) => self.stand_in(script, &text)?,
                None => Mount::from(pid1.mount().step(step())?),
            };
            mount.attach(target.as_fd()).step(step())?;
        }
        Ok(())
    }

    /// A script of ours.
    fn stand_in(&self, name: &str, text: &str) -> Result<Mount, Error> {
        let directory = self.work_dir.join("scripts");
        let path = directory.join(name);
        let step = || format!("write {}", path.display());
        std::fs::create_dir_all(&directory).step(step())?;
        std::fs::write(&path, text).step(step())?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).step(step())?;
        // insserv opens it with O_NOATIME, which is for the owner alone.
        std::os::unix::fs::chown(&path, Some(self.first_id), Some(self.first_id)).step(step())?;
        let mount = bind(&path, false).step(step())?;
        mount.set_attributes(MountAttributes::RDONLY, MountAttributes::empty(), false).step(step())?;
        Ok(mount)
    }

    fn attach(
        &self,
        root: &RootDir,
        path: &str,
        mount: Result<Mount, subhost_mount::Error>,
        kind: MountPoint,
    ) -> Result<(), Error> {
        let step = || format!("attach the guest's {path}");
        let mount = mount.step(step())?;
        let target = root.mount_point(Path::new(path), kind).step(step())?;
        mount.attach(target.as_fd()).step(step())
    }

    /// A tmpfs whose root belongs to the guest's root.
    fn tmpfs(&self, source: &str, mode: &str, attributes: MountAttributes) -> Result<Mount, Error> {
        let owner = self.first_id.to_string();
        let mut tmpfs = FileSystem::new("tmpfs")
            .source(source)
            .option("mode", mode)
            .option("uid", &owner)
            .option("gid", &owner)
            .attributes(attributes);
        if let Some(bytes) = self.plan.tmpfs_bytes {
            tmpfs = tmpfs.option("size", bytes.to_string());
        }
        tmpfs.mount().step(format!("mount a tmpfs for {source}"))
    }
}

/// Where in `/run` a link in `/etc` leads to, if it does.
fn below_run(link: &Path) -> Option<PathBuf> {
    let mut place = PathBuf::from("/etc");
    for part in link.components() {
        match part {
            Component::RootDir => place = PathBuf::from("/"),
            Component::ParentDir => drop(place.pop()),
            Component::Normal(name) => place.push(name),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    ["/run", "/var/run"]
        .iter()
        .find_map(|run| place.strip_prefix(run).ok())
        .filter(|place| !place.as_os_str().is_empty())
        .map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_into_run_are_followed_there_and_no_others() {
        for (link, place) in [
            ("/run/resolvconf/resolv.conf", Some("resolvconf/resolv.conf")),
            ("../run/systemd/resolve/stub-resolv.conf", Some("systemd/resolve/stub-resolv.conf")),
            ("/var/run/x", Some("x")),
            ("/run/../etc/shadow", None),
            ("resolvconf/run", None),
            ("/runner/x", None),
            ("/run", None),
            ("../../../../run/x", Some("x")),
        ] {
            assert_eq!(below_run(Path::new(link)).as_deref(), place.map(Path::new), "{link}");
        }
    }
}
