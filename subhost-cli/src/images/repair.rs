//! Repairs file systems that are not mounted.

use subhost_config::schema::DiskSpec;
use subhost_mount::device::Device;
use subhost_mount::fstype::AllowedTypes;
use subhost_mount::loopdev::LoopOptions;

use super::jail::{Program, change};
use crate::error::{Context, Error};
use crate::fsck::jail;
use crate::layout::Layout;
use crate::observe::{Observed, Purpose};
use crate::report;
use crate::request::Request;

/// What repairs a file system without asking. None for btrfs, whose own makers warn of it.
fn program(kind: &str) -> Option<Program> {
    match kind {
        "ext2" | "ext3" | "ext4" => Some(E2FSCK),
        "xfs" => Some(Program { words: &["xfs_repair"], package: "xfsprogs", good: 0 }),
        _ => None,
    }
}

/// What ext4 is repaired with. 1: it has repaired all; 2: and a machine that has it mounted should restart.
const E2FSCK: Program = Program { words: &["e2fsck", "-f", "-y"], package: "e2fsprogs", good: 2 };

/// Repairs them, one after the other, and tells of each.
///
/// # Errors
/// One of the images is in use, or a program failed.
pub fn all(disks: &[DiskSpec], allowed: &AllowedTypes, layout: &Layout, quiet: bool) -> Result<(), Error> {
    let request = Request { disks: disks.to_vec(), ..jail("repair", Vec::new(), layout)? };
    let observed = Observed::of(&request, layout, Purpose::Use).step("look at the images")?;
    if !observed.complaints.is_empty() {
        return Err(Error::Refused(observed.complaints));
    }
    for found in observed.disks.iter().flatten() {
        let image = &observed.images[found.image];
        let object = format!("{} partition {}", image.path.display(), found.partition);
        let known = found.superblock.as_ref().filter(|superblock| allowed.check(superblock).is_ok());
        let Some(program) = known.and_then(|superblock| program(&superblock.kind)) else {
            report::note(quiet, &format!("{object}: nothing repairs such a file system"));
            continue;
        };
        let device =
            Device::attach(&image.image, found.range, &LoopOptions::default()).step(object.as_str())?;
        let said = change(program, &device.path(), &[], &object, layout)?;
        report::note(quiet, &format!("{object}: {}", last_line(&said)));
    }
    Ok(())
}

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing said")
}
