//! Overlays.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use subhost_mount::bind::bind;
use subhost_mount::mountinfo::MountTable;
use subhost_mount::{Access, FileSystem, Image, LoopDevice, LoopOptions, MountAttributes, Overlay, Staging};

use crate::{Row, scene};

pub(crate) const CASES: &[Row] = &[
    ("overlay_merges_layers_of_any_name", &[], names),
    ("overlay_takes_more_layers_than_one_option_can_name", &[], many_layers),
    (
        "overlay_of_an_idmapped_lower_and_a_plain_upper_belongs_to_the_range",
        &["sfdisk", "mkfs.ext4", "unshare"],
        idmapped_lower,
    ),
    ("overlay_does_not_follow_the_redirect_of_a_hostile_layer", &[], hostile_redirect),
    ("overlay_over_a_layer_that_is_missing_names_it", &[], missing_layer),
];

/// A tmpfs at `folder`, with these directories in it: upper layers need a file system of their own kind.
fn stage(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    FileSystem::new("tmpfs").mount().unwrap().attach_at(folder).unwrap();
    let make = |name: &&str| {
        let path = folder.join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    names.iter().map(make).collect()
}

fn names() {
    let folder = scene::folder();
    let at = folder.path().to_owned();
    Staging::new().unwrap().run(move || {
        let long = "x".repeat(200);
        let paths = stage(
            &at,
            &["a:b", "a,b", "a\\b", "a b", "a\nb", "a\\:b", "é", &long, "up,p:er", "wo\\rk", "merged"],
        );
        let (lower, rest) = paths.split_at(8);
        for (number, layer) in lower.iter().enumerate() {
            fs::write(layer.join(format!("file{number}")), "").unwrap();
            fs::write(layer.join("common"), number.to_string()).unwrap();
        }
        let overlay = Overlay { lower: lower.to_vec(), upper: rest[0].clone(), work: rest[1].clone() };
        let mount = overlay.mount("the name", MountAttributes::NODEV).unwrap();
        mount.attach_at(&rest[2]).unwrap();
        for number in 0..8 {
            assert!(rest[2].join(format!("file{number}")).exists());
        }
        assert_eq!(fs::read_to_string(rest[2].join("common")).unwrap(), "0");
        fs::write(rest[2].join("new"), "new").unwrap();
        assert_eq!(fs::read_to_string(rest[0].join("new")).unwrap(), "new");
        let table = MountTable::read(None).unwrap();
        let entry = table.at(&rest[2]).next().unwrap();
        assert_eq!(entry.source, "the name");
        assert!(entry.has_option("nodev"));
        let options = entry.super_options.to_string_lossy();
        assert!(options.contains("redirect_dir=nofollow"), "{options}");
    });
}

fn many_layers() {
    let folder = scene::folder();
    let at = folder.path().to_owned();
    Staging::new().unwrap().run(move || {
        let names: Vec<String> = (0..60).map(|number| format!("layer{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).chain(["upper", "work"]).collect();
        let paths = stage(&at, &names);
        for (number, layer) in paths[..60].iter().enumerate() {
            fs::write(layer.join(format!("file{number}")), "").unwrap();
        }
        let overlay =
            Overlay { lower: paths[..60].to_vec(), upper: paths[60].clone(), work: paths[61].clone() };
        let mount = overlay.mount("many", MountAttributes::NODEV).unwrap();
        assert_eq!(mount.root().unwrap().list_dir(Path::new("/")).unwrap().len(), 60);
        mount.attach_at(&at).unwrap();
        let table = MountTable::read(None).unwrap();
        let entry = table.at(&at).last().unwrap();
        assert_eq!(entry.source, "many");
        assert!(entry.has_option("nodev"));
        // However it was mounted, nothing else of it is left.
        assert_eq!(table.entries.iter().filter(|entry| entry.source == "many").count(), 1);
    });
}

/// The way of an ephemeral guest: the base is idmapped, and what is written belongs to the range already. The base is
/// an ext4, as Linux 6.1 cannot map a tmpfs.
fn idmapped_lower() {
    let folder = scene::folder();
    let at = folder.path().to_owned();
    let users = scene::user_namespace();
    let image = Image::open(&scene::ext4_image(&at), Access::ReadWrite).unwrap();
    let range = image.range(1).unwrap();
    let device = LoopDevice::attach(&image, range, &LoopOptions::default()).unwrap();
    let live = at.join("live");
    fs::create_dir(&live).unwrap();
    Staging::new().unwrap().run(move || {
        let paths = stage(&live, &["base", "mapped", "upper", "work", "merged"]);
        let [base, mapped, upper, work, merged] = paths.as_slice() else { panic!() };
        FileSystem::new("ext4").source(device.path()).mount().unwrap().attach_at(base).unwrap();
        fs::write(base.join("of-root"), "").unwrap();
        fs::write(base.join("of-5"), "").unwrap();
        chown(base.join("of-5"), Some(5), Some(6)).unwrap();
        let layer = bind(base, false).unwrap();
        layer.idmap(users.as_fd()).unwrap();
        layer.set_attributes(MountAttributes::RDONLY, MountAttributes::empty(), false).unwrap();
        layer.attach_at(mapped).unwrap();
        for own in [upper, work] {
            chown(own, Some(100_000), Some(100_000)).unwrap();
        }
        let overlay = Overlay { lower: vec![mapped.clone()], upper: upper.clone(), work: work.clone() };
        let mount = overlay.mount("overlay", MountAttributes::empty()).unwrap();
        assert!(!mount.is_read_only().unwrap());
        mount.attach_at(merged).unwrap();
        let owner = |name: &str| {
            let metadata = fs::metadata(merged.join(name)).unwrap();
            (metadata.uid(), metadata.gid())
        };
        assert_eq!(owner(""), (100_000, 100_000));
        assert_eq!(owner("of-root"), (100_000, 100_000));
        assert_eq!(owner("of-5"), (100_005, 100_006));
        // Copied up, it keeps its owner, and the base stays as it was.
        fs::write(merged.join("of-5"), "changed").unwrap();
        assert_eq!(owner("of-5"), (100_005, 100_006));
        assert_eq!(fs::metadata(upper.join("of-5")).unwrap().uid(), 100_005);
        assert_eq!(fs::read_to_string(base.join("of-5")).unwrap(), "");
    });
}

/// Row L7: a layer says that one of its directories is really another.
fn hostile_redirect() {
    let folder = scene::folder();
    let at = folder.path().to_owned();
    Staging::new().unwrap().run(move || {
        let paths = stage(&at, &["base", "hostile", "upper", "work"]);
        let [base, hostile, upper, work] = paths.as_slice() else { panic!() };
        fs::create_dir(base.join("secret")).unwrap();
        fs::write(base.join("secret/file"), "secret").unwrap();
        fs::create_dir(hostile.join("open")).unwrap();
        let flags = XattrFlags::empty();
        rustix::fs::setxattr(hostile.join("open"), "trusted.overlay.redirect", b"/secret", flags).unwrap();
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

fn missing_layer() {
    let folder = scene::folder();
    let at = folder.path().to_owned();
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
