//! A new disk image: a sparse file, its table and its file system, made by the host's own tools while it is empty.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use subhost_mount::device::Device;
use subhost_mount::filesystem::{FileSystem, Mount, MountAttributes};
use subhost_mount::image::{Access, Image};
use subhost_mount::loopdev::LoopOptions;

use super::args::{Filesystem, Table};
use super::tool::{Rights, command, run};
use crate::error::{Context, Error};
use crate::supervise::Signals;

/// What an image is to be.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Its size in bytes.
    pub size: u64,
    /// Its partition table.
    pub table: Table,
    /// Its file system.
    pub filesystem: Filesystem,
}

/// An image with a file system that is mounted nowhere. Its parts go in this order.
pub struct Disk {
    /// The file system.
    pub mount: Mount,
    _device: Device,
    _image: Image,
}

impl Shape {
    /// The partition that its file system is in.
    pub fn partition(self) -> u32 {
        if self.table == Table::None { 0 } else { 1 }
    }

    /// What `mount` calls its file system.
    pub fn kind(self) -> &'static str {
        match self.filesystem {
            Filesystem::Ext4 => "ext4",
            Filesystem::Xfs => "xfs",
            Filesystem::Btrfs => "btrfs",
        }
    }

    /// Makes it of an empty file, and mounts its file system.
    ///
    /// # Errors
    /// A tool is not there or fails, or we are told to end.
    pub fn make(self, path: &Path, signals: &Signals) -> Result<Disk, Error> {
        let step = || format!("make the image {}", path.display());
        let file = OpenOptions::new().write(true).open(path).step(step())?;
        file.set_len(self.size).step(step())?;
        drop(file);
        self.write_table(path, signals)?;
        let image = Image::open(path, Access::ReadWrite).step(step())?;
        let range = image.range(self.partition()).step(step())?;
        let device = Device::attach(&image, range, &LoopOptions::default()).step(step())?;
        let (program, package): (&[&str], _) = match self.filesystem {
            Filesystem::Ext4 => (&["mkfs.ext4", "-q", "-F"], "e2fsprogs"),
            Filesystem::Xfs => (&["mkfs.xfs", "-q", "-f"], "xfsprogs"),
            Filesystem::Btrfs => (&["mkfs.btrfs", "-q", "-f"], "btrfs-progs"),
        };
        let mut mkfs = command(program[0], package, Rights::Root)?;
        mkfs.args(&program[1..]).arg(device.path()).stdout(Stdio::null());
        run(mkfs, program[0], signals)?;
        let system = FileSystem::new(self.kind()).source(device.path());
        let mount = device.mount(system.attributes(MountAttributes::NODEV | MountAttributes::NOSUID));
        Ok(Disk { mount: mount.step(step())?, _device: device, _image: image })
    }

    /// Writes the table: one partition, from the first mebibyte on.
    fn write_table(self, path: &Path, signals: &Signals) -> Result<(), Error> {
        let script = match self.table {
            Table::None => return Ok(()),
            Table::Mbr => "label: dos\nstart=2048, type=83, bootable\n",
            Table::Gpt => "label: gpt\nstart=2048, type=linux\n",
        };
        let (reader, mut writer) = std::io::pipe().step("make a pipe")?;
        // It fits into the pipe.
        writer.write_all(script.as_bytes()).step("tell sfdisk")?;
        drop(writer);
        let mut sfdisk = command("sfdisk", "fdisk", Rights::Root)?;
        sfdisk.args(["--quiet", "--no-reread", "--no-tell-kernel"]).arg(path);
        sfdisk.stdin(reader).stdout(Stdio::null());
        run(sfdisk, "sfdisk", signals)
    }
}
