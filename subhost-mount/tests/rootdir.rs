//! Trees that are made to trick whoever reads and writes in them, without root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use subhost_mount::rootdir::{FileKind, MountPoint};
use subhost_mount::{Error, RootDir};
use tempfile::TempDir;

/// A folder with a canary and, beside it, the tree.
fn scene() -> (TempDir, PathBuf, RootDir) {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::create_dir(folder.path().join("canary")).unwrap();
    fs::write(folder.path().join("canary/file"), "host").unwrap();
    let root = RootDir::open(&tree).unwrap();
    (folder, tree, root)
}

fn fifo(path: PathBuf) {
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

fn errno(error: &Error) -> i32 {
    error.raw_os_error().unwrap_or_else(|| panic!("{error}"))
}

#[test]
fn paths_and_links_mean_places_inside() {
    let (folder, tree, root) = scene();
    fs::create_dir(tree.join("etc")).unwrap();
    fs::write(tree.join("etc/hostname"), "guest").unwrap();
    symlink("/etc", tree.join("absolute")).unwrap();
    symlink("../../../../etc", tree.join("up")).unwrap();
    for path in ["etc/hostname", "/etc/hostname", "../../etc/hostname", "absolute/hostname", "up/hostname"] {
        assert_eq!(root.read_small(Path::new(path), 100).unwrap(), b"guest", "{path}");
    }
    symlink(folder.path().join("canary"), tree.join("out")).unwrap();
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

#[test]
fn nothing_is_made_through_a_link_at_the_name_itself() {
    let (folder, tree, root) = scene();
    let canary = folder.path().join("canary/new");
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

#[test]
fn names_that_are_none_are_refused() {
    let (_folder, _, root) = scene();
    for path in ["", "/", ".", "..", "a/.."] {
        let error = root.create_dir(Path::new(path), 0o700).unwrap_err();
        assert_eq!(errno(&error), libc::EINVAL, "{path}");
    }
    assert_eq!(errno(&root.create_dir(Path::new("a\0b"), 0o700).unwrap_err()), libc::EINVAL);
}

#[test]
fn files_are_made_with_their_contents_and_mode() {
    let (_folder, tree, root) = scene();
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

#[test]
fn a_file_that_is_too_large_is_refused_and_one_that_fits_is_not() {
    let (_folder, tree, root) = scene();
    fs::write(tree.join("file"), "0123456789").unwrap();
    assert_eq!(root.read_small(Path::new("file"), 10).unwrap().len(), 10);
    let error = root.read_small(Path::new("file"), 9).unwrap_err();
    assert_eq!(error.to_string(), "read file: more than 9 bytes");
}

#[test]
fn what_is_no_regular_file_is_not_read_and_nobody_waits() {
    let (_folder, tree, root) = scene();
    fifo(tree.join("fifo"));
    fs::create_dir(tree.join("directory")).unwrap();
    let error = root.read_small(Path::new("fifo"), 10).unwrap_err();
    assert_eq!(error.to_string(), "open fifo: it is a FIFO, not a regular file");
    let error = root.open_file(Path::new("directory")).unwrap_err();
    assert_eq!(error.to_string(), "open directory: it is a directory, not a regular file");
    assert_eq!(errno(&root.list_dir(Path::new("fifo")).unwrap_err()), libc::ENOTDIR);
}

/// Row P5.
#[test]
fn only_a_fifo_with_a_reader_is_opened_for_writing() {
    use std::io::Write;
    let (folder, tree, root) = scene();
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
    symlink(folder.path().join("canary/file"), &place).unwrap();
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

#[test]
fn only_real_directories_and_files_are_mount_points() {
    let (_folder, tree, root) = scene();
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
