//! The guest's `/dev`: nodes of its own, its disks, devices of the host that it may have, terminals.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::Path;

use subhost_init::console::Pty;
use subhost_mount::bind::bind_fd;
use subhost_mount::filesystem::{FileSystem, MountAttributes};
use subhost_mount::rootdir::{NodeKind, RootDir};

use super::{Stage, TTY_GID};
use crate::cgroup::HostDevice;
use crate::error::{Context, Error};

/// Device nodes of every guest: name, major, minor.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links of every guest's `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

impl Stage {
    /// `/dev` is made over the staging namespace's own, so that `/dev/vda1` names the guest's disk when it is
    /// mounted: `df`, `mount` and fstab in the guest then agree.
    pub(super) fn build_dev(&self, pty: Option<&Pty>) -> Result<(), Error> {
        let owner = self.first_id;
        let mount = self.tmpfs("dev", "0755", MountAttributes::NOSUID | MountAttributes::NOEXEC)?;
        let dev = mount.root().step("open /dev")?;
        let node =
            |name: &str, kind, mode, major, minor, owner: Option<u32>| -> Result<(), subhost_mount::Error> {
                let name = Path::new(name);
                dev.make_node(name, kind, mode, major, minor)?;
                owner.map_or(Ok(()), |owner| dev.chown(name, owner, owner))
            };
        for (name, major, minor) in NODES {
            node(name, NodeKind::Char, 0o666, major, minor, Some(owner)).step(format!("make /dev/{name}"))?;
        }
        for (target, name) in LINKS {
            let link = dev.symlink(Path::new(target), Path::new(name));
            link.and_then(|()| dev.chown(Path::new(name), owner, owner)).step(format!("make /dev/{name}"))?;
        }
        for (disk, device) in self.plan.disks.iter().zip(self.devices.iter()) {
            let Some(device) = device else { continue };
            let (major, minor) = device.major_minor();
            // Of the host's root: raw writes under a mounted file system attack the kernel.
            let step = || format!("make /dev/{}", disk.node);
            let mode = if self.plan.reads_disks { 0o440 } else { 0o600 };
            node(&disk.node, NodeKind::Block, mode, major, minor, None).step(step())?;
            if self.plan.reads_disks {
                // Of the guest's group only: with a foreign owner none of its capabilities opens it for writing, which
                // the kernel would take for leave to set the loop device up anew.
                dev.chown(Path::new(&disk.node), 0, owner).step(step())?;
            }
        }
        for device in &self.plan.cgroup.devices {
            self.host_device(&dev, device).step(format!("make /dev/{}", device.name.display()))?;
        }
        self.link_disks(&dev).step("make /dev/disk")?;
        for name in ["pts", "shm", "mqueue"] {
            dev.create_dir(Path::new(name), 0o755).step(format!("make /dev/{name}"))?;
            dev.chown(Path::new(name), owner, owner).step(format!("own /dev/{name}"))?;
        }
        if pty.is_some() {
            dev.create_file(Path::new("console"), 0o600, b"").step("make /dev/console")?;
        } else {
            node("console", NodeKind::Char, 0o666, 1, 3, Some(owner)).step("make /dev/console")?;
        }
        mount.attach_at(Path::new("/dev")).step("attach /dev")?;
        let pts = FileSystem::new("devpts")
            .source("devpts")
            .option("mode", "0620")
            .option("ptmxmode", "0666")
            .option("gid", (owner + TTY_GID).to_string())
            .attributes(MountAttributes::NOSUID | MountAttributes::NOEXEC)
            .mount()
            .and_then(|mount| mount.attach_at(Path::new("/dev/pts")));
        pts.step("mount /dev/pts")?;
        let shm = self.tmpfs("shm", "1777", MountAttributes::NOSUID | MountAttributes::NODEV)?;
        shm.attach_at(Path::new("/dev/shm")).step("attach /dev/shm")?;
        if let Some(pty) = pty {
            let bound = bind_fd(pty.slave.as_fd(), false).and_then(|mount| {
                let attributes = MountAttributes::NOSUID | MountAttributes::NOEXEC;
                mount.set_attributes(attributes, MountAttributes::empty(), false)?;
                mount.attach_at(Path::new("/dev/console"))
            });
            bound.step("attach /dev/console")?;
        }
        Ok(())
    }

    /// A device of the host. One that is only read has a foreign owner, as root may open its own files in any way.
    fn host_device(&self, dev: &RootDir, device: &HostDevice) -> Result<(), subhost_mount::Error> {
        let HostDevice { name, block, major, minor, .. } = device;
        if let Some(directory) = name.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            dev.create_dir_all(directory, 0o755)?;
        }
        let kind = if *block { NodeKind::Block } else { NodeKind::Char };
        let (mode, owner) = if device.read_only { (0o440, 0) } else { (device.mode, self.first_id) };
        dev.make_node(name, kind, mode, *major, *minor)?;
        dev.chown(name, owner, self.first_id)
    }

    /// Links by UUID and label, for the guest's own disks only.
    fn link_disks(&self, dev: &RootDir) -> Result<(), subhost_mount::Error> {
        let mut links = BTreeSet::new();
        for disk in self.plan.disks.iter().filter(|disk| disk.attached) {
            for (directory, value) in [("by-uuid", &disk.uuid), ("by-label", &disk.label)] {
                let safe = |text: &&String| {
                    !text.is_empty()
                        && !text.starts_with('.')
                        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
                };
                // Copies of one image share their UUID: the first disk has the link, as with udev.
                if let Some(value) = value.as_ref().filter(safe)
                    && !links
                        .iter()
                        .any(|(f, v, _): &(&str, &String, &String)| (*f, *v) == (directory, value))
                {
                    links.insert((directory, value, &disk.node));
                }
            }
        }
        if !links.is_empty() {
            dev.create_dir(Path::new("disk"), 0o755)?;
            for directory in ["by-label", "by-uuid"] {
                if links.iter().any(|link| link.0 == directory) {
                    dev.create_dir(&Path::new("disk").join(directory), 0o755)?;
                }
            }
        }
        links.iter().try_for_each(|(directory, value, node)| {
            dev.symlink(&Path::new("../..").join(node), &Path::new("disk").join(directory).join(value))
        })
    }
}
