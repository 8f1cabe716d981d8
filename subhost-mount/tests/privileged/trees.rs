//! Trees that are made to trick whoever mounts in them.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use rustix::mount::{UnmountFlags, unmount};
use subhost_mount::mountinfo::MountTable;
use subhost_mount::rootdir::{MountPoint, NodeKind};
use subhost_mount::{Error, FileSystem, RootDir, Staging};

use crate::{Row, scene};

pub(crate) const CASES: &[Row] = &[
    ("mount_and_node_stay_in_the_tree_whatever_its_directories_are", &[], hostile_directories),
    ("mount_point_that_is_exchanged_all_the_time_is_hit_or_refused", &[], racing_mount_point),
    ("directory_that_is_exchanged_all_the_time_gets_nothing_outside", &[], racing_parent),
    ("device_node_is_never_opened", &[], device_nodes),
];

/// Row P1, for every directory that is used before a guest runs.
fn hostile_directories() {
    let folder = scene::folder();
    let at = folder.path().to_owned();
    let canary = at.join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "untouched").unwrap();
    Staging::new().unwrap().run(move || {
        for name in ["dev", "proc", "sys", "run", "tmp", "etc", "sbin", "bin"] {
            for kind in ["absolute", "relative", "self", "file", "fifo", "device"] {
                let root = at.join(format!("{name}-{kind}"));
                fs::create_dir(&root).unwrap();
                let hostile = root.join(name);
                let node = |kind, device| {
                    mknodat(CWD, &hostile, kind, Mode::from_raw_mode(0o666), device).unwrap();
                };
                match kind {
                    "absolute" => symlink(&canary, &hostile).unwrap(),
                    "relative" => symlink("../canary", &hostile).unwrap(),
                    "self" => symlink("/proc/self/root", &hostile).unwrap(),
                    "file" => fs::write(&hostile, "").unwrap(),
                    "fifo" => node(FileType::Fifo, 0),
                    _ => node(FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
                }
                let tree = RootDir::open(&root).unwrap();
                let error = tree.mount_point(Path::new(name), MountPoint::Directory).unwrap_err();
                assert!(matches!(error, Error::WrongKind { .. }), "{name} {kind}: {error}");
                let below = Path::new(name).join("file");
                tree.mount_point(&below, MountPoint::File).unwrap_err();
                tree.create_dir(&below, 0o755).unwrap_err();
                tree.create_file(&below, 0o644, b"hit").unwrap_err();
                tree.make_node(&below, NodeKind::Char, 0o666, 1, 3).unwrap_err();
                tree.symlink(Path::new("hit"), &below).unwrap_err();
                tree.chown(&below, 1, 1).unwrap_err();
                tree.read_small(&below, 100).unwrap_err();
                tree.list_dir(Path::new(name)).unwrap_err();
            }
        }
        untouched(&canary);
    });
}

fn untouched(canary: &Path) {
    let names: Vec<_> = fs::read_dir(canary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(fs::read_to_string(canary.join("file")).unwrap(), "untouched");
    let table = MountTable::read(None).unwrap();
    assert_eq!(table.below(canary).next(), None);
}

/// Calls `attempt` 2,000 times, and on until it has met both, with a tree in which `dev` is a directory and a link to
/// the canary in turn. It says whether it met the directory.
fn while_exchanging(attempt: impl Fn(&RootDir, &Path) -> bool + Send + 'static) {
    let folder = scene::folder();
    let at = folder.path().to_owned();
    let canary = at.join("canary");
    let tree = at.join("tree");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "untouched").unwrap();
    fs::create_dir_all(tree.join("dev")).unwrap();
    // Seen from outside it is the canary, from inside there is nothing.
    symlink("../canary", tree.join("link")).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let racer = {
        let (done, tree) = (Arc::clone(&done), tree.clone());
        thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                // When the test has failed, the tree is gone.
                let _ = renameat_with(CWD, tree.join("dev"), CWD, tree.join("link"), RenameFlags::EXCHANGE);
            }
        })
    };
    Staging::new().unwrap().run(move || {
        let root = RootDir::open(&tree).unwrap();
        let (mut hits, mut refusals) = (0, 0);
        let deadline = Instant::now() + Duration::from_secs(30);
        while hits + refusals < 2000 || hits == 0 || refusals == 0 {
            assert!(Instant::now() < deadline, "the race was not one: {hits} hits, {refusals} refusals");
            if attempt(&root, &tree) {
                hits += 1;
            } else {
                refusals += 1;
            }
        }
        untouched(&canary);
    });
    done.store(true, Ordering::Relaxed);
    racer.join().unwrap();
}

/// Row P2.
fn racing_mount_point() {
    while_exchanging(|root, tree| match root.mount_point(Path::new("dev"), MountPoint::Directory) {
        Ok(target) => {
            let mount = FileSystem::new("tmpfs").mount().unwrap();
            mount.attach(target.as_fd()).unwrap();
            let name = format!("/proc/self/fd/{}", mount.as_fd().as_raw_fd());
            let place = fs::read_link(&name).unwrap();
            assert!(place == tree.join("dev") || place == tree.join("link"), "{}", place.display());
            unmount(name, UnmountFlags::DETACH).unwrap();
            true
        }
        Err(Error::WrongKind { .. }) => false,
        Err(error) => panic!("{error}"),
    });
}

fn racing_parent() {
    let number = AtomicU32::new(0);
    while_exchanging(move |root, _| {
        let name = format!("dev/{}", number.fetch_add(1, Ordering::Relaxed));
        let fifo = format!("{name}n");
        let _ = root.make_node(Path::new(&fifo), NodeKind::Fifo, 0o600, 0, 0);
        root.create_file(Path::new(&name), 0o600, b"hit").is_ok()
    });
}

fn device_nodes() {
    let folder = scene::folder();
    let tree = RootDir::open(folder.path()).unwrap();
    // Opening this one without looking would fail with ENXIO, not as the wrong kind.
    tree.make_node(Path::new("node"), NodeKind::Block, 0o666, 240, 1).unwrap();
    let metadata = tree.metadata(Path::new("node")).unwrap();
    assert_eq!(metadata.rdev, (240, 1));
    for error in [
        tree.open_file(Path::new("node")).unwrap_err(),
        tree.read_small(Path::new("node"), 10).unwrap_err(),
        tree.open_fifo_for_write(Path::new("node")).unwrap_err(),
        tree.mount_point(Path::new("node"), MountPoint::File).unwrap_err(),
    ] {
        assert!(matches!(error, Error::WrongKind { found: "a block device", .. }), "{error}");
    }
}
