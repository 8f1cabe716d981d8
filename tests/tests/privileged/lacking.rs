//! Kernels, and filters around the program, that lack something.

use std::fs;
use std::process::Command;
use std::time::Duration;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::enemy;
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::{self, Outcome};

use crate::logs::eventually;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_missing_system_call_is_named_and_nothing_is_left",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr), Need::Made(Fixture::TinyTree)],
        body: system_calls,
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

/// Each system call, and whether there is another way without it.
const SYSTEM_CALLS: [(&str, bool); 8] = [
    ("clone3", false),
    ("close_range", false),
    ("fsopen", false),
    ("mount_setattr", false),
    ("move_mount", false),
    ("open_tree", false),
    ("openat2", true),
    // Only for what runs already.
    ("pidfd_open", true),
];

fn system_calls(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let tree = host.copy_of(Fixture::TinyTree)?.display().to_string();
    let disk = format!("vda:1:{}", image.display());
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( {disk} )\n"))?;
    let without = |system_call: &str, words: &[&str]| {
        program::run(enemy::without(system_call, &host.command(words)), PATIENCE)
    };
    let is_named = |system_call: &str, outcome: &Outcome| {
        let hint = format!("hint: {system_call} is missing: it takes Linux 6.1");
        assert!(outcome.stderr.contains("Function not implemented"), "{system_call}: {outcome}");
        assert!(outcome.stderr.contains(&hint) && outcome.stdout.is_empty(), "{system_call}: {outcome}");
    };
    for (system_call, is_replaced) in SYSTEM_CALLS {
        for (option, source) in [("--overlay", &tree), ("--root", &tree), ("--disk", &disk)] {
            let outcome = without(system_call, &["run", option, source, "--", "echo", "inside"])?;
            if is_replaced {
                assert_eq!(
                    (outcome.code, outcome.stdout.as_str()),
                    (0, "inside\n"),
                    "{system_call}: {outcome}"
                );
            } else {
                assert_eq!(outcome.code, 125, "{system_call}: {outcome}");
                is_named(system_call, &outcome);
            }
        }
        let outcome = without(system_call, &["boot", "--detach", &name])?;
        if is_replaced {
            assert_eq!(outcome.code, 0, "{system_call}: {outcome}");
            host.done(&["stop", &name])?;
        } else {
            assert_eq!(outcome.code, 1, "{system_call}: {outcome}");
            is_named(system_call, &outcome);
        }
        assert_ne!(host.guest(&name)?.ok_or("it is not in the list")?.state(), "running");
    }
    // Commands for one that runs.
    host.done(&["boot", "--detach", &name])?;
    for system_call in ["clone3", "close_range", "pidfd_open"] {
        let outcome = without(system_call, &["exec", &name, "--", "true"])?;
        assert_eq!(outcome.code, 125, "{system_call}: {outcome}");
        is_named(system_call, &outcome);
    }
    let outcome = without("openat2", &["exec", &name, "-u", "root", "--", "echo", "inside"])?;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "inside\n"), "{outcome}");
    host.done(&["stop", &name])?;
    for (system_call, _) in SYSTEM_CALLS {
        host.done(&["boot", "--detach", &name])?;
        let outcome = without(system_call, &["stop", &name])?;
        if system_call == "pidfd_open" {
            assert_ne!(outcome.code, 0, "{outcome}");
            is_named(system_call, &outcome);
            assert_eq!(host.running(&name)?.state(), "running");
            host.done(&["stop", &name])?;
        } else {
            assert_eq!(outcome.code, 0, "{system_call}: {outcome}");
        }
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
    let go = host.folder().join("go");
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
    let merged = host.folder().join("merged");
    fs::create_dir(&merged)?;
    let merged = merged.to_string_lossy();
    let empty = host.folder().join("empty");
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
