//! Trees that are made to trick whoever mounts in them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use subhost_mount::mountinfo::MountTable;
use subhost_mount::rootdir::{MountPoint, NodeKind};
use subhost_mount::{Error, RootDir, Staging};

use crate::{Row, scene, sys};

pub(crate) const CASES: &[Row] = &[
    ("mount_and_node_stay_in_the_tree_whatever_its_directories_are", &[], || {
        hostile_directories(Walk::Kernel)
    }),
    ("mount_and_node_stay_in_the_tree_without_openat2", &[], || hostile_directories(Walk::Ours)),
    ("device_node_is_never_opened", &[], device_nodes),
];

/// Row P1 of docs/security.md, for every directory that is used before a guest runs.
fn hostile_directories(walk: Walk) {
    let directory = scene::directory();
    let at = directory.path().to_owned();
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

pub(crate) fn untouched(canary: &Path) {
    let names: Vec<_> = fs::read_dir(canary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(fs::read_to_string(canary.join("file")).unwrap(), "untouched");
    let table = MountTable::read(None).unwrap();
    assert_eq!(table.below(canary).next(), None);
}

/// Who walks the paths.
#[derive(Clone, Copy)]
pub(crate) enum Walk {
    Kernel,
    /// `openat2` has been taken away.
    Ours,
}

impl Walk {
    pub(crate) fn run(self, job: impl FnOnce() + Send) {
        match self {
            Walk::Kernel => job(),
            Walk::Ours => sys::without_openat2(libc::ENOSYS, job),
        }
    }
}

fn device_nodes() {
    let directory = scene::directory();
    let tree = RootDir::open(directory.path()).unwrap();
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
