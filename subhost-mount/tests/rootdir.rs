//! Trees that are made to trick whoever reads and writes in them, without root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "sys/mod.rs"]
mod sys;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, mknodat, renameat_with};
use subhost_mount::rootdir::{FileKind, MountPoint};
use subhost_mount::{Error, RootDir};
use tempfile::TempDir;

/// Each case as the kernel walks paths, and as we do where it may not.
macro_rules! each_way {
    ($($name:ident)*) => {
        mod with_openat2 {
            $(#[test]
            fn $name() {
                super::$name();
            })*
        }
        mod without_openat2 {
            $(#[test]
            fn $name() {
                super::sys::without_openat2(libc::ENOSYS, super::$name);
            })*
        }
        mod with_openat2_forbidden {
            $(#[test]
            fn $name() {
                super::sys::without_openat2(libc::EPERM, super::$name);
            })*
        }
    };
}

each_way! {
    paths_and_links_mean_places_inside
    nothing_is_made_through_a_link_at_the_name_itself
    names_that_are_none_are_refused
    files_are_made_with_their_contents_and_mode
    a_file_that_is_too_large_is_refused_and_one_that_fits_is_not
    what_is_no_regular_file_is_not_read_and_nobody_waits
    only_a_fifo_with_a_reader_is_opened_for_writing
    only_real_directories_and_files_are_mount_points
    directories_are_made_with_those_before_them
    a_file_is_written_in_one_step
    a_file_that_cannot_be_written_is_as_it_was
    what_a_killed_writer_has_left_goes_with_the_next
    of_many_writers_one_has_written_all_of_the_file
    deep_paths_are_walked
}

/// A directory with a canary and, beside it, the tree.
fn scene() -> (TempDir, PathBuf, RootDir) {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::create_dir(directory.path().join("canary")).unwrap();
    fs::write(directory.path().join("canary/file"), "host").unwrap();
    let root = RootDir::open(&tree).unwrap();
    (directory, tree, root)
}

fn fifo(path: PathBuf) {
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

fn errno(error: &Error) -> i32 {
    error.raw_os_error().unwrap_or_else(|| panic!("{error}"))
}

fn paths_and_links_mean_places_inside() {
    let (directory, tree, root) = scene();
    fs::create_dir(tree.join("etc")).unwrap();
    fs::write(tree.join("etc/hostname"), "guest").unwrap();
    symlink("/etc", tree.join("absolute")).unwrap();
    symlink("../../../../etc", tree.join("up")).unwrap();
    for path in ["etc/hostname", "/etc/hostname", "../../etc/hostname", "absolute/hostname", "up/hostname"] {
        assert_eq!(root.read_small(Path::new(path), 100).unwrap(), b"guest", "{path}");
    }
    symlink(directory.path().join("canary"), tree.join("out")).unwrap();
    symlink("/proc/self/root", tree.join("magic")).unwrap();
    symlink("loop", tree.join("loop")).unwrap();
    for path in ["out/file", "magic/etc/passwd", "loop", "../canary/file", "etc/hostname/x"] {
        assert!(!root.exists(Path::new(path)).unwrap(), "{path}");
        root.read_small(Path::new(path), 100).unwrap_err();
    }
    assert_eq!(root.read_link(Path::new("absolute")).unwrap(), Path::new("/etc"));
    assert_eq!(root.kind(Path::new("absolute")).unwrap(), Some(FileKind::Directory));
    assert_eq!(root.symlink_metadata(Path::new("absolute")).unwrap().kind, FileKind::Symlink);
}

fn nothing_is_made_through_a_link_at_the_name_itself() {
    let (directory, tree, root) = scene();
    let canary = directory.path().join("canary/new");
    symlink(&canary, tree.join("link")).unwrap();
    let path = Path::new("link");
    for error in [
        root.create_file(path, 0o600, b"hit").unwrap_err(),
        root.create_dir(path, 0o700).unwrap_err(),
        root.symlink(Path::new("x"), path).unwrap_err(),
    ] {
        assert_eq!(errno(&error), libc::EEXIST, "{error}");
    }
    assert!(!canary.exists());
}

fn names_that_are_none_are_refused() {
    let (_directory, _, root) = scene();
    for path in ["", "/", ".", "..", "a/.."] {
        let error = root.create_dir(Path::new(path), 0o700).unwrap_err();
        assert_eq!(errno(&error), libc::EINVAL, "{path}");
    }
    assert_eq!(errno(&root.create_dir(Path::new("a\0b"), 0o700).unwrap_err()), libc::EINVAL);
}

fn files_are_made_with_their_contents_and_mode() {
    let (_directory, tree, root) = scene();
    root.create_dir(Path::new("/etc"), 0o700).unwrap();
    root.create_file(Path::new("/etc/hostname"), 0o600, b"guest\n").unwrap();
    root.symlink(Path::new("/proc/mounts"), Path::new("etc/mtab")).unwrap();
    assert_eq!(fs::read(tree.join("etc/hostname")).unwrap(), b"guest\n");
    assert_eq!(fs::metadata(tree.join("etc/hostname")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_link(tree.join("etc/mtab")).unwrap(), Path::new("/proc/mounts"));
    let mut names = root.list_dir(Path::new("etc")).unwrap();
    names.sort();
    assert_eq!(names, ["hostname", "mtab"]);
}

fn a_file_that_is_too_large_is_refused_and_one_that_fits_is_not() {
    let (_directory, tree, root) = scene();
    fs::write(tree.join("file"), "0123456789").unwrap();
    assert_eq!(root.read_small(Path::new("file"), 10).unwrap().len(), 10);
    let error = root.read_small(Path::new("file"), 9).unwrap_err();
    assert_eq!(error.to_string(), "read file: more than 9 bytes");
}

fn what_is_no_regular_file_is_not_read_and_nobody_waits() {
    let (_directory, tree, root) = scene();
    fifo(tree.join("fifo"));
    fs::create_dir(tree.join("directory")).unwrap();
    let error = root.read_small(Path::new("fifo"), 10).unwrap_err();
    assert_eq!(error.to_string(), "open fifo: it is a FIFO, not a regular file");
    let error = root.open_file(Path::new("directory")).unwrap_err();
    assert_eq!(error.to_string(), "open directory: it is a directory, not a regular file");
    assert_eq!(errno(&root.list_dir(Path::new("fifo")).unwrap_err()), libc::ENOTDIR);
}

/// Row P5 of docs/security.md.
fn only_a_fifo_with_a_reader_is_opened_for_writing() {
    use std::io::Write;
    let (directory, tree, root) = scene();
    let path = Path::new("initctl");
    let place = tree.join(path);
    assert_eq!(errno(&root.open_fifo_for_write(path).unwrap_err()), libc::ENOENT);
    let refused = |found: &str| {
        let error = root.open_fifo_for_write(path).unwrap_err();
        assert_eq!(error.to_string(), format!("open for writing initctl: it is {found}, not a FIFO"));
    };
    fs::write(&place, "").unwrap();
    refused("a regular file");
    fs::remove_file(&place).unwrap();
    symlink(directory.path().join("canary/file"), &place).unwrap();
    refused("a symbolic link");
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    refused("a directory");
    fs::remove_dir(&place).unwrap();
    fifo(place.clone());
    assert_eq!(errno(&root.open_fifo_for_write(path).unwrap_err()), libc::ENXIO);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut reader = File::from(rustix::fs::open(&place, flags, Mode::empty()).unwrap());
    let mut writer = root.open_fifo_for_write(path).unwrap();
    writer.write_all(b"x").unwrap();
    let mut read = [0];
    reader.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"x");
    // Full: it fails instead of waiting.
    let full = (0..100).map(|_| writer.write(&[0; 4096])).find(Result::is_err).unwrap();
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

fn only_real_directories_and_files_are_mount_points() {
    let (_directory, tree, root) = scene();
    fs::create_dir_all(tree.join("real/below")).unwrap();
    fs::write(tree.join("real/file"), "").unwrap();
    symlink("real", tree.join("link")).unwrap();
    fifo(tree.join("fifo"));
    let refused = |path: &str, wanted, message: &str| {
        let error = root.mount_point(Path::new(path), wanted).unwrap_err();
        assert_eq!(error.to_string(), message);
    };
    root.mount_point(Path::new("/real/below"), MountPoint::Directory).unwrap();
    root.mount_point(Path::new("real/file"), MountPoint::File).unwrap();
    root.mount_point(Path::new("/"), MountPoint::Directory).unwrap();
    let link = "it is a symbolic link, or behind one, not a directory";
    refused("link", MountPoint::Directory, &format!("mount on link: {link}"));
    refused("link/below", MountPoint::Directory, &format!("mount on link/below: {link}"));
    refused("real/file", MountPoint::Directory, "mount on real/file: it is a regular file, not a directory");
    refused("real", MountPoint::File, "mount on real: it is a directory, not a regular file");
    refused("fifo", MountPoint::File, "mount on fifo: it is a FIFO, not a regular file");
    refused("none", MountPoint::File, "mount on none: No such file or directory (os error 2)");
}

fn directories_are_made_with_those_before_them() {
    let (directory, tree, root) = scene();
    root.create_dir_all(Path::new("/var/./lib//x"), 0o700).unwrap();
    root.create_dir_all(Path::new("var/lib/x/y"), 0o700).unwrap();
    assert!(tree.join("var/lib/x/y").is_dir());
    symlink("/var/lib", tree.join("inside")).unwrap();
    root.create_dir_all(Path::new("inside/z/../w"), 0o700).unwrap();
    assert!(tree.join("var/lib/z").is_dir() && tree.join("var/lib/w").is_dir());
    for path in ["", "/", ".", "..", "inside", "var/lib/../../.."] {
        root.create_dir_all(Path::new(path), 0o700).unwrap();
    }
    fs::write(tree.join("file"), "").unwrap();
    symlink(directory.path().join("canary"), tree.join("out")).unwrap();
    for (path, wanted) in
        [("file", libc::ENOTDIR), ("file/x", libc::ENOTDIR), ("out/x", libc::ENOENT), ("out", libc::ENOENT)]
    {
        assert_eq!(errno(&root.create_dir_all(Path::new(path), 0o700).unwrap_err()), wanted, "{path}");
    }
    assert_eq!(fs::read_dir(directory.path().join("canary")).unwrap().count(), 1);
}

fn a_file_is_written_in_one_step() {
    let (directory, tree, root) = scene();
    let canary = directory.path().join("canary/file");
    fs::create_dir(tree.join("etc")).unwrap();
    let (path, place) = (Path::new("etc/hosts"), tree.join("etc/hosts"));
    let open = File::create(&place).unwrap();
    root.write_file(path, 0o600, b"new").unwrap();
    assert_eq!(fs::read(&place).unwrap(), b"new");
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
    // Who had the old one open still has that.
    assert_eq!(open.metadata().unwrap().len(), 0);
    // A link and a FIFO are replaced, not followed and not waited for.
    fs::remove_file(&place).unwrap();
    symlink(&canary, &place).unwrap();
    root.write_file(path, 0o600, b"again").unwrap();
    assert_eq!(fs::read(&place).unwrap(), b"again");
    fs::remove_file(&place).unwrap();
    fifo(place.clone());
    root.write_file(path, 0o600, b"at last").unwrap();
    assert_eq!(fs::read(&place).unwrap(), b"at last");
    assert_eq!(fs::read(&canary).unwrap(), b"host");
    assert_eq!(root.list_dir(Path::new("etc")).unwrap(), ["hosts"]);
}

fn a_file_that_cannot_be_written_is_as_it_was() {
    let (directory, tree, root) = scene();
    fs::create_dir_all(tree.join("etc/hosts/x")).unwrap();
    symlink(directory.path().join("canary"), tree.join("out")).unwrap();
    for (path, wanted) in [
        ("etc/hosts", libc::EISDIR),
        ("out/file", libc::ENOENT),
        ("none/file", libc::ENOENT),
        ("/", libc::EINVAL),
    ] {
        assert_eq!(errno(&root.write_file(Path::new(path), 0o600, b"hit").unwrap_err()), wanted, "{path}");
    }
    assert_eq!(fs::read(directory.path().join("canary/file")).unwrap(), b"host");
    assert_eq!(root.list_dir(Path::new("etc")).unwrap(), ["hosts"]);
}

fn what_a_killed_writer_has_left_goes_with_the_next() {
    let (directory, tree, root) = scene();
    let left = tree.join(".subhost-hosts");
    let write = |contents: &[u8]| root.write_file(Path::new("hosts"), 0o600, contents);
    for make in [
        |left: &Path, _: &Path| fs::write(left, "left").unwrap(),
        |left: &Path, canary: &Path| symlink(canary, left).unwrap(),
        |left: &Path, _: &Path| fifo(left.to_owned()),
        // Of a name that has been given, too.
        |left: &Path, _: &Path| fs::hard_link(left.with_file_name("hosts"), left).unwrap(),
    ] {
        make(&left, &directory.path().join("canary/file"));
        write(b"new").unwrap();
        assert_eq!(root.list_dir(Path::new("")).unwrap(), ["hosts"]);
        assert_eq!(fs::read(tree.join("hosts")).unwrap(), b"new");
    }
    fs::create_dir(&left).unwrap();
    assert_eq!(errno(&write(b"never").unwrap_err()), libc::EISDIR);
    assert_eq!(fs::read(tree.join("hosts")).unwrap(), b"new");
    assert_eq!(fs::read(directory.path().join("canary/file")).unwrap(), b"host");
}

fn of_many_writers_one_has_written_all_of_the_file() {
    let (_directory, tree, root) = scene();
    let contents = [1, 2, 3].map(|byte| vec![byte; 10_000 * usize::from(byte)]);
    let path = Path::new("hosts");
    root.write_file(path, 0o600, &contents[0]).unwrap();
    std::thread::scope(|scope| {
        let write = |contents| (0..20).for_each(|_| root.write_file(path, 0o600, contents).unwrap());
        let writers: Vec<_> = contents.iter().map(|contents| scope.spawn(move || write(contents))).collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            assert!(contents.contains(&fs::read(tree.join(path)).unwrap()));
        }
    });
    assert_eq!(root.list_dir(Path::new("")).unwrap(), [path]);
}

fn deep_paths_are_walked() {
    let (_directory, tree, root) = scene();
    let deep = "d/".repeat(200);
    root.create_dir_all(Path::new(&deep), 0o700).unwrap();
    let up = "../".repeat(300);
    assert_eq!(root.metadata(&Path::new(&deep).join(up)).unwrap(), root.metadata(Path::new("")).unwrap());
    // The most links that are followed, and one more.
    fs::write(tree.join("l0"), "end").unwrap();
    for n in 1..=41 {
        symlink(format!("l{}", n - 1), tree.join(format!("l{n}"))).unwrap();
    }
    assert_eq!(root.read_small(Path::new("l40"), 10).unwrap(), b"end");
    assert_eq!(errno(&root.read_small(Path::new("l41"), 10).unwrap_err()), libc::ELOOP);
    let (name, path) = ("n".repeat(256), "./".repeat(2048));
    for long in [&name, &path] {
        assert_eq!(errno(&root.open_path(Path::new(long)).unwrap_err()), libc::ENAMETOOLONG);
    }
    root.open_path(Path::new(&path[1..])).unwrap();
}

/// Any rename on the host disturbs the kernel on a way up.
#[test]
fn a_way_up_is_walked_whoever_renames_without_end() {
    let (directory, tree, root) = scene();
    fs::create_dir(tree.join("a")).unwrap();
    fs::write(tree.join("file"), "found").unwrap();
    let path = "a/../".repeat(500) + "file";
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    for path in [&one, &other] {
        fs::write(path, "").unwrap();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let read: Vec<_> = (0..200).map(|_| root.read_small(Path::new(&path), 10)).collect();
        done.store(true, Ordering::Relaxed);
        for contents in read {
            assert_eq!(contents.unwrap(), b"found");
        }
    });
}

/// All that looking at `path` says: what is found, or the error.
fn looks(root: &RootDir, path: &Path) -> Vec<String> {
    vec![
        format!("{:?}", root.metadata(path)),
        format!("{:?}", root.symlink_metadata(path)),
        format!("{:?}", root.read_link(path)),
        format!("{:?}", root.read_small(path, 100)),
        format!(
            "{:?}",
            root.list_dir(path).map(|mut names| {
                names.sort();
                names
            })
        ),
        format!("{:?}", root.mount_point(path, MountPoint::Directory).map(|_| ())),
        format!("{:?}", root.mount_point(path, MountPoint::File).map(|_| ())),
    ]
}

fn same_both_ways(tree: &Path, paths: &[String]) {
    let look = |tree: &Path| -> Vec<Vec<String>> {
        let root = RootDir::open(tree).unwrap();
        paths.iter().map(|path| looks(&root, Path::new(path))).collect()
    };
    let (kernel, ours) = (look(tree), sys::without_openat2(libc::ENOSYS, || look(tree)));
    for ((path, kernel), ours) in paths.iter().zip(kernel).zip(ours) {
        assert_eq!(ours, kernel, "{path:?}");
    }
}

/// Links that are not what they read like are followed by neither.
#[test]
fn both_ways_see_the_same_of_the_host() {
    let own = std::process::id();
    // What differs from thread to thread is left out.
    let text =
        ["proc/self", "proc/self/", "proc/self/comm", "proc/mounts", "proc/net/dev"].map(str::to_owned);
    let magic = ["root", "root/", "root/etc", "cwd", "cwd/..", "exe", "ns/mnt", "fd/0"];
    let others = ["etc/mtab", "bin/sh", "dev/fd/0", "dev/stdin", "usr/bin/..", "nothing"].map(str::to_owned);
    let paths = text.into_iter().chain(magic.map(|name| format!("proc/{own}/{name}"))).chain(others);
    same_both_ways(Path::new("/"), &paths.collect::<Vec<_>>());
}

fn some_path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c", "f", "..", ".", "", "l", "m"]);
    (prop::collection::vec(name, 1..6), any::<bool>())
        .prop_map(|(names, absolute)| format!("{}{}", if absolute { "/" } else { "" }, names.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// In trees of directories, files and links to anywhere, made in any order.
    #[test]
    fn both_ways_see_the_same(
        made in prop::collection::vec((0..4, some_path(), some_path()), 1..25),
        paths in prop::collection::vec(some_path(), 1..12),
    ) {
        let (_directory, tree, root) = scene();
        for (what, path, target) in made {
            let path = Path::new(&path);
            // Most of them cannot be made, and some can.
            let _ = match what {
                0 => root.create_file(path, 0o600, b"x"),
                1 if !target.is_empty() => root.symlink(Path::new(&target), path),
                _ => root.create_dir(path, 0o700),
            };
        }
        same_both_ways(&tree, &paths);
    }
}
