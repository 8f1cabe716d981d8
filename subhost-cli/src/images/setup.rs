//! What makes a system this subhost and no other: its name, its network, its file systems, who may log in.
//!
//! Everything is written inside its tree, where a link of its own leads nowhere else.

use std::path::Path;

use subhost_mount::rootdir::{FileKind, RootDir};

use super::disk::Shape;
use crate::error::{Context, Error};
use crate::layout::Name;

/// eth0 by DHCP, where the system has ifupdown or else systemd-networkd.
const INTERFACES: &str = "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n";
const NETWORKD: &str = "[Match]\nName=eth0\n\n[Network]\nDHCP=yes\n";

/// The directories that every guest has mount points in.
const DIRECTORIES: [&str; 5] = ["etc", "dev", "proc", "sys", "run"];

/// Sets up a root. `disk` is what it is in, if not a directory.
///
/// # Errors
/// Something cannot be written.
pub fn set_up(root: &RootDir, name: &Name, disk: Option<Shape>, keys: Option<&[u8]>) -> Result<(), Error> {
    for directory in DIRECTORIES {
        root.create_dir_all(Path::new(directory), 0o755).step(format!("make /{directory} in it"))?;
    }
    let write = |path: &str, mode: u32, text: &[u8]| {
        root.write_file(Path::new(path), mode, text).step(format!("write /{path} in it"))
    };
    write("etc/hostname", 0o644, format!("{name}\n").as_bytes())?;
    let hosts = format!("127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n");
    write("etc/hosts", 0o644, hosts.as_bytes())?;
    let is_directory = |path: &str| matches!(root.kind(Path::new(path)), Ok(Some(FileKind::Directory)));
    if is_directory("etc/network") {
        write("etc/network/interfaces", 0o644, INTERFACES.as_bytes())?;
    } else if is_directory("etc/systemd/network") {
        write("etc/systemd/network/80-eth0.network", 0o644, NETWORKD.as_bytes())?;
    }
    if let Some(disk) = disk {
        let node = if disk.partition() == 0 { "vda" } else { "vda1" };
        let options = if disk.kind() == "ext4" { "errors=remount-ro" } else { "defaults" };
        write("etc/fstab", 0o644, format!("/dev/{node} / {} {options} 0 1\n", disk.kind()).as_bytes())?;
    }
    if let Some(keys) = keys {
        root.create_dir_all(Path::new("root"), 0o700).step("make /root in it")?;
        root.create_dir_all(Path::new("root/.ssh"), 0o700).step("make /root/.ssh in it")?;
        write("root/.ssh/authorized_keys", 0o600, keys)?;
    }
    Ok(())
}
