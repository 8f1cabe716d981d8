//! Bad input: a clear error that names the thing, and nothing left behind.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::wire;

use crate::look::as_nobody;
use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "bad_configurations_are_refused_with_the_thing_named",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: configurations,
    },
    Case { name: "bad_names_are_refused", needs: &[Need::Program], body: names },
    Case {
        name: "an_image_in_use_is_refused_with_its_holder_named",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: in_use,
    },
    Case {
        name: "an_image_that_a_stranger_has_behind_a_loop_device_is_refused",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: behind_a_loop,
    },
    Case {
        name: "a_guest_without_start_scripts_is_refused_with_its_init_named",
        needs: &[Need::Program],
        body: no_start_scripts,
    },
    Case {
        name: "a_table_that_lies_is_refused",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr), Need::Made(Fixture::TinyGpt)],
        body: lying_tables,
    },
    Case { name: "an_unknown_file_system_is_refused", needs: &[Need::Program], body: file_systems },
    Case {
        name: "a_foreign_link_or_netns_of_that_name_is_refused_and_left_alone",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: foreign_names,
    },
    Case {
        name: "boot_without_root_is_refused",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: not_root,
    },
    Case {
        name: "a_configuration_that_others_may_write_is_refused",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: not_trusted,
    },
];

/// Boots, which must be refused or fail, undone, with all of `words` in its message and nothing left.
fn refused(host: &Host, name: &str, words: &[&str]) -> Verdict {
    let before = Snapshot::take(&host.scope())?;
    let outcome = host.subhostctl(&["boot", name])?;
    assert!([1, 2].contains(&outcome.code), "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "no {word:?} in: {outcome}");
    }
    assert!(!outcome.stderr.contains("panicked"), "{outcome}");
    case::nothing_left(host, &before)
}

fn configurations(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let image = image.display();
    let disk = format!("DISKS=( vda:1:{image} )\n");
    let rows: &[(String, &[&str])] = &[
        ("DISKS=( vda:1:/nowhere/disk.raw )\n".into(), &["/nowhere/disk.raw", "No such file or directory"]),
        (format!("DISKS=( vda:7:{image} )\n"), &["7", "disk vda7"]),
        (
            format!("DISKS=( vda:1:{} )\n", host.directory().display()),
            &[&*host.directory().to_string_lossy()],
        ),
        (format!("DISKS=( vda:one:{image} )\n"), &["config:1:", "one"]),
        ("DISKS=( vda )\n".into(), &["config:1:"]),
        ("BRIDGES=( br0:06:a7:dd:b4:02:f2 )\n".into(), &["DISKS"]),
        (format!("{disk}BRIDGES=( nobr:{MAC} )\n"), &["nobr", "no such bridge"]),
        (format!("{disk}BRIDGES=( lo:{MAC} )\n"), &["lo", "not a bridge"]),
        (
            format!("{disk}BRIDGES=( br0:01:00:5e:00:00:01 )\n"),
            &["config:2:", "01:00:5e:00:00:01", "multicast"],
        ),
        (format!("{disk}BRIDGES=( br0:06:a7:dd )\n"), &["config:2:", "06:a7:dd"]),
        (format!("{disk}$(touch /tmp/canary)\n"), &["config:2:"]),
        (format!("{disk}DISKS=(\n"), &["config:"]),
    ];
    let name = host.name("bad");
    for (text, words) in rows {
        host.config(&name, text)?;
        refused(host, &name, words).map_err(|error| format!("{text}{error}"))?;
    }
    Ok(())
}

fn names(host: &Host) -> Verdict {
    bridge(host)?;
    for name in ["../x", "a/b", "/etc", "", ".hidden", "-rf", "a b", "ä"] {
        let outcome = host.subhostctl(&["boot", "--", name])?;
        assert_eq!(outcome.code, 2, "{name:?}: {outcome}");
    }
    let long = "n".repeat(64);
    let outcome = host.subhostctl(&["boot", &long])?;
    assert_eq!(outcome.code, 2, "{outcome}");
    assert!(outcome.stderr.contains(&long), "{outcome}");
    let missing = host.subhostctl(&["boot", "no-such-subhost"])?;
    assert_eq!(missing.code, 2, "{missing}");
    assert!(missing.stderr.contains("sub/no-such-subhost"), "{missing}");
    Ok(())
}

fn in_use(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let (one, two) = (host.name("one"), host.name("two"));
    let text = format!("DISKS=( vda:1:{} )\n", image.display());
    host.config(&one, &text)?;
    host.config(&two, &text)?;
    let guest = boot(host, &one)?;
    refused(host, &two, &[&*image.to_string_lossy(), "in use", &one])?;
    // A link to it is the same image.
    let link = host.directory().join("link.raw");
    std::os::unix::fs::symlink(&image, &link)?;
    host.config(&two, &format!("DISKS=( vda:1:{} )\n", link.display()))?;
    refused(host, &two, &["in use", &one])?;
    assert!(!guest.ends(std::time::Duration::ZERO)?, "the holder was ended");
    host.done(&["stop", &one])?;
    // Given back: now the other may have it.
    boot(host, &two)?;
    host.done(&["stop", &two])?;
    Ok(())
}

fn behind_a_loop(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let device = host.witness("losetup", &["--find", "--show", &image.to_string_lossy()])?;
    let verdict = refused(host, &name, &[&*image.to_string_lossy(), device.trim_end()]);
    host.witness("losetup", &["--detach", device.trim_end()])?;
    verdict
}

fn no_start_scripts(host: &Host) -> Verdict {
    let tree = host.directory().join("tree");
    for directory in ["sbin", "lib/systemd", "dev", "proc", "sys", "run", "etc"] {
        fs::create_dir_all(tree.join(directory))?;
    }
    fs::write(tree.join("lib/systemd/systemd"), "not really")?;
    std::os::unix::fs::symlink("/lib/systemd/systemd", tree.join("sbin/init"))?;
    let image = ext4(host, "other.ext4", &tree)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{image} )\n"))?;
    refused(host, &name, &["/etc/init.d/rcS", "/sbin/init", "systemd", "INIT="])
}

fn ext4(host: &Host, file: &str, tree: &Path) -> std::io::Result<String> {
    let image = host.directory().join(file).to_string_lossy().into_owned();
    let tree = tree.to_string_lossy();
    host.witness("mkfs.ext4", &["-q", "-F", "-E", "root_owner=0:0", "-d", &tree, &image, "8M"])?;
    Ok(image)
}

/// Entries that point out of the image, and a GPT whose checksums are wrong in both copies.
fn lying_tables(host: &Host) -> Verdict {
    let name = host.name("tiny");
    let mbr = host.copy_of(Fixture::TinyMbr)?;
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", mbr.display()))?;
    // The number of sectors in the first of the four entries.
    overwrite(&mbr, 446 + 12, &0x7fff_ffff_u32.to_le_bytes())?;
    refused(host, &name, &[&*mbr.to_string_lossy(), "partition 1"])?;

    let gpt = host.copy_of(Fixture::TinyGpt)?;
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", gpt.display()))?;
    let len = fs::metadata(&gpt)?.len();
    // The first usable block of both headers, which their checksums cover.
    overwrite(&gpt, 512 + 40, &[0xff; 8])?;
    overwrite(&gpt, len - 512 + 40, &[0xff; 8])?;
    refused(host, &name, &[&*gpt.to_string_lossy()])
}

fn overwrite(file: &Path, at: u64, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(file)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

fn file_systems(host: &Host) -> Verdict {
    let name = host.name("tiny");
    let empty = host.directory().join("empty.raw");
    fs::File::create(&empty)?.set_len(8 << 20)?;
    host.config(&name, &format!("DISKS=( vda:0:{} )\n", empty.display()))?;
    refused(host, &name, &[&*empty.to_string_lossy(), "file system"])?;

    // A superblock of a file system that Linux has no longer.
    let known = fs::read_to_string("/proc/filesystems")?;
    assert!(!known.contains("reiserfs"), "this kernel still has reiserfs");
    let reiser = host.directory().join("reiser.raw");
    fs::File::create(&reiser)?.set_len(8 << 20)?;
    overwrite(&reiser, (64 << 10) + 52, b"ReIsEr2Fs")?;
    host.config(&name, &format!("DISKS=( vda:0:{} )\n", reiser.display()))?;
    refused(host, &name, &["file system"])
}

fn foreign_names(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;

    let link = format!("{name}0");
    host.witness("ip", &["link", "add", &link, "type", "bridge"])?;
    refused(host, &name, &[&link, "not ours"])?;
    assert!(wire::link(&link)?.is_some(), "the foreign link is gone");
    host.witness("ip", &["link", "del", &link])?;

    host.witness("ip", &["netns", "add", &name])?;
    let before = fs::metadata(format!("/run/netns/{name}"))?;
    refused(host, &name, &[&name, "not ours"])?;
    // Nor does stop take it for one of its own.
    host.subhostctl(&["stop", &name])?;
    let after = fs::metadata(format!("/run/netns/{name}"))?;
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&before), std::os::unix::fs::MetadataExt::ino(&after));
    host.witness("ip", &["netns", "del", &name])?;

    boot(host, &name)?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn not_root(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let before = Snapshot::take(&host.scope())?;
    for args in [&["boot", &name][..], &["run", "--overlay", "/", "--", "true"], &["stop", &name]] {
        let outcome = as_nobody(host, args)?;
        assert!([1, 2, 125].contains(&outcome.code), "{}: {outcome}", args.join(" "));
        assert!(outcome.stderr.contains("root"), "{}: {outcome}", args.join(" "));
    }
    case::nothing_left(host, &before)
}

fn not_trusted(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let config = host.root_dir().join(&name).join("config");
    fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    refused(host, &name, &[&*config.to_string_lossy()])
}
