//! An image attached, mounted and unmounted, beside the raw system calls for the same, turn by turn. No figure is
//! asserted, since the machine is not known; the last column is what is aimed at.
//!
//! `cargo xtask proof speed`, as root; needs `mkfs.ext4`.

mod sys;

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, unmount,
};
use subhost_mount::{Access, ByteRange, FileSystem, Image, LoopDevice, LoopOptions};

type Outcome = Result<(), Box<dyn Error>>;

const TURNS: usize = 200;

/// How many loop devices there are at once.
const MANY: u32 = 300;

const SECTOR: u64 = 512;

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("attach, mount and unmount: needs root, not measured");
        return ExitCode::FAILURE;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Outcome {
    sys::unshare_mounts()?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let directory = tempfile::tempdir()?;
    let (image, target) = (directory.path().join("disk.raw"), directory.path().join("mnt"));
    std::fs::create_dir(&target)?;
    File::create(&image)?.set_len(64 << 20)?;
    let made = Command::new("mkfs.ext4").args(["-q", "-E", "lazy_itable_init=0"]).arg(&image).status()?;
    if !made.success() {
        return Err(format!("mkfs.ext4: {made}").into());
    }
    println!("{:<44} {:>10} {:>10} {:>6}  aim", "", "ours", "raw calls", "ratio");
    beside_raw_calls("attach, mount, unmount, detach", &image, &target)?;
    let many = directory.path().join("many.raw");
    File::create(&many)?.set_len(u64::from(MANY) * SECTOR)?;
    let devices = attached(&many)?;
    beside_raw_calls("the same beside 300 loop devices", &image, &target)?;
    released(devices)
}

fn beside_raw_calls(what: &str, image: &Path, target: &Path) -> Outcome {
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    // The first turns fill the caches.
    for turn in 0..TURNS + 10 {
        let (by_us, by_hand) = (time(|| with_the_library(image, target))?, time(|| by_hand(image, target))?);
        if turn >= 10 {
            ours.push(by_us);
            raw.push(by_hand);
        }
    }
    let (ours, raw) = (median(ours), median(raw));
    println!(
        "{what:<44} {:>7} µs {:>7} µs {:>6.2}  < 1.3",
        ours.as_micros(),
        raw.as_micros(),
        ours.as_secs_f64() / raw.as_secs_f64()
    );
    Ok(())
}

/// Loop devices over an image, a sector each.
fn attached(image: &Path) -> Result<Vec<LoopDevice>, Box<dyn Error>> {
    let image = Image::open(image, Access::ReadWrite)?;
    let (mut devices, mut times) = (Vec::new(), Vec::new());
    for sector in 0..MANY {
        let range = ByteRange { start: u64::from(sector) * SECTOR, len: SECTOR };
        let begun = Instant::now();
        devices.push(LoopDevice::attach(&image, range, &LoopOptions::default())?);
        times.push(begun.elapsed());
    }
    first_and_last("attach, the first 100 and the last of 300", &times);
    Ok(devices)
}

fn released(devices: Vec<LoopDevice>) -> Outcome {
    let mut times = Vec::new();
    for device in devices {
        times.push(time(|| {
            drop(device);
            Ok(())
        })?);
    }
    first_and_last("release, the first 100 and the last of 300", &times);
    Ok(())
}

fn first_and_last(what: &str, times: &[Duration]) {
    let part = times.len() / 3;
    let (first, last) = (median(times[..part].to_vec()), median(times[times.len() - part..].to_vec()));
    println!("{what:<44} {:>7} µs {:>7} µs          as dear", first.as_micros(), last.as_micros());
}

fn with_the_library(image: &Path, target: &Path) -> Outcome {
    let image = Image::open(image, Access::ReadWrite)?;
    let device = LoopDevice::attach(&image, image.range(0)?, &LoopOptions::default())?;
    FileSystem::new("ext4").source(device.path()).mount()?.attach_at(target)?;
    unmount(target, UnmountFlags::empty())?;
    Ok(())
}

fn by_hand(image: &Path, target: &Path) -> Outcome {
    let image = OpenOptions::new().read(true).write(true).open(image)?;
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    let path = format!("/dev/loop{}", sys::get_free(control.as_fd())?);
    let device = OpenOptions::new().read(true).write(true).open(&path)?;
    sys::configure(device.as_fd(), image.as_fd())?;
    let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", &path)?;
    fsconfig_create(context.as_fd())?;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    move_mount(mount.as_fd(), "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    drop(mount);
    unmount(target, UnmountFlags::empty())?;
    Ok(())
}

fn time(act: impl FnOnce() -> Outcome) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    act()?;
    Ok(begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
