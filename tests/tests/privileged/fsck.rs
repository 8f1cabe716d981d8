//! `check --fsck`: the host's fsck finds what is there, changes nothing, and cannot reach the host.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Process;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::program::{self, Outcome};

use crate::boot;
use crate::filesystems::{dirty, made};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "fsck_tells_what_is_clean_from_what_is_not_and_changes_nothing",
        needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::TinyMbr)],
        body: finds,
    },
    Case {
        name: "fsck_reports_a_dirty_journal_and_leaves_it",
        needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::TinyBare)],
        body: journal,
    },
    Case {
        name: "fsck_runs_in_namespaces_of_its_own_as_nobody_and_ends_when_told",
        needs: &[Need::Program, Need::PlainRoot],
        body: jail,
    },
    Case {
        name: "fsck_refuses_an_image_in_use_with_its_holder_named",
        needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::TinyMbr)],
        body: in_use,
    },
    Case {
        name: "fsck_runs_only_when_it_is_asked_for_and_names_the_package_that_is_missing",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: only_when_asked,
    },
];

fn digest(host: &Host, image: &Path) -> std::io::Result<String> {
    host.witness("sha256sum", &[&image.to_string_lossy()])
}

/// `check --fsck` of a file with these disks, as JSON.
fn check(host: &Host, disks: &str) -> Result<(Outcome, Value), Box<dyn std::error::Error>> {
    let config = host.directory().join("config");
    fs::write(&config, format!("DISKS=( {disks} )\n"))?;
    let outcome = host.subhostctl(&["--json", "check", "--fsck", &config.to_string_lossy()])?;
    let json = serde_json::from_str(&outcome.stdout).map_err(|error| format!("{error}: {outcome}"))?;
    Ok((outcome, json))
}

fn zeros(image: &Path, from: u64, len: usize) -> std::io::Result<()> {
    fs::File::options().write(true).open(image)?.write_all_at(&vec![0; len], from)
}

fn finds(host: &Host) -> Verdict {
    let tree = host.directory().join("tree");
    fs::create_dir(&tree)?;
    fs::write(tree.join("file"), "content")?;
    let tree = tree.to_string_lossy().into_owned();
    let mbr = host.copy_of(Fixture::TinyMbr)?;
    let ext4 = made(host, "ext4", &["mkfs.ext4", "-q", "-F", "-d", &tree])?;
    let xfs = made(host, "xfs", &["mkfs.xfs", "-q"])?;
    let btrfs = made(host, "btrfs", &["mkfs.btrfs", "-q"])?;
    let (erofs, squashfs) = (host.directory().join("erofs"), host.directory().join("squashfs"));
    host.witness("mkfs.erofs", &[&erofs.to_string_lossy(), &tree])?;
    host.witness("mksquashfs", &[&tree, &squashfs.to_string_lossy(), "-quiet", "-noappend"])?;
    let disks = format!(
        "vda:1:{} vdb:0:{} vdc:0:{} vdd:0:{} vde:0:{} vdf:0:{}",
        mbr.display(),
        ext4.display(),
        xfs.display(),
        btrfs.display(),
        erofs.display(),
        squashfs.display()
    );
    let images = [&mbr, &ext4, &xfs, &btrfs, &erofs, &squashfs];
    let digests = || images.iter().map(|image| digest(host, image)).collect::<Result<Vec<_>, _>>();
    let before = (digests()?, Snapshot::take(&host.scope())?);
    let row = |disk: &str, kind: &str, program: Option<&str>, status: Option<u8>| {
        serde_json::json!({ "disk": disk, "type": kind, "program": program, "status": status,
                            "clean": status.map(|status| status == 0) })
    };
    let rows = |json: &Value| {
        let mut rows = json["fsck"].as_array().cloned().unwrap_or_default();
        let said = |row: &mut Value| row.as_object_mut().and_then(|row| row.remove("output"));
        let output: Vec<String> =
            rows.iter_mut().filter_map(|row| Some(said(row)?.as_str()?.to_owned())).collect();
        (rows, output)
    };
    let ext4_row = |disk, status| row(disk, "ext4", Some("e2fsck -f -n"), Some(status));
    let erofs_row = row("vde", "erofs", Some("fsck.erofs"), Some(0));
    let squashfs_row = row("vdf", "squashfs", None, None);

    let (outcome, json) = check(host, &disks)?;
    assert_eq!((outcome.code, &json["ok"]), (0, &Value::Bool(true)), "{outcome}");
    let (found, said) = rows(&json);
    let xfs_row = |status| row("vdc", "xfs", Some("xfs_repair -n"), Some(status));
    let btrfs_row = |status| row("vdd", "btrfs", Some("btrfs check --readonly"), Some(status));
    let root_row = ext4_row("vda1", 0);
    assert_eq!(
        found,
        [
            root_row.clone(),
            ext4_row("vdb", 0),
            xfs_row(0),
            btrfs_row(0),
            erofs_row.clone(),
            squashfs_row.clone()
        ]
    );
    assert!(said[0].contains("Pass 5: Checking group summary information"), "{}", said[0]);
    assert_eq!(digests()?, before.0);

    // A file without its inode, a group without its headers, and no tree at all.
    host.witness("debugfs", &["-w", "-R", "clri file", &ext4.to_string_lossy()])?;
    zeros(&xfs, 80 << 20, 4096)?;
    zeros(&btrfs, 1 << 20, 63 << 20)?;
    zeros(&btrfs, 65 << 20, 255 << 20)?;
    let damaged = digests()?;
    let (outcome, json) = check(host, &disks)?;
    assert_eq!((outcome.code, &json["ok"]), (1, &Value::Bool(false)), "{outcome}");
    let (found, said) = rows(&json);
    assert_eq!(found, [root_row, ext4_row("vdb", 4), xfs_row(1), btrfs_row(1), erofs_row, squashfs_row]);
    assert!(said[1].contains("Entry 'file' in / (2) has deleted/unused inode"), "{}", said[1]);
    assert_eq!(digests()?, damaged);

    // The same for people.
    let config = host.directory().join("config");
    let outcome = host.subhostctl(&["check", "--fsck", &config.to_string_lossy()])?;
    assert_eq!(outcome.code, 1, "{outcome}");
    for line in [
        "vda1: ext4: clean (e2fsck -f -n)\n",
        "vdb: ext4: not clean, status 4 (e2fsck -f -n)\n",
        "    Entry 'file' in / (2) has deleted/unused inode",
        "vdf: squashfs: there is no fsck for it\n",
    ] {
        assert!(outcome.stdout.contains(line), "no {line:?} in: {outcome}");
    }
    case::nothing_left(host, &before.1)
}

fn journal(host: &Host) -> Verdict {
    let image = dirty(host, &host.copy_of(Fixture::TinyBare)?)?;
    let before = digest(host, &image)?;
    let (outcome, json) = check(host, &format!("vda:0:{}", image.display()))?;
    let said = json["fsck"][0]["output"].as_str().unwrap_or_default();
    assert!(
        said.contains("skipping journal recovery because doing a read-only filesystem check"),
        "{outcome}"
    );
    assert_eq!(digest(host, &image)?, before);
    Ok(())
}

fn jail(host: &Host) -> Verdict {
    // 2 GiB of inode tables to read.
    let image = host.directory().join("large.raw");
    fs::File::create(&image)?.set_len(16 << 30)?;
    let text = image.to_string_lossy();
    let features = "^metadata_csum,^uninit_bg,^resize_inode";
    host.witness(
        "mkfs.ext4",
        &["-q", "-F", "-O", features, "-N", "8000000", "-E", "lazy_itable_init=1", &text],
    )?;
    let config = host.directory().join("config");
    fs::write(&config, format!("DISKS=( vda:0:{text} )\n"))?;
    let before = Snapshot::take(&host.scope())?;
    let mut command = host.start(&["check", "--fsck", &config.to_string_lossy()])?;
    let fsck = loop {
        if let Some(pid) = process_named("e2fsck")? {
            break pid;
        }
        if command.wait(Duration::ZERO)?.is_some() {
            let outcome = command.finish(Duration::ZERO)?;
            return Err(format!("it ended before e2fsck was seen: {outcome}").into());
        }
    };
    let process = Process::open(fsck)?;
    process.signal(rustix::process::Signal::STOP)?;
    // Nothing of the host's but its kernel.
    for namespace in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"] {
        let theirs = fs::read_link(format!("/proc/{fsck}/ns/{namespace}"))?;
        assert_ne!(theirs, fs::read_link(format!("/proc/self/ns/{namespace}"))?);
    }
    let status = fs::read_to_string(format!("/proc/{fsck}/status"))?;
    for ids in ["Uid:", "Gid:"] {
        let line = status.lines().find_map(|line| line.strip_prefix(ids)).unwrap_or_default();
        let ids: Vec<u32> = line.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        assert!(ids.len() == 4 && ids.iter().all(|&id| id >= 65_536), "{line}");
    }
    // The disk: for its root to read, whatever it may else; and nothing mounted from it.
    let device = fs::metadata(format!("/proc/{fsck}/root/dev/vda"))?;
    let open = |how: &str| {
        let mut command = Command::new("nsenter");
        command.args(["-U", "-m", "-S", "0", "-G", "0", "-t", &fsck.to_string(), "sh", "-c", how]);
        program::run(command, Duration::from_secs(20))
    };
    assert_eq!(open("id -u && : </dev/vda")?.stdout, "0\n");
    for (how, refused) in [
        (": >>/dev/vda", "Permission denied"),
        ("chmod 666 /dev/vda", "Operation not permitted"),
        ("chown 0 /dev/vda", "Operation not permitted"),
    ] {
        let outcome = open(how)?;
        assert!(outcome.code != 0 && outcome.stderr.contains(refused), "{how}: {outcome}");
    }
    let (major, minor) = (rustix::fs::major(device.rdev()), rustix::fs::minor(device.rdev()));
    let read_only = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/ro"))?;
    assert_eq!(read_only, "1\n");
    let mounts = fs::read_to_string(format!("/proc/{fsck}/mountinfo"))?;
    assert!(!mounts.contains(&format!(" {major}:{minor} ")), "{mounts}");

    command.terminate()?;
    let outcome = command.finish(Duration::from_secs(30))?;
    assert_eq!(outcome.code, 143, "{outcome}");
    assert!(process.ends(Duration::ZERO)?, "e2fsck outlives it");
    case::nothing_left(host, &before)
}

/// A process of this host of that name.
pub(crate) fn process_named(name: &str) -> std::io::Result<Option<u32>> {
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if comm.trim_end() == name {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

fn in_use(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    boot(host, &name)?;
    let outcome = host.subhostctl(&["check", "--fsck", &name])?;
    assert_eq!(outcome.code, 2, "{outcome}");
    for word in ["in use", &name, "subhostctl stop"] {
        assert!(outcome.stderr.contains(word), "no {word:?} in: {outcome}");
    }
    // Plain check has nothing against it.
    host.done(&["check", &name])?;
    host.done(&["stop", &name])?;
    // Readers share.
    let reader = fs::File::open(&image)?;
    rustix::fs::flock(&reader, rustix::fs::FlockOperation::LockShared)?;
    host.done(&["check", "--fsck", &name])?;
    Ok(())
}

fn only_when_asked(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let program = ["/usr/sbin/e2fsck", "/sbin/e2fsck"].into_iter().find(|path| Path::new(path).exists());
    let program = program.ok_or("no e2fsck")?;
    // In this mount namespace only: whoever starts it fails.
    host.witness("mount", &["--bind", "/dev/null", program])?;
    let json: Value = serde_json::from_str(&host.done(&["--json", "check", &name])?)?;
    assert!(json["ok"] == true && json.get("fsck").is_none(), "{json}");
    let outcome = host.subhostctl(&["check", "--fsck", &name])?;
    assert_eq!(outcome.code, 2, "{outcome}");
    for word in ["disk vda1: e2fsck is not installed on the host", "e2fsprogs"] {
        assert!(outcome.stderr.contains(word), "no {word:?} in: {outcome}");
    }
    host.witness("umount", &[program])?;
    let outcome = crate::look::as_nobody(host, &["check", "--fsck", &name])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("needs root"), "{outcome}");
    Ok(())
}
