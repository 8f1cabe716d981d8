//! What is left of a process that held everything, and was killed.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use subhost_mount::{Access, Image};

use crate::actor::{self, STEPS};
use crate::{Row, harness, scene};

pub(crate) const CASES: &[Row] = &[(
    "process_that_is_killed_at_any_moment_leaves_no_mount_and_no_loop_device",
    &["sfdisk", "mkfs.ext4", "e2fsck", "losetup"],
    killed_at_any_moment,
)];

const ROUNDS: u64 = 100;

fn killed_at_any_moment() {
    let directory = scene::directory();
    let at = directory.path();
    for name in ["base", "disk", "live", "kept", "thrown-away", "bound"] {
        fs::create_dir(at.join(name)).unwrap();
    }
    let images = [scene::ext4_image(at), scene::ext4_image(&at.join("base"))];
    let base = fs::read(&images[1]).unwrap();

    // How long all of it takes, so that the moments are spread over it.
    let start = Instant::now();
    let (mut child, output) = actor::start("hold", at);
    assert_eq!(output.lines().take(STEPS.len()).map(Result::unwrap).collect::<Vec<_>>(), STEPS);
    let whole = start.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    nothing_is_left(at, &images);

    let mut reached = BTreeSet::new();
    for round in 0..ROUNDS {
        let (mut child, mut output) = actor::start("hold", at);
        let part = RandomState::new().hash_one(round) % 1200;
        thread::sleep(whole / 1000 * u32::try_from(part).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        let mut said = String::new();
        output.read_to_string(&mut said).unwrap();
        reached.insert(said.lines().last().unwrap_or("started").to_owned());
        nothing_is_left(at, &images);
    }
    assert!(reached.len() >= STEPS.len() / 2, "all were killed at the same moments: {reached:?}");
    assert!(fs::read(&images[1]).unwrap() == base, "the base has changed");
    for image in &images {
        let inner = format!("{}?offset=1048576", image.display());
        harness::output("e2fsck", &["-f", "-n", &inner]);
    }
}

fn nothing_is_left(directory: &Path, images: &[PathBuf]) {
    // A loop device and a mount that nobody sees would hold the lock.
    for image in images {
        let free = || Image::open(image, Access::ReadWrite).is_ok();
        scene::wait_until("the image is free", free);
        assert!(scene::loops_over(image).is_empty());
    }
    assert_eq!(mounts_anywhere(directory), HashSet::new());
}

/// The mounts below `directory` in all mount namespaces that a process is in.
fn mounts_anywhere(directory: &Path) -> HashSet<String> {
    let directory = directory.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let tables = processes.filter_map(|process| fs::read_to_string(process.join("mountinfo")).ok());
    let lines = |table: String| {
        table.lines().filter(|line| line.contains(directory)).map(str::to_owned).collect::<Vec<_>>()
    };
    tables.flat_map(lines).collect()
}
