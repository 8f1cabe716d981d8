//! A guest whose root means harm.

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::{boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "guest_root_cannot_lift_what_is_locked",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: locked,
    },
    Case {
        name: "enter_gives_a_terminal_of_its_own",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: terminal,
    },
    Case {
        name: "a_guests_own_init_boots_and_is_stopped_in_its_own_language",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: own_init,
    },
];

fn locked(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let disk = format!("vda:1:{}", image.display());
    for script in [
        "mount -o remount,bind,dev,suid /",
        "mount -o remount,dev /",
        "umount /dev",
        "umount -l /dev/pts",
        "umount /run",
        "mknod /root/null c 1 3",
        "dd if=/dev/vda1 of=/dev/null count=1",
        "dd if=/dev/zero of=/dev/vda1 count=1",
        "echo x >>/proc/1/exe",
        "echo 1 >/proc/sys/vm/drop_caches",
        "echo b >/proc/sysrq-trigger",
    ] {
        // A redirection that fails ends a shell with 1, or 2 in some.
        let outcome = host.subhostctl(&["run", "--nesting", "--disk", &disk, "--", "sh", "-c", script])?;
        assert!(![0, 125, 126, 127].contains(&outcome.code), "{script}: {outcome}");
    }
    Ok(())
}

fn terminal(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    boot(host, &name)?;
    // script(1) is the terminal; what runs inside must be on another one.
    let inside = "test -t 0 && test -t 1 && test -t 2 && echo all-three; stty -a | head -1; exit 5";
    let program = subhost_tests::program::path()?;
    let line = format!(
        "stty rows 33 cols 77; {} --root-dir {} enter {name} -- sh -c '{inside}'; echo status=$?; tty",
        program.display(),
        host.root_dir().display()
    );
    let out = host.witness("script", &["-qec", &line, "/dev/null"])?;
    assert!(out.contains("all-three"), "{out}");
    assert!(out.contains("rows 33; columns 77"), "{out}");
    assert!(out.contains("status=5"), "{out}");
    // Without a terminal the streams are apart.
    let apart = host.subhostctl(&["enter", &name, "--", "sh", "-c", "echo out; echo err >&2; test -t 0"])?;
    assert_eq!((apart.code, apart.stdout.as_str(), apart.stderr.as_str()), (1, "out\n", "err\n"));
    // The statuses that a shell gives to what it cannot start.
    for (command, status) in [("/etc/fstab", 126), ("/no/such/program", 127)] {
        let outcome = host.subhostctl(&["enter", &name, "--", command])?;
        assert_eq!(outcome.code, status, "{outcome}");
        assert!(outcome.stderr.contains(command), "{outcome}");
    }
    host.done(&["stop", &name])?;
    Ok(())
}

fn own_init(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\nINIT=auto\n", image.display()))?;
    let guest = boot(host, &name)?;
    assert_eq!(guest.field("init_program"), "/sbin/init");
    assert_eq!(host.done(&["enter", &name, "--", "cat", "/proc/1/comm"])?, "init\n");
    host.done(&["stop", &name])?;
    assert!(guest.ends(std::time::Duration::ZERO)?);
    Ok(())
}
