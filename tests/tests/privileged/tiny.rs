//! The busybox guest from every kind of image, and what its disks and cables look like from inside.

use std::time::Duration;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::{program, wire};

use crate::{BRIDGE, MAC, address, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "tiny_boots_from_an_mbr_partition",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: |host| boots(host, Fixture::TinyMbr, 1),
    },
    Case {
        name: "tiny_boots_from_a_logical_partition",
        needs: &[Need::Program, Need::Made(Fixture::TinyLogical)],
        body: |host| boots(host, Fixture::TinyLogical, 5),
    },
    Case {
        name: "tiny_boots_from_a_gpt_partition",
        needs: &[Need::Program, Need::Made(Fixture::TinyGpt)],
        body: |host| boots(host, Fixture::TinyGpt, 1),
    },
    Case {
        name: "tiny_boots_from_an_image_without_a_table",
        needs: &[Need::Program, Need::Made(Fixture::TinyBare)],
        body: |host| boots(host, Fixture::TinyBare, 0),
    },
    Case {
        name: "a_boot_in_the_foreground_shows_the_console_and_returns_at_the_end",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: foreground,
    },
    Case {
        name: "two_cables_arrive_in_order_on_their_bridges",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: two_cables,
    },
    Case {
        name: "two_partitions_of_one_image_are_two_disks",
        needs: &[Need::Program, Need::Made(Fixture::TinyGpt)],
        body: two_disks,
    },
    Case {
        name: "stop_is_orderly_and_a_second_stop_is_content",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: stop,
    },
    Case {
        name: "disks_and_cables_from_the_environment_boot_without_a_file",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: environment,
    },
    Case {
        name: "a_detached_boot_keeps_nothing_open_of_its_callers",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: detached,
    },
    Case {
        name: "a_link_named_pretend_boot_boots_as_that_script_did",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: pretend_boot,
    },
    Case {
        name: "two_guests_share_a_bridge",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: two_guests,
    },
];

const PATIENCE: Duration = Duration::from_secs(20);

fn boots(host: &Host, fixture: Fixture, part: u32) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(fixture)?;
    let name = host.name("tiny");
    host.two_lines(&name, part, &image, BRIDGE, MAC)?;
    let guest = boot(host, &name)?;
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    assert_eq!(wire::page(address(80), PATIENCE)?, format!("This is {name}, a subhost.\n"));
    assert_eq!(wire::bridge_of(&format!("{name}0"))?.as_deref(), Some(BRIDGE));
    let df = host.done(&["enter", &name, "--", "df", "/"])?;
    let node = if part == 0 { "/dev/vda".to_owned() } else { format!("/dev/vda{part}") };
    assert!(df.lines().any(|line| line.starts_with(&format!("{node} "))), "{df}");
    guest.write_initctl(b"0")?;
    assert!(guest.ends(PATIENCE)?, "still there after a byte to its /run/initctl");
    Ok(())
}

fn foreground(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    // The console is where rc says that it has come to its end.
    std::fs::write(
        host.directory().join("S99hello"),
        "#!/bin/sh\necho hello from the console\nkill -USR2 1\n",
    )?;
    insert(host, &image, "S99hello", "/etc/rc2.d/S99hello", 0o100_755)?;
    let outcome = host.start(&["boot", &name])?.finish(PATIENCE)?;
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.stdout.contains("hello from the console"), "{outcome}");
    Ok(())
}

fn two_cables(host: &Host) -> Verdict {
    bridge(host)?;
    host.bridge("br1", "10.81.0.1/16")?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let second = "06:a7:dd:b4:02:f3";
    let lines = format!("DISKS=( vda:1:{} )\nBRIDGES=( br0:{MAC} br1:{second} )\n", image.display());
    host.config(&name, &lines)?;
    let guest = boot(host, &name)?;
    for (index, mac) in [MAC, second].into_iter().enumerate() {
        let link = host.witness("ip", &["-n", &name, "-o", "link", "show", "dev", &format!("eth{index}")])?;
        assert!(link.contains(&format!("link/ether {mac} ")), "{link}");
        assert_eq!(wire::bridge_of(&format!("{name}{index}"))?, Some(format!("br{index}")));
    }
    let page = wire::page(
        (subhost_tests::fixture::address_of(1, [6, 0xa7, 0xdd, 0xb4, 2, 0xf3]), 80).into(),
        PATIENCE,
    )?;
    assert_eq!(page, format!("This is {name}, a subhost.\n"));
    guest.write_initctl(b"0")?;
    assert!(guest.ends(PATIENCE)?);
    Ok(())
}

/// The second disk is where the guest's own fstab puts it, though it could not mount it itself.
fn two_disks(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyGpt)?;
    let name = host.name("tiny");
    let path = image.display();
    host.config(&name, &format!("DISKS=( vda:1:{path} vdb:2:{path} )\n"))?;
    let fstab = "/dev/vda1 / ext4 errors=remount-ro 0 1\n/dev/vdb2 /mnt ext4 defaults 0 2\n";
    std::fs::write(host.directory().join("fstab"), fstab)?;
    insert(host, &image, "fstab", "/etc/fstab", 0o100_644)?;
    let guest = boot(host, &name)?;
    assert_eq!(host.done(&["enter", &name, "--", "cat", "/mnt/hello"])?, "a data partition\n");
    let mounts = host.done(&["enter", &name, "--", "cat", "/proc/mounts"])?;
    assert!(mounts.lines().any(|line| line.starts_with("/dev/vdb2 /mnt ext4 ")), "{mounts}");
    // Raw writes under a mounted file system would attack the kernel.
    let raw = host.subhostctl(&["enter", &name, "--", "dd", "if=/dev/vdb2", "of=/dev/null", "count=1"])?;
    assert_ne!(raw.code, 0, "the guest reads its disk under the file system: {raw}");
    guest.write_initctl(b"0")?;
    assert!(guest.ends(PATIENCE)?);
    Ok(())
}

fn stop(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let guest = boot(host, &name)?;
    host.done(&["stop", &name])?;
    assert!(guest.ends(Duration::ZERO)?, "stop came back before the guest had ended");
    let log = host
        .witness("debugfs", &["-R", "cat /var/log/boot", &format!("{}?offset=1048576", image.display())])?;
    assert_eq!(log, "rcS done\nrc 2 done\nhttpd stopped\nrc 0 done\n");
    host.done(&["stop", &name])?;
    Ok(())
}

fn two_guests(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let other = host.directory().join("other.raw");
    std::fs::copy(&image, &other)?;
    let (one, two) = (host.name("one"), host.name("two"));
    host.two_lines(&one, 1, &image, BRIDGE, MAC)?;
    host.two_lines(&two, 1, &other, BRIDGE, "06:a7:dd:b4:02:f4")?;
    boot(host, &one)?;
    boot(host, &two)?;
    // One reads the other's page, through the bridge and not through the host.
    let page = host.done(&["enter", &one, "--", "wget", "-q", "-O", "-", "http://10.80.2.244/"])?;
    assert_eq!(page, format!("This is {two}, a subhost.\n"));
    let list = host.done(&["list"])?;
    assert!(list.contains(&one) && list.contains(&two), "{list}");
    host.done(&["stop", &one])?;
    host.done(&["stop", &two])?;
    Ok(())
}

/// Puts a file of the host's directory into the first partition, or over the one that is there.
pub(crate) fn insert(
    host: &Host,
    image: &std::path::Path,
    file: &str,
    path: &str,
    mode: u32,
) -> std::io::Result<()> {
    let place = format!("{}?offset=1048576", image.display());
    let source = host.directory().join(file);
    // That there was none is no error to debugfs.
    host.witness("debugfs", &["-w", "-R", &format!("rm {path}"), &place])?;
    host.witness("debugfs", &["-w", "-R", &format!("write {} {path}", source.display()), &place])?;
    host.witness("debugfs", &["-w", "-R", &format!("set_inode_field {path} mode 0{mode:o}"), &place])?;
    Ok(())
}

/// As `pretend-boot` takes them: no file, the two lists in the environment.
fn environment(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let mut command = host.command(&["boot", &name, "--detach"]);
    command.env("DISKS", format!("vda:1:{}", image.display())).env("BRIDGES", format!("{BRIDGE}:{MAC}"));
    let outcome = program::run(command, Duration::from_secs(60))?;
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_eq!(host.done(&["enter", &name, "--", "cat", "/sys/class/net/eth0/address"])?, format!("{MAC}\n"));
    // It runs, so that is already as wanted.
    assert_eq!(host.subhostctl(&["boot", &name, "--detach"])?.code, 0);
    host.done(&["stop", &name])?;
    Ok(())
}

fn pretend_boot(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let link = host.directory().join("pretend-boot");
    std::os::unix::fs::symlink(host.command(&[]).get_program(), &link)?;
    // It starts itself once more, in the background, by that name.
    let mut command = std::process::Command::new(&link);
    command.arg(&name).arg("--detach").arg("--root-dir").arg(host.root_dir());
    let outcome = program::run(command, PATIENCE)?;
    assert_eq!(outcome.code, 0, "{outcome}");
    host.running(&name)?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn detached(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let lock = host.directory().join("lock");
    let boot = host.command(&["boot", "--detach", "--", &name]);
    let words: Vec<_> = std::iter::once(boot.get_program())
        .chain(boot.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    // A lock, and a pipe whose reader waits for its end.
    let script =
        format!("exec 9>{}; flock 9; {{ {} && echo booted; }} 8>&1 | cat", lock.display(), words.join(" "));
    assert_eq!(host.witness("bash", &["-c", &script])?, "booted\n");
    host.witness("flock", &["--nonblock", &lock.to_string_lossy(), "true"])?;
    let supervisor = host.running(&name)?.field("supervisor_pid").as_u64().unwrap_or_default();
    let held = std::fs::read_dir(format!("/proc/{supervisor}/fd"))?
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| *target == lock);
    assert_eq!(held.count(), 0);
    host.done(&["stop", &name])?;
    Ok(())
}
