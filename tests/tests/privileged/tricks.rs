//! Guests that put something else where the host looks, writes or shows.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::{Duration, Instant};

use subhost_tests::canary::{Canary, facts};
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::{self, Outcome, Running};

use crate::boot;
use crate::joining::Scripted;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "stop_writes_nowhere_else_and_waits_for_nobody_whatever_initctl_is",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: initctl,
    },
    Case {
        name: "nothing_is_put_into_a_tree_that_is_run",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: untouched,
    },
    Case {
        name: "settings_of_the_kernel_stay_whatever_a_guest_covers_or_links",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: kernel_settings,
    },
    Case {
        name: "a_guest_without_its_proc_is_joined_with_no_more_rights",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: covered_proc,
    },
    Case {
        name: "guests_that_start_at_once_share_no_id",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: ranges,
    },
    Case {
        name: "other_users_of_the_host_reach_nothing_of_a_guest",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: nobody,
    },
    Case {
        name: "nothing_that_a_guest_is_called_acts_on_a_terminal",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: shown,
    },
];

const PATIENCE: Duration = Duration::from_secs(30);

/// Row P5 of docs/security.md.
fn initctl(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let tree = host.copy_of(Fixture::TinyTree)?;
    let name = host.name("tiny");
    let secret = canary.directory().join("secret").display().to_string();
    for (kind, make) in [
        ("a link", format!("ln -s {secret} /run/initctl")),
        ("a link to a device", "ln -s /dev/null /run/initctl".to_owned()),
        ("a file", "echo mine >/run/initctl".to_owned()),
        ("a FIFO that nobody reads", "mkfifo /run/initctl".to_owned()),
        ("a FIFO that is full", FULL.to_owned()),
        ("a device", "touch /run/initctl; mount --bind /dev/zero /run/initctl".to_owned()),
        ("a directory", "mkdir /run/initctl".to_owned()),
    ] {
        let image = host.ext4_of(&tree, "root.ext4")?;
        host.config(&name, &format!("DISKS=( vda:0:{} )\nNESTING=yes\n", image.display()))?;
        let guest = boot(host, &name)?;
        let made =
            host.subhostctl(&["enter", &name, "--", "sh", "-c", &format!("rm /run/initctl; {make}")])?;
        assert_eq!(made.code, 0, "{kind}: {made}");
        let stopped = host.subhostctl(&["stop", "--timeout", "10", &name])?;
        assert_eq!(stopped.code, 0, "{kind}: {stopped}");
        assert!(guest.ends(Duration::ZERO)?, "{kind}");
        eprintln!("{}stop with {kind} for /run/initctl: {:?}", subhost_tests::case::FIGURE, stopped.took);
        // In order: PID 1 was reached by another way.
        let log = host.witness("debugfs", &["-R", "cat /var/log/boot", &image.to_string_lossy()])?;
        assert!(log.ends_with("httpd stopped\nrc 0 done\n"), "{kind}: {log}");
        canary.unharmed().map_err(|error| format!("{kind}: {error}"))?;
    }
    // One that does not hear at all is ended at the deadline.
    let image = host.ext4_of(&tree, "root.ext4")?;
    host.config(&name, &format!("DISKS=( vda:0:{} )\nINIT=/bin/deaf\n", image.display()))?;
    let script = "#!/bin/sh\nrm /run/initctl; mkfifo /run/initctl\ntrap '' TERM INT HUP USR1 USR2 PWR\n\
        exec 7<>/run/initctl\nwhile :; do sleep 1000; done\n";
    fs::write(tree.join("bin/deaf"), script)?;
    fs::set_permissions(tree.join("bin/deaf"), PermissionsExt::from_mode(0o755))?;
    let image = host.ext4_of(&tree, "root.ext4")?;
    host.config(&name, &format!("DISKS=( vda:0:{} )\nINIT=/bin/deaf\n", image.display()))?;
    let guest = boot(host, &name)?;
    let stopped = host.subhostctl(&["stop", "--timeout", "1", &name])?;
    eprintln!("{}stop --timeout 1 of a deaf init: {:?}", subhost_tests::case::FIGURE, stopped.took);
    assert!(stopped.code == 0 && guest.ends(Duration::ZERO)?, "{stopped}");
    canary.unharmed()
}

/// Somebody has it open, and never reads; what was written to it is as much as it takes.
const FULL: &str = "mkfifo /run/initctl; (exec 7<>/run/initctl; dd if=/dev/zero of=/run/initctl oflag=nonblock 2>/dev/null; \
    touch /run/filled; exec sleep 1000) >/dev/null 2>&1 & while [ ! -e /run/filled ]; do sleep 0.05; done";

/// Row P6 of docs/security.md.
fn untouched(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let tree = host.copy_of(Fixture::TinyTree)?;
    let path = tree.to_string_lossy().into_owned();
    let run = |script: &str| host.subhostctl(&["run", "--root", &path, "--", "sh", "-c", script]);
    // Where a careless one would put its program.
    for name in ["subhost-init", "sbin/subhost-init", "usr/lib/subhost", "init", "run/initctl", "dev/console"]
    {
        let place = tree.join(name);
        fs::create_dir_all(place.parent().ok_or("it has no directory")?)?;
        let _ = fs::remove_file(&place);
        symlink(canary.directory().join(if name.ends_with("init") { "secret" } else { "inner" }), &place)?;
    }
    let before = facts(&tree)?;
    let outcome = run("readlink /proc/1/exe; cat /proc/1/exe >/dev/null && echo read; echo x >>/proc/1/exe")?;
    assert!(outcome.code != 0 && outcome.stdout.ends_with("read\n"), "{outcome}");
    assert!(outcome.stderr.contains("can't create /proc/1/exe"), "{outcome}");
    assert!(facts(&tree)? == before, "the tree has changed");
    canary.unharmed()
}

/// Rows M1 and M4 of docs/security.md: nothing is masked, so that nothing can be unmasked; what is there is not the guest's
/// to write, and no configuration has it written.
fn kernel_settings(host: &Host) -> Verdict {
    let settings = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/sysrq",
        "/proc/sys/vm/swappiness",
        "/proc/sys/fs/file-max",
        "/sys/kernel/uevent_helper",
    ];
    let values = || settings.map(|path| fs::read(path).ok());
    let before = values();
    let tree = host.copy_of(Fixture::TinyTree)?;
    let _ = fs::remove_dir_all(tree.join("dev"));
    fs::create_dir(tree.join("dev"))?;
    symlink("/proc/sys/kernel/core_pattern", tree.join("dev/null"))?;
    let path = tree.to_string_lossy().into_owned();
    let script = format!(
        "ls -l /dev/null | cut -c1; echo evil >/dev/null
        umount /dev; umount -l /dev; mkdir -p /tmp/dev; mount --bind /tmp/dev /dev
        ln -sf /proc/sys/kernel/core_pattern /dev/null
        for at in $(cut -d' ' -f5 /proc/self/mountinfo | grep -E '^/(proc|sys)/'); do umount -l $at; done
        mkdir -p /tmp/proc /tmp/sys; mount -t proc proc /tmp/proc; mount -t sysfs sys /tmp/sys
        for at in /proc /sys /tmp/proc /tmp/sys; do mount -o remount,rw,bind $at; mount -o remount,rw $at; done
        for file in {} /dev/null /proc/sysrq-trigger /tmp/proc/sysrq-trigger; do
            echo evil >$file && echo written $file
            echo evil >/tmp$file && echo written /tmp$file
        done 2>/dev/null
        cat /proc/kcore /proc/kmsg /dev/mem 2>/dev/null | head -c 1 | wc -c
        true",
        settings.join(" ")
    );
    for option in ["--root", "--overlay"] {
        let outcome = host.subhostctl(&["run", option, &path, "--", "sh", "-c", &script])?;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "c\n0\n"), "{outcome}");
    }
    // Names that other programs take for such settings.
    let image = host.ext4_of(&host.copy_of(Fixture::TinyTree)?, "root.ext4")?;
    let name = host.name("tiny");
    let disk = format!("DISKS=( vda:0:{} )", image.display());
    for setting in [
        "kernel.core_pattern=evil",
        "kernel/core_pattern=evil",
        "net.ipv4.ip_forward+=1",
        "../kernel/sysrq=1",
    ] {
        host.config(&name, &format!("{disk}\nSYSCTL=( '{setting}' )\nSYSCTLS=( '{setting}' )\n"))?;
        boot(host, &name)?;
        host.done(&["stop", &name])?;
    }
    assert!(values() == before, "settings have changed");
    Ok(())
}

/// Row M3 of docs/security.md: nothing is written to a file of the guest's `/proc`, whatever stands there.
fn covered_proc(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let guest = Scripted::start(host, &host.copy_of(Fixture::TinyTree)?, "")?;
    let look = "mkdir -p /tmp/p; mount -t proc p /tmp/p; grep -E '^(Cap|Seccomp|NoNew|Groups)' /tmp/p/self/status; umount /tmp/p";
    let said = |words: &[&str]| -> Result<Outcome, Box<dyn std::error::Error>> {
        Ok(guest.exec(host, &[words, &["--", "sh", "-c", look]].concat())?)
    };
    let before = said(&[])?;
    assert!(before.code == 0 && before.stdout.contains("CapBnd"), "{before}");
    let secret = canary.directory().join("secret").display().to_string();
    for cover in [
        "mount -t tmpfs over /proc".to_owned(),
        format!(
            "mount -t tmpfs over /proc; mkdir -p /proc/self/attr /proc/self/fd /proc/self/ns /proc/sys/kernel; \
             ln -s {secret} /proc/self/attr/exec; ln -s {secret} /proc/self/fd/0; ln -s {secret} /proc/self/uid_map; \
             ln -s {secret} /proc/self/oom_score_adj; ln -s self /proc/thread-self"
        ),
        "mount --bind /proc/sys/kernel /proc/self/ns".to_owned(),
        "mkdir -p /tmp/o; mount --bind /tmp/o /proc/1".to_owned(),
    ] {
        // In a process of its own, /proc/self is that of the shell.
        let done = guest.exec(host, &["--", "sh", "-c", &format!("{cover}; true")])?;
        assert_eq!(done.code, 0, "{cover}: {done}");
        let after = said(&[])?;
        assert_eq!((after.code, &after.stdout), (0, &before.stdout), "{cover}: {after}");
        let undo = "while grep -q ' /proc tmpfs ' /tmp/mounts; do umount -l /proc; mount -t proc x /tmp/x; \
            cat /tmp/x/mounts >/tmp/mounts; umount /tmp/x; done";
        let undo = format!(
            "mkdir -p /tmp/x; mount -t proc x /tmp/x; cat /tmp/x/mounts >/tmp/mounts; umount /tmp/x; {undo}"
        );
        guest.exec(host, &["--", "sh", "-c", &undo])?;
    }
    guest.finish(host)?;
    canary.unharmed()
}

/// Row C4 of docs/security.md.
fn ranges(host: &Host) -> Verdict {
    const GUESTS: usize = 200;
    let path = host.copy_of(Fixture::TinyTree)?.to_string_lossy().into_owned();
    let started: Result<Vec<Running>, _> = (0..GUESTS)
        .map(|n| {
            let name = host.name(&format!("r{n}"));
            host.start(&["run", "--name", &name, "--overlay", &path, "--", "sleep", "1000"])
        })
        .collect();
    let mut started = started?;
    let deadline = Instant::now() + PATIENCE;
    let mut ranges = loop {
        let list: Vec<serde_json::Value> = serde_json::from_str(&host.done(&["list", "--json"])?)?;
        let isolation = list.iter().filter(|row| row["state"] == "running").map(|row| &row["isolation"]);
        let ranges: Vec<_> =
            isolation.filter_map(|i| Some((i["first_id"].as_u64()?, i["id_count"].as_u64()?))).collect();
        if ranges.len() == GUESTS {
            break ranges;
        }
        assert!(Instant::now() < deadline, "{} of {GUESTS} run", ranges.len());
    };
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{ranges:?}");
    }
    for guest in &mut started {
        guest.terminate()?;
    }
    for guest in started {
        guest.finish(PATIENCE)?;
    }
    Ok(())
}

/// Row C6 of docs/security.md.
fn nobody(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    fs::copy(tree.join("bin/busybox"), tree.join("bin/su-copy"))?;
    fs::set_permissions(tree.join("bin/su-copy"), PermissionsExt::from_mode(0o4755))?;
    let image = host.ext4_of(&tree, "root.ext4")?;
    fs::set_permissions(&image, PermissionsExt::from_mode(0o600))?;
    // Its place is for the administrator to close, and here it is.
    fs::set_permissions(&tree, PermissionsExt::from_mode(0o700))?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{} )\n", image.display()))?;
    let guest = boot(host, &name)?;
    let init = guest.init_pid();
    let as_nobody = |words: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).args(words);
        program::run(command, PATIENCE)
    };
    assert_eq!(as_nobody(&["true"])?.code, 0);
    let live = host.root_dir().join(&name).join("live/bin/su-copy").to_string_lossy().into_owned();
    for words in [
        &["ls", "/run/subhost"][..],
        &["stat", &format!("/proc/{init}/root/bin/su-copy")],
        &[&format!("/proc/{init}/root/bin/su-copy"), "sh", "-c", "id -u"],
        &[&live, "sh", "-c", "id -u"],
        &["ls", &format!("/proc/{init}/fd")],
        &["cat", &image.to_string_lossy()],
        &["nsenter", "-t", &init.to_string(), "-m", "true"],
        &["cat", "/dev/loop0"],
    ] {
        let outcome = as_nobody(words)?;
        assert!(outcome.code != 0 && outcome.stdout.is_empty(), "{words:?}: {outcome}");
    }
    // Nor do the commands tell.
    for words in [&["list"][..], &["status", &name], &["enter", &name, "--", "true"], &["stop", &name]] {
        let command = host.command(words);
        let program = command.get_program().to_string_lossy().into_owned();
        let args: Vec<String> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let mut all = vec![program.as_str()];
        all.extend(args.iter().map(String::as_str));
        let outcome = as_nobody(&all)?;
        assert!(outcome.code != 0 && outcome.stdout.is_empty(), "{words:?}: {outcome}");
        assert!(outcome.stderr.contains("needs root"), "{words:?}: {outcome}");
    }
    host.done(&["stop", &name])?;
    Ok(())
}

/// Row T3 of docs/security.md.
fn shown(host: &Host) -> Verdict {
    // Clipboard, title, colour, bell, a line over the last one, text that runs backwards, C1.
    let evil = r"\033]52;c;ZXZpbA==\007\033]0;evil\007\033[31m\rover\342\200\256\302\233\033[2J";
    let script = format!(
        "evil=$(printf '{evil}'); hostname \"$evil\"; printf \"PRETTY_NAME=\\\"$evil\\\"\\n\" >/etc/os-release
        mkdir -p \"/tmp/a$evil\"; mount -t tmpfs \"src$evil\" \"/tmp/a$evil\"
        cp /bin/busybox \"/tmp/a$evil/e$evil\"; (cd \"/tmp/a$evil\"; exec ./\"e$evil\" sleep 1000) &
        printf \"$evil\" >/proc/self/comm; printf \"$evil\""
    );
    let tree = host.copy_of(Fixture::TinyTree)?;
    fs::create_dir_all(tree.join("var/log"))?;
    let rcs = format!("#!/bin/sh\n{{ {script}; }} 2>/dev/null\n");
    let file = tree.join("etc/init.d/httpd");
    fs::write(&file, rcs)?;
    let image = host.ext4_of(&tree, "root.ext4")?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{} )\n", image.display()))?;
    boot(host, &name)?;
    let entered = host.subhostctl(&["enter", &name, "--", "sh", "-c", "ls -d /tmp/a*; hostname"])?;
    assert!(entered.stdout.contains("\u{1b}]52;c;"), "it is not called so: {entered}");
    let missing = format!("/tmp/{}", "\u{1b}]0;evil\u{7}");
    for words in [
        &["list"][..],
        &["list", "--json"],
        &["status", &name],
        &["status", &name, "--json"],
        &["mounts"],
        &["mounts", "--json"],
        &["mounts", &host.directory().to_string_lossy()],
        &["enter", &name, "--", &missing],
        &["exec", &name, "-w", &missing, "--", "true"],
        &["exec", &name, &format!("--user={missing}"), "--", "true"],
        &["stop", &name],
    ] {
        let outcome = host.subhostctl(words)?;
        for text in [&outcome.stdout, &outcome.stderr] {
            let acts = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert!(acts.is_none(), "{words:?} shows {acts:?}: {text:?}");
        }
    }
    Ok(())
}
