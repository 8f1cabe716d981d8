//! What becomes of what a guest writes: thrown away, or refused; its image is the same afterwards to the last byte.

use std::path::Path;
use std::time::Duration;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::boot;

const MBR: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "ephemeral_changes_are_gone_and_the_image_is_the_same", needs: MBR, body: ephemeral },
    Case { name: "two_ephemeral_guests_share_one_image", needs: MBR, body: shared },
    Case { name: "a_read_only_guest_writes_nothing_to_its_disk", needs: MBR, body: read_only },
    Case {
        name: "a_further_disk_is_ephemeral_too",
        needs: &[Need::Program, Need::Made(Fixture::TinyGpt)],
        body: further,
    },
    Case { name: "tmpfs_mounts_have_the_size_that_was_asked_for", needs: MBR, body: sized },
];

const PATIENCE: Duration = Duration::from_secs(20);

fn digest(host: &Host, image: &Path) -> std::io::Result<String> {
    host.witness("sha256sum", &[&image.to_string_lossy()])
}

fn ephemeral(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let before = digest(host, &image)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    for flag in [true, false] {
        if flag {
            host.done(&["boot", "--detach", "--ephemeral", &name])?;
        } else {
            host.config(&name, &format!("DISKS=( vda:1:{} )\nEPHEMERAL=yes\n", image.display()))?;
            boot(host, &name)?;
        }
        let guest = host.running(&name)?;
        guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
        let enter = |words: &[&str]| host.done(&[&["enter", &name, "--"], words].concat());
        assert_eq!(host.subhostctl(&["enter", &name, "--", "ls", "/etc/written"])?.code, 1);
        enter(&["sh", "-c", "echo kept nowhere >/etc/written && rm /sbin/reboot && mkdir /etc/init.d/new"])?;
        assert_eq!(enter(&["cat", "/etc/written"])?, "kept nowhere\n");
        let df = enter(&["df", "/"])?;
        assert!(df.lines().any(|line| line.starts_with("/dev/vda1 ")), "{df}");
        host.done(&["stop", &name])?;
        assert_eq!(digest(host, &image)?, before);
    }
    Ok(())
}

/// It is only read, so nobody is in another's way; who would write has to wait.
fn shared(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let before = digest(host, &image)?;
    let (one, two, writer) = (host.name("one"), host.name("two"), host.name("wri"));
    for name in [&one, &two, &writer] {
        host.config(name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    }
    for name in [&one, &two] {
        host.done(&["boot", "--detach", "--ephemeral", name])?;
    }
    let refused = host.subhostctl(&["boot", "--detach", &writer])?;
    assert!(refused.code == 2 && refused.stderr.contains("is in use"), "{refused}");
    host.done(&["enter", &one, "--", "sh", "-c", "echo one >/etc/written"])?;
    assert_eq!(host.subhostctl(&["enter", &two, "--", "ls", "/etc/written"])?.code, 1);
    host.done(&["stop", &one])?;
    host.done(&["stop", &two])?;
    assert_eq!(digest(host, &image)?, before);
    Ok(())
}

fn read_only(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let before = digest(host, &image)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\nREADONLY=yes\n", image.display()))?;
    boot(host, &name)?;
    for script in ["echo x >/etc/written", "mount -o remount,rw /", "mkdir /new"] {
        let outcome = host.subhostctl(&["enter", &name, "--", "sh", "-c", script])?;
        assert_ne!(outcome.code, 0, "{script}: {outcome}");
    }
    host.done(&["enter", &name, "--", "sh", "-c", "echo x >/run/written"])?;
    host.done(&["stop", &name])?;
    assert_eq!(digest(host, &image)?, before);
    // The same for one command.
    let disk = format!("vda:1:{}", image.display());
    let run = ["run", "--read-only", "--disk", &*disk, "--", "sh", "-c", "echo x >/etc/written"];
    assert_eq!(host.subhostctl(&run)?.code, 1);
    let run = [
        "run",
        "--ephemeral",
        "--disk",
        &*disk,
        "--",
        "sh",
        "-c",
        "echo x >/etc/written && cat /etc/written",
    ];
    assert_eq!(host.done(&run)?, "x\n");
    assert_eq!(digest(host, &image)?, before);
    assert_eq!(host.subhostctl(&["boot", "--ephemeral", "--read-only", &name])?.code, 2);
    Ok(())
}

fn further(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyGpt)?;
    let name = host.name("tiny");
    let path = image.display();
    host.config(&name, &format!("DISKS=( vda:1:{path} vdb:2:{path} )\nEPHEMERAL=yes\n"))?;
    std::fs::write(host.directory().join("fstab"), "/dev/vdb2 /mnt ext4 noexec 0 2\n")?;
    crate::tiny::insert(host, &image, "fstab", "/etc/fstab", 0o100_644)?;
    let before = digest(host, &image)?;
    boot(host, &name)?;
    let script = "cat /mnt/hello && echo x >/mnt/written && cat /mnt/written";
    assert_eq!(host.done(&["enter", &name, "--", "sh", "-c", script])?, "a data partition\nx\n");
    let mounts = host.done(&["enter", &name, "--", "cat", "/proc/mounts"])?;
    let line = mounts.lines().find(|line| line.starts_with("/dev/vdb2 /mnt overlay ")).ok_or("not there")?;
    assert!(line.contains("noexec") && line.contains("nodev"), "{line}");
    host.done(&["stop", &name])?;
    assert_eq!(digest(host, &image)?, before);
    Ok(())
}

fn sized(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let more = "EPHEMERAL=yes\nTMPFS_SIZE=1M\n";
    host.config(&name, &format!("DISKS=( vda:1:{} )\n{more}", image.display()))?;
    boot(host, &name)?;
    for directory in ["/run", "/dev/shm", "/etc"] {
        let dd = |count, file| format!("dd if=/dev/zero bs=1000 count={count} of={directory}/{file}");
        let script = format!("{} && {}", dd(500, "x"), dd(1500, "y"));
        let outcome = host.subhostctl(&["enter", &name, "--", "sh", "-c", &script])?;
        assert!(outcome.code != 0 && outcome.stderr.contains("No space left"), "{directory}: {outcome}");
    }
    host.done(&["stop", &name])?;
    Ok(())
}
