//! What is only read stays as it was, to the last byte and time.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat};
use subhost_mount::overlay::{Layer, Upper, merge};
use subhost_mount::{Access, FileSystem, Image, LoopDevice, LoopOptions, MountAttributes, Staging};

use crate::{Row, scene};

pub(crate) const CASES: &[Row] = &[
    ("image_is_the_same_after_it_was_read", &["sfdisk", "mkfs.ext4"], image_after_reading),
    ("image_is_the_same_after_a_run_that_is_thrown_away", &["sfdisk", "mkfs.ext4"], image_after_a_run),
    ("directory_is_the_same_after_a_run_that_is_thrown_away", &[], directory_after_a_run),
];

/// Something of each kind that a run may change.
fn fill(tree: &Path) {
    fs::create_dir_all(tree.join("directory/deep")).unwrap();
    fs::write(tree.join("directory/file"), "file").unwrap();
    fs::write(tree.join("directory/deep/file"), "deep").unwrap();
    fs::hard_link(tree.join("directory/file"), tree.join("hard")).unwrap();
    symlink("directory/file", tree.join("link")).unwrap();
    mknodat(CWD, tree.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::write(tree.join("program"), "#!/bin/sh").unwrap();
    fs::set_permissions(tree.join("program"), fs::Permissions::from_mode(0o4755)).unwrap();
    chown(tree.join("directory"), Some(5), Some(6)).unwrap();
    rustix::fs::setxattr(tree.join("program"), "trusted.note", b"kept", XattrFlags::empty()).unwrap();
}

/// Reads, writes, renames, removes and changes what [`fill`] made, and more.
fn run_over(tree: &Path) {
    assert_eq!(fs::read_to_string(tree.join("directory/deep/file")).unwrap(), "deep");
    fs::write(tree.join("directory/file"), "changed").unwrap();
    fs::write(tree.join("hard"), "changed too").unwrap();
    fs::write(tree.join("new"), vec![1; 100_000]).unwrap();
    fs::remove_file(tree.join("link")).unwrap();
    fs::remove_file(tree.join("fifo")).unwrap();
    fs::create_dir(tree.join("fifo")).unwrap();
    fs::rename(tree.join("program"), tree.join("directory/program")).unwrap();
    fs::set_permissions(tree.join("directory/program"), fs::Permissions::from_mode(0o700)).unwrap();
    rustix::fs::removexattr(tree.join("directory/program"), "trusted.note").unwrap();
    fs::remove_dir_all(tree.join("directory/deep")).unwrap();
    fs::set_permissions(tree, fs::Permissions::from_mode(0o711)).unwrap();
    rustix::fs::sync();
}

fn image_after_reading() {
    let directory = scene::directory();
    let path = scene::ext4_image(directory.path());
    with_image(&path, directory.path(), Access::ReadWrite, |tree, _| fill(tree));
    let before = fs::read(&path).unwrap();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let at = directory.path().to_owned();
        with_image(&path, directory.path(), access, move |tree, is_read_only| {
            let link = fs::canonicalize(tree.join("link")).unwrap();
            assert_eq!(fs::read_to_string(link).unwrap(), "file");
            assert_eq!(fs::write(tree.join("hard"), "").is_err(), is_read_only);
            assert!(at.exists());
        });
        let is_same = fs::read(&path).unwrap() == before;
        // What is writable tells that the comparison sees a change.
        assert_eq!(is_same, access == Access::ReadOnly);
    }
}

/// Mounts the image, read-only if it is opened so, and runs `job` with the place.
fn with_image(path: &Path, directory: &Path, access: Access, job: impl FnOnce(&Path, bool) + Send + 'static) {
    let live = directory.join("live");
    fs::create_dir_all(&live).unwrap();
    let is_read_only = access == Access::ReadOnly;
    // Of the last run the kernel may still hold something.
    scene::wait_until("the image is free", || Image::open(path, access).is_ok());
    let image = Image::open(path, access).unwrap();
    let options = LoopOptions { read_only: is_read_only, ..LoopOptions::default() };
    let device = LoopDevice::attach(&image, image.range(1).unwrap(), &options).unwrap();
    Staging::new().unwrap().run(move || {
        let mut system = FileSystem::new("ext4").source(device.path());
        if is_read_only {
            system = system.flag("ro").attributes(MountAttributes::RDONLY);
        }
        system.mount().unwrap().attach_at(&live).unwrap();
        job(&live, is_read_only);
    });
    drop(image);
    scene::wait_until("the image is free", || Image::open(path, Access::ReadWrite).is_ok());
}

fn image_after_a_run() {
    let directory = scene::directory();
    let path = scene::ext4_image(directory.path());
    let users = scene::user_namespace();
    with_image(&path, directory.path(), Access::ReadWrite, |tree, _| fill(tree));
    let before = fs::read(&path).unwrap();
    let merged = directory.path().join("merged");
    fs::create_dir(&merged).unwrap();
    for is_mapped in [false, true] {
        let (users, merged) = (users.try_clone().unwrap(), merged.clone());
        with_image(&path, directory.path(), Access::ReadOnly, move |tree, _| {
            let layer = Layer::open(tree).unwrap();
            let layer = if is_mapped { layer.idmapped(users.as_fd()).unwrap() } else { layer };
            let upper = Upper::Ephemeral { size_bytes: 4 << 20 };
            let mount = merge(vec![layer], upper, "run", MountAttributes::empty()).unwrap();
            mount.attach_at(&merged).unwrap();
            run_over(&merged);
        });
        assert!(fs::read(&path).unwrap() == before, "mapped: {is_mapped}");
    }
}

/// All that can be told of a tree without changing it: of each file its metadata with all times but that of access,
/// its content and extended attributes.
fn all_of(tree: &Path) -> BTreeMap<PathBuf, (Vec<i64>, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut directories = vec![tree.to_owned()];
    let mut take = |path: &Path| {
        let metadata = fs::symlink_metadata(path).unwrap();
        let numbers = [metadata.ino(), metadata.nlink(), metadata.len(), metadata.rdev()];
        let mut facts: Vec<i64> = numbers.map(u64::cast_signed).to_vec();
        facts.extend([metadata.mode(), metadata.uid(), metadata.gid()].map(i64::from));
        facts.extend([metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()]);
        let mut content = Vec::new();
        if metadata.is_file() {
            content = fs::read(path).unwrap();
        } else if metadata.is_symlink() {
            content = fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec();
        }
        let mut names = [0; 1000];
        let len = rustix::fs::llistxattr(path, &mut names).unwrap();
        content.extend(&names[..len]);
        all.insert(path.to_owned(), (facts, content));
        metadata.is_dir()
    };
    take(tree);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if take(&path) {
                directories.push(path);
            }
        }
    }
    all
}

fn directory_after_a_run() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let [base, top, merged] = ["base", "top", "merged"].map(|name| at.join(name));
        for path in [&base, &top, &merged] {
            fs::create_dir(path).unwrap();
        }
        fill(&base);
        fs::write(top.join("of-top"), "").unwrap();
        let before = (all_of(&base), all_of(&top));
        let lower = [&top, &base].map(|path| Layer::open(path).unwrap()).to_vec();
        let upper = Upper::Ephemeral { size_bytes: 4 << 20 };
        let mount = merge(lower, upper, "run", MountAttributes::empty()).unwrap();
        mount.attach_at(&merged).unwrap();
        run_over(&merged);
        assert_eq!((all_of(&base), all_of(&top)), before);
        // The witness: without the overlay, the same is seen.
        run_over(&base);
        assert_ne!(all_of(&base), before.0);
    });
}
