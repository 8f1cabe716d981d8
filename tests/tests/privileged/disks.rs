//! The further disks of a guest: where its fstab puts them, and what of that is not done.

use std::path::Path;

use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;

use crate::boot;
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
];

/// An image without a table, with these folders and a file that says which one it is.
fn image(host: &Host, name: &str, folders: &[&str]) -> std::io::Result<String> {
    let tree = host.folder().join(format!("{name}-tree"));
    std::fs::create_dir(&tree)?;
    for folder in folders {
        std::fs::create_dir_all(tree.join(folder))?;
    }
    std::fs::write(tree.join("who"), format!("{name}\n"))?;
    let image = host.folder().join(format!("{name}.ext4")).to_string_lossy().into_owned();
    host.witness("mkfs.ext4", &["-q", "-F", "-d", &tree.to_string_lossy(), &image, "8M"])?;
    Ok(image)
}

fn fstab(host: &Host, image: &Path, lines: &str) -> std::io::Result<()> {
    std::fs::write(host.folder().join("fstab"), lines)?;
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
