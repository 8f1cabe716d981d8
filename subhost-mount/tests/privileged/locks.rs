//! Who may have an image.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use subhost_mount::rootdir::MountPoint;
use subhost_mount::{Access, Error, FileSystem, Holder, Image, LoopDevice, LoopOptions, RootDir, Staging};

use crate::{Row, scene, sys};

pub(crate) const CASES: &[Row] = &[
    ("image_open_for_writing_is_refused_to_a_second_and_its_holder_named", &[], second_writer),
    ("image_is_had_by_one_of_many_who_open_it_at_once", &[], one_of_many),
    ("image_is_opened_once_another_lets_go_of_its_lease", &[], lease),
    ("image_is_shared_by_readers_and_refused_to_a_writer", &[], readers_share),
    ("image_lends_several_partitions_through_one_lock", &["losetup"], several_partitions),
    ("image_stays_locked_while_only_a_mount_of_it_lives", &["sfdisk", "mkfs.ext4"], mount_keeps_lock),
    ("image_behind_a_foreign_loop_device_is_refused", &["losetup"], foreign_loop),
    ("image_held_by_a_killed_process_is_free_again", &["flock"], killed_holder),
];

const WRITABLE: LoopOptions = LoopOptions { read_only: false, block_size: None, direct_io: false };

fn holders(path: &Path, access: Access) -> Vec<Holder> {
    match Image::open(path, access) {
        Err(Error::ImageInUse { image, holders }) => {
            assert_eq!(image, path);
            holders
        }
        other => panic!("not refused as in use: {other:?}"),
    }
}

fn ourselves() -> Holder {
    let comm = fs::read_to_string("/proc/self/comm").unwrap();
    Holder::Process { pid: std::process::id(), comm: comm.trim_end().to_owned() }
}

fn second_writer() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let first = Image::open(&path, Access::ReadWrite).unwrap();
    assert_eq!(holders(&path, Access::ReadWrite), [ourselves()]);
    assert_eq!(holders(&path, Access::ReadOnly), [ourselves()]);
    let other_name = directory.path().join("link");
    fs::hard_link(&path, &other_name).unwrap();
    assert_eq!(holders(&other_name, Access::ReadWrite), [ourselves()]);
    Image::open_unlocked(&path).unwrap();
    drop(first);
    // A program that another case starts shares our files until it has become itself.
    scene::wait_until("the image is free", || Image::open(&path, Access::ReadWrite).is_ok());
}

fn one_of_many() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let (having, had) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    match Image::open(&path, Access::ReadWrite) {
                        Ok(image) => {
                            assert_eq!(having.fetch_add(1, Ordering::SeqCst), 0);
                            had.fetch_add(1, Ordering::SeqCst);
                            having.fetch_sub(1, Ordering::SeqCst);
                            drop(image);
                        }
                        Err(Error::ImageInUse { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    assert!(had.into_inner() > 0);
}

/// As `Image::open` itself has one for an instant.
fn lease() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let leased = fs::File::open(&path).unwrap();
    sys::take_lease(leased.as_fd());
    let careful = OFlags::RDWR | OFlags::NONBLOCK;
    assert_eq!(rustix::fs::open(&path, careful, Mode::empty()).unwrap_err(), Errno::WOULDBLOCK);
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(leased);
        });
        Image::open(&path, Access::ReadWrite).unwrap();
    });
}

fn readers_share() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let first = Image::open(&path, Access::ReadOnly).unwrap();
    let second = Image::open(&path, Access::ReadOnly).unwrap();
    let options = LoopOptions { read_only: true, ..WRITABLE };
    let one = LoopDevice::attach(&first, first.range(0).unwrap(), &options).unwrap();
    let two = LoopDevice::attach(&second, second.range(0).unwrap(), &options).unwrap();
    let mut numbers = [one.number(), two.number()];
    numbers.sort_unstable();
    let [low, high] = numbers.map(|number| Holder::Loop { number, mounted_at: Vec::new() });
    assert_eq!(holders(&path, Access::ReadWrite), [low, high, ourselves()]);
}

fn several_partitions() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 4);
    let image = Image::open(&path, Access::ReadWrite).unwrap();
    let range = |start| subhost_mount::ByteRange { start, len: 1 << 20 };
    let one = LoopDevice::attach(&image, range(0), &WRITABLE).unwrap();
    let two = LoopDevice::attach(&image, range(1 << 20), &WRITABLE).unwrap();
    assert_ne!(one.number(), two.number());
    assert_eq!(scene::loops_over(&path).len(), 2);
    // One of them is enough to keep the image.
    drop((image, one));
    scene::wait_until("one loop device is gone", || scene::loops_over(&path).len() == 1);
    assert_eq!(
        holders(&path, Access::ReadWrite),
        [Holder::Loop { number: two.number(), mounted_at: Vec::new() }]
    );
    drop(two);
    scene::wait_until("the image is free", || Image::open(&path, Access::ReadWrite).is_ok());
}

fn mount_keeps_lock() {
    let directory = scene::directory();
    let path = scene::ext4_image(directory.path());
    let live = directory.path().join("live");
    fs::create_dir(&live).unwrap();
    let image = Image::open(&path, Access::ReadWrite).unwrap();
    let device = LoopDevice::attach(&image, image.range(1).unwrap(), &WRITABLE).unwrap();
    let number = device.number();
    let staging = Staging::new().unwrap();
    let (source, at) = (device.path(), live.clone());
    staging.run(move || {
        let target = RootDir::open(&at).unwrap().mount_point(Path::new(""), MountPoint::Directory).unwrap();
        let mount = FileSystem::new("ext4").source(source).option("errors", "remount-ro").mount().unwrap();
        mount.attach(std::os::fd::AsFd::as_fd(&target)).unwrap();
    });
    drop((device, image));
    // From here nobody sees where it is mounted, from there one does.
    assert_eq!(holders(&path, Access::ReadWrite), [Holder::Loop { number, mounted_at: Vec::new() }]);
    let inside = path.clone();
    let seen = staging.run(move || holders(&inside, Access::ReadWrite));
    assert_eq!(seen, [Holder::Loop { number, mounted_at: vec![live] }]);
    drop(staging);
    scene::wait_until("the image is free", || Image::open(&path, Access::ReadWrite).is_ok());
}

fn foreign_loop() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let (device, number) = scene::losetup(&path, &[]);
    let foreign = Holder::Loop { number, mounted_at: Vec::new() };
    for access in [Access::ReadWrite, Access::ReadOnly] {
        assert_eq!(holders(&path, access), std::slice::from_ref(&foreign));
    }
    scene::detach(&device);
    scene::wait_until("the loop device is gone", || scene::loops_over(&path).is_empty());
    let (device, number) = scene::losetup(&path, &["--read-only"]);
    Image::open(&path, Access::ReadOnly).unwrap();
    assert_eq!(holders(&path, Access::ReadWrite), [Holder::Loop { number, mounted_at: Vec::new() }]);
    scene::detach(&device);
    scene::wait_until("the image is free", || Image::open(&path, Access::ReadWrite).is_ok());
}

fn killed_holder() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let mut child =
        Command::new("flock").args(["--no-fork", path.to_str().unwrap(), "sleep", "1000"]).spawn().unwrap();
    let pid = child.id();
    let locked_by_sleep = || match Image::open(&path, Access::ReadWrite) {
        Err(Error::ImageInUse { holders, .. }) => {
            holders == [Holder::Process { pid, comm: "sleep".to_owned() }]
        }
        _ => false,
    };
    scene::wait_until("the other process holds the image", locked_by_sleep);
    child.kill().unwrap();
    child.wait().unwrap();
    scene::wait_until("the image is free", || Image::open(&path, Access::ReadWrite).is_ok());
}
