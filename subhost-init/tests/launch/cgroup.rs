//! Cgroups of guests: born into them, limited, frozen, killed, removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use subhost_init::Error;
use subhost_init::cgroup::{
    Cgroup, CgroupPlan, DeviceKind, DeviceRule, Hierarchies, Limits, PARENT, Subject, Unified, sweep,
};
use subhost_init::enter::Enter;
use subhost_init::launch::{Ended, Launch};

use crate::Test;
use crate::stage::{IDLE, IdleGuest, on_stage, output_pipe, read_all, strings};

pub(crate) const TESTS: [Test; 10] = [
    ("a_guest_and_its_commands_are_in_its_cgroup", a_guest_and_its_commands_are_in_its_cgroup),
    ("limits_are_in_place_before_a_guest_runs", limits_are_in_place_before_a_guest_runs),
    ("a_frozen_guest_stands_still", a_frozen_guest_stands_still),
    ("killing_a_cgroup_ends_the_guest", killing_a_cgroup_ends_the_guest),
    ("the_device_filter_holds_by_itself", the_device_filter_holds_by_itself),
    ("a_cgroup_that_is_not_kept_is_removed", a_cgroup_that_is_not_kept_is_removed),
    ("what_a_killed_boot_left_is_replaced", what_a_killed_boot_left_is_replaced),
    ("one_with_processes_of_others_is_left_alone", one_with_processes_of_others_is_left_alone),
    ("what_is_in_a_cgroup_goes_with_it", what_is_in_a_cgroup_goes_with_it),
    ("names_that_lead_elsewhere_are_refused", names_that_lead_elsewhere_are_refused),
];

/// How long the kernel may take for what it does by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the hierarchy of version 2 is mounted on this host, if it is.
pub(crate) fn mount_point() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let target = words.nth(1)?;
        (words.next()? == "cgroup2").then(|| target.into())
    })
}

/// A name that no other test has.
fn name(test: &str) -> String {
    format!("test-{}-{test}", std::process::id())
}

fn plain(test: &str) -> CgroupPlan {
    let host = Hierarchies::observe_unified().unwrap();
    CgroupPlan::make(&name(test), &Limits::default(), &[], &host)
}

/// The directories with this name in all hierarchies.
fn there(test: &str) -> Vec<PathBuf> {
    let host = Hierarchies::observe().unwrap();
    let legacy = host.legacy.into_iter().map(|it| it.mount_point);
    let all = legacy.chain(host.unified.map(|it| it.mount_point));
    all.map(|it| it.join(PARENT).join(name(test))).filter(|path| path.exists()).collect()
}

fn launch_into<'fd>(launch: Launch<'fd>, cgroup: &Cgroup) -> Launch<'fd> {
    launch.cgroup(cgroup.unified().unwrap()).legacy_cgroups(cgroup.legacy_entries().unwrap())
}

/// A shell outside of any guest, with all the power of root, in a cgroup of version 2 or of its own choice.
fn shell(directories: &[PathBuf], script: &str) -> Command {
    let enter: String =
        directories.iter().map(|path| format!("echo $$ >{}/cgroup.procs\n", path.display())).collect();
    let mut command = Command::new("sh");
    command.args(["-ec", &format!("{enter}{script}")]);
    command
}

fn paths(cgroup: &Cgroup) -> Vec<PathBuf> {
    cgroup.directories().into_iter().map(|it| it.path).collect()
}

fn a_guest_and_its_commands_are_in_its_cgroup() {
    let mut cgroup = plain("born").create().unwrap();
    assert_eq!(cgroup.unenforced(), []);
    on_stage(|stage| {
        let guest = IdleGuest::of(launch_into(stage.script(IDLE), &cgroup));
        let outside = fs::read_to_string(format!("/proc/{}/cgroup", guest.pid())).unwrap();
        let own = format!("0::/{PARENT}/{}", name("born"));
        assert!(outside.lines().any(|line| line == own), "{outside}");

        let (stdio, mut output) = output_pipe();
        let mut entered = Enter::new(guest.pidfd())
            .argv(strings(&["grep", "^0:", "/proc/1/cgroup", "/proc/self/cgroup"]))
            .environment(strings(&["PATH=/bin"]))
            .stdio(stdio)
            .cgroup(cgroup.unified().unwrap())
            .start()
            .unwrap();
        // The root of what it sees is its own.
        assert_eq!(read_all(&mut output), "/proc/1/cgroup:0::/\n/proc/self/cgroup:0::/\n");
        assert_eq!(entered.wait().unwrap(), 0);
        guest.finish();
    });
    cgroup.remove().unwrap();
    assert_eq!(there("born"), Vec::<PathBuf>::new());
}

fn limits_are_in_place_before_a_guest_runs() {
    let limits = Limits {
        tasks: Some(20),
        memory_bytes: Some(64 << 20),
        cpu_thousandths: Some(500),
        ..Limits::default()
    };
    let plan = CgroupPlan::make(&name("limits"), &limits, &[], &Hierarchies::observe().unwrap());
    let mut cgroup = plan.create().unwrap();
    assert_eq!(cgroup.unenforced(), []);
    let read = |file: &str| {
        let found = paths(&cgroup).into_iter().map(|path| path.join(file)).find(|path| path.exists());
        found.map(|path| fs::read_to_string(path).unwrap().trim_end().to_owned())
    };
    assert_eq!(read("pids.max").unwrap(), "20");
    assert_eq!(read("memory.max").or(read("memory.limit_in_bytes")).unwrap(), "67108864");
    assert_eq!(read("cpu.max").or(read("cpu.cfs_quota_us")).unwrap().split(' ').next(), Some("50000"));
    on_stage(|stage| {
        let guest = IdleGuest::of(launch_into(stage.script(IDLE), &cgroup));
        for path in paths(&cgroup) {
            let pids = fs::read_to_string(path.join("cgroup.procs")).unwrap();
            assert_eq!(pids, format!("{}\n", guest.pid()), "{}", path.display());
        }
        // Each of them is a root of what the guest sees.
        let (stdio, mut output) = output_pipe();
        let mut entered = Enter::new(guest.pidfd())
            .argv(strings(&["grep", "-c", PARENT, "/proc/1/cgroup", "/proc/self/cgroup"]))
            .environment(strings(&["PATH=/bin"]))
            .stdio(stdio)
            .cgroup(cgroup.unified().unwrap())
            .legacy_cgroups(cgroup.legacy_entries().unwrap())
            .start()
            .unwrap();
        assert_eq!(read_all(&mut output), "/proc/1/cgroup:0\n/proc/self/cgroup:0\n");
        entered.wait().unwrap();
        guest.finish();
    });
    cgroup.remove().unwrap();
    assert_eq!(there("limits"), Vec::<PathBuf>::new());
}

fn a_frozen_guest_stands_still() {
    let mut cgroup = plain("frozen").create().unwrap();
    on_stage(|stage| {
        let guest = IdleGuest::of(launch_into(stage.script("echo up; while :; do :; done"), &cgroup));
        let user_time = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", guest.pid())).unwrap();
            let rest = &stat[stat.rfind(')').unwrap() + 2..];
            rest.split(' ').nth(11).unwrap().parse::<u64>().unwrap()
        };
        assert!(cgroup.freeze(PATIENCE).unwrap());
        let frozen = user_time();
        // An absence can only be seen by waiting; a clock tick is a hundredth of a second at most.
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(user_time(), frozen);
        assert!(cgroup.thaw(PATIENCE).unwrap());
        let deadline = Instant::now() + PATIENCE;
        while user_time() == frozen {
            assert!(Instant::now() < deadline, "it does not go on");
            std::thread::yield_now();
        }
        guest.finish();
    });
    cgroup.remove().unwrap();
}

/// Frozen, too.
fn killing_a_cgroup_ends_the_guest() {
    let cgroup = plain("killed").create().unwrap();
    on_stage(|stage| {
        let guest = launch_into(stage.script("sleep 600 & sleep 600"), &cgroup);
        let mut running = guest.start().unwrap().go().unwrap();
        assert!(cgroup.freeze(PATIENCE).unwrap());
        assert!(cgroup.kill().unwrap());
        assert_eq!(running.wait().unwrap(), Ended::Killed(9));
    });
    drop(cgroup);
    assert_eq!(there("killed"), Vec::<PathBuf>::new());
}

/// Without any other wall: as root of the host, with every capability.
fn the_device_filter_holds_by_itself() {
    let directory = tempfile::tempdir_in("/dev").unwrap();
    let node = |name: &str| directory.path().join(name);
    for (name, device) in [("loop", "b 7 0"), ("kmsg", "c 1 11"), ("fuse", "c 10 229")] {
        let words = format!("mknod {} {device}", node(name).display());
        assert!(shell(&[], &words).status().unwrap().success(), "{words}");
    }
    let fuse = DeviceRule { kind: DeviceKind::Char, major: 10, minor: Some(229), writable: true };
    let host = Hierarchies::observe().unwrap();
    let devices = host.legacy_with("devices").cloned();
    let by_program = Hierarchies { legacy: Vec::new(), ..host };
    let by_controller = devices.map(|it| Hierarchies { unified: None, legacy: vec![it] });
    for (host, way) in [(Some(by_program), "program"), (by_controller, "controller")] {
        // A host has the controller of version 1 or it has not.
        let Some(host) = host else { continue };
        for allowed in [vec![], vec![fuse]] {
            let plan =
                CgroupPlan::make(&name(&format!("devices-{way}")), &Limits::default(), &allowed, &host);
            let mut cgroup = plan.create().unwrap();
            assert!(
                cgroup.has_device_filter() && cgroup.unenforced().is_empty(),
                "{:?}",
                cgroup.unenforced()
            );
            let refused = |words: &str| {
                let output = shell(&paths(&cgroup), words).output().unwrap();
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(!output.status.success(), "{way}: {words}");
                text.contains("Operation not permitted")
            };
            assert!(refused(&format!("exec <{}", node("loop").display())), "{way}");
            assert!(refused(&format!("exec <{}", node("kmsg").display())), "{way}");
            assert!(refused(&format!("mknod {} b 7 0", node("new").display())), "{way}");
            // Whether such a device is there, and ready, is another question.
            let fuse = shell(&paths(&cgroup), &format!("exec <{}", node("fuse").display())).output().unwrap();
            let text = String::from_utf8_lossy(&fuse.stderr);
            assert_eq!(text.contains("Operation not permitted"), allowed.is_empty(), "{way}: {text}");
            let usual = "head -c1 /dev/zero /dev/urandom >/dev/null; exec <>/dev/ptmx";
            assert!(shell(&paths(&cgroup), usual).status().unwrap().success(), "{way}");
            cgroup.remove().unwrap();
        }
    }
}

fn a_cgroup_that_is_not_kept_is_removed() {
    let cgroup = plain("dropped").create().unwrap();
    assert_eq!(there("dropped"), paths(&cgroup));
    drop(cgroup);
    assert_eq!(there("dropped"), Vec::<PathBuf>::new());
}

fn what_a_killed_boot_left_is_replaced() {
    let first = plain("left").create().unwrap().keep();
    let mut second = plain("left").create().unwrap();
    assert_ne!(first, second.directories());
    // Who remembers the first does not touch the second.
    Cgroup::open(&first).unwrap().remove().unwrap();
    assert_eq!(there("left"), paths(&second));
    second.keep();
    drop(second);
    sweep(&name("left"), &Hierarchies::observe().unwrap()).unwrap();
    assert_eq!(there("left"), Vec::<PathBuf>::new());
    // And there is nothing to sweep.
    sweep(&name("left"), &Hierarchies::observe().unwrap()).unwrap();
}

fn one_with_processes_of_others_is_left_alone() {
    let cgroup = plain("busy").create().unwrap();
    let mut child = shell(&paths(&cgroup), "exec cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while fs::read_to_string(paths(&cgroup)[0].join("cgroup.procs")).unwrap().is_empty() {
        assert!(Instant::now() < deadline, "nobody in it");
        std::thread::yield_now();
    }
    let inside = paths(&cgroup)[0].join("inside");
    fs::create_dir(&inside).unwrap();
    assert!(matches!(plain("busy").create(), Err(Error::Refused { .. })));
    assert!(sweep(&name("busy"), &Hierarchies::observe().unwrap()).is_err());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success(), "it was killed");
    assert!(inside.exists());
}

fn what_is_in_a_cgroup_goes_with_it() {
    let mut cgroup = plain("nested").create().unwrap();
    let top = paths(&cgroup).remove(0);
    fs::create_dir_all(top.join("a/b")).unwrap();
    fs::create_dir(top.join("c")).unwrap();
    let mut child = shell(&[top.join("a/b")], "echo in; exec sleep 600")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut word = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).unwrap();
    cgroup.remove().unwrap();
    assert!(!child.wait().unwrap().success(), "it was not killed");
    assert_eq!(there("nested"), Vec::<PathBuf>::new());
}

fn names_that_lead_elsewhere_are_refused() {
    let unified = Unified { mount_point: mount_point().unwrap(), controllers: Vec::new() };
    let host = Hierarchies { unified: Some(unified), legacy: Vec::new() };
    for name in ["", ".", "..", "../x", "a/b", "a\nb"] {
        let made = CgroupPlan::make(name, &Limits::default(), &[], &host).create();
        assert!(matches!(made, Err(Error::Refused { .. })), "{name:?}");
        assert!(matches!(sweep(name, &host), Err(Error::Refused { .. })), "{name:?}");
    }
    // Nor is anything made where no hierarchy is.
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = |path: &Path| Hierarchies {
        unified: Some(Unified { mount_point: path.to_owned(), controllers: Vec::new() }),
        legacy: Vec::new(),
    };
    let made = CgroupPlan::make("x", &Limits::default(), &[], &elsewhere(directory.path())).create().unwrap();
    assert_eq!(made.directories(), []);
    assert_eq!(made.unenforced()[0].subject, Subject::Devices);
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(mount_point().unwrap(), &link).unwrap();
    let made = CgroupPlan::make("x", &Limits::default(), &[], &elsewhere(&link)).create();
    assert!(matches!(made, Err(Error::System { .. })));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
