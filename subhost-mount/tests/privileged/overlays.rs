//! Overlays.

mod sys;

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use rustix::fs::{XattrFlags, setxattr};
use subhost_mount::bind::bind;
use subhost_mount::mountinfo::{MountEntry, MountTable};
use subhost_mount::overlay::{Layer, Scratch, Upper, merge};
use subhost_mount::{
    Access, Error, FileSystem, Image, LoopDevice, LoopOptions, Mount, MountAttributes, Overlay, RootDir,
    Staging,
};

use crate::{Row, scene};
use sys::{CREATE, SET_FD, without_fsconfig};

pub(crate) const CASES: &[Row] = &[
    ("overlay_merges_layers_of_any_name", &[], names),
    ("overlay_takes_500_lower_layers", &[], many_layers),
    ("overlay_that_is_only_read_cannot_be_written", &[], only_read),
    ("overlay_on_a_tmpfs_takes_what_fits_and_is_thrown_away", &[], ephemeral),
    ("overlay_shows_a_layer_that_was_prepared_and_not_what_that_hides", &[], prepared),
    ("overlay_takes_layers_of_mounts_that_were_never_attached", &["sfdisk", "mkfs.ext4"], never_attached),
    ("overlay_is_refused_an_upper_layer_that_another_uses", &[], upper_in_use),
    ("overlay_of_many_that_want_one_upper_layer_at_once_is_given_to_one", &[], upper_race),
    ("overlay_that_the_kernel_refuses_says_why", &[], refusals),
    ("overlay_maps_its_lower_layers_first", &["sfdisk", "mkfs.ext4"], idmapped_lower),
    ("overlay_maps_an_upper_layer_that_is_kept", &["sfdisk", "mkfs.ext4", "setpriv"], idmapped_upper),
    ("overlay_that_is_read_only_without_a_word_is_an_error", &["sfdisk", "mkfs.ext4"], silently_read_only),
    ("overlay_does_not_follow_the_redirect_of_a_hostile_layer", &[], hostile_redirect),
    ("overlay_does_not_follow_the_metacopy_of_a_hostile_layer", &[], hostile_metacopy),
    ("overlay_over_a_layer_that_is_missing_names_it", &[], missing_layer),
];

/// A tmpfs at `directory`, with these directories in it: upper layers need a file system of their own kind.
fn stage(directory: &Path, names: &[&str]) -> Vec<PathBuf> {
    FileSystem::new("tmpfs").mount().unwrap().attach_at(directory).unwrap();
    let make = |name: &&str| {
        let path = directory.join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    names.iter().map(make).collect()
}

/// Runs `job` in a mount namespace with an ext4 at the path that it gets, which Linux 6.1 can map, unlike a tmpfs; and
/// with a user namespace.
fn with_ext4(job: impl FnOnce(&Path, &OwnedFd) + Send + 'static) {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    let users = scene::user_namespace();
    let image = Image::open(&scene::ext4_image(&at), Access::ReadWrite).unwrap();
    let device = LoopDevice::attach(&image, image.range(1).unwrap(), &LoopOptions::default()).unwrap();
    let live = at.join("live");
    fs::create_dir(&live).unwrap();
    Staging::new().unwrap().run(move || {
        FileSystem::new("ext4").source(device.path()).mount().unwrap().attach_at(&live).unwrap();
        job(&live, &users);
    });
}

/// Runs `job` as it is, and where the kernel takes no layers by fd.
fn both_ways(job: impl Fn(&str) + Sync) {
    job("fd");
    without_fsconfig(&[SET_FD], || job("name"));
}

fn open(path: &Path) -> Layer {
    Layer::open(path).unwrap()
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

fn entry_at(path: &Path) -> MountEntry {
    MountTable::read(None).unwrap().at(path).last().unwrap().clone()
}

fn names() {
    both_ways(|way| {
        let directory = scene::directory();
        let at = directory.path().join("a b:c,d\\e\nf");
        fs::create_dir(&at).unwrap();
        let way = way.to_owned();
        Staging::new().unwrap().run(move || {
            let long = "x".repeat(200);
            let lower = [
                "a:b",
                "a,b",
                "a\\b",
                "a b",
                "a\nb",
                "a\\:b",
                "a\\,b",
                "é",
                "\"q'",
                "#1",
                "lowerdir=x",
                &long,
            ];
            let paths = stage(&at, &[&lower[..], &["up,p:er\n", "wo\\rk :,", "mer:g,e\\d \n"]].concat());
            let (lower, rest) = paths.split_at(lower.len());
            for (number, layer) in lower.iter().enumerate() {
                fs::write(layer.join(format!("file{number}")), "").unwrap();
                fs::write(layer.join("common"), number.to_string()).unwrap();
            }
            let overlay = Overlay { lower: lower.to_vec(), upper: rest[0].clone(), work: rest[1].clone() };
            let mount = overlay.mount("the: na,me", MountAttributes::NODEV).unwrap();
            mount.attach_at(&rest[2]).unwrap();
            for number in 0..lower.len() {
                assert!(rest[2].join(format!("file{number}")).exists(), "{way}: {number}");
            }
            assert_eq!(fs::read_to_string(rest[2].join("common")).unwrap(), "0");
            fs::write(rest[2].join("new"), "new").unwrap();
            assert_eq!(fs::read_to_string(rest[0].join("new")).unwrap(), "new");
            let entry = entry_at(&rest[2]);
            assert_eq!(entry.source, "the: na,me");
            assert!(entry.has_option("nodev"));
            let options = entry.super_options.to_string_lossy();
            assert!(options.contains("redirect_dir=nofollow"), "{options}");
        });
    });
}

/// In all three ways: by fd, by names one by one, and in a page of options.
fn many_layers() {
    for taken in [&[][..], &[SET_FD], &[SET_FD, CREATE]] {
        let directory = scene::directory();
        let at = directory.path().to_owned();
        Staging::new().unwrap().run(move || {
            let names: Vec<String> = (0..500).map(|number| format!("layer{number}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).chain(["upper", "work"]).collect();
            let paths = stage(&at, &names);
            for (number, layer) in paths[..500].iter().enumerate() {
                fs::write(layer.join(format!("file{number}")), "").unwrap();
                fs::write(layer.join("common"), number.to_string()).unwrap();
            }
            let overlay =
                Overlay { lower: paths[..500].to_vec(), upper: paths[500].clone(), work: paths[501].clone() };
            let mount = without_fsconfig(taken, || overlay.mount("many", MountAttributes::NODEV)).unwrap();
            let tree = mount.root().unwrap();
            assert_eq!(tree.list_dir(Path::new("/")).unwrap().len(), 501, "{taken:?}");
            assert_eq!(tree.read_small(Path::new("common"), 10).unwrap(), b"0");
            mount.attach_at(&at).unwrap();
            let entry = entry_at(&at);
            assert_eq!(entry.source, "many");
            assert!(entry.has_option("nodev"));
            assert!(entry.super_options.to_string_lossy().contains("redirect_dir=nofollow"));
            // However it was mounted, nothing else of it is left.
            let table = MountTable::read(None).unwrap();
            assert_eq!(table.entries.iter().filter(|entry| entry.source == "many").count(), 1);
        });
    }
}

fn only_read() {
    both_ways(|_| {
        let directory = scene::directory();
        let at = directory.path().to_owned();
        Staging::new().unwrap().run(move || {
            let paths = stage(&at, &["one", "two", "merged"]);
            fs::write(paths[0].join("of-one"), "").unwrap();
            fs::write(paths[1].join("of-two"), "").unwrap();
            let lower = paths[..2].iter().map(|path| open(path)).collect();
            let mount = merge(lower, Upper::Nothing, "read", MountAttributes::empty()).unwrap();
            assert!(mount.is_read_only().unwrap());
            mount.attach_at(&paths[2]).unwrap();
            assert!(paths[2].join("of-one").exists() && paths[2].join("of-two").exists());
            let error = fs::write(paths[2].join("new"), "").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
        });
    });
}

fn ephemeral() {
    both_ways(|way| {
        let directory = scene::directory();
        let at = directory.path().to_owned();
        let way = way.to_owned();
        Staging::new().unwrap().run(move || {
            let paths = stage(&at, &["base", "merged"]);
            let [base, merged] = paths.as_slice() else { panic!() };
            fs::write(base.join("file"), "base").unwrap();
            chown(base, Some(100_000), Some(100_001)).unwrap();
            fs::set_permissions(base, fs::Permissions::from_mode(0o1751)).unwrap();
            let upper = Upper::Ephemeral { size_bytes: 1 << 20 };
            let mount = merge(vec![open(base)], upper, "thrown away", MountAttributes::NOSUID).unwrap();
            mount.attach_at(merged).unwrap();
            drop(mount);
            assert_eq!(owner(merged), (100_000, 100_001), "{way}");
            assert_eq!(fs::metadata(merged).unwrap().mode() & 0o7777, 0o1751);
            fs::write(merged.join("file"), "changed").unwrap();
            fs::write(merged.join("fits"), vec![1; 512 << 10]).unwrap();
            let error = fs::write(merged.join("too-much"), vec![1; 1 << 20]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            // Neither do empty files without end.
            let made =
                (0..2000).take_while(|number| fs::write(merged.join(format!("empty{number}")), "").is_ok());
            assert!((900..1024).contains(&made.count()));
            assert_eq!(fs::read_to_string(base.join("file")).unwrap(), "base");
            assert_eq!(fs::read_dir(base).unwrap().count(), 1);
            // The tmpfs is nowhere to be seen, however the layers came together.
            let table = MountTable::read(None).unwrap();
            let named = table.entries.iter().filter(|entry| entry.source == "thrown away");
            assert_eq!(named.map(|entry| entry.kind.as_str()).collect::<Vec<_>>(), ["overlay"]);
        });
    });
}

fn prepared() {
    both_ways(|way| {
        let directory = scene::directory();
        let at = directory.path().to_owned();
        let way = way.to_owned();
        Staging::new().unwrap().run(move || {
            let paths = stage(&at, &["base", "merged"]);
            let [base, merged] = paths.as_slice() else { panic!() };
            for path in ["open/kept", "open/hidden", "closed/hidden", "hidden/deep"] {
                fs::create_dir_all(base.join(path)).unwrap();
            }
            for (name, mode) in [("open", 0o2751), ("closed", 0o1710)] {
                chown(base.join(name), Some(100_007), Some(100_008)).unwrap();
                fs::set_permissions(base.join(name), fs::Permissions::from_mode(mode)).unwrap();
            }
            let tree = RootDir::open(base).unwrap();
            let scratch = Scratch::new(&open(base), 1 << 20).unwrap();
            let like = |name: &str| tree.metadata(Path::new(name)).unwrap();
            scratch.merged_dir(Path::new("open"), &like("open")).unwrap();
            scratch.hide(Path::new("open/hidden")).unwrap();
            scratch.hide(Path::new("hidden")).unwrap();
            // Also where it was made for another reason before.
            scratch.merged_dir(Path::new("closed"), &like("open")).unwrap();
            scratch.opaque_dir(Path::new("closed"), &like("closed")).unwrap();
            // What is there stays as it is.
            scratch.merged_dir(Path::new("closed"), &like("open")).unwrap();
            scratch.root().create_file(Path::new("closed/new"), 0o644, b"new").unwrap();
            let taken = scratch.hide(Path::new("closed/new")).unwrap_err();
            assert_eq!(taken.raw_os_error(), Some(libc::EEXIST));
            let upper = Upper::Prepared(scratch);
            let mount = merge(vec![open(base)], upper, "prepared", MountAttributes::empty()).unwrap();
            mount.attach_at(merged).unwrap();
            let names = |path: &Path| {
                let mut names: Vec<_> =
                    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
                names.sort();
                names
            };
            assert_eq!(names(merged), ["closed", "open"], "{way}");
            assert_eq!(names(&merged.join("open")), ["kept"], "{way}");
            assert_eq!(names(&merged.join("closed")), ["new"], "{way}");
            for (name, mode) in [("open", 0o2751), ("closed", 0o1710)] {
                assert_eq!(owner(&merged.join(name)), (100_007, 100_008));
                assert_eq!(fs::metadata(merged.join(name)).unwrap().mode() & 0o7777, mode);
            }
            fs::create_dir(merged.join("hidden")).unwrap();
            assert!(names(&merged.join("hidden")).is_empty());
        });
    });
}

fn never_attached() {
    let directory = scene::directory();
    let image = Image::open(&scene::ext4_image(directory.path()), Access::ReadWrite).unwrap();
    let device = LoopDevice::attach(&image, image.range(1).unwrap(), &LoopOptions::default()).unwrap();
    both_ways(|way| {
        let system = FileSystem::new("ext4").source(device.path()).mount().unwrap();
        let tree = system.root().unwrap();
        for name in ["base", "upper", "work"] {
            if !tree.exists(Path::new(name)).unwrap() {
                tree.create_dir(Path::new(name), 0o755).unwrap();
            }
        }
        tree.create_file(&Path::new("base").join(way), 0o644, b"base").unwrap();
        let system = Layer::detached(system).unwrap();
        let below = |name: &str| system.below(Path::new(name)).unwrap();
        let upper = Upper::Kept { upper: below("upper"), work: below("work") };
        let mount = merge(vec![below("base")], upper, way, MountAttributes::empty()).unwrap();
        let merged = mount.root().unwrap();
        merged.create_file(Path::new("new"), 0o644, way.as_bytes()).unwrap();
        assert_eq!(merged.read_small(Path::new(way), 10).unwrap(), b"base");
        // It holds all that it needs.
        drop(system);
        merged.create_file(Path::new("newer"), 0o644, b"").unwrap();
        assert_eq!(tree.read_small(Path::new("upper/new"), 10).unwrap(), way.as_bytes());
        rustix::fs::unlinkat(&mount, "new", rustix::fs::AtFlags::empty()).unwrap();
        rustix::fs::unlinkat(&mount, "newer", rustix::fs::AtFlags::empty()).unwrap();
    });
}

fn kept(lower: &Path, upper: &Path, work: &Path) -> subhost_mount::Result<Mount> {
    let upper = Upper::Kept { upper: open(upper), work: open(work) };
    merge(vec![open(lower)], upper, "kept", MountAttributes::empty())
}

fn upper_in_use() {
    both_ways(|way| {
        let directory = scene::directory();
        let at = directory.path().to_owned();
        let way = way.to_owned();
        Staging::new().unwrap().run(move || {
            let paths = stage(&at, &["base", "upper", "work", "upper2", "work2"]);
            let [base, upper, work, upper2, work2] = paths.as_slice() else { panic!() };
            let first = kept(base, upper, work).unwrap();
            for (upper, work, used) in
                [(upper, work2, upper), (upper2, work, work), (work, upper2, work), (work2, upper, upper)]
            {
                let error = kept(base, upper, work).unwrap_err();
                assert_eq!(
                    error.to_string(),
                    format!("mount overlay kept: {} is in use by another overlay", used.display()),
                    "{way}"
                );
            }
            // Asking left nothing.
            for path in [upper2, work2] {
                assert_eq!(fs::read_dir(path).unwrap().count(), 0);
                assert_eq!(rustix::fs::listxattr(path, &mut [0; 100]).unwrap(), 0);
            }
            drop(first);
            scene::wait_until("the first is gone", || kept(base, upper, work).is_ok());
            kept(base, upper2, work2).unwrap();
        });
    });
}

fn upper_race() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let paths = stage(&at, &["base", "upper", "work"]);
        let [base, upper, work] = paths.as_slice() else { panic!() };
        let mut wins = 0;
        for _ in 0..1000 {
            let results = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| kept(base, upper, work))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            });
            let lost = results.iter().filter_map(|result| result.as_ref().err());
            for error in lost {
                assert!(error.to_string().ends_with(" is in use by another overlay"), "{error}");
            }
            // None, where what another case starts still holds the last overlay.
            let winners = results.iter().filter(|result| result.is_ok()).count();
            assert!(winners <= 1);
            wins += winners;
            if wins == 100 {
                return;
            }
        }
        panic!("only {wins} have won");
    });
}

fn refusals() {
    both_ways(|way| {
        let directory = scene::directory();
        let at = directory.path().to_owned();
        let way = way.to_owned();
        Staging::new().unwrap().run(move || {
            let paths = stage(&at, &["base", "upper", "upper/inner", "work", "bound"]);
            let [base, upper, inner, work, bound] = paths.as_slice() else { panic!() };
            for lower in [inner, upper, work] {
                let error = kept(lower, upper, work).unwrap_err().to_string();
                let words = "mount overlay from kept: Too many levels of symbolic links (os error 40): \
                             one layer is inside another, or the same";
                assert_eq!(error, words, "{way}");
            }
            bind(&at, false).unwrap().attach_at(bound).unwrap();
            let error = kept(base, upper, &bound.join("work")).unwrap_err().to_string();
            assert!(error.ends_with("are in different mounts of one file system"), "{error}");
            let error = kept(base, upper, &upper.join("../upper")).unwrap_err().to_string();
            assert!(error.ends_with("must not be the same, nor one inside the other"), "{error}");
            let view = bind(&at, false).unwrap();
            view.set_attributes(MountAttributes::RDONLY, MountAttributes::empty(), false).unwrap();
            view.attach_at(bound).unwrap();
            let error = kept(base, &bound.join("upper"), &bound.join("work")).unwrap_err().to_string();
            assert!(error.ends_with("are on a read-only file system"), "{error}");
            kept(base, upper, work).unwrap();
            // What the kernel only says in its log.
            let over = |lower: &Path| {
                let upper = Upper::Ephemeral { size_bytes: 1 << 20 };
                let mount = merge(vec![open(lower)], upper, "over", MountAttributes::empty())?;
                mount.attach_at(bound)?;
                Ok::<_, Error>(())
            };
            over(base).unwrap();
            for name in ["upper", "work"] {
                fs::create_dir(bound.join(name)).unwrap();
            }
            let error = kept(base, &bound.join("upper"), &bound.join("work")).unwrap_err().to_string();
            assert!(
                error.ends_with("are on an overlay, FUSE or NFS, which can be no upper layer"),
                "{error}"
            );
            over(bound).unwrap();
            let error = over(bound).unwrap_err().to_string();
            assert!(error.ends_with("is on an overlay, and a third one cannot be over two"), "{error}");
        });
    });
}

/// The way of an ephemeral guest: the base is idmapped, and what is written belongs to the range already.
fn idmapped_lower() {
    with_ext4(|at, users| {
        let [base, top, merged] = ["base", "top", "merged"].map(|name| at.join(name));
        for path in [&base, &top, &merged] {
            fs::create_dir(path).unwrap();
        }
        for (name, uid, gid) in [("of-root", 0, 0), ("of-5", 5, 6)] {
            fs::write(base.join(name), "").unwrap();
            chown(base.join(name), Some(uid), Some(gid)).unwrap();
        }
        fs::write(top.join("unmapped"), "").unwrap();
        chown(top.join("unmapped"), Some(100_007), Some(100_008)).unwrap();
        both_ways(|way| {
            let mapped = open(&base).idmapped(users.as_fd()).unwrap();
            let upper = Upper::Ephemeral { size_bytes: 1 << 20 };
            let mount = merge(vec![mapped, open(&top)], upper, way, MountAttributes::empty()).unwrap();
            mount.attach_at(&merged).unwrap();
            assert_eq!(owner(&merged), (100_000, 100_000));
            assert_eq!(owner(&merged.join("of-root")), (100_000, 100_000));
            assert_eq!(owner(&merged.join("of-5")), (100_005, 100_006));
            assert_eq!(owner(&merged.join("unmapped")), (100_007, 100_008));
            // Copied up, it keeps its owner, and the base stays as it was.
            fs::write(merged.join("of-5"), "changed").unwrap();
            assert_eq!(owner(&merged.join("of-5")), (100_005, 100_006));
            assert_eq!(fs::read_to_string(merged.join("of-5")).unwrap(), "changed");
            assert_eq!(fs::read_to_string(base.join("of-5")).unwrap(), "");
            assert_eq!(owner(&base.join("of-5")), (5, 6));
        });
    });
}

/// The way of a guest that keeps what it writes: the ids on the disk are the guest's own.
fn idmapped_upper() {
    with_ext4(|at, users| {
        let dumpable = || rustix::process::dumpable_behavior().unwrap();
        let before = dumpable();
        both_ways(|way| {
            let [base, guest, merged] =
                ["base", "guest", "merged"].map(|name| at.join(format!("{way}-{name}")));
            for path in [&base, &guest, &guest.join("upper"), &guest.join("work"), &merged] {
                fs::create_dir(path).unwrap();
            }
            fs::write(base.join("of-5"), "").unwrap();
            chown(base.join("of-5"), Some(5), Some(6)).unwrap();
            let lower = open(&base).idmapped(users.as_fd()).unwrap();
            let mapped = open(&guest).idmapped(users.as_fd()).unwrap();
            let upper = Upper::Kept {
                upper: mapped.below(Path::new("upper")).unwrap(),
                work: mapped.below(Path::new("work")).unwrap(),
            };
            let mount = merge(vec![lower], upper, way, MountAttributes::empty()).unwrap();
            mount.attach_at(&merged).unwrap();
            fs::write(merged.join("of-5"), "changed").unwrap();
            // The host's root is nobody there, so the guest's has to make it.
            let error = fs::create_dir(merged.join("of-host")).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EOVERFLOW));
            let made = Command::new("setpriv")
                .args(["--reuid=100000", "--regid=100000", "--clear-groups", "mkdir", "new"])
                .current_dir(&merged)
                .status();
            assert!(made.unwrap().success());
            assert_eq!(owner(&guest.join("upper/new")), (0, 0));
            chown(merged.join("new"), Some(100_007), Some(100_008)).unwrap();
            assert_eq!(owner(&merged.join("of-5")), (100_005, 100_006), "{way}");
            assert_eq!(owner(&guest.join("upper/of-5")), (5, 6));
            assert_eq!(owner(&guest.join("upper/new")), (7, 8));
            // An id that is not in the map has no place on the disk.
            chown(merged.join("new"), Some(70_000), None).unwrap_err();
            fs::remove_file(merged.join("of-5")).unwrap();
            assert!(fs::symlink_metadata(guest.join("upper/of-5")).unwrap().file_type().is_char_device());
            assert!(base.join("of-5").exists());
        });
        // The maker had other ids for a while, which is not to be seen on the process.
        assert_eq!(dumpable(), before);
        assert_eq!(owner(&at.join("fd-merged")), (100_000, 100_000));
    });
}

fn silently_read_only() {
    with_ext4(|at, users| {
        let [base, guest] = ["base", "guest"].map(|name| at.join(name));
        for path in [&base, &guest, &guest.join("upper"), &guest.join("work"), &at.join("mapped")] {
            fs::create_dir(path).unwrap();
        }
        // Mapped without our knowledge: root makes it, who is not in the map.
        let mapped = bind(&guest, false).unwrap();
        mapped.idmap(users.as_fd()).unwrap();
        mapped.attach_at(&at.join("mapped")).unwrap();
        both_ways(|way| {
            let (upper, work) = (at.join("mapped/upper"), at.join("mapped/work"));
            let error = kept(&base, &upper, &work).unwrap_err();
            assert!(matches!(error, Error::ReadOnlyOverlay { .. }), "{way}: {error}");
        });
    });
}

/// Row L7 of docs/security.md: a layer says that one of its directories is really another.
fn hostile_redirect() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let paths = stage(&at, &["base", "hostile", "upper", "work"]);
        let [base, hostile, upper, work] = paths.as_slice() else { panic!() };
        fs::create_dir(base.join("secret")).unwrap();
        fs::write(base.join("secret/file"), "secret").unwrap();
        fs::create_dir(hostile.join("open")).unwrap();
        let flags = XattrFlags::empty();
        setxattr(hostile.join("open"), "trusted.overlay.redirect", b"/secret", flags).unwrap();
        let overlay =
            Overlay { lower: vec![hostile.clone(), base.clone()], upper: upper.clone(), work: work.clone() };
        let tree = overlay.mount("overlay", MountAttributes::empty()).unwrap().root().unwrap();
        let names = tree.list_dir(Path::new("open"));
        assert!(names.is_err() || names.is_ok_and(|names| !names.contains(&OsStr::new("file").into())));
        assert_eq!(tree.read_small(Path::new("secret/file"), 10).unwrap(), b"secret");
        // The witness: without the option, the kernel may be made to follow.
        let followed = FileSystem::new("overlay")
            .option("lowerdir", format!("{}:{}", hostile.display(), base.display()))
            .option("redirect_dir", "follow")
            .flag("ro")
            .mount()
            .unwrap();
        let tree = followed.root().unwrap();
        assert_eq!(tree.read_small(Path::new("open/file"), 10).unwrap(), b"secret");
    });
}

/// Row L7 of docs/security.md: a layer says that one of its files has its content elsewhere.
fn hostile_metacopy() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let paths = stage(&at, &["base", "hostile", "merged"]);
        let [base, hostile, merged] = paths.as_slice() else { panic!() };
        fs::write(base.join("secret"), "secret").unwrap();
        fs::write(hostile.join("open"), "").unwrap();
        let flags = XattrFlags::empty();
        setxattr(hostile.join("open"), "trusted.overlay.metacopy", b"", flags).unwrap();
        setxattr(hostile.join("open"), "trusted.overlay.redirect", b"/secret", flags).unwrap();
        let lower = || vec![open(hostile), open(base)];
        for upper in [Upper::Nothing, Upper::Ephemeral { size_bytes: 1 << 20 }] {
            merge(lower(), upper, "safe", MountAttributes::empty()).unwrap().attach_at(merged).unwrap();
            let read = fs::read_to_string(merged.join("open"));
            assert!(read.as_deref().is_ok_and(str::is_empty) || read.is_err(), "{read:?}");
        }
        // The witness: without the options, the kernel may be made to follow.
        let followed = FileSystem::new("overlay")
            .option("lowerdir", format!("{}:{}", hostile.display(), base.display()))
            .option("redirect_dir", "follow")
            .option("metacopy", "on")
            .mount()
            .unwrap();
        followed.attach_at(merged).unwrap();
        assert_eq!(fs::read(merged.join("open")).unwrap(), b"secret");
    });
}

fn missing_layer() {
    let directory = scene::directory();
    let at = directory.path().to_owned();
    Staging::new().unwrap().run(move || {
        let paths = stage(&at, &["upper", "work"]);
        let [upper, work] = paths.as_slice() else { panic!() };
        let overlay =
            Overlay { lower: vec![PathBuf::from("/no:such")], upper: upper.clone(), work: work.clone() };
        let error = overlay.mount("overlay", MountAttributes::empty()).unwrap_err();
        assert_eq!(error.to_string(), "open overlay layer /no:such: No such file or directory (os error 2)");
        let overlay = Overlay { lower: vec!["/no/such".into()], upper: upper.clone(), work: work.clone() };
        let error = overlay.mount("overlay", MountAttributes::empty()).unwrap_err().to_string();
        assert_eq!(error, "open overlay layer /no/such: No such file or directory (os error 2)");
    });
}
