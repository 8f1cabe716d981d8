//! A guest whose root means harm.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program;

use crate::linger::Started;
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
    Case {
        name: "a_configuration_in_the_guest_or_where_others_write_is_not_believed",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: configured_inside,
    },
    Case {
        name: "no_program_of_ours_has_rights_of_its_own",
        needs: &[Need::Program, Need::PlainRoot],
        body: no_set_id,
    },
    Case {
        name: "other_users_of_the_host_are_told_nothing_of_subhosts",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: nobody,
    },
];

/// Row P3 of docs/security.md.
fn configured_inside(host: &Host) -> Verdict {
    let secret = host.directory().join("secret");
    fs::create_dir(&secret)?;
    fs::write(secret.join("file"), "of the host")?;
    let started = Started::new(host, "inside", "BRIDGES=()")?;
    fs::write(started.directory().join("config"), "BRIDGES=()\n")?;
    let started = started.with_tree()?;
    let root = started.directory().join("root");
    let wish = format!("BINDS=( {}:/mnt )\nNESTING=yes\nCAPS_DROP=()\nUSERNS=no\n", secret.display());
    fs::create_dir_all(root.join("etc/subhost"))?;
    for place in
        ["config", ".subhost", "etc/subhost/config", "etc/subhost.conf", "root/config", "live.nspawn"]
    {
        fs::write(root.join(place), &wish)?;
    }
    let seen = started.run("ls -A /mnt; tr -s ' ' </proc/self/uid_map | cut -d ' ' -f 3")?;
    let guest = host.guest(&started.name)?.ok_or("not listed")?;
    assert_eq!(seen.trim(), guest.field("isolation")["first_id"].to_string());
    started.stop()?;
    // The tree's own configuration, and that of a boot, are the host's root's, or refused.
    let config = started.directory().join("config");
    let name = &started.name;
    for (mode, owner) in [(0o646, 0), (0o664, 0), (0o644, 65534)] {
        fs::set_permissions(&config, fs::Permissions::from_mode(mode))?;
        std::os::unix::fs::chown(&config, Some(owner), Some(0))?;
        let outcome = host.subhostctl(&["start", name, "--", "true"])?;
        assert_eq!(outcome.code, 125, "{mode:o} of {owner}: {outcome}");
        assert!(outcome.stderr.contains("/config: is not trusted: "), "{mode:o} of {owner}: {outcome}");
    }
    Ok(())
}

/// Row C5 of docs/security.md.
fn no_set_id(host: &Host) -> Verdict {
    let init = Path::new(env!("CARGO_MANIFEST_DIR")).join("../subhost-cli/init");
    // The copy of PID 1 as well.
    host.done(&["run", "--overlay", "/", "--", "true"])?;
    let kept = fs::read_dir("/run/subhost")?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = kept.collect::<std::io::Result<_>>()?;
    files.extend(fs::read_dir(init)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?);
    files.push(program::path()?);
    assert!(files.iter().any(|file| file.to_string_lossy().contains("/pid1-")), "{files:?}");
    for file in files {
        let mode = fs::symlink_metadata(&file)?.permissions().mode();
        assert_eq!(mode & 0o6000, 0, "{}", file.display());
        let found = rustix::fs::lgetxattr(&file, "security.capability", &mut [0_u8; 64]);
        assert_eq!(found.err(), Some(rustix::io::Errno::NODATA), "{}", file.display());
    }
    Ok(())
}

/// Row T4 of docs/security.md.
fn nobody(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let guest = boot(host, &name)?;
    // Its directory may be read by others here, so that only the program's own care counts.
    for words in [
        &["list"][..],
        &["status", &name],
        &["inspect", &name],
        &["logs", &name],
        &["events"],
        &["mounts"],
        &["exec", &name, "--", "true"],
        &["stop", &name],
        &["kill", &name],
    ] {
        let command = host.command(words);
        let mut other = Command::new("setpriv");
        other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        other.arg(command.get_program()).args(command.get_args());
        let outcome = program::run(other, Duration::from_secs(20))?;
        let told = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!told.contains(&guest.init_pid().to_string()), "{words:?}: {outcome}");
        assert!(outcome.code == 2 || !told.contains("running"), "{words:?}: {outcome}");
    }
    for place in ["/run/subhost", "/var/log/subhost"] {
        assert_eq!(fs::metadata(place)?.permissions().mode() & 0o777, 0o700, "{place}");
    }
    assert_eq!(host.running(&name)?.init_pid(), guest.init_pid());
    host.done(&["stop", &name])?;
    Ok(())
}

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
