//! Disks of machines: which of their partitions a subhost takes.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use subhost_mount::fstype::{AllowedTypes, probe};
use subhost_mount::image::Image;
use subhost_mount::partition::{ByteRange, discoverable_name};

use super::draft::Draft;
use crate::sorted::sort_by_key;

/// Adds a raw disk under its name in the machine: the file systems in it that can be mounted, the root first.
///
/// Only the table and the superblocks are looked at, and only where the image is there and can be read.
pub fn add(draft: &mut Draft, node: &str, image: &Path, from: &str) {
    let is_root = !draft.has("DISKS");
    let shown = image.display();
    let found = match file_systems(image) {
        Ok(found) if found.is_empty() => {
            draft.leave(from, &format!("{shown} holds no file system that can be mounted"));
            return;
        }
        Ok(found) => found,
        Err(reason) => {
            let why = format!("{shown} could not be looked into ({reason}): its partition 1 is assumed");
            if add_one(draft, node, 1, image, from) {
                draft.leave(from, &why);
            }
            return;
        }
    };
    if is_root && found.len() > 1 {
        let choice: Vec<String> = found.iter().map(u32::to_string).collect();
        let why = format!(
            "partition {} of {shown} is taken for the root; those with file systems are {}",
            found[0],
            choice.join(", ")
        );
        draft.leave(from, &why);
    }
    for index in found {
        add_one(draft, node, index, image, from);
    }
}

/// Adds one partition of it.
pub fn add_one(draft: &mut Draft, node: &str, index: u32, image: &Path, from: &str) -> bool {
    let word = [format!("{node}:{index}:").as_bytes(), image.as_os_str().as_bytes()].concat();
    draft.try_add("DISKS", word, from)
}

/// The indices of those that can be mounted, what is marked as a root first. 0 is the whole image.
fn file_systems(image: &Path) -> Result<Vec<u32>, String> {
    let kind = std::fs::metadata(image).map_err(|error| error.to_string())?.file_type();
    if !kind.is_file() && !std::os::unix::fs::FileTypeExt::is_block_device(&kind) {
        return Err("it is neither a file nor a block device".to_owned());
    }
    let image = Image::open_unlocked(image).map_err(|error| error.to_string())?;
    let allowed = AllowedTypes::default();
    let is_mountable = |range: ByteRange| {
        let found = probe(image.reader(range), 0).ok().flatten();
        found.is_some_and(|found| found.refusal().is_none() && allowed.contains(&found.kind))
    };
    if is_mountable(ByteRange { start: 0, len: image.len_bytes() }) {
        return Ok(vec![0]);
    }
    let table = image.partition_table().map_err(|error| error.to_string())?;
    let mut found: Vec<_> = table
        .partitions
        .iter()
        .filter(|partition| !table.is_extended(partition) && is_mountable(partition.range()))
        .collect();
    let is_root = |code: &str| discoverable_name(code).is_some_and(|name| name.starts_with("root"));
    sort_by_key(&mut found, |partition| !is_root(&partition.type_code));
    Ok(found.iter().map(|partition| partition.index).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;

    /// A directory with a disk: an MBR with two partitions, in which is nothing.
    fn directory_with_disk() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let disk = directory.path().join("a disk's.raw");
        let mut bytes = vec![0_u8; 4 << 20];
        for (slot, start, count) in [(0, 2048_u32, 1024_u32), (1, 4096, 2048)] {
            let entry = 446 + 16 * slot;
            bytes[entry + 4] = 0x83;
            bytes[entry + 8..entry + 12].copy_from_slice(&start.to_le_bytes());
            bytes[entry + 12..entry + 16].copy_from_slice(&count.to_le_bytes());
        }
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        fs::write(&disk, bytes).unwrap();
        (directory, disk)
    }

    #[test]
    fn the_file_systems_of_a_disk_are_found() {
        let (directory, disk) = directory_with_disk();
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let image = directory.path().join("small.ext4");
        let mkfs = Command::new("/sbin/mkfs.ext4")
            .args(["-q", "-F", "-d"])
            .args([&tree, &image])
            .arg("900k")
            .output();
        assert!(mkfs.unwrap().status.success());
        let words = |image: &Path| {
            let mut draft = Draft::new("");
            add(&mut draft, "vda", image, "disk");
            (draft.words("DISKS").to_vec(), draft.left())
        };
        // Neither partition has one yet.
        assert_eq!(words(&disk).0, Vec::<Vec<u8>>::new());
        let mut bytes = fs::read(&disk).unwrap();
        bytes[4096 * 512..][..900 * 1024].copy_from_slice(&fs::read(&image).unwrap());
        fs::write(&disk, bytes).unwrap();
        let word = |index: u32, path: &Path| format!("vda:{index}:{}", path.display()).into_bytes();
        assert_eq!(words(&disk), (vec![word(2, &disk)], vec![]));
        assert_eq!(words(&image), (vec![word(0, &image)], vec![]));
        let gone = directory.path().join("gone");
        let (found, left) = words(&gone);
        assert_eq!(found, [word(1, &gone)]);
        assert!(left[0].contains("partition 1 is assumed"), "{left:?}");
        assert!(words(Path::new("/dev/zero")).1[0].contains("neither a file nor a block device"));
    }
}
