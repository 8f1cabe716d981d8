//! Cgroups of guests: limits that hold, devices, what is said where they do not hold, and that nothing of them stays.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use subhost_tests::case::{Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::boot;
use crate::logs::eventually;

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_fork_bomb_is_stopped_at_tasks_and_can_be_ended", needs: NEEDS, body: fork_bomb },
    Case { name: "a_hog_is_killed_at_memory_and_the_guest_goes_on", needs: NEEDS, body: memory_hog },
    Case { name: "cpus_are_in_place_and_shown", needs: NEEDS, body: cpus },
    Case { name: "a_stopped_or_frozen_guest_is_ended_by_force", needs: NEEDS, body: standing_still },
    Case { name: "cgroups_of_version_2_are_mounted_where_there_are_none", needs: NEEDS, body: mounted },
    Case { name: "a_limit_that_cannot_be_enforced_is_told", needs: NEEDS, body: no_cgroups },
    Case {
        name: "cgroups_go_with_the_guest_also_when_the_supervisor_was_killed",
        needs: NEEDS,
        body: removed,
    },
    Case {
        name: "the_cgroup_of_a_killed_boot_is_swept_and_a_strangers_left_alone",
        needs: NEEDS,
        body: leftovers,
    },
    Case {
        name: "guest_root_cannot_write_to_any_cgroup",
        needs: &[Need::Program, Need::PlainRoot],
        body: release_agent,
    },
    Case { name: "devices_of_the_host_are_there_as_configured", needs: NEEDS, body: devices },
];

/// Where the program mounts cgroups of version 2.
const OWN: &str = "/run/subhost/cgroup";
const PATIENCE: Duration = Duration::from_secs(30);

/// A subhost with one disk and these lines in its configuration.
fn configured(host: &Host, lines: &str) -> io::Result<String> {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\nSTOP_TIMEOUT=3s\n{lines}\n", image.display()))?;
    Ok(name)
}

/// The mount points of all hierarchies that limit something.
pub(crate) fn hierarchies() -> io::Result<BTreeSet<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let of_cgroups = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let point = words.nth(1)?;
        let kind = words.next()?;
        (kind.starts_with("cgroup") && !words.next()?.contains("name=")).then(|| PathBuf::from(point))
    });
    Ok(of_cgroups.collect())
}

/// The directories of a subhost's cgroup.
fn directories(name: &str) -> io::Result<Vec<PathBuf>> {
    let all = hierarchies()?.into_iter().map(|point| point.join("subhost").join(name));
    Ok(all.filter(|path| path.exists()).collect())
}

/// The first of these files in the subhost's cgroup, with what is in it.
pub(crate) fn value(name: &str, files: &[&str]) -> io::Result<String> {
    let paths = directories(name)?.into_iter().flat_map(|path| files.iter().map(move |file| path.join(file)));
    let path = paths.into_iter().find(|path| path.exists());
    let path = path.ok_or_else(|| io::Error::other(format!("{name} has none of {files:?}")))?;
    Ok(fs::read_to_string(path)?.trim_end().to_owned())
}

/// Row S2 of docs/security.md.
fn fork_bomb(host: &Host) -> Verdict {
    let name = configured(host, "TASKS=20")?;
    let guest = boot(host, &name)?;
    assert_eq!(value(&name, &["pids.max"])?, "20");
    let bomb = "b() { b | b & }; b; while :; do sleep 600 & done";
    let lit = host.start(&["enter", &name, "--", "sh", "-c", bomb])?;
    // Until the kernel has refused one.
    let deadline = std::time::Instant::now() + PATIENCE;
    while !value(&name, &["pids.events"])?.lines().any(|line| line.starts_with("max ") && line != "max 0") {
        assert!(std::time::Instant::now() < deadline, "nothing was refused");
        assert!(value(&name, &["pids.current"])?.parse::<u32>()? <= 20);
    }
    // The host forks on.
    host.witness("true", &[])?;
    let stop = host.start(&["stop", &name])?.finish(PATIENCE)?;
    assert_eq!(stop.code, 0, "{stop}");
    eprintln!("{FIGURE}stopped a fork bomb with STOP_TIMEOUT=3s after {:?}", stop.took);
    assert!(guest.ends(Duration::ZERO)?);
    drop(lit);
    assert_eq!(directories(&name)?, Vec::<PathBuf>::new());
    Ok(())
}

fn memory_hog(host: &Host) -> Verdict {
    let name = configured(host, "MEMORY=32M")?;
    let guest = boot(host, &name)?;
    assert_eq!(value(&name, &["memory.max", "memory.limit_in_bytes"])?, "33554432");
    // It keeps all that it has read, as it waits for the end of a line.
    let hog = |name: &str| {
        host.subhostctl(&["enter", name, "--", "sh", "-c", "head -c 100m /dev/zero | tail -n 1 | wc -c"])
    };
    let killed = hog(&name)?;
    assert_eq!(killed.stdout.trim(), "0", "{killed}");
    assert!(!guest.ends(Duration::ZERO)?, "the guest has ended with it");
    assert_eq!(host.done(&["enter", &name, "--", "echo", "on"])?, "on\n");
    host.done(&["stop", &name])?;
    // The witness: what is not limited goes through.
    host.config(
        &name,
        &fs::read_to_string(host.root_dir().join(&name).join("config"))?.replace("MEMORY=32M", ""),
    )?;
    boot(host, &name)?;
    let through = hog(&name)?;
    assert_eq!(through.stdout.trim(), "104857600", "{through}");
    host.done(&["stop", &name])?;
    Ok(())
}

fn cpus(host: &Host) -> Verdict {
    let name = configured(host, "CPUS=0.25\nTASKS=100")?;
    let plan: serde_json::Value = serde_json::from_str(&host.done(&["plan", &name, "--json"])?)?;
    assert_eq!(plan["cgroup"]["limits"], serde_json::json!(["CPUS=0.25", "TASKS=100"]));
    let planned = plan["cgroup"]["directories"].as_array().map_or(0, Vec::len);
    let guest = boot(host, &name)?;
    assert_eq!(directories(&name)?.len(), planned);
    let quota = value(&name, &["cpu.max", "cpu.cfs_quota_us"])?;
    assert_eq!(quota.split(' ').next(), Some("25000"));
    assert_eq!(guest.field("isolation")["cgroup"], true);
    let status = host.done(&["status", &name])?;
    assert!(status.contains("CPUS=0.25") && status.contains("/subhost/"), "{status}");
    // Each hierarchy that it is in begins with it, for itself and for who enters.
    let seen = host.done(&["enter", &name, "--", "cat", "/proc/1/cgroup", "/proc/self/cgroup"])?;
    assert!(!seen.contains(&name), "{seen}");
    for path in directories(&name)? {
        let pids = fs::read_to_string(path.join("cgroup.procs"))?;
        assert!(pids.lines().any(|pid| pid == guest.init_pid().to_string()), "{}: {pids}", path.display());
    }
    host.done(&["stop", &name])?;
    Ok(())
}

/// Row S2 of docs/security.md.
fn standing_still(host: &Host) -> Verdict {
    let name = configured(host, "STOP_TIMEOUT=1s")?;
    let guest = boot(host, &name)?;
    guest.signal_init(Signal::STOP)?;
    let stop = host.start(&["stop", &name])?.finish(PATIENCE)?;
    assert!(stop.code == 0 && guest.ends(Duration::ZERO)?, "{stop}");
    let guest = boot(host, &name)?;
    for path in directories(&name)? {
        let freeze = path.join("cgroup.freeze");
        if freeze.exists() {
            fs::write(freeze, "1")?;
        }
    }
    let stop = host.start(&["stop", &name])?.finish(PATIENCE)?;
    assert!(stop.code == 0 && guest.ends(Duration::ZERO)?, "{stop}");
    Ok(())
}

fn no_cgroups(host: &Host) -> Verdict {
    // Their mounts are in the table still, and nobody gets there.
    let places: BTreeSet<PathBuf> = hierarchies()?;
    for place in &places {
        host.witness("mount", &["-t", "tmpfs", "none", &place.to_string_lossy()])?;
    }
    // Nor can they be mounted anew.
    fs::DirBuilder::new().mode(0o700).create("/run/subhost")?;
    fs::write(OWN, "")?;
    let name = configured(host, "TASKS=20\nMEMORY=32M")?;
    for command in [&["plan", &name][..], &["boot", &name, "--detach"]] {
        let outcome = host.subhostctl(command)?;
        assert_eq!(outcome.code, 0, "{outcome}");
        for what in
            ["TASKS is not enforced: ", "MEMORY is not enforced: ", "the device filter is not enforced: "]
        {
            assert!(outcome.stderr.contains(what), "{what}: {outcome}");
        }
    }
    let status = host.done(&["status", &name])?;
    assert!(status.contains("TASKS is not enforced: "), "{status}");
    let guest = host.running(&name)?;
    assert_eq!(guest.field("isolation")["device_filter"], false);
    host.done(&["enter", &name, "--", "true"])?;
    host.done(&["stop", &name])?;
    fs::remove_file(OWN)?;
    for place in &places {
        assert_eq!(fs::read_dir(place)?.count(), 0);
        host.witness("umount", &[&place.to_string_lossy()])?;
    }
    Ok(())
}

/// On a host that has version 1 alone, and on one that has none.
fn mounted(host: &Host) -> Verdict {
    let name = configured(host, "TASKS=20")?;
    let there = fs::read_to_string("/proc/self/mounts")?;
    let unified = there.lines().filter(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let unified: Vec<&str> = unified.filter_map(|line| line.split(' ').nth(1)).collect();
    for place in &unified {
        host.witness("umount", &[place])?;
    }
    let others = hierarchies()?;
    for alone in [true, false] {
        let plan = host.subhostctl(&["plan", &name])?;
        assert!(plan.stderr.contains(&format!("boot mounts them at {OWN}")), "{plan}");
        let boots: Vec<_> =
            (0..2).map(|_| host.start(&["boot", "--detach", &name])).collect::<Result<_, _>>()?;
        for boot in boots {
            boot.finish(PATIENCE)?;
        }
        let guest = host.running(&name)?;
        assert_eq!(host.witness("findmnt", &["-n", "-o", "FSTYPE", OWN])?, "cgroup2\n");
        if alone {
            assert_eq!(value(&name, &["pids.max"])?, "20");
        }
        assert_eq!(guest.field("isolation")["device_filter"], true);
        host.done(&["pause", &name])?;
        host.done(&["resume", &name])?;
        // What it has started itself dies with a command whose client is killed.
        let mut client = host.start(&["exec", &name, "--", "sh", "-c", "setsid sleep 1001 & wait"])?;
        let runs = || host.subhostctl(&["exec", &name, "--", "pidof", "sleep"]).map(|told| told.code == 0);
        eventually("it runs", runs)?;
        client.kill()?;
        eventually("it is killed", || runs().map(|runs| !runs))?;
        client.finish(PATIENCE)?;
        host.done(&["stop", &name])?;
        assert_eq!(directories(&name)?, Vec::<PathBuf>::new());
        host.witness("umount", &[OWN])?;
        fs::remove_dir(OWN)?;
        if alone {
            others
                .iter()
                .try_for_each(|place| host.witness("umount", &[&place.to_string_lossy()]).map(drop))?;
        }
    }
    // As it was, to be compared.
    for line in
        there.lines().filter(|line| line.split(' ').nth(2).is_some_and(|kind| kind.starts_with("cgroup")))
    {
        let words: Vec<&str> = line.split(' ').collect();
        let [source, place, kind, options] = words[..4] else { return Err(line.into()) };
        if unified.contains(&place) || others.contains(Path::new(place)) {
            host.witness("mount", &["-t", kind, "-o", options, source, place])?;
        }
    }
    Ok(())
}

fn removed(host: &Host) -> Verdict {
    let name = configured(host, "TASKS=100")?;
    let guest = boot(host, &name)?;
    let made = directories(&name)?;
    assert!(!made.is_empty());
    // By itself.
    guest.write_initctl(b"0")?;
    assert!(guest.supervisor()?.ends(PATIENCE)?);
    assert_eq!(directories(&name)?, Vec::<PathBuf>::new());
    // Without the one who would do it.
    let guest = boot(host, &name)?;
    guest.supervisor()?.signal(Signal::KILL)?;
    assert_eq!(directories(&name)?, made);
    host.done(&["stop", &name])?;
    assert_eq!(directories(&name)?, Vec::<PathBuf>::new());
    // By the next boot.
    let guest = boot(host, &name)?;
    guest.supervisor()?.signal(Signal::KILL)?;
    guest.signal_init(Signal::KILL)?;
    assert!(guest.ends(PATIENCE)?);
    assert_eq!(directories(&name)?, made);
    boot(host, &name)?;
    host.done(&["stop", &name])?;
    assert_eq!(directories(&name)?, Vec::<PathBuf>::new());
    Ok(())
}

fn leftovers(host: &Host) -> Verdict {
    let name = configured(host, "TASKS=100")?;
    let disk = format!("vda:1:{}", host.directory().join(Fixture::TinyMbr.file_name()).display());
    boot(host, &name)?;
    let own = directories(&name)?;
    let leave = || own.iter().try_for_each(fs::create_dir);
    // That of version 2; without one, that of `devices`, the first by name.
    let unified = own.iter().find(|path| path.join("cgroup.controllers").exists());
    let main = unified.or(own.first()).ok_or("no cgroup")?.clone();
    host.done(&["stop", &name])?;
    leave()?;
    boot(host, &name)?;
    assert_eq!(directories(&name)?, own);
    host.done(&["stop", &name])?;
    leave()?;
    host.done(&["stop", &name])?;
    assert_eq!(directories(&name)?, Vec::<PathBuf>::new());

    // Of a stranger, whom nobody may kill for his name.
    leave()?;
    let procs = main.join("cgroup.procs");
    let mut stranger = Command::new("sh")
        .args(["-c", &format!("echo $$ >{} && exec cat", procs.display())])
        .stdin(std::process::Stdio::piped())
        .spawn()?;
    while fs::read_to_string(&procs)?.is_empty() {
        assert!(stranger.try_wait()?.is_none());
        std::thread::yield_now();
    }
    let refused = host.subhostctl(&["boot", &name, "--detach"])?;
    assert!(refused.code != 0 && refused.stderr.contains("cgroup"), "{refused}");
    assert!(host.guest(&name)?.is_none_or(|guest| guest.state() == "stopped"));
    drop(stranger.stdin.take());
    assert!(stranger.wait()?.success(), "it was killed");
    host.done(&["stop", &name])?;

    // Nobody boots a second one of the name that a `run` had: the next of them sweeps, but what a process may still want.
    let parent = main.parent().ok_or("a cgroup without a parent")?;
    let of = |pid: u32| {
        Ok::<_, io::Error>(parent.join(format!("run-{pid}.{}", fs::metadata("/proc/self/ns/pid")?.ino())))
    };
    let (dead, alive) = (of(stranger.id())?, of(std::process::id())?);
    fs::create_dir(&dead)?;
    fs::create_dir(&alive)?;
    host.done(&["run", "--disk", &disk, "--", "/bin/true"])?;
    assert!(!dead.exists() && alive.exists());
    fs::remove_dir(alive)?;
    Ok(())
}

/// Mounts what there is of cgroups, and opens for writing what could reach out of them. It says what it could.
const WRITE: &str = r#"
    mkdir /tmp/cg && cd /tmp/cg
    try() {
        mount -t cgroup2 x /tmp/cg && echo mounted 2 && look && umount /tmp/cg
        for controller in cpu cpuacct cpuset memory devices freezer blkio pids name=systemd; do
            mount -t cgroup -o $controller x /tmp/cg && echo mounted $controller && look && umount /tmp/cg
        done
    }
    look() {
        for file in $(find /tmp/cg -name release_agent -o -name cgroup.procs -o -name '*.max' -o -name notify_on_release); do
            (: >>$file) && echo wrote $file
        done
        mkdir /tmp/cg/made && { echo made $PWD; rmdir /tmp/cg/made; }
        true
    }
    find / -xdev -name release_agent
    try
    export -f try look
    unshare -UrmC bash -c try
    echo done
"#;

/// Row M5 of docs/security.md.
fn release_agent(host: &Host) -> Verdict {
    let inside = host.subhostctl(&["run", "--nesting", "--overlay", "/", "--", "bash", "-c", WRITE])?;
    assert_eq!(inside.code, 0, "{inside}");
    assert!(inside.stdout.ends_with("done\n") && inside.stdout.contains("mounted "), "{inside}");
    for harm in ["wrote ", "made ", "release_agent"] {
        assert!(!inside.stdout.contains(harm), "{harm}: {inside}");
    }
    // The witness: who is not kept apart can. In a mount namespace of its own.
    let outside = host.witness("unshare", &["-m", "bash", "-c", WRITE])?;
    assert!(outside.contains("wrote ") && outside.contains("made "), "{outside}");
    Ok(())
}

fn devices(host: &Host) -> Verdict {
    let open = |name: &str, how: &str| {
        host.subhostctl(&["enter", name, "--", "sh", "-c", &format!(": {how}/dev/loop-control")])
    };
    let name = configured(host, "DEVICES=( /dev/loop-control )")?;
    let plan = host.done(&["plan", &name])?;
    assert!(plan.contains("/dev/loop-control"), "{plan}");
    boot(host, &name)?;
    assert_eq!(open(&name, "<>")?.code, 0);
    host.done(&["stop", &name])?;

    let config = |lines: &str| configured(host, lines);
    config("DEVICES=( /dev/loop-control:ro )")?;
    boot(host, &name)?;
    let (read, written) = (open(&name, "<")?, open(&name, ">>")?);
    assert_eq!(read.code, 0, "{read}");
    assert_ne!(written.code, 0, "{written}");
    host.done(&["stop", &name])?;

    config("DEVICES=( /dev/no-such-device /dev/null )")?;
    let refused = host.subhostctl(&["boot", &name, "--detach"])?;
    assert_eq!(refused.code, 2, "{refused}");
    for what in ["/dev/no-such-device: No such file", "/dev/null: every guest has its own"] {
        assert!(refused.stderr.contains(what), "{refused}");
    }
    assert!(!Path::new("/dev/no-such-device").exists());
    Ok(())
}
