//! Kernels, and filters around the program, that lack something.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::enemy;
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::program;

use crate::{BRIDGE, MAC, bridge};

use crate::logs::eventually;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_missing_system_call_is_named_and_nothing_is_left",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr), Need::Made(Fixture::TinyTree)],
        body: commands,
    },
    Case {
        name: "fsck_names_a_missing_system_call",
        needs: &[Need::Program, Need::PlainRoot, Need::Made(Fixture::TinyMbr)],
        body: fsck,
    },
    Case {
        name: "user_namespaces_that_are_off_are_named_with_their_setting",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: user_namespaces,
    },
    Case {
        name: "a_limit_of_the_host_that_is_reached_is_told_and_nothing_is_left",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: limits,
    },
    Case {
        name: "a_file_system_that_cannot_be_idmapped_is_named",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: idmapped,
    },
];

const PATIENCE: Duration = Duration::from_secs(60);

/// What the guest is when a command is given.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Before {
    Stopped,
    Running,
    Unsupervised,
    Lingering,
}

/// What starting a guest takes, starting it again, entering it, finding it, taking over from its supervisor, ending it, and
/// looking into its disk.
const START: &[&str] =
    &["clone3", "close_range", "fsconfig", "fsmount", "fsopen", "mount_setattr", "move_mount", "open_tree"];
const AGAIN: &[&str] = &[
    "clone3",
    "close_range",
    "fsconfig",
    "fsmount",
    "fsopen",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pidfd_open",
];
const ENTER: &[&str] = &["clone3", "close_range", "pidfd_open"];
const FIND: &[&str] = &["pidfd_open"];
const TAKE_OVER: &[&str] = &["close_range", "pidfd_open"];
const SIGNAL: &[&str] = &["pidfd_open", "pidfd_send_signal"];
const MOUNT: &[&str] = &["fsconfig", "fsmount", "fsopen"];
const NOTHING: &[&str] = &[];

/// Two that go together are taken away together.
const EACH: [&str; 13] = [
    "clone3",
    "close_range",
    "fsconfig",
    "fsmount",
    "fsopen",
    "listmount,statmount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "openat2",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
];

fn commands(host: &Host) -> Verdict {
    use Before::{Lingering, Running, Stopped, Unsupervised};
    bridge(host)?;
    let (image, base) = (host.copy_of(Fixture::TinyMbr)?, host.copy_of(Fixture::TinyTree)?);
    let (name, tree) = (&*host.name("tiny"), &*host.name("tree"));
    host.two_lines(name, 1, &image, BRIDGE, MAC)?;
    fs::create_dir_all(host.subhost_dir().join(tree))?;
    fs::write(host.subhost_dir().join(tree).join("config"), format!("BASE={}\n", base.display()))?;
    let (image, disk) = (&*image.to_string_lossy(), &*format!("vda:1:{}", image.display()));
    let (base, copied) = (&*base.to_string_lossy(), &*format!("{name}:/etc/copied"));
    let before = Snapshot::take(&host.scope())?;
    let table: &[(Before, &[&str], &[&str])] = &[
        (Stopped, START, &["run", "--overlay", base, "--", "true"]),
        (Stopped, START, &["run", "--root", base, "--", "true"]),
        (Stopped, START, &["run", "--disk", disk, "--", "true"]),
        (Stopped, MOUNT, &["cp", "/etc/passwd", copied]),
        (Stopped, NOTHING, &["check", name]),
        (Stopped, NOTHING, &["plan", name]),
        (Stopped, NOTHING, &["config", "show", name]),
        (Stopped, NOTHING, &["partitions", image]),
        (Stopped, NOTHING, &["autostart"]),
        (Stopped, START, &["boot", "--detach", name]),
        (Stopped, START, &["start", tree, "--", "true"]),
        (Lingering, AGAIN, &["start", tree, "--", "true"]),
        (Lingering, NOTHING, &["list"]),
        (Lingering, FIND, &["stop", tree]),
        (Running, NOTHING, &["list"]),
        (Running, NOTHING, &["status", name]),
        (Running, NOTHING, &["inspect", name]),
        (Running, NOTHING, &["mounts"]),
        (Running, NOTHING, &["mounts", image]),
        (Running, NOTHING, &["logs", name]),
        (Running, NOTHING, &["events", name]),
        (Running, NOTHING, &["wait", "--ready", name]),
        (Running, ENTER, &["enter", name, "--", "true"]),
        (Running, ENTER, &["exec", name, "--", "true"]),
        (Running, ENTER, &["exec", "--detach", name, "--", "true"]),
        (Running, FIND, &["pause", name]),
        (Running, FIND, &["resume", name]),
        (Running, SIGNAL, &["kill", "--signal", "CONT", name]),
        (Running, SIGNAL, &["reboot", name]),
        (Running, SIGNAL, &["kill", name]),
        (Running, SIGNAL, &["stop", name]),
        (Unsupervised, TAKE_OVER, &["recover"]),
        // It needs no signal.
        (Unsupervised, FIND, &["stop", name]),
    ];
    let mut wrong = Vec::new();
    for system_calls in EACH {
        for (when, needed, words) in table {
            bring(host, *when, name, tree)?;
            let outcome = program::run(enemy::without(system_calls, &host.command(words)), PATIENCE)?;
            let hint = format!("hint: {system_calls} is missing: it takes Linux 6.1");
            let is_named = outcome.code != 0 && outcome.stderr.contains(&hint);
            if (is_named, outcome.code != 0)
                != (needed.contains(&system_calls), needed.contains(&system_calls))
            {
                wrong.push(format!("{when:?} {words:?} without {system_calls}: {outcome}"));
            }
        }
        let doctor = program::run(enemy::without(system_calls, &host.command(&["doctor"])), PATIENCE)?;
        let is_needed = [START, SIGNAL].concat().contains(&system_calls);
        let is_told = doctor.stdout.contains(&format!("{system_calls}: needs Linux 6.1"));
        if (is_told, doctor.code != 0) != (is_needed, is_needed) {
            wrong.push(format!("doctor without {system_calls}: {doctor}"));
        }
        host.done(&["stop", name, tree])?;
        case::nothing_left(host, &before).map_err(|error| format!("without {system_calls}: {error}"))?;
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn fsck(host: &Host) -> Verdict {
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", host.copy_of(Fixture::TinyMbr)?.display()))?;
    for system_call in START {
        let command = host.command(&["check", "--fsck", &name]);
        let outcome = program::run(enemy::without(system_call, &command), PATIENCE)?;
        let hint = format!("hint: {system_call} is missing: it takes Linux 6.1");
        assert!(outcome.code != 0 && outcome.stderr.contains(&hint), "{system_call}: {outcome}");
    }
    Ok(())
}

/// Makes the guest of that name what it is to be, and the one of a tree linger.
fn bring(host: &Host, when: Before, name: &str, tree: &str) -> Verdict {
    let has = |directory: &str, name: &str| Path::new("/run/subhost").join(directory).join(name).exists();
    match when {
        Before::Stopped if has("record", name) || has("lingering", tree) => {
            host.done(&["stop", name, tree])?;
        }
        Before::Lingering if !has("lingering", tree) => drop(host.done(&["start", tree, "--", "true"])?),
        Before::Running | Before::Unsupervised => {
            if !has("record", name) {
                host.done(&["boot", "--detach", name])?;
            }
            // It has none any more if it was asked for before.
            if when == Before::Unsupervised
                && let Ok(supervisor) = host.running(name)?.supervisor()
            {
                supervisor.signal(Signal::KILL)?;
                supervisor.ends(PATIENCE)?;
            }
        }
        Before::Stopped | Before::Lingering => {}
    }
    Ok(())
}

/// The limit of a user namespace counts for those below it, so this one's says what the host's would.
fn user_namespaces(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?.display().to_string();
    let run = host.command(&["run", "--overlay", &tree, "--", "true"]);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--net", "--", "sh", "-c"]);
    command.arg("mount -t tmpfs run /run && echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"");
    command.arg("sh").arg(run.get_program()).args(run.get_args());
    let outcome = program::run(command, PATIENCE)?;
    assert_eq!(outcome.code, 125, "{outcome}");
    let hint = "hint: user.max_user_namespaces is 0: sysctl -w user.max_user_namespaces=";
    assert!(outcome.stderr.contains("make the user namespace") && outcome.stderr.contains(hint), "{outcome}");
    Ok(())
}

/// Row S7 of docs/security.md. As with user namespaces, here with all ids.
fn limits(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?.display().to_string();
    let run = host.command(&["run", "--overlay", &tree, "--", "true"]);
    let go = host.directory().join("go");
    for (limit, step) in [("net", "make the network namespace: "), ("mnt", "clone the mount of ")] {
        host.witness("mkfifo", &[&go.to_string_lossy()])?;
        let script = format!(
            "read go <\"$0\"; exec setpriv --reuid 0 --regid 0 --clear-groups sh -c \
             'mount -t tmpfs run /run && echo 0 >/proc/sys/user/max_{limit}_namespaces && \"$0\" \"$@\"; \
             status=$?; find /run/subhost/record /run/netns -mindepth 1 2>/dev/null; exit $status' \"$@\""
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--mount", "--net", "--", "sh", "-c", &script]);
        command.arg(&go).arg(run.get_program()).args(run.get_args());
        let child = program::Running::start(command)?;
        let is_apart = || {
            let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net"));
            Ok(of(&child.pid().to_string())? != of("self")?)
        };
        eventually("it has namespaces of its own", is_apart)?;
        for map in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{}/{map}", child.pid()), "0 0 4294967295")?;
        }
        fs::write(&go, "\n")?;
        fs::remove_file(&go)?;
        let outcome = child.finish(PATIENCE)?;
        assert_eq!((outcome.code, &*outcome.stdout), (125, ""), "{limit}: {outcome}");
        assert!(outcome.stderr.contains(step), "{limit}: {outcome}");
        assert!(
            outcome.stderr.contains("hint: a file system is full, or there are as many namespaces"),
            "{outcome}"
        );
    }
    Ok(())
}

fn idmapped(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?.display().to_string();
    let merged = host.directory().join("merged");
    fs::create_dir(&merged)?;
    let merged = merged.to_string_lossy();
    let empty = host.directory().join("empty");
    fs::create_dir(&empty)?;
    let layers = format!("lowerdir={tree}:{}", empty.display());
    host.witness("mount", &["-t", "overlay", "-o", &layers, "over", &merged])?;
    let outcome = host.subhostctl(&["run", "--root", &merged, "--", "true"])?;
    assert_eq!(outcome.code, 125, "{outcome}");
    assert!(outcome.stderr.contains("cannot be idmapped"), "{outcome}");
    assert!(outcome.stderr.contains("hint: keep the system on ext4, xfs, btrfs"), "{outcome}");
    host.witness("umount", &[&merged])?;
    Ok(())
}
