//! What a disk that does not boot is opened with.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use subhost_config::schema::{DiskSpec, PartitionChoice, SpecError};
use subhost_mount::device::Device;
use subhost_mount::filesystem::{FileSystem, MountAttributes};
use subhost_mount::fstype::{AllowedTypes, Superblock, probe};
use subhost_mount::image::{Access, Image};
use subhost_mount::loopdev::LoopOptions;
use subhost_mount::partition::{ByteRange, Scheme};

use crate::error::{Complaint, Context, Error};
use crate::observe::complaint_of;

/// The name that an image's disk gets.
const NODE: &str = "vda";

/// The disks of an image: each file system that may be mounted, the root first.
///
/// # Errors
/// It is in use, or no image, or there is no such file system in it.
pub fn disks_of_image(word: &OsStr) -> Result<Vec<DiskSpec>, Error> {
    let (path, part) = split(word);
    let path = path.canonicalize().step(format!("look at {}", path.display()))?;
    let object = format!("image {}", path.display());
    let refused = |error| Error::refused(complaint_of("rescue", &error));
    let image = Image::open(&path, Access::ReadOnly).map_err(refused)?;
    let table = image.partition_table().map_err(refused)?;
    let ranges = if table.scheme == Scheme::None {
        vec![(0, ByteRange::whole(image.len_bytes()))]
    } else {
        table.partitions.iter().map(|partition| (partition.index, partition.range())).collect()
    };
    let mut found = Vec::new();
    for (index, range) in ranges {
        let Some(superblock) = probe(image.reader(range), 0).map_err(refused)? else { continue };
        if AllowedTypes::default().check(&superblock).is_ok() {
            found.push((index, range, superblock));
        }
    }
    let mut disks: Vec<DiskSpec> = found.iter().map(|(index, ..)| disk(*index, &path)).collect();
    if let Some(part) = part {
        let root =
            DiskSpec::parse(&[NODE.as_bytes(), b":", part, b":", path.as_os_str().as_bytes()].concat());
        let root = root.map_err(|error: SpecError| Error::refused(Complaint::new(error.to_string())))?;
        if let PartitionChoice::Number(_) = root.partition {
            disks.retain(|disk| *disk != root);
        }
        disks.insert(0, root);
    } else if let Some(best) = best_root(&image, &found) {
        disks[..=best].rotate_right(1);
    }
    if disks.is_empty() {
        return Err(Error::refused(
            Complaint::new(format!("{object}: no file system is known in it"))
                .hint(format!("subhostctl partitions {} shows its table", path.display())),
        ));
    }
    Ok(disks)
}

/// A path, and the partition behind its last colon, unless all of it is a path.
fn split(word: &OsStr) -> (PathBuf, Option<&[u8]>) {
    let bytes = word.as_bytes();
    let at = bytes.iter().rposition(|&byte| byte == b':').filter(|_| !Path::new(word).exists());
    let path = |bytes| PathBuf::from(OsStr::from_bytes(bytes));
    at.map_or_else(|| (path(bytes), None), |at| (path(&bytes[..at]), Some(&bytes[at + 1..])))
}

fn disk(index: u32, image: &Path) -> DiskSpec {
    DiskSpec { node: NODE.to_owned(), partition: PartitionChoice::Number(index), image: image.to_owned() }
}

/// Which one looks most like the root of a system; the first of those.
fn best_root(image: &Image, found: &[(u32, ByteRange, Superblock)]) -> Option<usize> {
    let marks = found.iter().map(|(_, range, superblock)| mark(image, *range, superblock).unwrap_or(0));
    let marks: Vec<u32> = marks.collect();
    let best = marks.iter().max()?;
    marks.iter().position(|mark| mark == best)
}

/// How much it looks like the root of a system. Nothing is written, and no journal replayed.
fn mark(image: &Image, range: ByteRange, superblock: &Superblock) -> Result<u32, subhost_mount::Error> {
    let device = Device::attach(image, range, &LoopOptions { read_only: true, ..LoopOptions::default() })?;
    let attributes = MountAttributes::RDONLY | MountAttributes::NOSUID | MountAttributes::NODEV;
    let system = FileSystem::of_image(superblock, device.path(), &AllowedTypes::default())?;
    let system = system.attributes(attributes).flag("ro");
    let system = match superblock.kind.as_str() {
        "ext3" | "ext4" => system.flag("noload"),
        "xfs" => system.flag("norecovery"),
        "btrfs" => system.option("rescue", "nologreplay"),
        _ => system,
    };
    let root = device.mount(system)?.root()?;
    let has = |path: &str| root.exists(Path::new(path)).map(u32::from);
    Ok(4 * has("etc/fstab")? + 2 * has("etc")? + has("usr")?.max(has("bin")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_stands_behind_the_last_colon_of_what_is_no_path() {
        let directory = tempfile::tempdir().unwrap();
        let both = directory.path().join("disk:1");
        std::fs::write(&both, "").unwrap();
        for (word, path, part) in [
            (both.clone(), both.clone(), None),
            (both.with_file_name("disk:1:2"), both.clone(), Some(&b"2"[..])),
            ("/x/disk".into(), "/x/disk".into(), None),
            ("/x/disk:LABEL=root".into(), "/x/disk".into(), Some(b"LABEL=root")),
        ] {
            assert_eq!(split(word.as_os_str()), (path, part), "{}", word.display());
        }
    }
}
