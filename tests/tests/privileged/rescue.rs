//! `rescue`: disks that do not boot are opened, and nothing is left of that.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use subhost_tests::canary::Canary;
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::program;

use crate::boot;
use crate::create::{archive, text, words_of};
use crate::tiny::insert;

const GPT: &[Need] = &[Need::Program, Need::Made(Fixture::TinyGpt)];

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "rescue_finds_the_root_of_an_image_and_shows_all_of_it_without_a_network",
        needs: &[
            Need::Program,
            Need::Made(Fixture::TinyMbr),
            Need::Made(Fixture::TinyGpt),
            Need::Made(Fixture::TinyLogical),
            Need::Made(Fixture::TinyBare),
        ],
        body: finds,
    },
    Case { name: "rescue_works_where_fstab_is_broken_and_there_is_no_init", needs: GPT, body: broken },
    Case { name: "rescue_is_led_nowhere_by_a_hostile_fstab", needs: GPT, body: hostile },
    Case { name: "rescue_that_only_reads_changes_no_byte", needs: GPT, body: read_only },
    Case {
        name: "rescue_with_the_tools_of_the_host_opens_what_can_execute_nothing",
        needs: &[Need::Program, Need::PlainRoot],
        body: host_tools,
    },
    Case {
        name: "rescue_repairs_file_systems_before_it_mounts_them",
        needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::TinyBare)],
        body: repairs,
    },
    Case {
        name: "rescue_and_resize_need_no_cgroups_of_version_2",
        needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::TinyTree)],
        body: old_cgroups,
    },
    Case {
        name: "rescue_is_refused_with_the_reason",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: refused,
    },
    Case {
        name: "the_runbook_of_rescue_does_what_it_says",
        needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::TinyMbr)],
        body: runbook,
    },
];

fn debugfs(host: &Host, image: &Path, request: &str) -> std::io::Result<String> {
    host.witness("debugfs", &["-w", "-R", request, &format!("{}?offset=1048576", image.display())])
}

fn digest(host: &Host, image: &Path) -> std::io::Result<String> {
    host.witness("sha256sum", &[&text(image)])
}

/// Gives an image another fstab.
fn fstab(host: &Host, image: &Path, lines: &str) -> std::io::Result<()> {
    fs::write(host.directory().join("fstab"), lines)?;
    insert(host, image, "fstab", "/etc/fstab", 0o100_644)
}

fn finds(host: &Host) -> Verdict {
    for (fixture, node, other) in [
        (Fixture::TinyMbr, "vda1", None),
        (Fixture::TinyGpt, "vda1", Some("vda2")),
        (Fixture::TinyLogical, "vda5", Some("vda1")),
        (Fixture::TinyBare, "vda", None),
    ] {
        let image = text(&host.copy_of(fixture)?);
        let before = Snapshot::take(&host.scope())?;
        let script =
            "grep ' / ' /proc/mounts; ls /run/rescue/* 2>/dev/null; ls /sys/class/net; echo >/made; exit 7";
        let outcome = host.subhostctl(&["rescue", &image, "--", "sh", "-c", script])?;
        assert_eq!(outcome.code, 7, "{outcome}");
        assert!(outcome.stdout.starts_with(&format!("/dev/{node} / ext4 rw")), "{outcome}");
        assert!(outcome.stdout.ends_with("lo\n") && !outcome.stdout.contains("eth"), "{outcome}");
        assert_eq!(outcome.stdout.contains("hello"), other.is_some(), "{outcome}");
        if let Some(other) = other {
            let note = format!("disk {other}: is at /run/rescue/{other}");
            assert!(outcome.stderr.contains(&note), "{outcome}");
            // The one that is asked for, whatever it looks like; it can execute nothing.
            let part = format!("{image}:{}", &other[3..]);
            let outcome = host.subhostctl(&["rescue", &part, "--", "sh"])?;
            assert_eq!(outcome.code, 125, "{outcome}");
            assert!(outcome.stderr.contains("--host-tools"), "{outcome}");
        }
        case::nothing_left(host, &before)?;
        // It is kept, and belongs to the guest's root.
        let offset = if node == "vda" {
            "0"
        } else if node == "vda5" {
            "4194304"
        } else {
            "1048576"
        };
        let stat = host.witness("debugfs", &["-R", "stat /made", &format!("{image}?offset={offset}")])?;
        assert!(stat.contains("User:     0 ") && stat.contains("Size: 1"), "{stat}");
    }
    Ok(())
}

fn broken(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyGpt)?;
    for path in ["/sbin/init", "/linuxrc", "/etc/inittab", "/etc/init.d/rcS"] {
        debugfs(host, &image, &format!("rm {path}"))?;
    }
    let name = host.name("broken");
    host.config(&name, &format!("DISKS=( vda:1:{0} vda:2:{0} )\nBRIDGES=nowhere:\n", image.display()))?;
    let script = "cat /proc/mounts; cat /run/rescue/vda2/hello /mnt/hello 2>/dev/null";
    for (lines, is_elsewhere, reason) in [
        ("", true, ""),
        ("\0\u{1b}[2J\n/dev/vda1\nnonsense\n", true, ""),
        ("/dev/vda2 /mnt ext4\n", false, ""),
        ("/dev/vda2 /mnt ext4 noauto\n", false, ""),
        ("/dev/vda2 /no/such/place ext4\n", true, "No such file or directory"),
        ("/dev/vda2 /etc/passwd ext4\n", true, "not a directory"),
    ] {
        fstab(host, &image, lines)?;
        assert_ne!(host.subhostctl(&["boot", "--detach", &name])?.code, 0, "{lines:?}");
        for target in [name.clone(), text(&image)] {
            let outcome = host.subhostctl(&["rescue", &target, "--", "sh", "-c", script])?;
            let told = outcome.stderr.contains("disk vda2: is at /run/rescue/vda2");
            assert_eq!(told, is_elsewhere, "{lines:?}: {outcome}");
            assert_eq!(outcome.stdout.contains(" /mnt ext4 "), !is_elsewhere, "{lines:?}: {outcome}");
            assert!(outcome.stderr.contains(reason), "{lines:?}: {outcome}");
            assert!(outcome.stdout.contains("data"), "{lines:?}: {outcome}");
        }
    }
    // One that is damaged is told, and no reason to give up.
    let zeros = [
        &*format!("of={}", image.display()),
        "if=/dev/zero",
        "bs=4096",
        "seek=2304",
        "count=500",
        "conv=notrunc",
    ];
    host.witness("dd", &zeros)?;
    let outcome = host.subhostctl(&["rescue", &name, "--", "echo", "in"])?;
    assert_eq!((outcome.code, &*outcome.stdout), (0, "in\n"), "{outcome}");
    assert!(outcome.stderr.contains("disk vda2: not mounted: "), "{outcome}");
    Ok(())
}

/// Row A3 of docs/security.md.
fn hostile(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyGpt)?;
    let canary = Canary::plant(host)?;
    let place = text(canary.directory());
    debugfs(host, &image, &format!("symlink /away {place}"))?;
    debugfs(host, &image, &format!("symlink /etc/up ../../../../../..{place}"))?;
    for target in ["/away", "/away/inner", "/etc/up", "/../../../dev", "/proc/self/root", "/dev/shm", &place]
    {
        fstab(host, &image, &format!("/dev/vda2 {target} ext4\n"))?;
        let show =
            ["rescue", &text(&image), "--", "sh", "-c", "cat /run/rescue/vda2/hello; cat /away/secret"];
        let outcome = host.subhostctl(&show)?;
        assert!(outcome.stderr.contains("is at /run/rescue/vda2 ("), "{target}: {outcome}");
        assert!(!canary.is_told_in(&outcome.stdout), "{target}: {outcome}");
    }
    canary.unharmed()
}

fn read_only(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyGpt)?;
    let before = digest(host, &image)?;
    let script = "cat /etc/fstab; touch /made || touch /run/rescue/vda2/made || echo refused";
    let outcome = host.subhostctl(&["rescue", "--read-only", &text(&image), "--", "sh", "-c", script])?;
    assert!(
        outcome.stdout.contains("/dev/vda1 / ext4") && outcome.stdout.ends_with("refused\n"),
        "{outcome}"
    );
    assert_eq!(digest(host, &image)?, before);
    Ok(())
}

fn host_tools(host: &Host) -> Verdict {
    let directory = host.directory().join("tree");
    fs::create_dir_all(directory.join("etc"))?;
    fs::write(directory.join("etc/fstab"), "/dev/vda / ext4\n")?;
    let image = text(&host.ext4_of(&directory, "empty.ext4")?);
    let seen = host.directory().join("seen");
    fs::write(&seen, "as it was")?;
    let outcome = host.subhostctl(&["rescue", &image, "--", "sh"])?;
    assert_eq!(outcome.code, 125, "{outcome}");
    assert!(outcome.stderr.contains("--host-tools"), "{outcome}");
    let script = format!(
        "cat /run/rescue/vda/etc/fstab; echo kept >/run/rescue/vda/kept; rm {0} && ls -A /root; \
         tail -n +3 /proc/net/dev; head -c 1 /dev/vda || echo raw refused",
        seen.display()
    );
    let outcome = host.subhostctl(&["rescue", "--host-tools", &image, "--", "sh", "-c", &script])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[0], "/dev/vda / ext4", "{outcome}");
    assert!(lines.len() == 3 && lines[1].trim_start().starts_with("lo:"), "{outcome}");
    assert_eq!(lines[2], "raw refused", "{outcome}");
    assert_eq!(host.witness("debugfs", &["-R", "cat /kept", &image])?, "kept\n");
    assert_eq!(fs::read_to_string(&seen)?, "as it was");
    Ok(())
}

fn repairs(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyBare)?;
    let path = text(&image);
    host.witness("debugfs", &["-w", "-R", "clri /etc/hosts", &path])?;
    assert!(host.witness("e2fsck", &["-f", "-n", &path]).is_err(), "it is whole already");
    let before = Snapshot::take(&host.scope())?;
    let outcome = host.subhostctl(&["rescue", "--fsck", &path, "--", "ls", "/etc/passwd"])?;
    assert_eq!((outcome.code, &*outcome.stdout), (0, "/etc/passwd\n"), "{outcome}");
    case::nothing_left(host, &before)?;
    host.witness("e2fsck", &["-f", "-n", &path])?;
    // A file system that nothing repairs is said, and opened as it is.
    let tree = host.directory().join("some");
    fs::create_dir(&tree)?;
    let squashed = text(&host.directory().join("squashed"));
    host.witness("mksquashfs", &[&text(&tree), &squashed, "-quiet", "-noappend"])?;
    let outcome =
        host.subhostctl(&["rescue", "--fsck", "--host-tools", &squashed, "--", "ls", "/run/rescue"])?;
    assert_eq!((outcome.code, &*outcome.stdout), (0, "vda\n"), "{outcome}");
    assert!(outcome.stderr.contains("nothing repairs such a file system"), "{outcome}");
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    boot(host, &name)?;
    for (words, holder) in [
        (vec!["rescue", &*name], &*name),
        (vec!["rescue", &*text(&image)], "(subhostctl)"),
        (vec!["rescue", "--fsck", &*name], &*name),
    ] {
        let outcome = host.subhostctl(&[&words[..], &["--", "true"]].concat())?;
        assert_eq!(outcome.code, 125, "{words:?}: {outcome}");
        assert!(outcome.stderr.contains("in use") && outcome.stderr.contains(holder), "{words:?}: {outcome}");
    }
    host.done(&["stop", &name])?;
    let zeros = text(&host.directory().join("zeros"));
    fs::File::create(&zeros)?.set_len(1 << 20)?;
    for (target, word) in [
        ("nobody", "nobody"),
        ("/no/such/image", "/no/such/image"),
        (&*zeros, "no file system is known"),
        (&*format!("{}:9", image.display()), "9"),
        (&*format!("{}:x", image.display()), "x"),
    ] {
        let outcome = host.subhostctl(&["rescue", target, "--", "true"])?;
        assert!(outcome.code == 125 && outcome.stderr.contains(word), "{target}: {outcome}");
    }
    let outcome = crate::look::as_nobody(host, &["rescue", &text(&image)])?;
    assert!(outcome.code == 125 && outcome.stderr.contains("needs root"), "{outcome}");
    Ok(())
}

/// Two nodes on one host: each has a directory of configurations; what `ssh` would reach is chosen by name.
fn runbook(host: &Host) -> Verdict {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rescue.md"))?;
    let blocks: Vec<&str> = page.split("```bash\n").skip(1).filter_map(|it| it.split("```").next()).collect();
    assert_eq!(page.matches("```").count(), 2 * blocks.len(), "a block is not run");
    assert!(blocks.len() >= 7, "{}", blocks.len());
    let image = host.copy_of(Fixture::TinyMbr)?;
    let (name, directory) = (host.name("web"), text(host.directory()));
    for node in ["left", "right"] {
        let place = host.directory().join(node).join(&name);
        fs::create_dir_all(&place)?;
        fs::write(place.join("config"), format!("DISKS=( vda:1:{} )\n", image.display()))?;
    }
    fs::write(host.directory().join("hostname"), "web\n")?;
    insert(host, &image, "hostname", "/etc/hostname", 0o100_644)?;
    // As its end has left it.
    debugfs(host, &image, "set_inode_field /etc/hosts links_count 7")?;
    let program = program::path()?;
    let mut script = format!(
        "set -euo pipefail\nssh() {{ local node=$1; shift; \
         if [ \"$1\" = subhostctl ]; then shift; {} --root-dir {directory}/$node \"$@\"; \
         else \"${{@//\\/opt\\/sub/{}/$node}}\"; fi; }}\n",
        program.display(),
        directory.replace('/', "\\/")
    );
    for block in blocks {
        script.push_str(
            &block.replace("/disks/web.raw", &text(&image)).replace(" web\n", &format!(" {name}\n")),
        );
        script.push_str("echo DONE\n");
    }
    let script = script.replace("/web/", &format!("/{name}/")).replace("web:", &format!("{name}:"));
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]);
    let outcome = program::run(bash, Duration::from_secs(60))?;
    assert_eq!(outcome.code, 0, "{outcome}\n{script}");
    for word in ["web\n", "/etc/inittab", "127.0.0.1 localhost", "vda1: ext4: clean", "running"] {
        assert!(outcome.stdout.contains(word), "no {word:?} in {outcome}");
    }
    Ok(())
}

/// On a host that has version 1 alone, and on one that has none.
fn old_cgroups(host: &Host) -> Verdict {
    let (name, image) = (host.name("old"), text(&host.directory().join("old.raw")));
    let create = ["create", &name, "--image", &image, "--size", "32M", "--tar", &archive(host)?];
    host.done(&create)?;
    for (kinds, size) in [("cgroup2", "40M"), ("cgroup2?", "30M")] {
        let unmount = format!(
            "awk '$3 ~ /^{kinds}$/ {{ print $2 }}' /proc/self/mounts | tac | xargs -r -n 1 umount
             if grep -E ' {kinds} ' /proc/self/mounts; then exit 1; fi; exec \"$@\""
        );
        let without = |words: &[&str]| {
            let alone = ["--mount", "--propagation", "private", "bash", "-c", &unmount, "bash"];
            let words = words_of(&host.command(words));
            host.witness(
                "unshare",
                &alone.into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>(),
            )
        };
        assert_eq!(without(&["rescue", &image, "--", "cat", "/etc/hostname"])?, format!("{name}\n"));
        without(&["resize", &image, size])?;
        assert_eq!(format!("{}M", fs::metadata(&image)?.len() >> 20), size);
        assert_eq!(without(&["rescue", "--fsck", &name, "--", "cat", "/etc/hostname"])?, format!("{name}\n"));
    }
    // Where they were mounted, in a namespace that has ended.
    match fs::remove_dir("/run/subhost/cgroup") {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
