//! What an image holds: mounted as it is safe, or refused with the reason.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;

use crate::boot;
use crate::tiny::insert;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "every_type_that_is_allowed_is_a_root_with_its_safe_options",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: every_type,
    },
    Case {
        name: "an_image_that_asks_for_a_panic_of_the_host_is_mounted_without",
        needs: &[Need::Program, Need::Made(Fixture::TinyBare)],
        body: no_panic,
    },
    Case {
        name: "file_systems_that_lead_elsewhere_or_are_not_known_are_refused_with_the_reason",
        needs: &[Need::Program],
        body: refused,
    },
    Case {
        name: "types_of_file_system_are_refused_unless_they_are_allowed",
        needs: &[Need::Program],
        body: types,
    },
    Case {
        name: "a_further_disk_of_a_type_that_is_not_allowed_fails_the_boot_only_where_fstab_wants_it",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: further,
    },
    Case {
        name: "a_further_disk_is_nodev_and_nosuid_where_fstab_asks_for_it",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: nosuid,
    },
    Case {
        name: "a_dirty_journal_is_replayed_by_the_kernel",
        needs: &[Need::Program, Need::Made(Fixture::TinyBare)],
        body: replayed,
    },
];

/// An image of 320 MiB, made by that command.
pub(crate) fn made(host: &Host, name: &str, command: &[&str]) -> std::io::Result<PathBuf> {
    let path = host.directory().join(name);
    fs::File::create(&path)?.set_len(320 << 20)?;
    host.witness(command[0], &[&command[1..], &[&*path.to_string_lossy()]].concat())?;
    Ok(path)
}

/// A copy of an image as a machine leaves it that loses power: with `/fresh` in its journal only.
pub(crate) fn dirty(host: &Host, image: &Path) -> std::io::Result<PathBuf> {
    let (at, copy) = (host.directory().join("mounted"), host.directory().join("dirty.ext4"));
    fs::create_dir(&at)?;
    let (place, from, to) = (at.to_string_lossy(), image.to_string_lossy(), copy.to_string_lossy());
    host.witness("mount", &["-o", "loop", &from, &place])?;
    fs::write(at.join("fresh"), "written late\n")?;
    host.witness("sync", &["-f", &place])?;
    host.witness("cp", &["--sparse=always", &from, &to])?;
    host.witness("umount", &[&place])?;
    Ok(copy)
}

fn every_type(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let tree = tree.to_string_lossy();
    let at = host.directory().join("mounted");
    fs::create_dir(&at)?;
    for (kind, make, is_filled, options) in [
        ("ext2", &["mkfs.ext2", "-q", "-F", "-d", &tree][..], true, "errors=remount-ro"),
        ("ext3", &["mkfs.ext3", "-q", "-F", "-d", &tree], true, "errors=remount-ro"),
        ("ext4", &["mkfs.ext4", "-q", "-F", "-d", &tree], true, "errors=remount-ro"),
        ("xfs", &["mkfs.xfs", "-q"], false, "nouuid"),
        ("btrfs", &["mkfs.btrfs", "-q"], false, "rw"),
        ("erofs", &["sh", "-c", &format!("mkfs.erofs $0 {tree}")], true, "ro"),
        ("squashfs", &["sh", "-c", &format!("mksquashfs {tree} $0 -quiet -noappend")], true, "ro"),
    ] {
        let image = made(host, kind, make)?;
        let image = image.to_string_lossy();
        if !is_filled {
            host.witness("mount", &["-o", "loop", &image, &at.to_string_lossy()])?;
            host.witness("cp", &["-a", &format!("{tree}/."), &at.to_string_lossy()])?;
            host.witness("umount", &[&at.to_string_lossy()])?;
        }
        let run = ["run", "--disk", &format!("vda:0:{image}"), "--", "cat", "/proc/mounts"];
        if kind == "squashfs" && !can_map_squashfs() {
            let refused = host.subhostctl(&run)?;
            assert!(refused.code == 125 && refused.stderr.contains("cannot be idmapped"), "{refused}");
            continue;
        }
        let mounts = host.done(&run)?;
        // The kernel maps ids only of those that it knows as ext4.
        let shown = if kind.starts_with("ext") { "ext4" } else { kind };
        let root = mounts.lines().find_map(|line| line.strip_prefix(&format!("/dev/vda / {shown} ")));
        let given: Vec<&str> = root.ok_or(&*mounts)?.split([',', ' ']).collect();
        assert!(given.contains(&"nodev") && given.contains(&options), "{mounts}");
    }
    Ok(())
}

/// Linux 6.2 does.
fn can_map_squashfs() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).filter_map(|part| part.parse().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(2))
}

fn no_panic(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyBare)?;
    let text = image.to_string_lossy();
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{text} )\n"))?;
    let plan = host.done(&["plan", &name])?;
    assert!(plan.contains("mount -t ext4 -o nodev,errors=remount-ro,"), "{plan}");
    // Both ways that a superblock has.
    for tune in [["-e", "panic"], ["-E", "mount_opts=errors=panic"]] {
        host.witness("tune2fs", &[tune[0], tune[1], &text])?;
        let guest = boot(host, &name)?;
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", guest.init_pid()))?;
        let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).ok_or("no root")?;
        assert!(root.contains(" - ext4 /dev/vda ") && root.contains("errors=remount-ro"), "{root}");
        assert!(root.split(' ').nth(5).is_some_and(|options| options.contains("nodev")), "{root}");
        host.done(&["stop", &name])?;
        host.witness("tune2fs", &["-e", "continue", &text])?;
    }
    Ok(())
}

/// Row L3.
fn refused(host: &Host) -> Verdict {
    let (ext4, other) = (&["mkfs.ext4", "-q", "-F"], host.directory().join("other.raw"));
    fs::File::create(&other)?.set_len(320 << 20)?;
    let two = ["mkfs.btrfs", "-q", &*other.to_string_lossy()];
    let rows: &[(&[&str], &[&str], &str)] = &[
        (ext4, &["debugfs", "-wR", "ssv journal_dev 0x801"], "its journal is on another device"),
        (ext4, &["tune2fs", "-E", "mount_opts=journal_path=/dev/sda"], "name a journal on another device"),
        (ext4, &["debugfs", "-wR", "ssv feature_incompat 0x40000042"], "not known: 0x40000000"),
        (&two, &["true"], "it is spread over 2 devices"),
        (&["mkswap", "-q"], &["true"], "it is swap space"),
    ];
    let name = host.name("tiny");
    for (make, change, reason) in rows {
        let image = made(host, "disk.raw", make)?;
        let text = image.to_string_lossy();
        host.witness(change[0], &[&change[1..], &[&*text]].concat())?;
        host.config(&name, &format!("DISKS=( vda:0:{text} )\n"))?;
        let before = Snapshot::take(&host.scope())?;
        for command in ["boot", "plan", "check"] {
            let outcome = host.subhostctl(&[command, &name])?;
            // 2: nothing was begun.
            assert_eq!(outcome.code, 2, "{command}: {outcome}");
            assert!(outcome.stderr.contains("disk vda: ") && outcome.stderr.contains(reason), "{outcome}");
        }
        case::nothing_left(host, &before)?;
    }
    Ok(())
}

/// Row L5.
fn types(host: &Host) -> Verdict {
    let name = host.name("tiny");
    let disc = host.directory().join("disc");
    fs::create_dir(&disc)?;
    for (kind, command) in [
        ("vfat", &["mkfs.vfat"][..]),
        ("exfat", &["mkfs.exfat"]),
        ("ntfs", &["mkntfs", "-q", "-F", "-f"]),
        ("f2fs", &["mkfs.f2fs", "-q"]),
        ("iso9660", &["sh", "-c", &format!("genisoimage -quiet -o $0 {}", disc.display())]),
    ] {
        let image = made(host, "disk.raw", command)?;
        let disk = format!("vda:0:{}", image.display());
        host.config(&name, &format!("DISKS=( {disk} )\n"))?;
        let run = ["run", "--disk", &disk, "--", "true"];
        for (words, code) in
            [(&["boot", &*name][..], 2), (&["plan", &name], 2), (&["check", &name], 2), (&run, 125)]
        {
            let outcome = host.subhostctl(words)?;
            assert_eq!(outcome.code, code, "{outcome}");
            for word in [
                &format!("disk vda: mount {kind}: this type of file system is not allowed"),
                "allowed are btrfs, erofs, ext2, ext3, ext4, squashfs, xfs\n",
                &format!("hint: FILESYSTEMS=( {kind} )"),
            ] {
                assert!(outcome.stderr.contains(word), "no {word:?} in: {outcome}");
            }
        }
        let plan: Value =
            serde_json::from_str(&host.done(&["--json", "plan", &name, "--filesystem", kind])?)?;
        assert_eq!(plan["disks"][0]["filesystem"], kind);
        host.config(&name, &format!("DISKS=( {disk} )\nFILESYSTEMS=( {kind} )\n"))?;
        host.done(&["check", &name])?;
        // Then it is the kernel's to say, and this guest has no programs.
        let outcome = host.subhostctl(&["boot", &name])?;
        assert!(outcome.code != 0 && !outcome.stderr.contains("not allowed"), "{outcome}");
    }
    Ok(())
}

fn further(host: &Host) -> Verdict {
    let root = host.copy_of(Fixture::TinyMbr)?;
    let data = made(host, "data.raw", &["mkfs.vfat"])?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} vdb:0:{} )\n", root.display(), data.display()))?;
    let reason = "mount vfat: this type of file system is not allowed";
    let fstab = |lines: &str| {
        fs::write(host.directory().join("fstab"), lines)?;
        insert(host, &root, "fstab", "/etc/fstab", 0o100_644)
    };
    // Said at once, and no reason not to begin.
    let plan = host.subhostctl(&["plan", &name])?;
    assert!(plan.code == 0 && plan.stderr.contains(reason), "{plan}");
    for lines in ["", "/dev/vdb /mnt vfat defaults,nofail 0 2\n"] {
        fstab(lines)?;
        let outcome = host.subhostctl(&["boot", "--detach", &name])?;
        assert_eq!(outcome.code, 0, "{outcome}");
        assert!(
            outcome.stderr.contains("disk vdb: not mounted") && outcome.stderr.contains(reason),
            "{outcome}"
        );
        host.done(&["stop", &name])?;
    }
    fstab("/dev/vdb /mnt vfat defaults 0 2\n")?;
    let before = Snapshot::take(&host.scope())?;
    let outcome = host.subhostctl(&["boot", "--detach", &name])?;
    assert_eq!(outcome.code, 1, "{outcome}");
    for word in [reason, "mount vdb partition 0", "hint: FILESYSTEMS=( vfat )"] {
        assert!(outcome.stderr.contains(word), "no {word:?} in: {outcome}");
    }
    case::nothing_left(host, &before)
}

fn nosuid(host: &Host) -> Verdict {
    let root = host.copy_of(Fixture::TinyMbr)?;
    let data = made(host, "data.raw", &["mkfs.ext4", "-q", "-F"])?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} vdb:0:{} )\n", root.display(), data.display()))?;
    for (options, is_nosuid) in [("defaults", false), ("nosuid,dev,errors=panic", true)] {
        fs::write(host.directory().join("fstab"), format!("/dev/vdb /mnt ext4 {options} 0 2\n"))?;
        insert(host, &root, "fstab", "/etc/fstab", 0o100_644)?;
        boot(host, &name)?;
        let mounts = host.done(&["enter", &name, "--", "cat", "/proc/mounts"])?;
        let line = mounts.lines().find_map(|line| line.strip_prefix("/dev/vdb /mnt ext4 "));
        let given: Vec<&str> = line.ok_or(&*mounts)?.split([',', ' ']).collect();
        assert!(given.contains(&"nodev") && given.contains(&"errors=remount-ro"), "{mounts}");
        assert_eq!(given.contains(&"nosuid"), is_nosuid, "{mounts}");
        host.done(&["stop", &name])?;
    }
    Ok(())
}

fn replayed(host: &Host) -> Verdict {
    let image = dirty(host, &host.copy_of(Fixture::TinyBare)?)?;
    let needs_recovery = || -> std::io::Result<bool> {
        Ok(host.witness("dumpe2fs", &["-h", &image.to_string_lossy()])?.contains("needs_recovery"))
    };
    assert!(needs_recovery()?, "or this test shows nothing");
    let disk = format!("vda:0:{}", image.display());
    assert_eq!(host.done(&["run", "--disk", &disk, "--", "cat", "/fresh"])?, "written late\n");
    assert!(!needs_recovery()?);
    Ok(())
}
