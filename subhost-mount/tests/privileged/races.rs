//! Others who exchange what is behind a name, again and again, while it is used.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::mount::{UnmountFlags, unmount};
use subhost_mount::bind::bind_fd;
use subhost_mount::rootdir::{MountPoint, NodeKind};
use subhost_mount::{Access, Error, FileSystem, Image, LoopDevice, LoopOptions, RootDir, Staging};

use crate::trees::{Walk, untouched};
use crate::{Row, scene, sys};

/// `cargo xtask proof races` runs all that are called so.
pub(crate) const CASES: &[Row] = &[
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
    ("race_for_the_source_of_a_bind", &[], racing_source),
    ("race_for_the_path_of_an_image", &[], racing_image),
];

/// How often each operation is tried at least; `SUBHOST_TRIES` says otherwise.
const TRIES: u32 = 2000;

/// Tries in a tree in which `dev` is a directory and a link to the canary in turn: `attempt` says whether it met the
/// directory. Nothing may come out of the tree.
fn while_exchanging(walk: Walk, attempt: fn(&RootDir, &Path, u32) -> bool) {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    let canary = at.join("canary");
    let tree = at.join("tree");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "untouched").unwrap();
    fs::create_dir_all(tree.join("dev")).unwrap();
    // Seen from outside it is the canary, from inside there is nothing.
    symlink("../canary", tree.join("link")).unwrap();
    let racer = Racer::exchanging(tree.join("dev"), &[tree.join("link")]);
    Staging::new().unwrap().run(move || {
        walk.run(|| {
            let root = RootDir::open(&tree).unwrap();
            try_until_both(|number| attempt(&root, &tree, number));
        });
        untouched(&canary);
    });
    drop(racer);
}

/// Calls `attempt` with numbers, often enough, and until each hundredth try or more has met either.
fn try_until_both(attempt: impl Fn(u32) -> bool) {
    let given = std::env::var("SUBHOST_TRIES").ok();
    let tries = given.map_or(TRIES, |text| text.parse().unwrap());
    // Refusals are faster, and would be nearly all.
    let both = tries / 100;
    let (mut hits, mut refusals) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(120);
    while hits + refusals < tries || hits.min(refusals) < both {
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

    /// Exchanges `path` with each of the others in turn.
    fn exchanging(path: PathBuf, others: &[PathBuf]) -> Racer {
        let others = others.to_vec();
        Racer::start(move || {
            for other in &others {
                // When the test has failed, the directory is gone.
                let _ = renameat_with(CWD, &path, CWD, other, RenameFlags::EXCHANGE);
            }
        })
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Row P2 of docs/security.md.
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

/// A path that goes down and up again ends in the tree, though the directory that it turns round in is moved out of the
/// tree and back meanwhile: only the host could, but then `..` leads elsewhere.
fn while_moving_out(walk: Walk) {
    let directory = scene::directory();
    let at = directory.path().to_owned();
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

/// Row P8 of docs/security.md: opened once, the source is what it was, whatever its path becomes.
fn racing_source() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    for (name, text) in [("source", "planned"), ("other", "secret")] {
        fs::create_dir(at.join(name)).unwrap();
        fs::write(at.join(name).join("file"), text).unwrap();
    }
    symlink("other", at.join("link")).unwrap();
    let racer = Racer::exchanging(at.join("source"), &[at.join("other"), at.join("link")]);
    Staging::new().unwrap().run(move || {
        try_until_both(|_| {
            // The link leads to nothing, or to itself, when the others have changed places.
            let Ok(source) = fs::File::open(at.join("source")) else { return false };
            let planned = source.metadata().unwrap();
            let tree = bind_fd(source.as_fd(), true).unwrap().root().unwrap();
            assert_eq!(tree.metadata(Path::new("/")).unwrap().inode, planned.ino());
            tree.read_small(Path::new("file"), 10).unwrap() == b"planned"
        });
    });
    drop(racer);
}

/// Row L1 of docs/security.md: the loop device shows the inode that was opened and locked, by the kernel's own word.
fn racing_image() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let [secret, link] = ["secret.raw", "link"].map(|name| directory.path().join(name));
    fs::copy(&path, &secret).unwrap();
    let planned = fs::metadata(&path).unwrap().ino();
    symlink("secret.raw", &link).unwrap();
    let racer = Racer::exchanging(path.clone(), &[secret, link]);
    let options = LoopOptions { read_only: true, ..LoopOptions::default() };
    try_until_both(|_| {
        // As above; and the one just let go of may still be held by its loop device for a moment.
        let Ok(image) = Image::open(&path, Access::ReadOnly) else { return false };
        let device = LoopDevice::attach(&image, image.range(0).unwrap(), &options).unwrap();
        assert_eq!(sys::inode_behind(device.as_fd()), image.id());
        assert_eq!(
            fs::File::from(image.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap().ino(),
            image.id().1
        );
        image.id().1 == planned
    });
    drop(racer);
}
