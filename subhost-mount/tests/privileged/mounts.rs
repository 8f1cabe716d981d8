//! File systems, id maps and binds.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use subhost_mount::bind::{bind, bind_fd};
use subhost_mount::fstype::{self, AllowedTypes};
use subhost_mount::idmap::{IdRange, user_namespace};
use subhost_mount::mountinfo::MountTable;
use subhost_mount::rootdir::NodeKind;
use subhost_mount::{
    Access, Error, FileSystem, Image, LoopDevice, LoopOptions, Mount, MountAttributes, Propagation, Staging,
};

use crate::{Row, scene};

pub(crate) const CASES: &[Row] = &[
    (
        "ext4_partition_is_mounted_idmapped_under_the_name_that_its_fstab_expects",
        &["sfdisk", "mkfs.ext4"],
        partition_under_its_name,
    ),
    ("file_system_that_the_kernel_does_not_know_is_named_with_those_it_does", &[], unknown_file_system),
    ("option_that_is_wrong_is_refused_in_the_words_of_the_kernel", &[], wrong_option),
    ("file_system_that_cannot_be_idmapped_is_named", &[], not_idmappable),
    ("ids_are_mapped_by_the_ranges_that_are_given", &["sfdisk", "mkfs.ext4"], mapped_by_ranges),
    ("mounts_of_a_staging_namespace_are_seen_nowhere_else_and_die_with_it", &[], staging_is_private),
    ("detached_mount_can_be_filled_before_it_is_attached", &[], detached_is_filled),
    ("bind_of_a_file_covers_a_file", &[], bind_of_a_file),
    ("bind_that_is_recursive_takes_what_is_below_and_makes_it_read_only", &[], recursive_bind),
    ("bind_takes_names_of_any_kind", &[], bind_names),
    ("bind_that_is_recursive_is_read_only_all_at_once_or_not_at_all", &[], read_only_all_or_nothing),
    ("propagation_is_as_it_was_set", &[], propagation),
    ("mounts_pass_neither_way_between_a_shared_host_and_a_staging_namespace", &[], nothing_leaks),
    ("panic_in_a_job_continues_in_the_caller", &[], panic_in_a_job),
];

/// The entry of the topmost mount at `path`.
fn mounted_at(path: &Path) -> Option<subhost_mount::mountinfo::MountEntry> {
    MountTable::read(None).unwrap().at(path).last().cloned()
}

fn tmpfs() -> Mount {
    FileSystem::new("tmpfs").option("mode", "0755").mount().unwrap()
}

fn partition_under_its_name() {
    let directory = scene::directory();
    let path = scene::ext4_image(directory.path());
    let image = Image::open(&path, Access::ReadWrite).unwrap();
    let range = image.range(1).unwrap();
    let found = fstype::probe(image.reader(range), 0).unwrap().unwrap();
    assert_eq!((found.kind.as_str(), found.label.as_deref()), ("ext4", Some("root")));
    assert_eq!(found.refusal(), None);
    let device = LoopDevice::attach(&image, range, &LoopOptions::default()).unwrap();
    let users = scene::user_namespace();
    let live = directory.path().join("live");
    fs::create_dir(&live).unwrap();
    let staging = Staging::new().unwrap();
    staging.run(move || {
        let (major, minor) = device.major_minor();
        let dev = tmpfs();
        dev.root().unwrap().make_node(Path::new("vda1"), NodeKind::Block, 0o600, major, minor).unwrap();
        dev.attach_at(Path::new("/dev")).unwrap();
        assert_eq!(fs::metadata("/dev/vda1").unwrap().mode() & 0o7777, 0o600);
        let system = FileSystem::of_image(&found, "/dev/vda1", &AllowedTypes::default()).unwrap();
        let root = system.attributes(MountAttributes::NOSUID).mount().unwrap();
        root.idmap(users.as_fd()).unwrap();
        root.set_propagation(Propagation::Private, true).unwrap();
        root.attach_at(&live).unwrap();
        let witness = mounted_at(&live).unwrap();
        assert_eq!(witness.source, "/dev/vda1");
        assert_eq!(witness.kind, "ext4");
        assert!(witness.has_option("nodev") && witness.has_option("nosuid") && witness.has_option("rw"));
        // Row L3: the superblock says panic. What is no default of the kernel's shows here.
        let options = witness.super_options.to_string_lossy().into_owned();
        assert!(options.contains("errors=remount-ro"), "{options}");
        let owner = fs::metadata(&live).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (100_000, 100_000));
        fs::write(live.join("of-nobody"), "").unwrap_err();
    });
}

fn unknown_file_system() {
    let error = FileSystem::new("nonsensefs").source("/dev/vda1").mount().unwrap_err();
    let Error::UnknownFileSystem { kind, known, .. } = &error else { panic!("{error}") };
    assert_eq!(kind, "nonsensefs");
    assert!(known.contains(&"ext4".to_owned()), "{known:?}");
    let start = "mount nonsensefs from /dev/vda1: the kernel does not know this file system; it knows ";
    assert!(error.to_string().starts_with(start), "{error}");
}

fn wrong_option() {
    let error = FileSystem::new("tmpfs").option("size", "much").mount().unwrap_err();
    assert_eq!(
        error.to_string(),
        "mount tmpfs from none: Invalid argument (os error 22): tmpfs: Bad value for 'size'"
    );
}

fn not_idmappable() {
    let users = scene::user_namespace();
    let error = FileSystem::new("proc").mount().unwrap().idmap(users.as_fd()).unwrap_err();
    assert!(matches!(error, Error::NotIdmappable { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "map the ids of proc from none: this file system cannot be idmapped on this kernel: \
         Invalid argument (os error 22)"
    );
}

fn mapped_by_ranges() {
    let directory = scene::directory();
    let image = Image::open(&scene::ext4_image(directory.path()), Access::ReadWrite).unwrap();
    let device = LoopDevice::attach(&image, image.range(1).unwrap(), &LoopOptions::default()).unwrap();
    let mount = FileSystem::new("ext4").source(device.path()).mount().unwrap();
    let tree = mount.root().unwrap();
    for (name, uid, gid) in [("a", 3, 12), ("b", 12, 3), ("c", 50, 50)] {
        tree.create_file(Path::new(name), 0o600, b"").unwrap();
        tree.chown(Path::new(name), uid, gid).unwrap();
    }
    let range = |inside, outside, count| IdRange { inside, outside, count };
    let users = [range(0, 100_000, 10), range(10, 200_000, 5)];
    let namespace = user_namespace(&users, &[range(0, 300_000, 20)]).unwrap();
    mount.idmap(namespace.as_fd()).unwrap();
    let owner = |name: &str| {
        let metadata = tree.metadata(Path::new(name)).unwrap();
        (metadata.uid, metadata.gid)
    };
    assert_eq!(owner("a"), (100_003, 300_012));
    assert_eq!(owner("b"), (200_002, 300_003));
    // What is in no range belongs to nobody.
    assert_eq!(owner("c"), (65_534, 65_534));
    let error = user_namespace(&users, &[]).unwrap_err().to_string();
    assert_eq!(error, "write the map of gid_map: it has no range");
    for bad in [&[range(0, 100_000, 0)][..], &[range(0, 100_000, 10), range(5, 200_000, 10)]] {
        let error = user_namespace(&users, bad).unwrap_err().to_string();
        assert_eq!(error, "write the map of gid_map: Invalid argument (os error 22)", "{bad:?}");
    }
}

fn staging_is_private() {
    let directory = scene::directory();
    let path = directory.path().to_owned();
    let staging = Staging::new().unwrap();
    let at = path.clone();
    let held = staging.run(move || {
        tmpfs().attach_at(&at).unwrap();
        fs::write(at.join("inside"), "").unwrap();
        mounted_at(&at)
    });
    assert_eq!(held.unwrap().kind, "tmpfs");
    assert_eq!(mounted_at(&path), None);
    assert!(!path.join("inside").exists());
    let other = Staging::new().unwrap();
    let at = path.clone();
    assert_eq!(other.run(move || mounted_at(&at)), None);
    // Working directory and umask are the thread's own as well.
    let umask = |staging: &Staging| staging.run(|| fs::read_to_string("/proc/thread-self/status").unwrap());
    assert!(umask(&staging).contains("Umask:\t0000\n"));
}

fn detached_is_filled() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let mount = tmpfs();
        let tree = mount.root().unwrap();
        tree.create_dir(Path::new("lock"), 0o1777).unwrap();
        tree.make_node(Path::new("initctl"), NodeKind::Fifo, 0o600, 0, 0).unwrap();
        tree.make_node(Path::new("null"), NodeKind::Char, 0o666, 1, 3).unwrap();
        tree.symlink(Path::new("/proc/self/fd"), Path::new("fd")).unwrap();
        tree.chown(Path::new("/"), 100_000, 100_001).unwrap();
        tree.chown(Path::new("fd"), 7, 8).unwrap();
        mount.attach_at(&at).unwrap();
        let stat = |name: &str| {
            let metadata = fs::symlink_metadata(at.join(name)).unwrap();
            (metadata.mode(), metadata.uid(), metadata.gid())
        };
        assert_eq!(stat("lock"), (0o041_777, 0, 0));
        assert_eq!(stat("initctl"), (0o010_600, 0, 0));
        assert_eq!(stat("null"), (0o020_666, 0, 0));
        assert_eq!(fs::symlink_metadata(at.join("null")).unwrap().rdev(), 0x103);
        assert_eq!(stat("fd"), (0o120_777, 7, 8));
        assert_eq!(stat(""), (0o040_755, 100_000, 100_001));
    });
}

fn bind_of_a_file() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let (over, under) = (at.join("over"), at.join("under"));
        fs::write(&over, "over").unwrap();
        fs::write(&under, "under").unwrap();
        let mount = bind(&over, false).unwrap();
        mount.set_attributes(MountAttributes::RDONLY, MountAttributes::empty(), false).unwrap();
        mount.attach_at(&under).unwrap();
        assert_eq!(fs::read_to_string(&under).unwrap(), "over");
        assert_eq!(fs::write(&under, "x").unwrap_err().raw_os_error(), Some(libc::EROFS));
        let directory_on_file = bind(&at, false).unwrap().attach_at(&over).unwrap_err();
        assert_eq!(directory_on_file.raw_os_error(), Some(libc::EINVAL), "{directory_on_file}");
    });
}

fn recursive_bind() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let make = |name: &str| -> PathBuf {
            let path = at.join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let (tree, copy) = (make("tree"), make("copy"));
        let below = make("tree/below");
        tmpfs().attach_at(&below).unwrap();
        fs::write(below.join("file"), "").unwrap();
        let flat = bind(&tree, false).unwrap();
        assert!(!flat.root().unwrap().exists(Path::new("below/file")).unwrap());
        let fd = fs::File::open(&tree).unwrap();
        let deep = bind_fd(fd.as_fd(), true).unwrap();
        assert!(deep.root().unwrap().exists(Path::new("below/file")).unwrap());
        deep.set_attributes(MountAttributes::RDONLY, MountAttributes::empty(), true).unwrap();
        deep.attach_at(&copy).unwrap();
        assert!(deep.is_read_only().unwrap());
        for read_only in [&copy, &copy.join("below")] {
            let error = fs::write(read_only.join("new"), "").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EROFS));
        }
        fs::write(below.join("new"), "").unwrap();
    });
}

fn bind_names() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        for name in ["a:b", "a,b", "a b", "a\nb", "a\\b", "a\\040b", "x (deleted)", "é"] {
            let (from, to) = (at.join(format!("from {name}")), at.join(format!("to {name}")));
            fs::create_dir(&from).unwrap();
            fs::create_dir(&to).unwrap();
            fs::write(from.join("file"), "").unwrap();
            fs::write(to.join("under"), "").unwrap();
            bind(&from, false).unwrap().attach_at(&to).unwrap();
            assert!(to.join("file").exists());
            fs::write(at.join("over"), name).unwrap();
            bind(&at.join("over"), false).unwrap().attach_at(&to.join("file")).unwrap();
            assert_eq!(fs::read_to_string(to.join("file")).unwrap(), name);
            let table = MountTable::read(None).unwrap();
            assert_eq!(table.at(&to).count(), 1, "{name:?}");
            assert_eq!(table.at(&to.join("file")).count(), 1, "{name:?}");
        }
    });
}

/// A file that is open for writing below keeps the whole tree writable.
fn read_only_all_or_nothing() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let (tree, copy) = (at.join("tree"), at.join("copy"));
        for path in [&tree.join("a"), &tree.join("b"), &copy] {
            fs::create_dir_all(path).unwrap();
        }
        for name in ["a", "b"] {
            tmpfs().attach_at(&tree.join(name)).unwrap();
        }
        let deep = bind(&tree, true).unwrap();
        deep.attach_at(&copy).unwrap();
        let writer = fs::File::create(copy.join("b/file")).unwrap();
        let read_only = || deep.set_attributes(MountAttributes::RDONLY, MountAttributes::empty(), true);
        assert_eq!(read_only().unwrap_err().raw_os_error(), Some(libc::EBUSY));
        for name in ["", "a", "b"] {
            fs::write(copy.join(name).join("new"), "").unwrap();
        }
        drop(writer);
        read_only().unwrap();
        for name in ["", "a", "b"] {
            let error = fs::write(copy.join(name).join("new"), "").unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
            assert!(mounted_at(&copy.join(name)).unwrap().has_option("ro"));
        }
    });
}

fn propagation() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let mount = tmpfs();
        mount.attach_at(&at).unwrap();
        let kinds = || {
            let tags = mounted_at(&at).unwrap().tags;
            tags.iter().map(|tag| tag.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert!(kinds().is_empty());
        mount.set_propagation(Propagation::Shared, false).unwrap();
        assert_eq!(kinds(), ["shared"]);
        let (inner, copy) = (at.join("inner"), at.join("copy"));
        fs::create_dir(&inner).unwrap();
        fs::create_dir(&copy).unwrap();
        let view = bind(&at, false).unwrap();
        view.set_propagation(Propagation::Receive, true).unwrap();
        view.attach_at(&copy).unwrap();
        assert!(mounted_at(&copy).unwrap().tags.iter().any(|tag| tag.starts_with("master:")));
        // What is mounted in the original comes in, and what is mounted here stays here.
        tmpfs().attach_at(&inner).unwrap();
        assert_eq!(mounted_at(&copy.join("inner")).unwrap().kind, "tmpfs");
        fs::create_dir(at.join("other")).unwrap();
        tmpfs().attach_at(&copy.join("other")).unwrap();
        assert_eq!(mounted_at(&at.join("other")), None);
        mount.set_propagation(Propagation::Private, true).unwrap();
        assert!(kinds().is_empty());
        tmpfs().attach_at(&at.join("other")).unwrap();
        assert_eq!(MountTable::read(None).unwrap().at(&copy.join("other")).count(), 1);
        mount.set_propagation(Propagation::Unbindable, false).unwrap();
        assert_eq!(bind(&at, false).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    });
}

/// Row L8 of docs/security.md. The outer namespace plays the host.
fn nothing_leaks() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let shared = tmpfs();
        shared.attach_at(&at).unwrap();
        shared.set_propagation(Propagation::Shared, false).unwrap();
        for name in ["of-host", "of-guest"] {
            fs::create_dir(at.join(name)).unwrap();
        }
        let guest = Staging::new().unwrap();
        let place = at.join("of-guest");
        let before = MountTable::read(None).unwrap();
        guest.run(move || tmpfs().attach_at(&place)).unwrap();
        assert_eq!(MountTable::read(None).unwrap(), before);
        tmpfs().attach_at(&at.join("of-host")).unwrap();
        let place = at.join("of-host");
        assert_eq!(guest.run(move || mounted_at(&place)), None);
        // Nor does the other hold it.
        rustix::mount::unmount(at.join("of-host"), rustix::mount::UnmountFlags::empty()).unwrap();
    });
}

fn panic_in_a_job() {
    let staging = Staging::new().unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        staging.run(|| std::panic::resume_unwind(Box::new("oh")))
    }));
    assert_eq!(result.unwrap_err().downcast_ref::<&str>(), Some(&"oh"));
    assert_eq!(staging.run(|| 7), 7);
}
