//! Images that are part of something larger, or say that they are another.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;

use crate::boot;
use crate::tiny::insert;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "members_of_volumes_and_raids_are_refused_and_nothing_is_assembled",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: members,
    },
    Case {
        name: "the_kernel_is_not_told_of_partitions_in_an_image",
        needs: &[Need::Program, Need::Made(Fixture::TinyBare)],
        body: no_scan,
    },
    Case {
        name: "three_xfs_of_one_uuid_are_mounted_side_by_side",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: three_xfs,
    },
    Case {
        name: "three_btrfs_of_one_uuid_are_not_taken_for_each_other",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: three_btrfs,
    },
];

/// A UUID of nobody: one that is in use elsewhere on the machine is refused by the tools.
fn uuid() -> std::io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim_end().to_owned())
}

/// What the kernel has put together from several devices.
fn assembled() -> std::io::Result<Vec<String>> {
    let mut all = Vec::new();
    for directory in ["/sys/block", "/dev/mapper", "/sys/fs/btrfs", "/dev"] {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // Loop devices come and go, and so does what is in /dev beside these.
            if directory.ends_with("mapper")
                || directory.ends_with("btrfs")
                || name.starts_with("md")
                || name.starts_with("dm-")
            {
                all.push(format!("{directory}/{name}"));
            }
        }
    }
    all.sort();
    Ok(all)
}

fn image(host: &Host, name: &str, len: u64, marks: &[(u64, &[u8])]) -> std::io::Result<String> {
    let path = host.directory().join(name);
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
    file.set_len(len)?;
    for (at, bytes) in marks {
        file.write_all_at(bytes, *at)?;
    }
    Ok(path.to_string_lossy().into_owned())
}

/// Row L4 of docs/security.md.
fn members(host: &Host) -> Verdict {
    const MIB: u64 = 1 << 20;
    const RAID: &[u8] = &[0xfc, 0x4e, 0x2b, 0xa9];
    let tree = host.directory().join("empty");
    fs::create_dir(&tree)?;
    // Of two devices, one is here; that its checksum is right is for the kernel to see, who is not to be asked.
    let spread = btrfs(host, "spread", &tree, &uuid()?)?;
    image(host, "spread.btrfs", 128 * MIB, &[(64 * 1024 + 0x88, &[2])])?;
    let volume = image(host, "volume", 16 * MIB, &[(512, b"LABELONE"), (512 + 24, b"LVM2 001")])?;
    let raid = image(host, "raid", 16 * MIB, &[(4096, RAID), (4100, &[1])])?;
    // A mirror of version 0.90 looks like what it holds, up to its last 64 KiB.
    let mirror = host.copy_of(Fixture::TinyBare)?;
    let end = (fs::metadata(&mirror)?.len() & !0xffff) + 0x2_0000;
    let mirror = image(host, "tiny-bare.ext4", end, &[(end - 0x1_0000, RAID)])?;

    let before = assembled()?;
    let root = host.copy_of(Fixture::TinyMbr)?;
    let wanted = host.directory().join("wanted.raw");
    fs::copy(&root, &wanted)?;
    fs::write(host.directory().join("fstab"), "/dev/vdb /mnt auto defaults 0 2\n")?;
    insert(host, &wanted, "fstab", "/etc/fstab", 0o100_644)?;
    let rest = Snapshot::take(&host.scope())?;
    let name = host.name("tiny");
    for (image, word) in [(&spread, "2 devices"), (&volume, "LVM"), (&raid, "RAID"), (&mirror, "RAID")] {
        // As the root, as a further disk that is to be mounted, and as one that is not.
        for (disks, must_fail) in [
            (format!("vda:0:{image}"), true),
            (format!("vda:1:{} vdb:0:{image}", wanted.display()), true),
            (format!("vda:1:{} vdb:0:{image}", root.display()), false),
        ] {
            host.config(&name, &format!("DISKS=( {disks} )\n"))?;
            let outcome = host.subhostctl(&["boot", "--detach", &name])?;
            assert!(outcome.stderr.contains(word), "{outcome}");
            if outcome.code == 0 {
                assert!(!must_fail, "{outcome}");
                // The host looks at every loop device, and would find the member in it.
                let device = host.witness("losetup", &["--noheadings", "--associated", image])?;
                assert_eq!(device, "", "{outcome}");
                host.done(&["stop", &name])?;
            } else {
                assert!([1, 2].contains(&outcome.code), "{outcome}");
            }
            case::nothing_left(host, &rest)?;
            assert_eq!(assembled()?, before, "{image}");
        }
    }
    Ok(())
}

/// Row L4 of docs/security.md: what the partitions hold might be put together by itself.
fn no_scan(host: &Host) -> Verdict {
    let path = host.copy_of(Fixture::TinyBare)?;
    // An ext4 leaves room for a table.
    let entry = [0, 0, 0, 0, 0x8e, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0];
    let len = fs::metadata(&path)?.len();
    let marks: [(u64, &[u8]); 2] = [(446, &entry), (510, &[0x55, 0xaa])];
    let path = image(host, "tiny-bare.ext4", len, &marks)?;
    assert!(host.witness("partx", &["--show", "--noheadings", &path])?.contains("2048"));
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{path} )\n"))?;
    let guest = boot(host, &name)?;
    let number = guest.field("disks")[0]["loop_number"].as_u64().ok_or("no loop device")?;
    let device = Path::new("/sys/block").join(format!("loop{number}"));
    assert_eq!(fs::read_to_string(device.join("loop/partscan"))?, "0\n");
    assert!(!device.join(format!("loop{number}p1")).exists());
    host.done(&["stop", &name])?;
    Ok(())
}

/// An xfs with the files of a directory.
fn xfs(host: &Host, name: &str, tree: &Path, uuid: &str) -> std::io::Result<String> {
    let path = image(host, &format!("{name}.xfs"), 320 << 20, &[])?;
    let who = tree.join("who");
    let prototype = host.directory().join(format!("{name}.prototype"));
    let text = format!("/\n0 0\nd--755 0 0\nwho ---644 0 0 {}\ninner d--755 0 0\n$\n$\n", who.display());
    fs::write(&prototype, text)?;
    let uuid = format!("uuid={uuid}");
    host.witness("mkfs.xfs", &["-q", "-m", &uuid, "-p", &prototype.to_string_lossy(), &path])?;
    Ok(path)
}

/// A btrfs with the files of a directory.
fn btrfs(host: &Host, name: &str, tree: &Path, uuid: &str) -> std::io::Result<String> {
    let path = image(host, &format!("{name}.btrfs"), 128 << 20, &[])?;
    host.witness("mkfs.btrfs", &["-q", "-U", uuid, "-r", &tree.to_string_lossy(), &path])?;
    Ok(path)
}

type Make = fn(&Host, &str, &Path, &str) -> std::io::Result<String>;

/// Three images of one UUID, each with its name in it; a guest that mounts two of them, and one that mounts the third.
fn three(host: &Host, make: Make) -> Result<[String; 2], Box<dyn std::error::Error>> {
    let tree = host.directory().join("files");
    fs::create_dir_all(tree.join("inner"))?;
    let (uuid, mut disks) = (uuid()?, Vec::new());
    for name in ["one", "two", "three"] {
        fs::write(tree.join("who"), name)?;
        disks.push(make(host, name, &tree, &uuid)?);
    }
    let root = host.copy_of(Fixture::TinyMbr)?;
    let lines = "/dev/vdb /mnt auto defaults 0 2\n/dev/vdc /mnt/inner auto defaults 0 2\n";
    fs::write(host.directory().join("fstab"), lines)?;
    insert(host, &root, "fstab", "/etc/fstab", 0o100_644)?;
    let other = host.directory().join("other.raw");
    fs::copy(&root, &other)?;
    let names = [host.name("one"), host.name("two")];
    host.config(
        &names[0],
        &format!("DISKS=( vda:1:{} vdb:0:{} vdc:0:{} )\n", root.display(), disks[0], disks[1]),
    )?;
    host.config(&names[1], &format!("DISKS=( vda:1:{} vdb:0:{} )\n", other.display(), disks[2]))?;
    Ok(names)
}

fn who(host: &Host, name: &str, at: &str) -> std::io::Result<String> {
    host.done(&["enter", name, "--", "cat", &format!("{at}/who")])
}

/// Row L4 of docs/security.md.
fn three_xfs(host: &Host) -> Verdict {
    let [first, second] = three(host, xfs)?;
    boot(host, &first)?;
    boot(host, &second)?;
    assert_eq!(who(host, &first, "/mnt")?, "one");
    assert_eq!(who(host, &first, "/mnt/inner")?, "two");
    assert_eq!(who(host, &second, "/mnt")?, "three");
    host.done(&["stop", &first, &second])?;
    Ok(())
}

/// Row L4 of docs/security.md. Linux before 6.7 mounts only one of them; the others it must not take for that one.
fn three_btrfs(host: &Host) -> Verdict {
    let [first, second] = three(host, btrfs)?;
    for (name, places) in
        [(&second, &[("/mnt", "three")][..]), (&first, &[("/mnt", "one"), ("/mnt/inner", "two")])]
    {
        let outcome = host.subhostctl(&["boot", "--detach", name])?;
        if outcome.code != 0 {
            // The one that is alone can always be mounted.
            assert!(name != &second && outcome.code == 1 && outcome.stderr.contains("mount vd"), "{outcome}");
            continue;
        }
        for (at, inside) in places {
            assert_eq!(who(host, name, at)?, *inside);
        }
    }
    host.done(&["stop", &first, &second])?;
    Ok(())
}
