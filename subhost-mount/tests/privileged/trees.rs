//! Trees that are made to trick whoever mounts in them.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use rustix::mount::{UnmountFlags, unmount};
use subhost_mount::mountinfo::MountTable;
use subhost_mount::rootdir::{MountPoint, NodeKind};
use subhost_mount::{Error, FileSystem, RootDir, Staging};

use crate::{Row, scene, sys};

pub(crate) const CASES: &[Row] = &[
    ("mount_and_node_stay_in_the_tree_whatever_its_directories_are", &[], || {
        hostile_directories(Walk::Kernel)
    }),
    ("mount_and_node_stay_in_the_tree_without_openat2", &[], || hostile_directories(Walk::Ours)),
    ("race_for_a_mount_point", &[], || while_exchanging(Walk::Kernel, racing_mount)),
    ("race_for_a_mount_point_without_openat2", &[], || while_exchanging(Walk::Ours, racing_mount)),
    ("race_to_create_files_and_nodes", &[], || while_exchanging(Walk::Kernel, racing_create)),
    ("race_to_create_files_and_nodes_without_openat2", &[], || while_exchanging(Walk::Ours, racing_create)),
    ("race_to_make_directories", &[], || while_exchanging(Walk::Kernel, racing_mkdir)),
    ("race_to_make_directories_without_openat2", &[], || while_exchanging(Walk::Ours, racing_mkdir)),
    ("race_to_write_files", &[], || while_exchanging(Walk::Kernel, racing_write)),
    ("race_to_write_files_without_openat2", &[], || while_exchanging(Walk::Ours, racing_write)),
    ("race_of_a_way_up_that_is_moved_out", &[], || while_moving_out(Walk::Kernel)),
    ("race_of_a_way_up_that_is_moved_out_without_openat2", &[], || while_moving_out(Walk::Ours)),
    ("device_node_is_never_opened", &[], device_nodes),
];

/// Row P1, for every directory that is used before a guest runs.
fn hostile_directories(walk: Walk) {
    let folder = scene::folder();
    let at = folder.path().to_owned();
    let canary = at.join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "untouched").unwrap();
    Staging::new().unwrap().run(move || {
        walk.run(|| {
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
                    tree.create_dir_all(&below, 0o755).unwrap_err();
                    tree.create_file(&below, 0o644, b"hit").unwrap_err();
                    tree.write_file(&below, 0o644, b"hit").unwrap_err();
                    tree.make_node(&below, NodeKind::Char, 0o666, 1, 3).unwrap_err();
                    tree.symlink(Path::new("hit"), &below).unwrap_err();
                    tree.chown(&below, 1, 1).unwrap_err();
                    tree.read_small(&below, 100).unwrap_err();
                    tree.list_dir(Path::new(name)).unwrap_err();
                }
            }
        });
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

/// Who walks the paths.
#[derive(Clone, Copy)]
enum Walk {
    Kernel,
    /// `openat2` has been taken away.
    Ours,
}

impl Walk {
    fn run(self, job: impl FnOnce() + Send) {
        match self {
            Walk::Kernel => job(),
            Walk::Ours => sys::without_openat2(libc::ENOSYS, job),
        }
    }
}

/// How often each operation is tried at least; `SUBHOST_TRIES` says otherwise.
const TRIES: u32 = 2000;

/// How often it has to succeed, and to be refused: refusals are faster, and would be nearly all.
const BOTH: u32 = 20;

/// Tries in a tree in which `dev` is a directory and a link to the canary in turn: `attempt` says whether it met the
/// directory. Nothing may come out of the tree.
fn while_exchanging(walk: Walk, attempt: fn(&RootDir, &Path, u32) -> bool) {
    let folder = scene::folder();
    let at = folder.path().to_owned();
    let canary = at.join("canary");
    let tree = at.join("tree");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "untouched").unwrap();
    fs::create_dir_all(tree.join("dev")).unwrap();
    // Seen from outside it is the canary, from inside there is nothing.
    symlink("../canary", tree.join("link")).unwrap();
    let racer = {
        let tree = tree.clone();
        Racer::start(move || {
            // When the test has failed, the tree is gone.
            let _ = renameat_with(CWD, tree.join("dev"), CWD, tree.join("link"), RenameFlags::EXCHANGE);
        })
    };
    Staging::new().unwrap().run(move || {
        walk.run(|| {
            let root = RootDir::open(&tree).unwrap();
            try_until_both(|number| attempt(&root, &tree, number));
        });
        untouched(&canary);
    });
    drop(racer);
}

/// Calls `attempt` with numbers, until it was there often enough and has met both.
fn try_until_both(attempt: impl Fn(u32) -> bool) {
    let given = std::env::var("SUBHOST_TRIES").ok();
    let tries = given.map_or(TRIES, |text| text.parse().unwrap());
    let (mut hits, mut refusals) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(120);
    while hits + refusals < tries || hits.min(refusals) < BOTH {
        assert!(Instant::now() < deadline, "the race was not one: {hits} hits, {refusals} refusals");
        if attempt(hits + refusals) {
            hits += 1;
        } else {
            refusals += 1;
        }
    }
    println!("{} tries: {hits} hits, {refusals} refusals", hits + refusals);
}

/// A thread that does one thing again and again for as long as this lives.
struct Racer {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Racer {
    fn start(step: impl Fn() + Send + 'static) -> Racer {
        let done = Arc::new(AtomicBool::new(false));
        let thread = {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    step();
                }
            })
        };
        Racer { done, thread: Some(thread) }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Row P2.
fn racing_mount(root: &RootDir, tree: &Path, _: u32) -> bool {
    match root.mount_point(Path::new("dev"), MountPoint::Directory) {
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
    }
}

fn racing_create(root: &RootDir, _: &Path, number: u32) -> bool {
    let name = format!("dev/{number}");
    let _ = root.make_node(Path::new(&format!("{name}n")), NodeKind::Fifo, 0o600, 0, 0);
    root.create_file(Path::new(&name), 0o600, b"hit").is_ok()
}

fn racing_mkdir(root: &RootDir, _: &Path, number: u32) -> bool {
    root.create_dir_all(Path::new(&format!("dev/{number}/below")), 0o700).is_ok()
}

fn racing_write(root: &RootDir, _: &Path, _: u32) -> bool {
    root.write_file(Path::new("dev/file"), 0o600, b"hit").is_ok()
}

/// A path that goes down and up again ends in the tree, though the folder that it turns round in is moved out of the
/// tree and back meanwhile: only the host could, but then `..` leads elsewhere.
fn while_moving_out(walk: Walk) {
    let folder = scene::folder();
    let at = folder.path().to_owned();
    let (tree, outside) = (at.join("tree"), at.join("outside"));
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::create_dir(&outside).unwrap();
    let racer = {
        let (inside, outside) = (tree.join("a/b"), outside.join("b"));
        Racer::start(move || {
            let _ = fs::rename(&inside, &outside);
            let _ = fs::rename(&outside, &inside);
        })
    };
    walk.run(|| {
        let root = RootDir::open(&tree).unwrap();
        try_until_both(|number| {
            let made = root.create_file(Path::new(&format!("a/b/../../{number}")), 0o600, b"hit").is_ok();
            assert_eq!(made, tree.join(number.to_string()).exists());
            made
        });
    });
    drop(racer);
    let mut names: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.extend(fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().file_name()));
    names.retain(|name| name != "b");
    names.sort();
    assert_eq!(names, ["outside", "tree"]);
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
