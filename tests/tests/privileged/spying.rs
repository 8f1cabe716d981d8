//! Guest root who watches for what comes in from the host.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use subhost_tests::canary::Canary;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::{enemy, program};

use crate::boot;
use crate::joining::Scripted;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_command_on_its_way_in_cannot_be_opened_traced_or_written",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: on_the_way,
    },
    Case {
        name: "no_descriptor_of_the_host_comes_in_with_a_program",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: descriptors,
    },
    Case {
        name: "no_working_directory_leads_out",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: directories,
    },
    Case {
        name: "nothing_listens_where_a_guest_could_reach_it",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: sockets,
    },
    Case {
        name: "a_supervisor_survives_whatever_is_said_for_pid_1",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: talk,
    },
];

const PATIENCE: Duration = Duration::from_secs(60);

/// How many commands come in while they are watched.
const COMMANDS: usize = 200;

/// Watches all processes until `/tmp/stop` is there, with what the shell has built in. Of a process whose program can be
/// looked at, and that is not the guest's own, it says what it could do. `execve(2)` shows for a moment what it is about to
/// close; beside 0, 1 and 2 that is one end of a socket.
const SPY: &str = r#"
    seen=0
    found() { echo found $*; grep -q $1 /tmp/found || echo $1 >>/tmp/found; sleep 0.01; }
    while [ ! -e /tmp/stop ]; do
        for process in /proc/[0-9]*; do
            [ $process = /proc/1 ] || [ $process = /proc/$$ ] && continue
            seen=$((seen+1))
            exe=$process/exe
            if [ -e $exe ] && ! [ $exe -ef /bin/busybox ] && [ -e $exe ]; then
                found exe $process
                true 8<>$exe && found written $process
                true 8<>$process/mem && found traced $process
                [ $process/ns/mnt -ef /proc/1/ns/mnt ] || found namespace $process
            fi
            set -- $process/fd/*
            [ $# -gt 4 ] && found more $*
            for fd; do [ -d $fd ] || [ -f $fd ] || [ -b $fd ] && found open $fd; done
        done 2>/dev/null
    done
    echo looked $seen
"#;

/// Rows F1 and F3 of docs/security.md.
fn on_the_way(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let ours = program::path()?;
    let before = (fs::read(&ours)?, fs::metadata(&ours)?.mtime());
    let canary = Canary::plant(host)?;
    let guest = Scripted::start(host, &tree, SPY)?;
    for _ in 0..COMMANDS {
        let outcome = guest.exec(host, &["--", "true"])?;
        assert_eq!(outcome.code, 0, "{outcome}");
    }
    let said = guest.finish(host)?.stdout;
    let looked: usize = said.lines().find_map(|line| line.strip_prefix("looked ")?.parse().ok()).unwrap_or(0);
    assert!(looked >= COMMANDS && !said.contains("found"), "{said}");
    assert!((fs::read(&ours)?, fs::metadata(&ours)?.mtime()) == before, "our program has changed");
    canary.unharmed()?;

    // The witness: a program of the host that joins without care, and a directory that it brings along.
    let guest = Scripted::start(host, &tree, SPY)?;
    let init = guest.guest(host)?.init_pid().to_string();
    let mut careless = Command::new("nsenter");
    careless.args(["-t", &init, "--user", "--pid", "--", "sleep", "1000"]);
    careless.stdin(fs::File::open("/")?);
    let mut careless = careless.spawn()?;
    let watched = guest.guest(host)?;
    for what in ["exe", "traced", "namespace", "open"] {
        let noticed = watched.wait_for_line("/tmp/found", what, PATIENCE);
        noticed.map_err(|error| format!("nobody notices {what}: {error}"))?;
    }
    guest.finish(host)?;
    careless.wait()?;
    Ok(())
}

/// Row F2 of docs/security.md.
fn descriptors(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let path = tree.to_string_lossy().into_owned();
    let directory = fs::File::open("/")?;
    let leaked = rustix::io::fcntl_setfd(&directory, rustix::io::FdFlags::empty());
    leaked?;
    // The shell's own numbers: a glob needs one for the directory, which is closed by the time that they are shown.
    let script = "for fd in /proc/self/fd/*; do [ -e $fd ] || [ -L $fd ] && echo ${fd##*/} $(readlink $fd); done; \
        echo cwd $(readlink /proc/self/cwd) root $(readlink /proc/self/root)";
    let numbers = |said: &str| -> BTreeSet<String> {
        said.lines().filter(|line| !line.starts_with("cwd")).map(|line| line[..1].to_owned()).collect()
    };
    let expected: BTreeSet<String> = ["0", "1", "2"].map(str::to_owned).into();
    let guest = Scripted::start(host, &tree, "")?;
    let joined = guest.exec(host, &["--", "sh", "-c", script])?;
    let run = host.subhostctl(&["run", "--root", &path, "--", "sh", "-c", script])?;
    for outcome in [&joined, &run] {
        assert_eq!(numbers(&outcome.stdout), expected, "{outcome}");
        let kinds = outcome.stdout.lines().filter(|line| line.contains(" pipe:[")).count();
        assert_eq!(kinds, 3, "{outcome}");
        assert!(outcome.stdout.ends_with("cwd / root /\n"), "{outcome}");
    }
    guest.finish(host)?;
    drop(directory);

    // PID 1 has the socket to its supervisor and the console, too.
    let image = host.ext4_of(&tree, "root.ext4")?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{} )\n", image.display()))?;
    let guest = boot(host, &name)?;
    let process = format!("/proc/{}", guest.init_pid());
    for entry in fs::read_dir(format!("{process}/fd"))? {
        let entry = entry?;
        let number: u32 = entry.file_name().to_string_lossy().parse()?;
        let target = fs::read_link(entry.path())?.to_string_lossy().into_owned();
        let device = fs::metadata(entry.path())?.rdev();
        let fits = match number {
            // A slave of /dev/pts, and its master; 5 is kept for a socket to the next supervisor.
            0..=2 | 5 => rustix::fs::major(device) == 136,
            4 => device == rustix::fs::makedev(5, 2),
            3 => target.starts_with("socket:["),
            _ => target == "/run/initctl" || target == "anon_inode:[signalfd]",
        };
        assert!(fits, "{number} is {target}");
    }
    let same = |one: &str, other: &str| -> std::io::Result<bool> {
        let [one, other] = [fs::metadata(one)?, fs::metadata(other)?];
        Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    };
    assert!(same(&format!("{process}/cwd"), &format!("{process}/root"))?);
    host.done(&["stop", &name])?;
    Ok(())
}

/// Row F2 of docs/security.md.
fn directories(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let tree = host.copy_of(Fixture::TinyTree)?;
    let guest = Scripted::start(host, &tree, "")?;
    let secret = format!("{}/secret", canary.directory().display());
    let look = format!(
        "for up in . .. ../../../../../../../..; do cat $up/{secret}; cat $up/secret; done 2>/dev/null; pwd -P"
    );
    let mut places: Vec<String> = (0..32).map(|number| format!("/proc/self/fd/{number}")).collect();
    places.extend((0..32).map(|number| format!("/proc/self/fd/{number}/../..")));
    for place in
        ["/..", "/proc/1/root/../..", "/proc/1/cwd/..", "/proc/self/root/..", "/proc/thread-self/cwd"]
    {
        places.push(place.to_owned());
    }
    places.push(canary.directory().display().to_string());
    for place in places {
        let outcome = guest.exec(host, &["-w", &place, "--", "sh", "-c", &look])?;
        assert!(!canary.is_told_in(&outcome.stdout), "{place}: {outcome}");
        let is_inside = outcome.code == 0 && outcome.stdout == "/\n";
        assert!(is_inside || outcome.code == 125, "{place}: {outcome}");
    }
    // From inside, by each number that a careless one would have left open.
    let tries = format!(
        "n=0; while [ $n -lt 256 ]; do (cd -P /proc/self/fd/$n && echo in $n && {{ {look}; }}); n=$((n+1)); done; echo tried"
    );
    let outcome = guest.exec(host, &["--", "sh", "-c", &tries])?;
    assert_eq!(outcome.stdout, "tried\n", "{outcome}");
    guest.finish(host)?;
    canary.unharmed()
}

/// Row F4 of docs/security.md.
fn sockets(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let before = fs::read_to_string("/proc/net/unix")?;
    boot(host, &name)?;
    // Named ones have a path at the end of their line, abstract ones begin it with `@`.
    let named = |table: &str| -> BTreeSet<String> {
        table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(7)).map(str::to_owned).collect()
    };
    let inside = host.done(&["enter", &name, "--", "cat", "/proc/net/unix"])?;
    assert!(inside.lines().count() > 0 && named(&inside).is_empty(), "{inside}");
    let after = named(&fs::read_to_string("/proc/net/unix")?);
    let before = named(&before);
    let new: Vec<&String> = after.difference(&before).filter(|name| name.starts_with('@')).collect();
    assert!(new.is_empty(), "{new:?}");
    host.done(&["stop", &name])?;
    Ok(())
}

/// Row F6 of docs/security.md.
fn talk(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    enemy::copy_into(host, &tree)?;
    let image = host.ext4_of(&tree, "root.ext4")?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:0:{} )\n", image.display()))?;
    let guest = boot(host, &name)?;
    let supervisor = guest.field("supervisor_pid").as_u64().unwrap_or(0);
    let own = || -> Result<u64, Box<dyn std::error::Error>> {
        let status = fs::read_to_string(format!("/proc/{supervisor}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    let before = own()?;
    let words = enemy::words(enemy::PROGRAM, "talk");
    let talked = host.done(&[&["enter", &name, "--"][..], &words].concat())?;
    let sent: usize = talked.trim().strip_prefix("talked ").ok_or("did not talk")?.parse()?;
    assert!(sent > 3000, "{sent}");
    let after = own()?;
    assert!(after < before + 256, "{before} KiB before, {after} KiB after");
    let events = fs::metadata("/var/log/subhost/events")?.len();
    assert!(events < 4096, "{events} bytes of events");
    let listed = host.running(&name)?;
    assert_eq!(listed.init_pid(), guest.init_pid());
    assert_eq!(listed.field("supervisor_pid").as_u64(), Some(supervisor));
    host.done(&["stop", &name])?;
    assert!(guest.ends(PATIENCE)?);
    Ok(())
}
