//! What the cases play with: directories and images that can be told from everybody else's, a user namespace, and the
//! look at what is left of them.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use subhost_mount::idmap::{self, IdRange};
use tempfile::TempDir;

use crate::harness;

/// What the name of every directory begins with, with our process id.
fn prefix() -> String {
    format!("subhost-mount-{}-", std::process::id())
}

pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new().prefix(&prefix()).tempdir().unwrap()
}

/// An image of `mib` MiB in which each 512 bytes begin with their number.
pub(crate) fn numbered_image(directory: &Path, mib: u32) -> PathBuf {
    let path = directory.join("disk.raw");
    let mut bytes = vec![0; mib as usize * 2048 * 512];
    for (number, sector) in (0_u32..).zip(bytes.chunks_exact_mut(512)) {
        sector[..4].copy_from_slice(&number.to_le_bytes());
    }
    fs::write(&path, bytes).unwrap();
    path
}

/// An image with one MBR partition of 16 MiB from 1 MiB, which holds an ext4 that would panic the kernel.
pub(crate) fn ext4_image(directory: &Path) -> PathBuf {
    let path = directory.join("disk.raw");
    File::create(&path).unwrap().set_len(20 << 20).unwrap();
    let text = path.to_str().unwrap();
    let mut sfdisk = Command::new("sfdisk")
        .args(["--quiet", "--no-reread", text])
        .env("PATH", harness::path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    sfdisk.stdin.take().unwrap().write_all(b"label: dos\nstart=2048, size=32768, type=83\n").unwrap();
    assert!(sfdisk.wait().unwrap().success());
    harness::output(
        "mkfs.ext4",
        &["-q", "-F", "-e", "panic", "-L", "root", "-E", "offset=1048576,root_owner=0:0", text, "16M"],
    );
    path
}

/// A user namespace in which 0 to 65535 are 100000 to 165535 outside.
pub(crate) fn user_namespace() -> OwnedFd {
    let range = [IdRange { inside: 0, outside: 100_000, count: 65536 }];
    idmap::user_namespace(&range, &range).unwrap()
}

/// Waits until `happened`, which the kernel does soon but in its own time.
pub(crate) fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !happened() {
        assert!(Instant::now() < deadline, "not in ten seconds: {what}");
        std::thread::yield_now();
    }
}

/// Attaches as an administrator would, without any lock.
pub(crate) fn losetup(path: &Path, options: &[&str]) -> (PathBuf, u32) {
    let args = [options, &["--find", "--show", path.to_str().unwrap()]].concat();
    let device = PathBuf::from(harness::output("losetup", &args).trim());
    let number = device.to_str().unwrap().trim_start_matches("/dev/loop").parse().unwrap();
    (device, number)
}

pub(crate) fn detach(device: &Path) {
    harness::output("losetup", &["--detach", device.to_str().unwrap()]);
}

/// What `losetup` says about the loop devices over `image`.
pub(crate) fn loops_over(image: &Path) -> Vec<serde_json::Value> {
    let text = harness::output("losetup", &["-l", "-J", "-j", image.to_str().unwrap()]);
    if text.trim().is_empty() {
        return Vec::new();
    }
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["loopdevices"].as_array().unwrap().clone()
}

/// Loop devices, mounts and directories of ours that should be gone, and are not in ten seconds: the kernel takes a loop
/// device back some time after its last user.
pub(crate) fn left_behind() -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left = still_there();
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        std::thread::yield_now();
    }
}

/// The numbers of all loop devices.
pub(crate) fn loop_devices() -> Vec<u32> {
    let names = fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.to_str()?.strip_prefix("loop")?.parse().ok()).collect()
}

/// Takes away the loop devices that came since, and are free: hundreds at once are made here, and each is looked at
/// by whoever looks for one.
pub(crate) fn remove_loop_devices_but(before: &[u32]) {
    let Ok(control) = fs::File::options().read(true).write(true).open("/dev/loop-control") else { return };
    for number in loop_devices().into_iter().filter(|number| !before.contains(number)) {
        // Others may have taken it meanwhile.
        crate::sys::remove_loop_device(control.as_fd(), number);
    }
}

fn still_there() -> Vec<String> {
    let mut left = Vec::new();
    for entry in fs::read_dir("/sys/block").unwrap() {
        let path = entry.unwrap().path().join("loop/backing_file");
        let backing = fs::read_to_string(&path).unwrap_or_default();
        if backing.contains(&prefix()) {
            left.push(format!("{}: {}", path.display(), backing.trim()));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(&prefix())).map(str::to_owned));
    for entry in fs::read_dir(std::env::temp_dir()).unwrap() {
        let name = entry.unwrap().file_name();
        if name.to_string_lossy().starts_with(&prefix()) {
            left.push(name.to_string_lossy().into_owned());
        }
    }
    left
}
