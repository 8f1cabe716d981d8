//! Loop devices.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufRead;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use subhost_mount::{Access, ByteRange, Error, Image, LoopDevice, LoopOptions};

use crate::{Row, actor, harness, scene};

pub(crate) const CASES: &[Row] = &[
    ("loop_shows_its_range_and_clears_itself", &["losetup"], shows_its_range_and_clears_itself),
    ("loop_over_a_read_only_image_cannot_be_written", &["losetup"], read_only_cannot_be_written),
    ("loop_takes_its_block_size_and_direct_io", &["losetup"], takes_options),
    ("loop_ranges_that_cannot_be_shown_are_refused", &[], bad_ranges_are_refused),
    ("loop_devices_are_given_to_300_threads_at_once", &["losetup"], many_at_once),
    ("loop_devices_are_given_to_many_processes_at_once", &["losetup"], many_processes_at_once),
    ("loop_device_that_another_left_is_named", &["losetup"], leftover_is_named),
];

const WRITABLE: LoopOptions = LoopOptions { read_only: false, block_size: None, direct_io: false };
const READ_ONLY: LoopOptions = LoopOptions { read_only: true, block_size: None, direct_io: false };

/// The number that a sector of a numbered image begins with.
fn number_at(path: PathBuf, sector: u64) -> u32 {
    let mut bytes = [0; 4];
    File::open(path).unwrap().read_exact_at(&mut bytes, sector * 512).unwrap();
    u32::from_le_bytes(bytes)
}

fn shows_its_range_and_clears_itself() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 4);
    let image = Image::open(&path, Access::ReadWrite).unwrap();
    let device = LoopDevice::attach(&image, ByteRange { start: 1 << 20, len: 2 << 20 }, &WRITABLE).unwrap();
    let witness = scene::loops_over(&path);
    assert_eq!(witness.len(), 1);
    assert_eq!(witness[0]["name"], device.path().to_str().unwrap());
    assert_eq!(witness[0]["offset"], 1 << 20);
    assert_eq!(witness[0]["sizelimit"], 2 << 20);
    assert_eq!(witness[0]["autoclear"], true);
    assert_eq!(witness[0]["ro"], false);
    assert_eq!(device.major_minor().0, 7);
    assert_eq!(number_at(device.path(), 0), 2048);
    assert_eq!(number_at(device.path(), 4095), 6143);
    let sectors = fs::read_to_string(format!("/sys/block/loop{}/size", device.number())).unwrap();
    assert_eq!(sectors.trim(), "4096");
    drop(device);
    scene::wait_until("the loop device is gone", || scene::loops_over(&path).is_empty());
}

fn read_only_cannot_be_written() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let image = Image::open(&path, Access::ReadOnly).unwrap();
    let error = LoopDevice::attach(&image, image.range(0).unwrap(), &WRITABLE).unwrap_err();
    assert!(matches!(error, Error::NotOpenedFor { opened: "for reading only", .. }), "{error}");
    let device = LoopDevice::attach(&image, image.range(0).unwrap(), &READ_ONLY).unwrap();
    assert_eq!(scene::loops_over(&path)[0]["ro"], true);
    // The kernel refuses the opening or the writing, whichever its version.
    let written = File::options().write(true).open(device.path()).and_then(|file| file.write_at(b"x", 0));
    assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
}

fn takes_options() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let image = Image::open(&path, Access::ReadWrite).unwrap();
    let on = harness::output("stat", &["--file-system", "--format=%T", path.to_str().unwrap()]);
    assert_eq!(image.prefers_direct_io(), ["ext2/ext3", "xfs"].contains(&on.trim()), "{on}");
    for (block_size, direct_io) in
        [(None, false), (Some(512), true), (Some(1024), false), (Some(4096), false), (Some(4096), true)]
    {
        let options = LoopOptions { block_size, direct_io, ..WRITABLE };
        let range = ByteRange { start: 4096, len: 512 << 10 };
        let device = LoopDevice::attach(&image, range, &options).unwrap();
        let witness = &scene::loops_over(&path)[0];
        assert_eq!(witness["log-sec"], block_size.unwrap_or(512));
        // Whether it can is for the file system of the image to say; that it was asked and told, for us.
        assert_eq!(witness["dio"], device.is_direct().unwrap());
        assert!(direct_io || !device.is_direct().unwrap());
        let was = device.is_direct().unwrap();
        device.set_direct(false).unwrap();
        assert_eq!(scene::loops_over(&path)[0]["dio"], false);
        assert_eq!(device.set_direct(was).is_ok(), device.is_direct().unwrap() == was);
        assert_eq!(number_at(device.path(), 0), 8);
        File::options().write(true).open(device.path()).unwrap().write_all_at(&[7; 4096], 4096).unwrap();
        drop(device);
        scene::wait_until("the loop device is gone", || scene::loops_over(&path).is_empty());
    }
    assert_eq!(fs::read(&path).unwrap()[8192..12288], [7; 4096]);
}

fn bad_ranges_are_refused() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let image = Image::open(&path, Access::ReadWrite).unwrap();
    let path = path.display();
    for (start, len, complaint) in [
        (100, 512, "512 bytes from byte 100 are not whole sectors of 512 bytes"),
        (0, 513, "513 bytes from byte 0 are not whole sectors of 512 bytes"),
        (0, 0, "there is nothing to attach"),
        (512, 1 << 20, "1048576 bytes from byte 512 go beyond its end at 1048576"),
        (u64::MAX - 511, 512, "512 bytes from byte 18446744073709551104 go beyond its end at 1048576"),
    ] {
        let error = LoopDevice::attach(&image, ByteRange { start, len }, &WRITABLE).unwrap_err();
        assert_eq!(error.to_string(), format!("attach loop device to {path}: {complaint}"));
    }
    for (block_size, complaint) in [
        (1, "1 bytes are no block size: it is a power of two from 512"),
        (1000, "1000 bytes are no block size: it is a power of two from 512"),
        (4096, "1536 bytes from byte 0 are not whole sectors of 4096 bytes"),
    ] {
        let options = LoopOptions { block_size: Some(block_size), ..WRITABLE };
        let error = LoopDevice::attach(&image, ByteRange { start: 0, len: 1536 }, &options).unwrap_err();
        assert_eq!(error.to_string(), format!("attach loop device to {path}: {complaint}"));
    }
    let unlocked = Image::open_unlocked(image.path()).unwrap();
    let error = LoopDevice::attach(&unlocked, ByteRange::whole(1 << 20), &READ_ONLY).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("attach loop device to {path}: the image was opened without a lock")
    );
}

fn many_at_once() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let image = Arc::new(Image::open(&path, Access::ReadWrite).unwrap());
    let threads: Vec<_> = (0..300_u32)
        .map(|sector| {
            let image = Arc::clone(&image);
            thread::spawn(move || {
                let range = ByteRange { start: u64::from(sector) * 512, len: 512 };
                let device = LoopDevice::attach(&image, range, &WRITABLE).unwrap();
                assert_eq!(number_at(device.path(), 0), sector);
                device
            })
        })
        .collect();
    let devices: Vec<LoopDevice> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let numbers: HashSet<u32> = devices.iter().map(LoopDevice::number).collect();
    assert_eq!(numbers.len(), 300);
    assert_eq!(scene::loops_over(&path).len(), 300);
    drop(devices);
    scene::wait_until("the loop devices are gone", || scene::loops_over(&path).is_empty());
}

/// Processes know nothing of each other, and yet no two get one device.
fn many_processes_at_once() {
    let directory = scene::directory();
    let directories: Vec<PathBuf> = (0..8).map(|number| directory.path().join(number.to_string())).collect();
    for directory in &directories {
        fs::create_dir(directory).unwrap();
        scene::numbered_image(directory, 1);
    }
    let mut actors: Vec<_> = directories.iter().map(|directory| actor::start("attach", directory)).collect();
    let mut numbers = HashSet::new();
    for (_, output) in &mut actors {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        numbers.extend(line.split_whitespace().map(|number| number.parse::<u32>().unwrap()));
    }
    assert_eq!(numbers.len(), 8 * actor::ATTACHED as usize);
    for (child, _) in &mut actors {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
    for directory in &directories {
        let image = directory.join("disk.raw");
        scene::wait_until("the loop devices are gone", || scene::loops_over(&image).is_empty());
    }
}

/// What lingers after a program that knew nothing of locks: it may write at any time.
fn leftover_is_named() {
    let directory = scene::directory();
    let path = scene::numbered_image(directory.path(), 1);
    let text = path.to_str().unwrap();
    let device = harness::output("losetup", &["--find", "--show", text]);
    let device = device.trim();
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let error = Image::open(&path, access).unwrap_err();
        assert_eq!(error.to_string(), format!("{text} is in use, held by {device}"));
    }
    harness::output("losetup", &["--detach", device]);
    scene::wait_until("the image is free", || Image::open(&path, Access::ReadWrite).is_ok());
}
