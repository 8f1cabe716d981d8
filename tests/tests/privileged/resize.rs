//! `resize`: the file, the table and the file system follow each other, and an image boots after each step.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Process;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::stepper::{self, Fault, Harm, Point};

use crate::create::{archive, names, text};
use crate::fsck::process_named;

const NEEDS: &[Need] = &[Need::Program, Need::PlainRoot, Need::Made(Fixture::TinyTree)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "resize_makes_images_larger_and_smaller_and_keeps_all_else", needs: NEEDS, body: both_ways },
    Case {
        name: "resize_that_is_killed_at_any_call_leaves_an_image_that_boots",
        needs: NEEDS,
        body: at_any_call,
    },
    Case {
        name: "what_changes_an_image_runs_in_a_jail_with_one_device",
        needs: &[Need::Program, Need::PlainRoot],
        body: jail,
    },
    Case { name: "resize_makes_ext4_smaller_in_a_copy_that_takes_its_place", needs: NEEDS, body: copied },
    Case { name: "resize_goes_on_where_it_was_and_the_image_boots_at_each_step", needs: NEEDS, body: steps },
    Case {
        name: "resize_is_refused_with_the_reason_and_changes_nothing",
        needs: &[
            Need::Program,
            Need::PlainRoot,
            Need::Made(Fixture::TinyTree),
            Need::Made(Fixture::TinyLogical),
            Need::Made(Fixture::TinyGpt),
        ],
        body: refused,
    },
];

/// A subhost with an image of that size, whose root has a file with something in it.
fn made(
    host: &Host,
    short: &str,
    size: &str,
    table: &str,
    filesystem: &str,
) -> std::io::Result<(String, PathBuf)> {
    let archive = archive(host)?;
    let (name, image) = (host.name(short), host.directory().join(format!("{short}.raw")));
    let words =
        ["create", &name, "--image", &text(&image), "--size", size, "--table", table, "--tar", &archive];
    host.done(&[&words[..], &["--filesystem", filesystem]].concat())?;
    if table != "none" {
        // Boot code.
        let of = format!("of={}", image.display());
        host.witness("bash", &["-c", &format!("printf boot-code | dd {of} bs=1 seek=90 conv=notrunc")])?;
    }
    Ok((name, image))
}

/// What sfdisk says of it, without what a size may change.
fn table(host: &Host, image: &Path) -> Result<(Value, u64), Box<dyn std::error::Error>> {
    let verified = host.witness("sfdisk", &["--verify", &text(image)])?;
    assert!(verified.contains("No errors detected"), "{verified}");
    let mut table: Value = serde_json::from_str(&host.witness("sfdisk", &["--json", &text(image)])?)?;
    let table = &mut table["partitiontable"];
    table.as_object_mut().ok_or("no table")?.remove("lastlba");
    let parts = table["partitions"].as_array_mut().ok_or("no partitions")?;
    let size = parts.last_mut().and_then(|last| last.as_object_mut()?.remove("size")).ok_or("no size")?;
    Ok((table.clone(), size.as_u64().ok_or("no number")?))
}

/// That it boots, its file system is clean, and how large that is in MiB.
fn boots(host: &Host, name: &str) -> Result<u64, Box<dyn std::error::Error>> {
    crate::boot(host, name)?;
    let said = host.done(&["exec", name, "--", "sh", "-c", "cat /etc/hostname; df -m / | tail -n 1"])?;
    assert!(said.starts_with(&format!("{name}\n")), "{said}");
    host.done(&["stop", name])?;
    host.done(&["check", "--fsck", name])?;
    let size = said.lines().nth(1).and_then(|line| line.split_whitespace().nth(1)).ok_or("no size")?;
    Ok(size.parse()?)
}

fn both_ways(host: &Host) -> Verdict {
    for (number, (scheme, filesystem, sizes)) in [
        ("mbr", "ext4", [40, 200, 24]),
        ("gpt", "ext4", [40, 200, 24]),
        ("none", "ext4", [40, 200, 24]),
        ("gpt", "xfs", [320, 500, 500]),
        ("mbr", "btrfs", [320, 500, 300]),
        ("gpt", "btrfs", [320, 500, 300]),
    ]
    .into_iter()
    .enumerate()
    {
        let (name, image) = made(host, &format!("r{number}"), &format!("{}M", sizes[0]), scheme, filesystem)?;
        let before = if scheme == "none" { None } else { Some(table(host, &image)?) };
        let head = fs::read(&image)?[..446].to_vec();
        let mut last = (sizes[0], boots(host, &name)?);
        for (size, target) in [(sizes[1], text(&image)), (sizes[2], name.clone())] {
            let leaks = Snapshot::take(&host.scope())?;
            host.done(&["resize", &target, &format!("{size}M")])?;
            case::nothing_left(host, &leaks)?;
            assert_eq!(fs::metadata(&image)?.len(), size << 20);
            let now = boots(host, &name)?;
            assert_eq!(now.cmp(&last.1), size.cmp(&last.0), "{scheme} {filesystem} {size}: {now}");
            assert!(now <= size, "{now}");
            last = (size, now);
            if let Some((before, sectors)) = &before {
                let (after, now) = table(host, &image)?;
                let (before, after) = (without_device(before), without_device(&after));
                assert_eq!(before, after);
                assert_eq!(now.cmp(sectors), size.cmp(&sizes[0]));
                assert_eq!(fs::read(&image)?[..446], head);
            }
        }
    }
    Ok(())
}

fn without_device(table: &Value) -> Value {
    let mut table = table.clone();
    if let Some(table) = table.as_object_mut() {
        table.remove("device");
    }
    table
}

/// What is there when it was killed between two steps, made by other tools.
fn steps(host: &Host) -> Verdict {
    for (number, scheme) in ["gpt", "mbr"].into_iter().enumerate() {
        let (name, image) = made(host, &format!("s{number}"), "40M", scheme, "ext4")?;
        let path = text(&image);
        // Larger: the file.
        fs::File::options().write(true).open(&image)?.set_len(200 << 20)?;
        assert!(boots(host, &name)? < 40);
        // And the table.
        let script = format!("echo ', +' | sfdisk --quiet --no-reread --no-tell-kernel -N 1 {path}");
        host.witness("bash", &["-c", &script])?;
        assert!(boots(host, &name)? < 40);
        host.done(&["resize", &path, "200M"])?;
        assert!(boots(host, &name)? > 150);
        // It is as it is wanted already.
        let sum = host.witness("sfdisk", &["--dump", &path])?;
        host.done(&["resize", &path, "200M"])?;
        assert_eq!(host.witness("sfdisk", &["--dump", &path])?, sum);
        // Smaller: the file system.
        let device = host.witness("losetup", &["--find", "--show", "--offset", "1048576", &path])?;
        host.witness("e2fsck", &["-f", "-p", device.trim()])?;
        host.witness("resize2fs", &[device.trim(), "20M"])?;
        host.witness("losetup", &["--detach", device.trim()])?;
        assert!(boots(host, &name)? < 20);
        // The table: as it is after the whole way, but for the file's size.
        host.done(&["resize", &path, "24M"])?;
        let (size, sum) = (boots(host, &name)?, host.witness("sfdisk", &["--dump", &path])?);
        fs::File::options().write(true).open(&image)?.set_len(200 << 20)?;
        assert_eq!(boots(host, &name)?, size);
        host.done(&["resize", &path, "24M"])?;
        assert_eq!((boots(host, &name)?, host.witness("sfdisk", &["--dump", &path])?), (size, sum));
    }
    Ok(())
}

/// Killed at some of all its calls: it boots, and the same command brings it to its end.
fn at_any_call(host: &Host) -> Verdict {
    let (name, image) = made(host, "kill", "40M", "gpt", "ext4")?;
    let (path, copy) = (text(&image), text(&host.directory().join("copy.raw")));
    host.witness("cp", &["--sparse=always", &path, &copy])?;
    let mut sizes = Vec::new();
    for (size, low, high) in [("80M", 60, 80), ("24M", 12, 24)] {
        let command = || host.command(&["--quiet", "resize", &path, size]);
        let whole = stepper::walk(&command(), None, Duration::from_secs(60))?;
        assert_eq!(whole.code, 0, "{whole}");
        let calls = whole.calls[0].len();
        let late = [60, 25, 3].map(|before| calls.saturating_sub(before));
        for call in (1..7).map(|part| calls * part / 7).chain(late) {
            host.witness("cp", &["--sparse=always", &copy, &path])?;
            let at = Point { process: 0, call };
            let walk = stepper::walk(&command(), Some(Harm::at(at, Fault::Kill)), Duration::from_secs(60))?;
            assert!(!walk.hung, "{at}: {walk}");
            // A tool that it has started goes on to its end.
            let deadline = Instant::now() + Duration::from_secs(30);
            while host.subhostctl(&["check", "--fsck", &name])?.stderr.contains("in use")
                && Instant::now() < deadline
            {}
            sizes.push(boots(host, &name)?);
            host.done(&["resize", &path, size])?;
            let done = boots(host, &name)?;
            assert!((low..=high).contains(&done), "{at}: {done}");
        }
    }
    // The records of the jails whose supervisors were killed.
    host.done(&["recover"])?;
    sizes.sort_unstable();
    sizes.dedup();
    // Before, and larger. Smaller it is only once the copy has its name.
    assert!(sizes.len() >= 2, "{sizes:?}");
    Ok(())
}

/// Row A2 of docs/security.md.
fn jail(host: &Host) -> Verdict {
    // 2 GiB of inode tables to read.
    let image = host.directory().join("large.raw");
    fs::File::create(&image)?.set_len(16 << 30)?;
    let features = "^metadata_csum,^uninit_bg,^resize_inode";
    let path = text(&image);
    host.witness(
        "mkfs.ext4",
        &["-q", "-F", "-O", features, "-N", "8000000", "-E", "lazy_itable_init=1", &path],
    )?;
    let before = Snapshot::take(&host.scope())?;
    let mut command = host.start(&["resize", &path, "17G"])?;
    let tool = loop {
        if let Some(pid) = process_named("e2fsck")? {
            break pid;
        }
        if command.wait(Duration::ZERO)?.is_some() {
            let outcome = command.finish(Duration::ZERO)?;
            return Err(format!("it ended before e2fsck was seen: {outcome}").into());
        }
    };
    let process = Process::open(tool)?;
    process.signal(rustix::process::Signal::STOP)?;
    for namespace in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"] {
        let theirs = fs::read_link(format!("/proc/{tool}/ns/{namespace}"))?;
        assert_ne!(theirs, fs::read_link(format!("/proc/self/ns/{namespace}"))?);
    }
    let status = fs::read_to_string(format!("/proc/{tool}/status"))?;
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    assert!(uids.split_whitespace().all(|id| id.parse().is_ok_and(|id: u32| id >= 65_536)), "{uids}");
    // Of the devices that hold data it has the one, and nothing of that is mounted.
    let mut disks = Vec::new();
    for entry in fs::read_dir(format!("/proc/{tool}/root/dev"))? {
        let entry = entry?;
        if entry.file_type()?.is_block_device() {
            disks.push(entry.metadata()?.rdev());
        }
    }
    assert_eq!(disks.len(), 1, "{disks:?}");
    let number = format!("{}:{}", rustix::fs::major(disks[0]), rustix::fs::minor(disks[0]));
    let backing = fs::read_to_string(format!("/sys/dev/block/{number}/loop/backing_file"))?;
    assert_eq!(backing.trim_end(), path);
    let mounts = fs::read_to_string(format!("/proc/{tool}/mountinfo"))?;
    assert!(!mounts.contains(&format!(" {number} ")), "{mounts}");
    command.terminate()?;
    let outcome = command.finish(Duration::from_secs(30))?;
    assert!(outcome.code == 1 && outcome.stderr.contains("ended by"), "{outcome}");
    assert!(process.ends(Duration::ZERO)?, "e2fsck outlives it");
    assert_eq!(fs::metadata(&image)?.len(), 16 << 30);
    case::nothing_left(host, &before)
}

fn copied(host: &Host) -> Verdict {
    fs::create_dir(host.subhost_dir())?;
    // 50 MiB of inode tables to read.
    let large = text(&host.directory().join("large.raw"));
    fs::File::create(&large)?.set_len(512 << 20)?;
    host.witness("mkfs.ext4", &["-q", "-F", "-N", "200000", "-E", "lazy_itable_init=1", &large])?;
    let sum = |path: &str| host.witness("sha256sum", &[path]);
    let before = (sum(&large)?, names(host)?, Snapshot::take(&host.scope())?);
    // Whatever ends resize2fs: nothing has changed.
    let mut command = host.start(&["resize", &large, "400M"])?;
    let tool = loop {
        if let Some(pid) = process_named("resize2fs")? {
            break Process::open(pid)?;
        }
        if command.wait(Duration::ZERO)?.is_some() {
            let outcome = command.finish(Duration::ZERO)?;
            return Err(format!("it ended before resize2fs was seen: {outcome}").into());
        }
    };
    tool.signal(rustix::process::Signal::KILL)?;
    let outcome = command.finish(Duration::from_secs(60))?;
    assert!(outcome.code == 1 && outcome.stderr.contains("resize2fs"), "{outcome}");
    assert_eq!((sum(&large)?, names(host)?), (before.0, before.1));
    case::nothing_left(host, &before.2)?;

    // The copy has all that the image had, and its name.
    let (name, image) = made(host, "copy", "40M", "mbr", "ext4")?;
    let path = text(&image);
    host.witness("chown", &["7:8", &path])?;
    host.witness("chmod", &["640", &path])?;
    let link = text(&host.directory().join("link"));
    std::os::unix::fs::symlink(&image, &link)?;
    let old = fs::metadata(&image)?.ino();
    host.done(&["resize", &link, "30M"])?;
    let meta = fs::metadata(&image)?;
    assert_eq!((meta.len(), meta.uid(), meta.gid(), meta.mode() & 0o7777), (30 << 20, 7, 8, 0o640));
    assert!(meta.ino() != old && fs::symlink_metadata(&link)?.is_symlink());
    assert!(boots(host, &name)? <= 30);
    // Other names would not follow.
    let other = text(&host.directory().join("other.raw"));
    fs::hard_link(&image, &other)?;
    let outcome = host.subhostctl(&["resize", &path, "24M"])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("--in-place"), "{outcome}");
    host.done(&["resize", "--in-place", &path, "24M"])?;
    assert_eq!(fs::metadata(&other)?.ino(), meta.ino());
    assert!(boots(host, &name)? <= 24);

    // Where there is no room.
    let small = host.directory().join("small");
    fs::create_dir(&small)?;
    host.witness("mount", &["-t", "tmpfs", "-o", "size=60m", "tmpfs", &text(&small)])?;
    let (image, path) = (small.join("a.raw"), text(&small.join("a.raw")));
    host.witness(
        "bash",
        &["-c", &format!("head -c 40M /dev/urandom >{path} && mkfs.ext4 -q -F -E nodiscard {path}")],
    )?;
    let sum_before = sum(&path)?;
    let outcome = host.subhostctl(&["resize", &path, "30M"])?;
    assert!(
        outcome.code == 2 && outcome.stderr.contains("is copied before it is made smaller, which needs"),
        "{outcome}"
    );
    assert_eq!((sum(&path)?, fs::read_dir(&small)?.count()), (sum_before, 1));
    host.done(&["resize", "--in-place", &path, "30M"])?;
    assert_eq!(fs::metadata(&image)?.len(), 30 << 20);
    host.witness("umount", &[&text(&small)])?;
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    let logical = text(&host.copy_of(Fixture::TinyLogical)?);
    let gpt = host.copy_of(Fixture::TinyGpt)?;
    let (name, image) = made(host, "tiny", "40M", "mbr", "ext4")?;
    let full = host.directory().join("full");
    fs::create_dir(&full)?;
    fs::write(full.join("file"), vec![7; 12 << 20])?;
    let full = text(&host.ext4_of(&full, "full.ext4")?);
    let zeros = text(&host.directory().join("zeros"));
    fs::File::create(&zeros)?.set_len(8 << 20)?;
    let damaged = text(&host.directory().join("damaged.raw"));
    fs::copy(&gpt, &damaged)?;
    host.witness(
        "dd",
        &["if=/dev/zero", &format!("of={damaged}"), "bs=512", "seek=1", "count=1", "conv=notrunc"],
    )?;
    let (image, gpt) = (text(&image), text(&gpt));
    let same = |path: &str, words: &[&str], code: i32, word: &str| -> Verdict {
        let sum = |path| host.witness("sha256sum", &[path]);
        let before = sum(path)?;
        let outcome = host.subhostctl(words)?;
        assert!(outcome.code == code && outcome.stderr.contains(word), "{words:?}: {outcome}");
        assert_eq!(sum(path)?, before, "{words:?}");
        Ok(())
    };
    for size in ["40M", "12M"] {
        same(&logical, &["resize", &logical, size], 2, "its last partition, 5, is a logical one")?;
    }
    same(&damaged, &["resize", &damaged, "40M"], 2, "damaged")?;
    same(&gpt, &["resize", &gpt, "5M"], 2, "begins behind")?;
    same(&zeros, &["resize", &zeros, "40M"], 2, "no file system")?;
    same(&gpt, &["resize", &gpt, "40"], 2, "is not a size")?;
    same(&gpt, &["resize", "nobody", "40M"], 2, "nobody")?;
    same(&full, &["resize", &full, "8M"], 1, "resize2fs")?;
    host.witness("e2fsck", &["-f", "-n", &full])?;
    // A file system that has to be repaired.
    host.witness("debugfs", &["-w", "-R", "clri <2>", &full])?;
    same(&full, &["resize", "/proc/self/nothing", "8M"], 1, "No such file")?;
    let outcome = host.subhostctl(&["resize", &full, "40M"])?;
    assert!(outcome.code == 1 && outcome.stderr.contains("e2fsck"), "{outcome}");
    assert_eq!(fs::metadata(&full)?.len(), 24 << 20);
    crate::boot(host, &name)?;
    for target in [&*name, &*image] {
        let outcome = host.subhostctl(&["resize", target, "60M"])?;
        assert!(outcome.code == 2 && outcome.stderr.contains("in use"), "{outcome}");
    }
    assert_eq!(fs::metadata(&image)?.len(), 40 << 20);
    host.done(&["stop", &name])?;
    Ok(())
}
