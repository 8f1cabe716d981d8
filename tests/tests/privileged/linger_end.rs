//! The end of what lingers: `stop` in whatever state it is, and `kill -9` at any moment.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use subhost_tests::case::{self, Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::leak::Snapshot;
use subhost_tests::program::Running;
use subhost_tests::random::{Random, seed};

use crate::bridge;
use crate::linger::{Started, copy};

const TREE: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "whatever_became_of_what_lingers_stop_undoes_it",
        needs: TREE,
        body: |host| undone(host, false),
    },
    Case {
        name: "whatever_became_of_what_lingers_start_mends_it",
        needs: TREE,
        body: |host| undone(host, true),
    },
    Case { name: "a_network_that_is_not_ours_is_left_alone", needs: TREE, body: not_ours },
    Case { name: "an_image_that_somebody_looks_into_is_said_to_be_held", needs: TREE, body: held },
    Case { name: "what_lingers_is_seen_in_no_other_mount_namespace", needs: TREE, body: unseen },
    Case { name: "without_its_supervisor_it_runs_and_lingers_all_the_same", needs: TREE, body: alone },
    Case { name: "a_start_that_fails_leaves_what_there_was_before", needs: TREE, body: fails },
    Case {
        name: "killed_at_forty_moments_a_start_is_started_again_and_undone",
        needs: TREE,
        body: forty_kills,
    },
];

/// An overlay in an image: all that there can be.
pub(crate) fn whole<'a>(host: &'a Host, short: &str) -> std::io::Result<Started<'a>> {
    let base = host.directory().join("base");
    if !base.exists() {
        copy(host, &Fixture::TinyTree.path().map_err(std::io::Error::other)?, &base)?;
    }
    let started = Started::new(host, short, &format!("BASE={}\nRATE=100mbit", base.display()))?;
    let content = host.directory().join("content");
    fs::create_dir_all(content.join("root"))?;
    let made = host.ext4_of(&content, "content.ext4")?;
    fs::rename(made, started.directory().join(format!("{}.img", started.name)))?;
    for place in ["live", "mnt"] {
        fs::create_dir_all(started.directory().join(place))?;
    }
    Ok(started)
}

fn undone(host: &Host, enters: bool) -> Verdict {
    bridge(host)?;
    let started = whole(host, "whole")?;
    let (live, mnt) = (started.live(""), started.directory().join("mnt"));
    let (live, mnt) = (live.to_string_lossy(), mnt.to_string_lossy());
    let record = format!("/run/subhost/lingering/{}", started.name);
    let pin = format!("/run/netns/{}", started.name);
    let before = Snapshot::take(&host.scope())?;
    type Deed<'a> = &'a dyn Fn() -> std::io::Result<()>;
    let does = |tool: &'static str, args: Vec<String>| {
        move || host.witness(tool, &args.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let below = does("mount", words(&format!("-t tmpfs extra {live}/mnt")));
    let over = does("mount", words(&format!("-t tmpfs extra {live}")));
    let over_image = does("mount", words(&format!("-t tmpfs extra {mnt}")));
    let directory = || fs::create_dir(started.live("mnt"));
    let no_root = does("umount", words(&live));
    let no_image = does("umount", words(&mnt));
    let no_netns = does("ip", words(&format!("netns delete {}", started.name)));
    let no_cable = does("ip", words(&format!("link delete {}0", started.name)));
    let no_pin = does("umount", words(&pin));
    // As it is where the supervisor was killed after all had ended.
    let unfinished = || fs::rename(&record, format!("/run/subhost/record/{}", started.name));
    let deeds: [(&str, &[Deed<'_>], bool); 12] = [
        ("nothing", &[], true),
        ("a mount below", &[&below], true),
        ("mounts over it", &[&over, &over_image], false),
        ("a mount below one over it", &[&over, &directory, &below], false),
        ("no root", &[&no_root], true),
        ("no image", &[&no_image], true),
        ("neither", &[&no_root, &no_image], true),
        ("no netns", &[&no_netns], true),
        ("nothing at all", &[&no_root, &no_image, &no_netns], true),
        ("no cable", &[&no_cable], true),
        ("no mount on the pin", &[&no_pin], true),
        ("a record that is not set aside", &[&unfinished], true),
    ];
    for (what, deeds, starts) in deeds {
        started.run("echo was here >/file")?;
        for deed in deeds {
            deed()?;
        }
        if enters {
            let again = host.subhostctl(&["start", &started.name, "--", "cat", "/file"])?;
            assert_eq!(again.code == 0, starts, "{what}: {again}");
            assert_eq!(again.stdout, if starts { "was here\n" } else { "" }, "{what}");
        }
        started.stop()?;
        case::nothing_left(host, &before).map_err(|error| format!("{what}: {error}"))?;
    }
    Ok(())
}

fn not_ours(host: &Host) -> Verdict {
    bridge(host)?;
    let started = whole(host, "whole")?;
    let name = started.name.as_str();
    for enters in [false, true] {
        started.run("true")?;
        host.witness("ip", &["netns", "delete", name])?;
        host.witness("ip", &["netns", "add", name])?;
        let inode = || fs::metadata(Path::new("/run/netns").join(name));
        let other = std::os::unix::fs::MetadataExt::ino(&inode()?);
        if enters {
            let again = host.subhostctl(&["start", name, "--", "true"])?;
            assert!(again.code == 125 && again.stderr.contains("is not ours"), "{again}");
        }
        let stopped = host.subhostctl(&["stop", name])?;
        assert!(stopped.code == 3 && stopped.stderr.contains("left alone"), "{stopped}");
        started.stop()?;
        assert_eq!(std::os::unix::fs::MetadataExt::ino(&inode()?), other);
        host.witness("ip", &["netns", "delete", name])?;
    }
    Ok(())
}

fn held(host: &Host) -> Verdict {
    bridge(host)?;
    let started = whole(host, "whole")?;
    started.run("true")?;
    let mut sleeper = std::process::Command::new("sleep");
    sleeper.arg("1000").current_dir(started.directory().join("mnt"));
    let sleeper = Running::start(sleeper)?;
    let stopped = host.subhostctl(&["stop", &started.name])?;
    assert!(stopped.code == 3 && stopped.stderr.contains("subhostctl mounts"), "{stopped}");
    assert_eq!(started.mounts()?, [] as [&str; 0]);
    let again = host.subhostctl(&["start", &started.name, "--", "true"])?;
    assert!(again.code == 125 && again.stderr.contains("in use"), "{again}");
    drop(sleeper);
    started.run("true")?;
    started.stop()
}

/// Somebody with a mount namespace of his own.
fn elsewhere(host: &Host, propagation: &str) -> std::io::Result<Running> {
    let up = host.directory().join("up");
    let script = ["sh", "-c", "touch $0; exec sleep 1000", &*up.to_string_lossy()];
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--propagation", propagation, "--"]).args(script);
    let mut other = Running::start(command)?;
    while !up.exists() {
        let ended = other.wait(Duration::from_millis(5))?;
        assert!(ended.is_none(), "it has ended");
    }
    fs::remove_file(&up)?;
    Ok(other)
}

/// Row L8 of docs/security.md.
fn unseen(host: &Host) -> Verdict {
    bridge(host)?;
    let started = whole(host, "whole")?;
    let directory = host.subhost_dir();
    let at = directory.to_string_lossy();
    // As systemd has all mounts of a host.
    host.witness("mount", &["--bind", &at, &at])?;
    host.witness("mount", &["--make-shared", &at])?;
    let before = Snapshot::take(&host.scope())?;
    for propagation in ["slave", "shared"] {
        let other = elsewhere(host, propagation)?;
        let table = || fs::read_to_string(format!("/proc/{}/mountinfo", other.pid()));
        let first = table()?;
        for _ in 0..2 {
            started.run("mount -t tmpfs inside /mnt; true")?;
            let seen = table()?;
            assert!(
                !seen.contains("subhost-whole") && !seen.contains(".img") && !seen.contains("inside"),
                "{seen}"
            );
            assert!(!seen.lines().any(|line| line.contains("/dev/loop")), "{seen}");
        }
        assert!(started.live("bin").is_dir());
        started.stop()?;
        assert_eq!(table()?, first, "{propagation}");
        drop(other);
        case::nothing_left(host, &before)?;
        // One that is made while it lingers has a copy, which goes with it.
        started.run("true")?;
        let later = elsewhere(host, propagation)?;
        let table = || fs::read_to_string(format!("/proc/{}/mountinfo", later.pid()));
        assert!(table()?.contains("subhost-whole"), "there is nothing to go");
        started.run("true")?;
        started.stop()?;
        let seen = table()?;
        assert!(!seen.contains(&*started.name), "{propagation}: {seen}");
        drop(later);
        case::nothing_left(host, &before)?;
    }
    // Unless it was cut off.
    started.run("true")?;
    let later = elsewhere(host, "private")?;
    let stopped = host.subhostctl(&["stop", &started.name])?;
    assert!(stopped.code == 3 && stopped.stderr.contains("subhostctl mounts"), "{stopped}");
    drop(later);
    started.run("true")?;
    started.stop()?;
    // An overlay is not to be seen from here any more, so it is told by the next start.
    let overlay = Started::new(host, "over", &format!("BASE={}", host.directory().join("base").display()))?;
    overlay.run("true")?;
    let later = elsewhere(host, "private")?;
    overlay.stop()?;
    let again = host.subhostctl(&["start", &overlay.name, "--", "true"])?;
    assert!(again.code == 125 && again.stderr.contains("in use by another overlay"), "{again}");
    assert!(again.stderr.contains(&format!("mount namespace of {} (sleep)", later.pid())), "{again}");
    drop(later);
    overlay.run("true")?;
    overlay.stop()?;
    host.witness("umount", &[&at])?;
    Ok(())
}

fn alone(host: &Host) -> Verdict {
    bridge(host)?;
    let started = whole(host, "whole")?;
    let name = started.name.as_str();
    let before = Snapshot::take(&host.scope())?;
    for stops in [false, true] {
        let mut running = host.start(&[
            "start",
            name,
            "--",
            "sh",
            "-c",
            "touch /up; while [ -e /up ]; do sleep 0.02; done",
        ])?;
        while !started.live("up").exists() {
            assert!(running.wait(Duration::from_millis(5))?.is_none(), "it has ended");
        }
        running.kill()?;
        drop(running);
        let guest = host.running(name)?;
        host.done(&["enter", name, "--", "test", "-e", "/up"])?;
        if stops {
            started.stop()?;
        } else {
            fs::remove_file(started.live("up"))?;
            assert!(guest.ends(PATIENCE)?);
            let lingering = started.identity()?;
            started.run("true")?;
            assert_eq!(started.identity()?, lingering);
            // Its PID 1 may be ended in any way.
            let mut running = host.start(&["start", name, "--", "sh", "-c", "touch /up; sleep 1000"])?;
            while !started.live("up").exists() {
                assert!(running.wait(Duration::from_millis(5))?.is_none(), "it has ended");
            }
            host.running(name)?.signal_init(Signal::KILL)?;
            running.wait(PATIENCE)?.ok_or("it goes on")?;
            assert_eq!(started.identity()?, lingering);
            let mut running = host.start(&["start", name, "--", "sleep", "1000"])?;
            while host.running(name).is_err() {
                assert!(running.wait(Duration::from_millis(5))?.is_none(), "it has ended");
            }
            for _ in 0..2 {
                host.done(&["kill", name])?;
                assert_eq!(started.identity()?, lingering);
            }
            running.wait(PATIENCE)?.ok_or("it goes on")?;
            started.run("rm /up")?;
            started.stop()?;
        }
        case::nothing_left(host, &before)?;
    }
    Ok(())
}

/// Fails at the very last step, when all else is in place.
fn fails(host: &Host) -> Verdict {
    bridge(host)?;
    let started = whole(host, "whole")?;
    let name = started.name.as_str();
    let live = started.directory().join("live");
    let before = Snapshot::take(&host.scope())?;
    let fails = || -> Verdict {
        fs::remove_dir(&live)?;
        fs::write(&live, "in the way")?;
        let outcome = host.subhostctl(&["start", name, "--", "touch", "/not-yet"])?;
        assert!(outcome.code == 125 && outcome.stderr.contains("live: is not a directory"), "{outcome}");
        fs::remove_file(&live)?;
        Ok(fs::create_dir(&live)?)
    };
    fails()?;
    case::nothing_left(host, &before)?;
    started.run("touch /there")?;
    let lingering = started.identity()?;
    for _ in 0..2 {
        host.witness("umount", &[&live.to_string_lossy()])?;
    }
    let without = started.identity()?;
    fails()?;
    assert_eq!(started.identity()?, without);
    assert_eq!(started.run("ls /there /not-yet 2>/dev/null; true")?, "/there\n");
    assert_eq!(started.identity()?.mounts.len(), lingering.mounts.len());
    started.stop()?;
    case::nothing_left(host, &before)
}

fn forty_kills(host: &Host) -> Verdict {
    bridge(host)?;
    let started = whole(host, "whole")?;
    let name = started.name.as_str();
    let before = Snapshot::take(&host.scope())?;
    let start = || host.start(&["start", name, "--", "touch", "/there"]);
    // Two whole ones, to know how long they take.
    let whole = start()?.finish(PATIENCE)?.took.max(start()?.finish(PATIENCE)?.took);
    started.stop()?;
    case::nothing_left(host, &before)?;

    let seed = seed();
    eprintln!("{FIGURE}SUBHOST_SEED={seed} repeats these moments, as far as the machine does");
    let mut random = Random::new(seed);
    let (mut nothing, mut something) = (0, 0);
    for round in 0..40 {
        // Half of them enter again what lingers.
        if round % 2 == 1 {
            started.run("true")?;
        }
        // Some early, so that there are kills before anything has a name.
        let moment = random.below(if round % 4 == 0 { whole / 4 } else { whole });
        let mut command = start()?;
        command.wait(moment)?;
        command.kill()?;
        drop(command);
        let state = started.row()?["state"].as_str().unwrap_or_default().to_owned();
        if state == "stopped" {
            nothing += 1
        } else {
            something += 1
        }
        if round % 4 < 2 {
            // What was begun goes on to its end, or was none.
            host.done(&["wait", name])?;
            started.run("true")?;
            started.identity()?;
        }
        started.stop().map_err(|error| format!("killed after {moment:?}, {state}: {error}"))?;
        case::nothing_left(host, &before)
            .map_err(|error| format!("killed after {moment:?}, {state}: {error}"))?;
    }
    eprintln!("{FIGURE}of 40 kills {nothing} left nothing and {something} what lingered or ran");
    assert!(nothing > 0 && something > 0, "all kills fell on one side");
    Ok(())
}
