//! What an image holds is mounted as it is safe, or not at all.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use subhost_mount::filesystem::Mount;
use subhost_mount::fstype::{self, AllowedTypes};
use subhost_mount::mountinfo::{MountEntry, MountTable};
use subhost_mount::{
    Access, Error, FileSystem, Image, LoopDevice, LoopOptions, MountAttributes, Result, Staging,
};

use crate::{Row, harness, scene};

pub(crate) const CASES: &[Row] = &[
    (
        "superblock_and_caller_that_ask_for_a_panic_get_a_read_only_mount_instead",
        &["mkfs.ext4", "tune2fs"],
        no_panic,
    ),
    ("copies_of_one_xfs_are_mounted_side_by_side", &["mkfs.xfs"], xfs_copies),
    ("nodev_stays_and_nosuid_comes_when_it_is_asked_for", &["mkfs.ext4"], attributes),
    ("type_that_is_not_allowed_is_refused_until_it_is", &["mkfs.vfat"], not_allowed),
    (
        "file_system_that_leads_elsewhere_is_refused_with_the_reason",
        &["mkfs.ext4", "mkfs.btrfs", "debugfs"],
        refused,
    ),
    ("erofs_is_mounted_straight_from_the_file_that_was_opened", &["mkfs.ext4", "mkfs.erofs"], erofs_file),
    (
        "lock_of_an_image_that_is_mounted_straight_goes_with_the_image",
        &["mkfs.ext4", "mkfs.erofs"],
        erofs_lock,
    ),
    ("erofs_that_the_kernel_cannot_read_straight_is_left_to_a_loop_device", &["mkfs.erofs"], erofs_on_tmpfs),
];

/// An image of that many MiB, made by that command, where `IMAGE` stands for it.
fn made(directory: &Path, mib: u64, command: &str) -> PathBuf {
    let path = directory.join("disk.raw");
    fs::File::create(&path).unwrap().set_len(mib << 20).unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    let image = path.to_str().unwrap();
    let args: Vec<&str> = words[1..].iter().map(|&word| if word == "IMAGE" { image } else { word }).collect();
    harness::output(words[0], &args);
    path
}

/// Makes an erofs with a file that says `text`.
fn erofs(directory: &Path, name: &str, text: &str) -> PathBuf {
    let (tree, image) = (directory.join(format!("{name}-tree")), directory.join(name));
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), text).unwrap();
    harness::output("mkfs.erofs", &[image.to_str().unwrap(), tree.to_str().unwrap()]);
    image
}

/// What the kernel has of the image mounted at `at`, after `change` had its say.
fn mounted(
    path: &Path,
    at: &Path,
    allowed: &AllowedTypes,
    change: impl FnOnce(FileSystem) -> FileSystem,
) -> Result<MountEntry> {
    let image = Image::open(path, Access::ReadWrite)?;
    let range = image.range(0)?;
    let found = fstype::probe(image.reader(range), 0)?.unwrap();
    let device = LoopDevice::attach(&image, range, &LoopOptions::default())?;
    fs::create_dir_all(at).unwrap();
    change(FileSystem::of_image(&found, device.path(), allowed)?).mount()?.attach_at(at)?;
    Ok(MountTable::read(None)?.at(at).last().unwrap().clone())
}

/// Runs in a mount namespace of its own, with a directory.
fn staged(run: impl FnOnce(&Path) + Send + 'static) {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || run(&at));
}

fn options(entry: &MountEntry) -> Vec<String> {
    let text = entry.super_options.to_string_lossy().into_owned();
    text.split(',').map(str::to_owned).collect()
}

/// How the ext4 at `at` takes errors: `/proc/mounts` leaves out what is the superblock's own default.
fn errors_at(at: &Path) -> String {
    let (_, minor) = MountTable::read(None).unwrap().at(at).last().unwrap().device;
    let all = fs::read_to_string(format!("/proc/fs/ext4/loop{minor}/options")).unwrap();
    all.lines().find(|line| line.starts_with("errors=")).unwrap().to_owned()
}

fn no_panic() {
    staged(|directory| {
        let path = made(directory, 16, "mkfs.ext4 -q -F IMAGE");
        let (plain, live) = (directory.join("plain"), directory.join("live"));
        fs::create_dir(&plain).unwrap();
        // Both ways that a superblock has.
        for tune in [["-e", "panic"], ["-E", "mount_opts=errors=panic"]] {
            harness::output("tune2fs", &[tune[0], tune[1], path.to_str().unwrap()]);
            let image = Image::open(&path, Access::ReadWrite).unwrap();
            let device =
                LoopDevice::attach(&image, image.range(0).unwrap(), &LoopOptions::default()).unwrap();
            FileSystem::new("ext4").source(device.path()).mount().unwrap().attach_at(&plain).unwrap();
            assert_eq!(errors_at(&plain), "errors=panic", "or this test shows nothing");
            unmount(&plain);
            drop((device, image));
            free(&path);
            let entry =
                mounted(&path, &live, &AllowedTypes::default(), |system| system.option("errors", "panic"));
            assert_eq!(errors_at(&live), "errors=remount-ro");
            assert!(options(&entry.unwrap()).contains(&"errors=remount-ro".to_owned()));
            unmount(&live);
            free(&path);
            harness::output("tune2fs", &["-e", "continue", path.to_str().unwrap()]);
        }
    });
}

fn unmount(at: &Path) {
    rustix::mount::unmount(at, rustix::mount::UnmountFlags::empty()).unwrap();
}

/// Waits until the kernel has taken its loop device back.
fn free(image: &Path) {
    scene::wait_until("the image is free", || Image::open(image, Access::ReadWrite).is_ok());
}

fn xfs_copies() {
    staged(|directory| {
        let path = made(directory, 320, "mkfs.xfs -q IMAGE");
        let copy = directory.join("copy.raw");
        fs::copy(&path, &copy).unwrap();
        for (path, at) in [(&path, directory.join("one")), (&copy, directory.join("two"))] {
            let entry = mounted(path, &at, &AllowedTypes::default(), |system| system).unwrap();
            assert!(options(&entry).contains(&"nouuid".to_owned()), "{entry:?}");
        }
    });
}

fn attributes() {
    staged(|directory| {
        let path = made(directory, 16, "mkfs.ext4 -q -F IMAGE");
        for (name, asked) in [("all", MountAttributes::NOSUID), ("none", MountAttributes::empty())] {
            let entry = mounted(&path, &directory.join(name), &AllowedTypes::default(), |system| {
                system.attributes(asked)
            });
            let entry = entry.unwrap();
            assert!(entry.has_option("nodev"), "{entry:?}");
            assert_eq!(entry.has_option("nosuid"), asked == MountAttributes::NOSUID, "{entry:?}");
            unmount(&directory.join(name));
            free(&path);
        }
    });
}

/// Row L5.
fn not_allowed() {
    staged(|directory| {
        let path = made(directory, 16, "mkfs.vfat IMAGE");
        let at = directory.join("live");
        let error = mounted(&path, &at, &AllowedTypes::default(), |system| system).unwrap_err();
        let Error::FileSystemNotAllowed { kind, allowed } = &error else { panic!("{error}") };
        assert_eq!(kind, "vfat");
        assert_eq!(*allowed, ["btrfs", "erofs", "ext2", "ext3", "ext4", "squashfs", "xfs"]);
        // Then it is the kernel's to say.
        match mounted(&path, &at, &AllowedTypes::default().and(["vfat"]), |system| system) {
            Ok(entry) => assert!(entry.kind == "vfat" && entry.has_option("nodev"), "{entry:?}"),
            Err(error) => assert!(matches!(error, Error::UnknownFileSystem { .. }), "{error}"),
        }
    });
}

fn refused() {
    staged(|directory| {
        let other = directory.join("other.raw");
        fs::File::create(&other).unwrap().set_len(320 << 20).unwrap();
        let btrfs = format!("mkfs.btrfs -q IMAGE {}", other.display());
        for (command, tool, tell, expected) in [
            (
                "mkfs.ext4 -q -F IMAGE",
                "debugfs",
                "-wR ssv journal_dev 0x801",
                "its journal is on another device",
            ),
            (
                "mkfs.ext4 -q -F IMAGE",
                "debugfs",
                "-wR ssv feature_incompat 0x40000042",
                "it has features that are not known: 0x40000000",
            ),
            (
                "mkfs.ext4 -q -F IMAGE",
                "tune2fs",
                "-E mount_opts=journal_path=/dev/vda",
                "its own mount options name a journal on another device",
            ),
            (&btrfs, "true", "--", "it is spread over 2 devices"),
        ] {
            let path = made(directory, 320, command);
            let (option, value) = tell.split_once(' ').unwrap_or((tell, ""));
            harness::output(tool, &[option, value, path.to_str().unwrap()]);
            let error = mounted(&path, &directory.join("live"), &AllowedTypes::default(), |system| system);
            let error = error.unwrap_err();
            let Error::FileSystemRefused { reason, .. } = &error else { panic!("{error}") };
            assert_eq!(reason, expected);
        }
    });
}

/// A directory on an ext4 of its own, since not every file system lets the kernel read straight.
fn on_ext4(directory: &Path) -> PathBuf {
    let path = made(directory, 16, "mkfs.ext4 -q -F IMAGE");
    let at = directory.join("files");
    mounted(&path, &at, &AllowedTypes::default(), |system| system).unwrap();
    at
}

/// A mount straight from the file; none only where the kernel is too old for it.
fn straight(image: &Image) -> Option<Mount> {
    let mount = FileSystem::mount_erofs_file(image, &AllowedTypes::default()).unwrap();
    let uname = rustix::system::uname();
    let release = uname.release().to_str().unwrap();
    let numbers: Vec<u32> = release.split(['.', '-']).take(2).map(|part| part.parse().unwrap()).collect();
    assert_eq!(mount.is_some(), numbers >= vec![6, 12], "{release}");
    mount
}

fn erofs_file() {
    staged(|directory| {
        let directory = on_ext4(directory);
        let (path, other) = (erofs(&directory, "one.erofs", "one"), erofs(&directory, "two.erofs", "two"));
        let image = Image::open(&path, Access::ReadOnly).unwrap();
        // What is at its path by now does not matter.
        fs::rename(&other, &path).unwrap();
        let Some(mount) = straight(&image) else { return };
        assert_eq!(mount.root().unwrap().read_small(Path::new("file"), 10).unwrap(), b"one");
        let at = directory.join("live");
        fs::create_dir(&at).unwrap();
        mount.attach_at(&at).unwrap();
        let entry = MountTable::read(None).unwrap().at(&at).last().unwrap().clone();
        assert!(entry.kind == "erofs" && entry.has_option("nodev") && entry.has_option("ro"), "{entry:?}");
        assert!(scene::loops_over(&path).is_empty());

        let allowed: AllowedTypes = ["ext4"].into_iter().collect();
        let error = FileSystem::mount_erofs_file(&image, &allowed).unwrap_err();
        assert!(matches!(error, Error::FileSystemNotAllowed { .. }), "{error}");
        let ext4 = made(&directory, 4, "mkfs.ext4 -q -F IMAGE");
        let ext4 = Image::open(&ext4, Access::ReadOnly).unwrap();
        let error = FileSystem::mount_erofs_file(&ext4, &AllowedTypes::default()).unwrap_err();
        assert_eq!(error.to_string(), "mount erofs: the image is none");
    });
}

/// What the documentation warns of: should the kernel one day keep the lock, it can be taken back.
fn erofs_lock() {
    staged(|directory| {
        let directory = on_ext4(directory);
        let path = erofs(&directory, "one.erofs", "one");
        let image = Image::open(&path, Access::ReadOnly).unwrap();
        let Some(mount) = straight(&image) else { return };
        let refused = Image::open(&path, Access::ReadWrite).unwrap_err();
        assert!(matches!(refused, Error::ImageInUse { .. }), "{refused}");
        drop(image);
        // What another test has just forked has its descriptors until it executes its program.
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Err(error) = Image::open(&path, Access::ReadWrite) {
            assert!(matches!(error, Error::ImageInUse { .. }) && Instant::now() < deadline, "{error}");
        }
        drop(mount);
    });
}

fn erofs_on_tmpfs() {
    staged(|directory| {
        FileSystem::new("tmpfs").mount().unwrap().attach_at(directory).unwrap();
        let path = erofs(directory, "one.erofs", "one");
        let image = Image::open(&path, Access::ReadOnly).unwrap();
        assert!(FileSystem::mount_erofs_file(&image, &AllowedTypes::default()).unwrap().is_none());
        let device = LoopDevice::attach(
            &image,
            image.range(0).unwrap(),
            &LoopOptions { read_only: true, ..Default::default() },
        )
        .unwrap();
        let found = fstype::probe(image.reader(image.range(0).unwrap()), 0).unwrap().unwrap();
        let system = FileSystem::of_image(&found, OsString::from(device.path()), &AllowedTypes::default());
        let mount = system.unwrap().attributes(MountAttributes::RDONLY).mount().unwrap();
        assert_eq!(mount.root().unwrap().read_small(Path::new("file"), 10).unwrap(), b"one");
    });
}
