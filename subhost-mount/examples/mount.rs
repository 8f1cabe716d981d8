//! Mounts one partition of an image, read-only and seen by nobody else, and shows a directory or a file of it:
//! `mount IMAGE PARTITION [PATH]`. With the image alone, lists its partitions. Needs root to mount.

use std::error::Error;
use std::io::{Write, stdout};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use subhost_mount::fstype::{self, AllowedTypes};
use subhost_mount::rootdir::FileKind;
use subhost_mount::{Access, Device, FileSystem, Image, LoopOptions, MountAttributes, Staging};

/// The largest file that is shown.
const MAX_BYTES: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1);
    let path = words.next().ok_or("usage: mount IMAGE [PARTITION [PATH]]")?;
    // Locked: nobody mounts it to write as long as we read, and we do not read what somebody writes.
    let image = Image::open(Path::new(&path), Access::ReadOnly)?;
    let Some(number) = words.next() else { return list(&image) };
    let range = image.range(number.to_str().ok_or("PARTITION is a number")?.parse()?)?;
    let inside = PathBuf::from(words.next().unwrap_or_else(|| ".".into()));

    let found = fstype::probe(image.reader(range), 0)?.ok_or("no file system that is known")?;
    let options = LoopOptions { read_only: true, ..LoopOptions::default() };
    let device = Device::attach(&image, range, &options)?;
    let confined = MountAttributes::RDONLY | MountAttributes::NOSUID | MountAttributes::NOEXEC;
    let system = FileSystem::of_image(&found, device.path(), &AllowedTypes::default())?;
    let system = system.attributes(confined).flag("ro");
    let shown = Staging::new()?.run(move || -> subhost_mount::Result<Vec<u8>> {
        // Whatever links are in the image, none of them leads out of it.
        let tree = device.mount(system)?.root()?;
        if tree.kind(&inside)? == Some(FileKind::Directory) {
            let names = tree.list_dir(&inside)?;
            return Ok(names.iter().flat_map(|name| [name.as_bytes(), b"\n"].concat()).collect());
        }
        tree.read_small(&inside, MAX_BYTES)
    })?;
    Ok(stdout().write_all(&shown)?)
}

fn list(image: &Image) -> Result<(), Box<dyn Error>> {
    for partition in &image.partition_table()?.partitions {
        let holds = match image.range(partition.index) {
            Ok(range) => fstype::probe(image.reader(range), 0)?.map_or("-".to_owned(), |found| found.kind),
            Err(_) => "other partitions".to_owned(),
        };
        println!("{}\t{} bytes\t{holds}", partition.index, partition.len_bytes);
    }
    Ok(())
}
