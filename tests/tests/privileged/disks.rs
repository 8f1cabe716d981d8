//! The further disks of a guest: where its fstab puts them, and what of that is not done.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use serde_json::Value;
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;

use crate::boot;
use crate::run::listed;
use crate::tiny::insert;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "disks_are_mounted_from_the_top_down_and_copies_told_apart_by_name",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: order,
    },
    Case {
        name: "a_disk_that_cannot_be_mounted_fails_the_boot_unless_fstab_says_nofail",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: nofail,
    },
    Case {
        name: "disks_are_chosen_by_what_their_partitions_are_called",
        needs: &[Need::Program, Need::Made(Fixture::TinyGpt)],
        body: called,
    },
    Case {
        name: "a_whole_block_device_is_a_disk_without_a_loop_device",
        needs: &[Need::Program, Need::Made(Fixture::TinyBare)],
        body: block_device,
    },
    Case {
        name: "a_partition_of_a_block_device_is_a_disk",
        needs: &[Need::Program, Need::Made(Fixture::TinyGpt)],
        body: partition_of_block_device,
    },
    Case {
        name: "an_image_is_not_in_memory_twice_for_a_boot_or_a_command_that_goes_on",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: cached,
    },
];

/// A block device over a file, as `losetup` makes it.
struct BlockDevice<'a> {
    host: &'a Host,
    node: String,
}

impl<'a> BlockDevice<'a> {
    fn over(host: &'a Host, file: &Path) -> std::io::Result<BlockDevice<'a>> {
        let node = host.witness("losetup", &["--find", "--show", &file.to_string_lossy()])?;
        Ok(BlockDevice { host, node: node.trim().to_owned() })
    }

    /// The loop devices over it.
    fn loops(&self) -> std::io::Result<String> {
        self.host.witness("losetup", &["--noheadings", "--output", "NAME", "--associated", &self.node])
    }

    /// Whether a program that knows nothing of us can have it for itself.
    fn is_free(&self) -> bool {
        rustix::fs::open(&self.node, OFlags::RDONLY | OFlags::EXCL, Mode::empty()).is_ok()
    }
}

impl Drop for BlockDevice<'_> {
    fn drop(&mut self) {
        let _ = self.host.witness("losetup", &["--detach", &self.node]);
    }
}

/// An image without a table, with these directories and a file that says which one it is.
fn image(host: &Host, name: &str, directories: &[&str]) -> std::io::Result<String> {
    let tree = host.directory().join(format!("{name}-tree"));
    std::fs::create_dir(&tree)?;
    for directory in directories {
        std::fs::create_dir_all(tree.join(directory))?;
    }
    std::fs::write(tree.join("who"), format!("{name}\n"))?;
    let image = host.directory().join(format!("{name}.ext4")).to_string_lossy().into_owned();
    host.witness("mkfs.ext4", &["-q", "-F", "-d", &tree.to_string_lossy(), &image, "8M"])?;
    Ok(image)
}

fn fstab(host: &Host, image: &Path, lines: &str) -> std::io::Result<()> {
    std::fs::write(host.directory().join("fstab"), lines)?;
    insert(host, image, "fstab", "/etc/fstab", 0o100_644)
}

fn order(host: &Host) -> Verdict {
    let root = host.copy_of(Fixture::TinyMbr)?;
    let outer = image(host, "outer", &["inner"])?;
    let inner = image(host, "inner", &["copy"])?;
    // A copy has the UUID of its original.
    let copy = format!("{inner}.copy");
    std::fs::copy(&inner, &copy)?;
    let uuid = host.witness("blkid", &["-s", "UUID", "-o", "value", &inner])?;
    let name = host.name("tiny");
    host.config(
        &name,
        &format!("DISKS=( vda:1:{} vdb:0:{copy} vdc:0:{inner} vdd:0:{outer} )\n", root.display()),
    )?;
    fstab(
        host,
        &root,
        &format!(
            "UUID={} /mnt/inner ext4 defaults 0 2\n/dev/vdb /mnt/inner/copy ext4 ro 0 2\n/dev/vdd /../mnt/ ext4 defaults 0 2\n",
            uuid.trim()
        ),
    )?;
    boot(host, &name)?;
    let mounts = host.done(&["enter", &name, "--", "cat", "/proc/mounts"])?;
    for mount in ["/dev/vdd /mnt ext4 rw", "/dev/vdc /mnt/inner ext4 rw", "/dev/vdb /mnt/inner/copy ext4 ro"]
    {
        assert!(mounts.lines().any(|line| line.starts_with(mount)), "no {mount} in: {mounts}");
    }
    assert_eq!(host.done(&["enter", &name, "--", "cat", "/mnt/who"])?, "outer\n");
    assert_eq!(host.done(&["enter", &name, "--", "cat", "/mnt/inner/who"])?, "inner\n");
    host.done(&["stop", &name])?;
    Ok(())
}

fn nofail(host: &Host) -> Verdict {
    let root = host.copy_of(Fixture::TinyMbr)?;
    let data = image(host, "data", &[])?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} vdb:0:{data} )\n", root.display()))?;
    for target in ["/nowhere", "/etc/passwd", "/var/run", "/mnt/../dev/shm", "/proc/1", "/sys"] {
        fstab(host, &root, &format!("/dev/vdb {target} ext4 defaults,nofail 0 2\n"))?;
        let outcome = host.subhostctl(&["boot", "--detach", &name])?;
        assert_eq!(outcome.code, 0, "{outcome}");
        assert!(outcome.stderr.contains("disk vdb: not mounted: "), "{target}: {outcome}");
        assert!(outcome.stderr.contains(target), "{outcome}");
        let mounts = host.done(&["enter", &name, "--", "cat", "/proc/mounts"])?;
        assert!(!mounts.contains("/dev/vdb"), "{target}: {mounts}");
        host.done(&["stop", &name])?;

        fstab(host, &root, &format!("/dev/vdb {target} ext4 defaults 0 2\n"))?;
        let before = Snapshot::take(&host.scope())?;
        let outcome = host.subhostctl(&["boot", "--detach", &name])?;
        assert_eq!(outcome.code, 1, "{target}: {outcome}");
        assert!(outcome.stderr.contains("vdb") && outcome.stderr.contains(target), "{outcome}");
        case::nothing_left(host, &before)?;
    }
    Ok(())
}

fn called(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyGpt)?;
    let path = image.display();
    let table: Value = serde_json::from_str(&host.witness("sfdisk", &["--json", &image.to_string_lossy()])?)?;
    let partitions = &table["partitiontable"]["partitions"];
    let device = format!("{path}?offset=1048576");
    host.witness("tune2fs", &["-L", "my root", &device])?;
    let superblock = host.witness("dumpe2fs", &["-h", &device])?;
    let uuid = superblock.lines().find_map(|line| line.strip_prefix("Filesystem UUID:")).ok_or("no UUID")?;
    let uuid = uuid.trim().to_uppercase();
    let name = host.name("tiny");
    let partuuid = partitions[1]["uuid"].as_str().ok_or("no PARTUUID")?.to_lowercase();
    for first in ["LABEL=my root", &format!("UUID={uuid}"), "PARTLABEL=root", "1"] {
        host.config(&name, &format!("DISKS=( 'vda:{first}:{path}' vdb:PARTUUID={partuuid}:{path} )\n"))?;
        let plan: Value = serde_json::from_str(&host.done(&["--json", "plan", &name])?)?;
        let disks: Vec<_> =
            (0..2).map(|n| (&plan["disks"][n]["node"], &plan["disks"][n]["partition"])).collect();
        assert_eq!(disks, [(&"vda1".into(), &1.into()), (&"vdb2".into(), &2.into())], "{first}: {plan:#}");
    }
    host.config(&name, &format!("DISKS=( 'vda:LABEL=my root:{path}' vdb:PARTUUID={partuuid}:{path} )\n"))?;
    let guest = boot(host, &name)?;
    assert_eq!(guest.field("disks")[1]["partition"], 2);
    // What it reads is not cached twice, where that is safe.
    let number = guest.field("disks")[0]["loop_number"].as_u64().ok_or("no loop device")?;
    let direct = std::fs::read_to_string(format!("/sys/block/loop{number}/loop/dio"))?;
    let on = host.witness("stat", &["--file-system", "--format=%T", &image.to_string_lossy()])?;
    assert_eq!(direct.trim() == "1", ["ext2/ext3", "xfs"].contains(&on.trim()), "{direct} on {on}");
    let mounts = host.done(&["enter", &name, "--", "cat", "/proc/mounts"])?;
    assert!(mounts.lines().any(|line| line.starts_with("/dev/vda1 / ext4 ")), "{mounts}");
    host.done(&["stop", &name])?;
    let disk = format!("vda:PARTLABEL=root:{path}");
    let mounts = host.done(&["run", "--disk", &disk, "--", "cat", "/proc/mounts"])?;
    assert!(mounts.lines().any(|line| line.starts_with("/dev/vda1 / ext4 ")), "{mounts}");

    for (choice, says) in [
        (
            "LABEL=none",
            "disk vda: ".to_owned() + &path.to_string() + ": no partition has LABEL=none; there are my root",
        ),
        (
            "PARTUUID=1-2",
            format!(
                "no partition has PARTUUID=1-2; there are {}",
                partitions[0]["uuid"].as_str().unwrap_or("?")
            ),
        ),
        ("PARTTYPE=home", "no partition has PARTTYPE=home; there are 0FC63DAF-".to_owned()),
        ("PARTTYPE=linux-generic", "more than one partition has PARTTYPE=linux-generic: 1, 2".to_owned()),
        ("3", "no partition 3: there are 1, 2".to_owned()),
        ("LABEL=a:b", "a value behind LABEL=".to_owned()),
        ("NAME=a", "`NAME=a` is not a partition".to_owned()),
    ] {
        host.config(&name, &format!("DISKS=( vda:{choice}:{path} )\n"))?;
        for command in [["plan", &name].as_slice(), &["boot", "--detach", &name]] {
            let outcome = host.subhostctl(command)?;
            assert!(outcome.code == 2 && outcome.stderr.contains(&says), "{choice}: {outcome}");
        }
    }
    let home = "933AC7E1-2EB4-4F13-B844-0E14E2AEF915";
    host.witness("sfdisk", &["--quiet", "--part-type", &image.to_string_lossy(), "2", home])?;
    for choice in ["PARTTYPE=home", &format!("PARTTYPE={home}")] {
        host.config(&name, &format!("DISKS=( vda:{choice}:{path} )\n"))?;
        let plan: Value = serde_json::from_str(&host.done(&["--json", "plan", &name])?)?;
        assert_eq!(plan["disks"][0]["node"], "vda2", "{plan:#}");
    }
    // One partition is not two disks, whatever it is called.
    host.config(&name, &format!("DISKS=( vda:PARTLABEL=root:{path} vda:1:{path} )\n"))?;
    let outcome = host.subhostctl(&["plan", &name])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("disk vda1: overlaps vda1"), "{outcome}");
    Ok(())
}

fn block_device(host: &Host) -> Verdict {
    let file = host.copy_of(Fixture::TinyBare)?;
    let device = BlockDevice::over(host, &file)?;
    let node = &device.node;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{node} )\n"))?;
    let plan = host.done(&["plan", &name])?;
    assert!(!plan.contains("losetup") && plan.contains(&format!("cp -aL {node} /dev/vda  #")), "{plan}");
    let guest = boot(host, &name)?;
    let disk = &guest.field("disks")[0];
    assert_eq!((&disk["node"], &disk["loop_number"]), (&"vda".into(), &Value::Null));
    assert_eq!(device.loops()?, "");
    let mounts = host.done(&["enter", &name, "--", "cat", "/proc/mounts"])?;
    assert!(mounts.lines().any(|line| line.starts_with("/dev/vda / ext4 ")), "{mounts}");
    let status = host.done(&["status", &name])?;
    assert!(status.contains(&format!("{node} partition 0 itself")), "{status}");
    // By the device the mount is found, in the guest's namespace.
    let shown: Value = serde_json::from_str(&host.done(&["--json", "mounts", node])?)?;
    let is_root = |mount: &Value| mount["owner"] == *name && mount["target"] == "/";
    assert!(shown["mounts"].as_array().is_some_and(|all| all.iter().any(is_root)), "{shown:#}");

    // While a guest has it, and also when its supervisor is gone, nobody else gets it.
    let other = host.name("other");
    host.config(&other, &format!("DISKS=( vda:0:{node} )\n"))?;
    let refused = || -> Verdict {
        let outcome = host.subhostctl(&["boot", "--detach", &other])?;
        assert!(outcome.code == 2 && outcome.stderr.contains(&format!("{node} is in use")), "{outcome}");
        assert!(outcome.stderr.contains(&format!("it is a disk of subhost {name}")), "{outcome}");
        assert!(!device.is_free());
        Ok(())
    };
    refused()?;
    guest.supervisor()?.signal(Signal::KILL)?;
    refused()?;
    host.done(&["stop", &name])?;
    assert!(device.is_free());
    host.done(&["boot", "--detach", &other])?;
    host.done(&["stop", &other])?;
    Ok(())
}

fn partition_of_block_device(host: &Host) -> Verdict {
    let file = host.copy_of(Fixture::TinyGpt)?;
    let device = BlockDevice::over(host, &file)?;
    let node = &device.node;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:PARTLABEL=root:{node} vdb:2:{node} )\n"))?;
    let guest = boot(host, &name)?;
    let number = guest.field("disks")[0]["loop_number"].as_u64().ok_or("no loop device")?;
    assert!(device.loops()?.lines().any(|line| line.trim() == format!("/dev/loop{number}")));
    assert!(!device.is_free());
    let shown: Value = serde_json::from_str(&host.done(&["--json", "mounts", node])?)?;
    let devices: Vec<_> = shown["devices"].as_array().into_iter().flatten().map(|it| &it["path"]).collect();
    assert!(devices.contains(&&Value::from(node.as_str())), "{shown:#}");
    assert!(devices.contains(&&Value::from(format!("/dev/loop{number}"))), "{shown:#}");
    guest.supervisor()?.signal(Signal::KILL)?;
    assert!(!device.is_free());
    host.done(&["stop", &name])?;
    assert!(device.is_free());
    Ok(())
}

fn cached(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let path = image.to_string_lossy();
    let is_direct = || -> std::io::Result<String> {
        let told = host.witness("losetup", &["--noheadings", "--output", "DIO", "--associated", &path])?;
        Ok(told.trim().to_owned())
    };
    let on = host.witness("stat", &["--file-system", "--format", "%T", &path])?;
    let pays = ["ext2/ext3", "xfs"].contains(&on.trim());

    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{path} )\n"))?;
    boot(host, &name)?;
    assert_eq!(is_direct()?, if pays { "1" } else { "0" }, "boot, on {on}");
    host.done(&["stop", &name])?;

    // A command may be over before it matters; one that goes on is as a guest that was booted.
    let disk = format!("vda:1:{path}");
    let mut run = host.start(&["run", "--name", &name, "--disk", &disk, "--", "sleep", "1000"])?;
    listed(host, &name)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while pays && is_direct()? != "1" {
        assert!(Instant::now() < deadline, "run goes on through the page cache");
    }
    run.terminate()?;
    run.finish(Duration::from_secs(20))?;
    Ok(())
}
