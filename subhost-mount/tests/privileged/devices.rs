//! Block devices as images. A loop device over a file plays one, as an administrator would attach it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use subhost_mount::mountinfo::Process;
use subhost_mount::{Access, Device, Error, FileSystem, Holder, Image, LoopDevice, LoopOptions, Staging};

use crate::actor::PASSING;
use crate::tables::kernel;
use crate::{Row, actor, harness, scene};

pub(crate) const CASES: &[Row] = &[
    ("block_device_is_an_image_and_refused_while_mounted", &["losetup", "mkfs.ext4"], refused_while_mounted),
    ("block_device_as_a_whole_is_mounted_without_a_loop_device", &["losetup", "mkfs.ext4"], whole),
    ("block_device_stays_claimed_by_the_mount_of_a_killed_process", &["losetup", "mkfs.ext4"], killed),
    (
        "block_device_stays_claimed_by_a_loop_device_of_a_killed_process",
        &["losetup", "sfdisk", "mkfs.ext4"],
        killed_loop,
    ),
    (
        "block_device_is_free_after_a_kill_at_any_moment",
        &["losetup", "mkfs.ext4", "e2fsck"],
        killed_at_any_moment,
    ),
    (
        "block_device_that_is_taken_before_the_mount_is_refused_with_the_taker",
        &["losetup", "mkfs.ext4"],
        taken,
    ),
    ("block_device_is_shared_by_readers", &["losetup", "mkfs.ext4"], readers),
    (
        "block_device_is_refused_while_a_partition_of_it_is_mounted",
        &["losetup", "partx", "sfdisk", "mkfs.ext4"],
        partition_mounted,
    ),
];

const READ_ONLY: LoopOptions = LoopOptions { read_only: true, block_size: None, direct_io: false };

/// A block device over a file, which goes with it.
struct Disk {
    directory: tempfile::TempDir,
    file: PathBuf,
    node: PathBuf,
    number: u32,
}

impl Disk {
    fn over(directory: tempfile::TempDir, file: PathBuf, options: &[&str]) -> Disk {
        fs::create_dir(directory.path().join("live")).unwrap();
        let (node, number) = scene::losetup(&file, options);
        symlink(&node, directory.path().join("image")).unwrap();
        Disk { directory, file, node, number }
    }

    /// With a bare ext4.
    fn bare() -> Disk {
        let directory = scene::directory();
        let file = directory.path().join("disk.raw");
        File::create(&file).unwrap().set_len(16 << 20).unwrap();
        harness::output("mkfs.ext4", &["-q", file.to_str().unwrap()]);
        Disk::over(directory, file, &[])
    }

    fn open(&self) -> Image {
        opened(&self.node, Access::ReadWrite)
    }

    fn ext4(&self) -> FileSystem {
        FileSystem::new("ext4").source(&self.node)
    }

    fn live(&self) -> PathBuf {
        self.directory.path().join("live")
    }

    fn holders(&self, access: Access) -> Vec<Holder> {
        match Image::open(&self.node, access) {
            Err(Error::ImageInUse { image, holders }) => {
                assert_eq!(image, self.node);
                holders
            }
            other => panic!("not refused as in use: {other:?}"),
        }
    }

    /// What a program gets that knows nothing of us, and claims the device for reading or for writing.
    fn claim(&self, write: bool) -> io::Result<File> {
        File::options().read(true).write(write).custom_flags(libc::O_EXCL).open(&self.node)
    }

    fn is_claimed(&self) {
        for write in [false, true] {
            assert_eq!(self.claim(write).unwrap_err().raw_os_error(), Some(libc::EBUSY));
        }
    }

    fn wait_until_free(&self) {
        scene::wait_until("the block device is free", || Image::open(&self.node, Access::ReadWrite).is_ok());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        scene::detach(&self.node);
        let gone = || scene::loops_over(&self.file).is_empty();
        scene::wait_until("the loop device is gone", gone);
    }
}

/// Opens a device that is free, though a program that another case starts may share our last claim on it until it has
/// become itself.
fn opened(node: &Path, access: Access) -> Image {
    let image = RefCell::new(None);
    scene::wait_until("the block device is free", || {
        *image.borrow_mut() = Image::open(node, access).ok();
        image.borrow().is_some()
    });
    image.into_inner().unwrap()
}

fn ourselves() -> Process {
    let comm = fs::read_to_string("/proc/self/comm").unwrap();
    Process { pid: std::process::id(), comm: comm.trim_end().to_owned() }
}

fn refused_while_mounted() {
    let disk = Disk::bare();
    let image = disk.open();
    assert!(image.is_block_device());
    assert_eq!(image.len_bytes(), 16 << 20);
    assert_eq!(image.partition_table().unwrap().sector_size, 512);
    let Process { pid, comm } = ourselves();
    for access in [Access::ReadWrite, Access::ReadOnly] {
        assert_eq!(disk.holders(access), [Holder::Process { pid, comm: comm.clone() }]);
    }
    // A loop device can be had all the same.
    let over = LoopDevice::attach(&image, image.range(0).unwrap(), &LoopOptions::default()).unwrap();
    let number = over.number();
    drop(image);
    for access in [Access::ReadWrite, Access::ReadOnly] {
        assert_eq!(disk.holders(access), [Holder::Loop { number, mounted_at: Vec::new() }]);
    }
    drop(over);
    disk.wait_until_free();
    let staging = Staging::new().unwrap();
    let (file_system, at) = (disk.ext4(), disk.live());
    staging.run(move || file_system.mount().unwrap().attach_at(&at).unwrap());
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let [Holder::Mount { at, seen_by: Some(process) }] = &disk.holders(access)[..] else {
            panic!("{:?}", disk.holders(access));
        };
        assert_eq!(*at, disk.live());
        assert!(Path::new(&format!("/proc/self/task/{}", process.pid)).exists(), "{process:?}");
    }
    drop(staging);
    disk.wait_until_free();
}

fn whole() {
    let disk = Disk::bare();
    let image = disk.open();
    let range = image.range(0).unwrap();
    let device = Device::attach(&image, range, &LoopOptions::default()).unwrap();
    assert_eq!((device.path(), device.loop_number()), (disk.node.clone(), None));
    assert_eq!(device.major_minor(), (7, disk.number));
    disk.is_claimed();
    // It is given out once.
    let again = Device::attach(&image, range, &LoopOptions::default()).unwrap_err();
    assert!(matches!(again, Error::ImageInUse { .. }), "{again}");
    let beside = LoopDevice::attach(&image, range, &LoopOptions::default()).unwrap_err();
    assert!(beside.to_string().ends_with("the whole device has been handed out"), "{beside}");
    let mount = device.mount(disk.ext4()).unwrap();
    disk.is_claimed();
    mount.root().unwrap().create_file(Path::new("written"), 0o600, b"yes").unwrap();
    drop((image, device));
    disk.is_claimed();
    drop(mount);
    disk.wait_until_free();
    assert!(scene::loops_over(&disk.node).is_empty());
    // A part of it gets a loop device, as does what is asked for with options.
    let image = disk.open();
    let part = subhost_mount::ByteRange { start: 0, len: 8 << 20 };
    for (range, options) in [
        (part, LoopOptions::default()),
        (range, LoopOptions { block_size: Some(4096), ..LoopOptions::default() }),
    ] {
        let device = Device::attach(&image, range, &options).unwrap();
        assert_eq!(scene::loops_over(&disk.node).len(), 1);
        assert!(device.loop_number().is_some_and(|number| number != disk.number));
        drop(device);
        scene::wait_until("the loop device is gone", || scene::loops_over(&disk.node).is_empty());
    }
}

/// A process that is left in the namespace of a mount, and ends with this.
struct Left(u32);

impl Drop for Left {
    fn drop(&mut self) {
        kill_process(Pid::from_raw(self.0.cast_signed()).unwrap(), Signal::KILL).unwrap();
    }
}

/// Has another process mount the disk, and kills it.
fn mounted_by_a_killed_process(disk: &Disk) -> Left {
    let (mut child, mut output) = actor::start("mount", disk.directory.path());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let left = Left(line.trim().parse().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    left
}

fn killed() {
    let disk = Disk::bare();
    let left = mounted_by_a_killed_process(&disk);
    let sleep = Process { pid: left.0, comm: "sleep".to_owned() };
    disk.is_claimed();
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let held = Holder::Mount { at: disk.live(), seen_by: Some(sleep.clone()) };
        assert_eq!(disk.holders(access), [held]);
    }
    assert!(scene::loops_over(&disk.node).is_empty());
    drop(left);
    disk.wait_until_free();
}

fn killed_loop() {
    let directory = scene::directory();
    let file = scene::ext4_image(directory.path());
    let disk = Disk::over(directory, file, &[]);
    let left = mounted_by_a_killed_process(&disk);
    disk.is_claimed();
    let mounted = disk.ext4().mount().unwrap_err();
    assert_eq!(mounted.raw_os_error(), Some(libc::EBUSY), "{mounted}");
    let over = scene::loops_over(&disk.node);
    assert_eq!(over.len(), 1);
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let holders = disk.holders(access);
        assert!(matches!(&holders[..], [Holder::Loop { .. }]), "{holders:?}");
        assert_eq!(holders[0].to_string(), over[0]["name"]);
    }
    drop(left);
    disk.wait_until_free();
}

fn killed_at_any_moment() {
    let disk = Disk::bare();
    let start = Instant::now();
    let (mut child, output) = actor::start("pass", disk.directory.path());
    assert_eq!(output.lines().take(PASSING.len()).map(Result::unwrap).collect::<Vec<_>>(), PASSING);
    let whole = start.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut reached = BTreeSet::new();
    for round in 0..60 {
        disk.wait_until_free();
        let (mut child, mut output) = actor::start("pass", disk.directory.path());
        thread::sleep(whole / 50 * round);
        child.kill().unwrap();
        child.wait().unwrap();
        let mut said = String::new();
        output.read_to_string(&mut said).unwrap();
        reached.insert(said.lines().last().unwrap_or("started").to_owned());
    }
    disk.wait_until_free();
    assert!(reached.len() >= 3, "all were killed at the same moments: {reached:?}");
    assert!(scene::loops_over(&disk.node).is_empty());
    harness::output("e2fsck", &["-f", "-n", disk.node.to_str().unwrap()]);
}

fn taken() {
    let disk = Disk::bare();
    let refused = |device: &Device| match device.mount(disk.ext4()) {
        Err(Error::ImageInUse { image, holders }) => {
            assert_eq!(image, disk.node);
            holders
        }
        other => panic!("not refused as in use: {other:?}"),
    };
    let image = disk.open();
    let device = Device::attach(&image, image.range(0).unwrap(), &LoopOptions::default()).unwrap();
    // From the first mount on there is no claim of ours.
    drop(device.mount(disk.ext4()).unwrap());
    scene::wait_until("the block device is free", || disk.claim(true).is_ok());
    let (mut child, mut output) = actor::start("claim", disk.directory.path());
    output.read_line(&mut String::new()).unwrap();
    let comm = fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap().trim_end().to_owned();
    let taker = Holder::Process { pid: child.id(), comm };
    assert!(refused(&device).contains(&taker));
    drop(child.stdin.take());
    child.wait().unwrap();
    // Another mount of it is not joined either, where the kernel can tell.
    let staging = Staging::new().unwrap();
    let (file_system, at) = (disk.ext4(), disk.live());
    staging.run(move || file_system.mount().unwrap().attach_at(&at).unwrap());
    if kernel() >= (6, 6) {
        let holders = refused(&device);
        assert!(matches!(&holders[..], [Holder::Mount { at, .. }] if *at == disk.live()), "{holders:?}");
    } else {
        device.mount(disk.ext4()).unwrap();
    }
    drop(staging);
    scene::wait_until("the block device is free", || device.mount(disk.ext4()).is_ok());
}

fn readers() {
    let disk = Disk::bare();
    let before = fs::read(&disk.file).unwrap();
    let images = [(); 2].map(|()| opened(&disk.node, Access::ReadOnly));
    let devices =
        images.each_ref().map(|image| Device::attach(image, image.range(0).unwrap(), &READ_ONLY).unwrap());
    let mounts = devices
        .each_ref()
        .map(|device| device.mount(FileSystem::new("ext4").source(device.path()).flag("ro")).unwrap());
    for mount in &mounts {
        assert!(mount.root().unwrap().create_dir(Path::new("new"), 0o755).is_err());
    }
    let mut numbers = devices.each_ref().map(|device| device.loop_number().unwrap());
    numbers.sort_unstable();
    drop((images, devices));
    // Only the mounts are left of them.
    let held = numbers.map(|number| Holder::Loop { number, mounted_at: Vec::new() });
    assert_eq!(disk.holders(Access::ReadWrite), held);
    drop(opened(&disk.node, Access::ReadOnly));
    drop(mounts);
    disk.wait_until_free();
    assert!(fs::read(&disk.file).unwrap() == before, "a reader has written");
}

fn partition_mounted() {
    let directory = scene::directory();
    let file = scene::ext4_image(directory.path());
    let disk = Disk::over(directory, file, &["--partscan"]);
    // Also where the kernel itself does not read the table.
    harness::output("partx", &["--update", disk.node.to_str().unwrap()]);
    let partition = PathBuf::from(format!("{}p1", disk.node.display()));
    let staging = Staging::new().unwrap();
    let (source, at) = (partition.clone(), disk.live());
    staging.run(move || {
        let file_system = FileSystem::new("ext4").source(source).option("errors", "remount-ro");
        file_system.mount().unwrap().attach_at(&at).unwrap();
    });
    let holders = disk.holders(Access::ReadWrite);
    assert!(matches!(&holders[..], [Holder::Mount { at, .. }] if *at == disk.live()), "{holders:?}");
    drop(staging);
    disk.wait_until_free();
    // And the other way round.
    let image = disk.open();
    let Process { pid, comm } = ourselves();
    let refused = format!("{} is in use, held by process {pid} ({comm})", partition.display());
    // Those who have it open are named, and a program that another case starts is one of them until it has become itself.
    scene::wait_until("only we hold the device", || {
        Image::open(&partition, Access::ReadWrite).unwrap_err().to_string() == refused
    });
    drop(image);
    assert_eq!(opened(&partition, Access::ReadWrite).len_bytes(), 16 << 20);
}
