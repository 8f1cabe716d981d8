//! `start`, `stop` and `delete` by name: what is refused, what is told apart, and what it is called by.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::Duration;

use subhost_tests::canary::Canary;
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::program;

use crate::bridge;
use crate::linger::{Started, copy};
use crate::linger_end::whole;

const TREE: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_name_that_runs_or_lingers_is_not_given_to_another", needs: TREE, body: names },
    Case { name: "what_cannot_be_started_is_refused_before_anything", needs: TREE, body: refused },
    Case { name: "called_as_control_the_program_takes_its_arguments", needs: TREE, body: control },
    Case { name: "directories_of_any_name_linger_and_are_undone", needs: TREE, body: any_name },
    Case { name: "only_what_is_stopped_is_deleted_and_nothing_beside_it", needs: TREE, body: deleted },
];

fn names(host: &Host) -> Verdict {
    bridge(host)?;
    let started = Started::new(host, "tree", "")?.with_tree()?;
    let name = started.name.as_str();
    let tree = started.directory().join("root");
    let refused = |words: &[&str], what: &str, hint: &str| -> Verdict {
        let mut outcome = host.subhostctl(words)?;
        // The command inside is a little earlier than the end of the start.
        while outcome.stderr.contains("another command") {
            outcome = host.subhostctl(words)?;
        }
        assert!(outcome.code != 0 && outcome.stderr.contains(what), "{outcome}");
        assert!(outcome.stderr.contains(&format!("subhostctl {hint} {name}")), "{outcome}");
        Ok(())
    };
    let mut running = host.start(&["start", name, "--", "sh", "-c", "touch /up; sleep 1000"])?;
    while !tree.join("up").exists() {
        assert!(running.wait(Duration::from_millis(5))?.is_none(), "it has ended");
    }
    let supervisor = running.pid().to_string();
    refused(&["start", name], &format!("by start of process {supervisor}"), "enter")?;
    assert_eq!(host.done(&["enter", name, "--", "cat", "/proc/1/comm"])?.lines().count(), 1);
    let guest = host.running(name)?;
    started.stop()?;
    assert!(guest.ends(Duration::from_secs(1))?);
    running.finish(Duration::from_secs(20))?;

    started.run("true")?;
    host.config(name, &format!("DISKS=( vda:0:{} )\n", host.copy_of(Fixture::TinyTree)?.display()))?;
    refused(&["run", "--name", name, "--root", &tree.to_string_lossy(), "--", "true"], "lingers", "start")?;
    refused(&["enter", name], "lingers", "start")?;
    // Its ids are not given away.
    let first = started.identity()?.first_id;
    let command = ["run", "--root", &*tree.to_string_lossy(), "--", "cat", "/proc/self/uid_map"];
    let map = host.done(&command)?;
    assert_ne!(map.split_whitespace().nth(1).map(str::to_owned), Some(first.to_string()));
    started.stop()?;
    let map = host.done(&command)?;
    assert_eq!(map.split_whitespace().nth(1).map(str::to_owned), Some(first.to_string()));
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    bridge(host)?;
    let base = host.copy_of(Fixture::TinyTree)?;
    let outcome = host.subhostctl(&["start", &host.name("none")])?;
    assert!(outcome.code == 125 && outcome.stderr.contains("its directory"), "{outcome}");
    for (short, config, what) in [
        ("empty", String::new(), "ROOT="),
        ("host", "BASE=/".to_owned(), "the host's own files"),
        ("missing", "BASE=/no/such".to_owned(), "BASE=/no/such: No such file"),
        ("apart", format!("BASE={}\nWORK=/run/work", base.display()), "different mounts"),
        ("disk", format!("BASE={}\nDISKS=( vda:1:/x )", base.display()), "DISKS: is for boot"),
        ("memory", format!("BASE={}\nEPHEMERAL=yes", base.display()), "EPHEMERAL, READONLY"),
    ] {
        let started = Started::new(host, short, &config)?;
        let outcome = host.subhostctl(&["start", &started.name, "--", "true"])?;
        assert!(outcome.code == 125 && outcome.stderr.contains(what), "{short}: {outcome}");
        assert!(!started.directory().join("live").exists(), "{short}");
        for command in ["check", "plan"] {
            let told = host.subhostctl(&[command, "--start", &started.name])?;
            assert!(told.code == 2 && told.stderr.contains(what), "{short}: {told}");
        }
        assert_eq!(host.done(&["stop", &started.name])?, "");
    }
    let started = Started::new(host, "open", "")?.with_tree()?;
    fs::set_permissions(started.directory(), PermissionsExt::from_mode(0o777))?;
    let outcome = host.subhostctl(&["start", &started.name, "--", "true"])?;
    assert!(outcome.code == 125 && outcome.stderr.contains("not trusted"), "{outcome}");
    // A mount that is somebody else's is not covered, and stays.
    fs::set_permissions(started.directory(), PermissionsExt::from_mode(0o700))?;
    fs::create_dir(started.live(""))?;
    let live = started.live("");
    host.witness("mount", &["-t", "tmpfs", "other", &live.to_string_lossy()])?;
    let outcome = host.subhostctl(&["start", &started.name, "--", "true"])?;
    assert!(outcome.code == 125 && outcome.stderr.contains("is not ours"), "{outcome}");
    host.done(&["stop", &started.name])?;
    host.witness("umount", &[&live.to_string_lossy()])?;
    Ok(())
}

fn control(host: &Host) -> Verdict {
    bridge(host)?;
    let started = Started::new(host, "tree", "")?.with_tree()?;
    let program = program::path()?;
    let link = host.directory().join("control");
    symlink(program, &link)?;
    let control = |words: &[&str]| {
        let mut command = Command::new(&link);
        command.args(words).env("SUBHOST", host.subhost_dir());
        program::run(command, Duration::from_secs(60))
    };
    let outcome = control(&["start", &started.name, "sh", "-c", "echo $0; exit 5", "-x"])?;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (5, "-x\n"), "{outcome}");
    started.identity()?;
    assert_eq!(control(&["stop", &started.name])?.code, 0);
    started.stop()
}

/// Row L9 of docs/security.md.
fn any_name(host: &Host) -> Verdict {
    bridge(host)?;
    let before = Snapshot::take(&host.scope())?;
    let tree = Fixture::TinyTree.path()?;
    let deep = format!("deep/{}", ["directory"; 200].join("/"));
    let names = ["a b", r"a\040b", "x (deleted)", "x//deleted", "new\nline", "tab\there", "ü", "-rf", &deep];
    for directory in names.map(OsStr::new).into_iter().chain([OsStr::from_bytes(b"\xff junk")]) {
        let dir = host.directory().join("names").join(directory);
        let name = host.name("any");
        let own = dir.join(&name);
        fs::create_dir_all(&own)?;
        copy(host, &tree, &host.directory().join("copy"))?;
        fs::rename(host.directory().join("copy"), own.join("root"))?;
        // Beside it, of the name that it might be taken for.
        let beside = host.directory().join("names/a b").join(&name).join("live");
        let is_other = directory == r"a\040b";
        if is_other {
            host.witness("mount", &["-t", "tmpfs", "beside", &beside.to_string_lossy()])?;
        }
        for _ in 0..2 {
            let mut command = Command::new(program::path()?);
            command.arg("--subhost-dir").arg(&dir);
            command.args(["start", &name, "--", "sh", "-c", "echo x >/file"]);
            let outcome = program::run(command, PATIENCE)?;
            assert_eq!(outcome.code, 0, "{directory:?}: {outcome}");
            assert_eq!(fs::read_to_string(own.join("live/file"))?, "x\n", "{directory:?}");
        }
        // Also where it is not told again in which directory.
        host.done(&["stop", &name])?;
        assert!(!own.join("live/file").exists(), "{directory:?}");
        if is_other {
            host.witness("umount", &[&beside.to_string_lossy()])?;
        }
        case::nothing_left(host, &before).map_err(|error| format!("{directory:?}: {error}"))?;
    }
    Ok(())
}

fn deleted(host: &Host) -> Verdict {
    bridge(host)?;
    let canary = Canary::plant(host)?;
    let started = whole(host, "whole")?;
    let name = started.name.as_str();
    let refused = |what: &str| -> Verdict {
        let outcome = host.subhostctl(&["delete", "--yes", name])?;
        assert!(outcome.code == 2 && outcome.stderr.contains(what), "{outcome}");
        assert!(started.directory().join("config").exists());
        Ok(())
    };
    let script =
        format!("ln -s {} /out; ln -s ../../../canary /up; echo x >/file", canary.directory().display());
    started.run(&script)?;
    refused("lingers")?;
    started.stop()?;
    let mnt = started.directory().join("mnt");
    host.witness("mount", &["-t", "tmpfs", "other", &mnt.to_string_lossy()])?;
    refused("is mounted in its directory")?;
    host.witness("umount", &[&mnt.to_string_lossy()])?;
    let image = started.directory().join(format!("{name}.img"));
    let device = host.witness("losetup", &["--find", "--show", &image.to_string_lossy()])?;
    refused("in use")?;
    host.witness("losetup", &["--detach", device.trim()])?;
    symlink(canary.directory(), started.directory().join("link"))?;
    let asked = host.subhostctl(&["delete", name])?;
    assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{asked}");
    host.config(name, "DISKS=( vda:1:/x )\n")?;
    refused("has two")?;
    fs::remove_dir_all(host.root_dir().join(name))?;
    host.done(&["delete", "--yes", name])?;
    assert!(!started.directory().exists() && host.subhost_dir().exists());
    assert_eq!(host.subhostctl(&["delete", "--yes", name])?.code, 2);
    // A tree with links, and that of a boot.
    let tree = Started::new(host, "tree", "")?.with_tree()?;
    tree.run(&script)?;
    tree.stop()?;
    host.done(&["delete", "--yes", &tree.name])?;
    assert!(!tree.directory().exists());
    host.config(name, "DISKS=( vda:1:/x )\n")?;
    host.done(&["delete", "--yes", name])?;
    assert!(!host.root_dir().join(name).exists());
    symlink(canary.directory(), host.root_dir().join(name))?;
    assert_eq!(host.subhostctl(&["delete", "--yes", name])?.code, 2);
    canary.unharmed()
}
