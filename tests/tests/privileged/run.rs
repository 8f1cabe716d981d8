//! `run`: one command in a fresh subhost, from an image, over the host's own files, or in a directory.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::Signal;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::{Guest, Process};
use subhost_tests::host::Host;
use subhost_tests::isolate::exit_code;
use subhost_tests::program::Outcome;

use crate::{BRIDGE, MAC, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "run_passes_the_status_and_keeps_the_streams_apart",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: status,
    },
    Case {
        name: "run_as_init_has_nothing_above_the_command",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: as_init,
    },
    Case {
        name: "run_has_the_cable_with_its_mac",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: cable,
    },
    Case {
        name: "run_passes_its_standard_input",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: input,
    },
    Case {
        name: "run_overlay_changes_nothing_on_the_host",
        needs: &[Need::Program, Need::PlainRoot],
        body: overlay,
    },
    Case {
        name: "run_overlay_covers_what_only_root_may_read",
        needs: &[Need::Program, Need::PlainRoot],
        body: covered,
    },
    Case {
        name: "run_overlay_covers_secrets_where_links_lead",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: linked,
    },
    Case {
        name: "run_overlay_stays_in_its_directory_while_a_link_takes_the_place_of_one_in_it",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: exchanged,
    },
    Case {
        name: "run_in_a_tree_writes_to_that_tree",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: tree,
    },
    Case {
        name: "root_in_a_run_owns_nothing_of_the_host",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: unprivileged,
    },
    Case {
        name: "killing_run_ends_its_command",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: killed,
    },
    Case {
        name: "a_slow_reader_of_run_keeps_neither_its_name_nor_a_signal_waiting",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: slow_reader,
    },
    Case {
        name: "a_list_goes_on_while_subhosts_come_and_go",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: come_and_go,
    },
    Case {
        name: "a_payload_that_ends_itself_when_told_to_keeps_its_status",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: own_status,
    },
    Case {
        name: "a_reader_of_run_that_leaves_ends_the_payload",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: reader_leaves,
    },
    Case { name: "run_in_the_root_of_the_host_is_refused", needs: &[Need::Program], body: root_of_the_host },
];

const PATIENCE: Duration = Duration::from_secs(20);

fn as_init(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let path = tree.to_string_lossy().into_owned();
    let words = |words: &[&'static str]| -> Vec<String> {
        ["run", "--as-init", "--root", &path, "--"].iter().chain(words).map(|&word| word.to_owned()).collect()
    };
    let run = |command: &[&'static str]| {
        host.subhostctl(&words(command).iter().map(String::as_str).collect::<Vec<_>>())
    };
    let outcome = run(&["sh", "-c", "echo $$ $(cat /proc/1/comm); echo err >&2; exit 7"])?;
    assert_eq!((outcome.code, &*outcome.stdout, &*outcome.stderr), (7, "1 sh\n", "err\n"), "{outcome}");
    for (command, code, why) in [
        ("no-such-program", 127, "execute /usr/bin/no-such-program: No such file or directory"),
        ("/bin/no-such-program", 127, "execute /bin/no-such-program: No such file or directory"),
        ("/etc/passwd", 126, "execute /etc/passwd: Permission denied"),
    ] {
        let outcome = run(&[command])?;
        assert!(outcome.code == code && outcome.stderr.contains(why), "{outcome}");
    }
    // A signal is passed on; where nothing minds it, as of PID 1 the kernel does not, the next one kills.
    let started = |command: &[&'static str]| -> std::io::Result<_> {
        let running = host.start(&words(command).iter().map(String::as_str).collect::<Vec<_>>())?;
        let begun = std::time::Instant::now();
        while !fs::exists(tree.join("tmp/up"))? {
            assert!(begun.elapsed() < PATIENCE, "{command:?} does not begin");
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::remove_file(tree.join("tmp/up"))?;
        Ok(running)
    };
    fs::create_dir_all(tree.join("tmp"))?;
    let mut minds =
        started(&["sh", "-c", "trap 'exit 3' TERM; echo >/tmp/up; while :; do sleep 0.05; done"])?;
    minds.terminate()?;
    assert_eq!(minds.finish(PATIENCE)?.code, 3);
    let mut deaf = started(&["sh", "-c", "echo >/tmp/up; while :; do sleep 0.05; done"])?;
    deaf.terminate()?;
    assert!(deaf.wait(Duration::from_millis(300))?.is_none(), "one signal was enough");
    deaf.terminate()?;
    assert_eq!(deaf.finish(PATIENCE)?.code, 137);
    Ok(())
}

fn status(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let disk = format!("vda:1:{}", image.display());
    let run = |words: &[&str]| host.subhostctl(&[&["run", "--disk", &disk, "--"], words].concat());
    let outcome = run(&["sh", "-c", "echo out; echo err >&2; exit 7"])?;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (7, "out\n"), "{outcome}");
    assert!(outcome.stderr.lines().any(|line| line == "err"), "{outcome}");
    assert_eq!(run(&["/bin/true"])?.code, 0);
    assert_eq!(run(&["sh", "-c", "kill -9 $$"])?.code, 137);
    assert_eq!(run(&["sh", "-c", "kill -15 $$"])?.code, 143);
    let none = run(&["/bin/no-such-program"])?;
    assert_eq!(none.code, 127);
    assert!(none.stderr.contains("/bin/no-such-program: the guest has no such program"), "{none}");
    assert_eq!(run(&["/etc/passwd"])?.code, 126);
    let ours = host.subhostctl(&["run", "--disk", "vda:1:/nowhere.raw", "--", "/bin/true"])?;
    assert_eq!(ours.code, 125, "{ours}");
    Ok(())
}

fn cable(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let disk = format!("vda:1:{}", image.display());
    let cable = format!("{BRIDGE}={MAC}");
    let name = host.name("run");
    let out = host.done(&[
        "run",
        "--name",
        &name,
        "--disk",
        &disk,
        "--cable",
        &cable,
        "--",
        "cat",
        "/sys/class/net/eth0/address",
    ])?;
    assert_eq!(out, format!("{MAC}\n"));
    let out = host.done(&["run", "--name", &name, "--disk", &disk, "--", "hostname"])?;
    assert_eq!(out, format!("{name}\n"));
    Ok(())
}

fn input(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let text = "line\n".repeat(50_000);
    let file = host.directory().join("input");
    fs::write(&file, &text)?;
    let mut command = host.command(&["run", "--disk", &format!("vda:1:{}", image.display()), "--", "cat"]);
    let output = command.stdin(fs::File::open(&file)?).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == text.as_bytes(), "{} bytes of {}", output.stdout.len(), text.len());
    Ok(())
}

fn overlay(host: &Host) -> Verdict {
    let canary = format!("/etc/{}", host.name("canary"));
    let script = format!("echo changed >{canary} && cat {canary} && rm /etc/hostname && id -u");
    let hostname = fs::read("/etc/hostname").ok();
    let outcome = host.subhostctl(&["run", "--overlay", "/", "--", "sh", "-c", &script])?;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "changed\n0\n"), "{outcome}");
    assert!(!fs::exists(&canary)?, "{canary} is on the host");
    assert_eq!(fs::read("/etc/hostname").ok(), hostname);
    // Nor does the next one see it.
    let again = host.subhostctl(&["run", "--overlay", "/", "--", "test", "-e", &canary])?;
    assert_eq!(again.code, 1, "{again}");
    Ok(())
}

fn covered(host: &Host) -> Verdict {
    let run = |words: &[&str]| host.subhostctl(&[&["run", "--overlay", "/", "--"], words].concat());
    let leaks = |outcome: &Outcome, secret: &str| outcome.stdout.lines().any(|line| line == secret);
    for path in ["/etc/shadow", "/etc/gshadow"] {
        let text = fs::read_to_string(path).unwrap_or_default();
        let outcome = run(&["cat", path])?;
        let line = text.lines().find(|line| leaks(&outcome, line));
        assert!(line.is_none(), "{path} of the host can be read");
    }
    let private = "/etc/ssh";
    for entry in fs::read_dir(private).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("ssh_host_") && name.ends_with("_key") {
            let outcome = run(&["cat", &format!("{private}/{name}")])?;
            assert!(!outcome.stdout.contains("PRIVATE KEY"), "{private}/{name} can be read");
        }
    }
    let home = run(&["sh", "-c", "ls -A /root | wc -l"])?;
    assert_eq!((home.code, home.stdout.trim()), (0, "0"), "root's home is not empty: {home}");
    Ok(())
}

/// Writes `secret` to `path`, with this mode of the file, and of its directory.
fn keep(path: &Path, directory_mode: u32, mode: u32) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory)?;
    fs::write(path, "secret\n")?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    fs::set_permissions(directory, fs::Permissions::from_mode(directory_mode))
}

/// A host in a directory, which is that of the test itself, so that its subhosts are in it.
fn linked(host: &Host) -> Verdict {
    let at = host.directory();
    host.witness(
        "cp",
        &["-a", &format!("{}/.", Fixture::TinyTree.path()?.display()), &at.to_string_lossy()],
    )?;
    for (path, directory_mode, mode) in [
        ("root/key", 0o755, 0o644),
        ("etc/shadow", 0o755, 0o640),
        ("etc/ssh/key", 0o755, 0o600),
        ("data/home/ann/key", 0o700, 0o644),
        ("data/log/key", 0o2755, 0o600),
        ("data/base/key", 0o750, 0o644),
        ("data/loose", 0o755, 0o600),
        ("sub/guest/key", 0o755, 0o644),
    ] {
        keep(&at.join(path), directory_mode, mode)?;
    }
    fs::create_dir_all(at.join("var/lib"))?;
    for (target, link) in [
        ("/data/home", "home"),
        ("../data/log", "var/log"),
        ("../../data/base", "var/lib/base"),
        ("/data/loose", "etc/loose"),
        // None of these is in the way.
        ("/nowhere", "etc/dangling"),
        ("loop", "etc/loop"),
        ("..", "var/up"),
        ("/", "srv"),
    ] {
        // Some are directories of the guest that this is made of.
        let _ = fs::remove_dir_all(at.join(link));
        symlink(target, at.join(link))?;
    }
    fs::write(at.join("data/home/public"), "public\n")?;
    let overlay = at.display().to_string();
    let run = |script: &str| host.subhostctl(&["run", "--overlay", &overlay, "--", "sh", "-c", script]);
    let outcome = run("grep -rl secret /root /etc /data /home/ /var/log/ /sub; cat /home/public")?;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "public\n"), "{outcome}");
    // Directories that are empty are there, as their owners left them; those on the way to them are as they were.
    let outcome = run("stat -c '%n %a %u %F' /home/ann /data/log /sub; ls -A /home/ann /sub | grep -v :")?;
    let shown = "/home/ann 700 0 directory\n/data/log 2755 0 directory\n/sub 755 0 directory\n\n";
    assert_eq!(outcome.stdout, shown, "{outcome}");
    // One that comes while the command runs is not seen, where it can be known beforehand.
    let outcome = run("test -e /etc/shadow+; echo $?; echo new >/etc/shadow+; cat /etc/shadow+")?;
    assert_eq!(outcome.stdout, "1\nnew\n", "{outcome}");
    Ok(())
}

fn exchanged(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let canary = host.directory().join("canary");
    keep(&canary.join("ann/key"), 0o700, 0o644)?;
    keep(&tree.join("home/bob/key"), 0o700, 0o644)?;
    // Inside of the tree it leads nowhere.
    symlink(&canary, tree.join("link"))?;
    let path = tree.display().to_string();
    let run = ["run", "--overlay", &path, "--", "sh", "-c", "ls -A /home /link; true"];
    let done = AtomicBool::new(false);
    let outcomes = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, tree.join("home"), CWD, tree.join("link"), RenameFlags::EXCHANGE);
            }
        });
        let outcomes: Result<Vec<Outcome>, _> = (0..50).map(|_| host.subhostctl(&run)).collect();
        done.store(true, Ordering::Relaxed);
        outcomes
    })?;
    for outcome in outcomes {
        let is_caught = outcome.code == 125 && outcome.stderr.contains("has changed meanwhile");
        assert!(outcome.code == 0 || is_caught, "{outcome}");
        // Nothing is made after what was seen outside.
        assert!(outcome.stdout.lines().all(|line| line != "ann"), "{outcome}");
    }
    assert_eq!(fs::read_to_string(canary.join("ann/key"))?, "secret\n");
    Ok(())
}

fn tree(host: &Host) -> Verdict {
    let tree = host.copy_of(Fixture::TinyTree)?;
    let path = tree.to_string_lossy();
    let out = host.done(&["run", "--root", &path, "--", "sh", "-c", "echo kept >/root/file; ls /root"])?;
    assert_eq!(out, "file\n");
    assert_eq!(fs::read_to_string(tree.join("root/file"))?, "kept\n");
    // The guest's root is the tree's root, not a number of its own range.
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(tree.join("root/file"))?), 0);
    Ok(())
}

fn unprivileged(host: &Host) -> Verdict {
    let path = host.copy_of(Fixture::TinyTree)?.display().to_string();
    // Each of these is done by root on a real machine; here all of it must be refused.
    for words in [
        ["mknod", "/tmp/disk", "b", "7", "0"].as_slice(),
        &["mount", "-o", "remount,rw", "/sys"],
        &["sh", "-c", "echo 61 >/proc/sys/vm/swappiness"],
        &["sh", "-c", "date -s 2001-01-01; test $(date +%Y) = 2001"],
        &["dmesg"],
        &["umount", "/run"],
    ] {
        let outcome = host.subhostctl(&[&["run", "--nesting", "--overlay", &path, "--"], words].concat())?;
        assert!(![0, 125, 127].contains(&outcome.code), "{}: {outcome}", words.join(" "));
    }
    Ok(())
}

/// The guest of a `run`, as soon as it is in the list.
pub(crate) fn listed(host: &Host, name: &str) -> std::io::Result<Guest> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match host.guest(name)? {
            Some(guest) if guest.state() == "running" => return Ok(guest),
            _ => assert!(Instant::now() < deadline, "run is not in the list"),
        }
    }
}

fn killed(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("run");
    let disk = format!("vda:1:{}", image.display());
    let script = "echo begun >/var/log/begun; exec sleep 1000";
    let mut command = host.start(&["run", "--name", &name, "--disk", &disk, "--", "sh", "-c", script])?;
    let guest = listed(host, &name)?;
    guest.wait_for_line("/var/log/begun", "begun", Duration::from_secs(10))?;
    command.terminate()?;
    let outcome = command.finish(Duration::from_secs(20))?;
    assert_eq!(outcome.code, 143, "{outcome}");
    assert!(guest.ends(Duration::ZERO)?);
    Ok(())
}

fn come_and_go(host: &Host) -> Verdict {
    let disk = format!("vda:1:{}", host.copy_of(Fixture::TinyMbr)?.display());
    let name = host.name("run");
    for _ in 0..20 {
        let mut run = host.start(&["run", "--name", &name, "--disk", &disk, "--", "true"])?;
        while run.wait(Duration::ZERO)?.is_none() {
            host.done(&["list", "--json"])?;
        }
    }
    Ok(())
}

fn slow_reader(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("run");
    let disk = format!("vda:1:{}", image.display());
    // More than the caller's pipe takes, and less than with the payload's, so that the payload can end.
    let script = "head -c 100000 /dev/zero; read line; exit 3";
    let mut command = host.command(&["run", "--name", &name, "--disk", &disk, "--", "sh", "-c", script]);
    let mut run = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let guest = listed(host, &name)?;
    drop(run.stdin.take());
    assert!(guest.ends(PATIENCE)?, "the payload does not end");
    let deadline = Instant::now() + PATIENCE;
    while host.guest(&name)?.is_some() {
        assert!(Instant::now() < deadline, "its name waits for the reader");
    }
    let supervisor = Process::open(run.id())?;
    assert!(!supervisor.ends(Duration::ZERO)?, "the rest of the output is thrown away");
    // The image is free again, too: unmounting it comes after the names.
    while host.subhostctl(&["run", "--name", &name, "--disk", &disk, "--", "/bin/true"])?.code != 0 {
        assert!(Instant::now() < deadline, "its image waits for the reader");
    }
    supervisor.signal(Signal::TERM)?;
    assert!(supervisor.ends(PATIENCE)?, "SIGTERM waits for the reader");
    // Not the payload's 3: not all that it said was passed on.
    assert_eq!(exit_code(run.wait()?), 143);
    Ok(())
}

fn own_status(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("run");
    let disk = format!("vda:1:{}", image.display());
    let script = "trap 'exit 5' TERM; echo begun >/var/log/begun; while :; do sleep 0.01; done";
    let run = ["run", "--name", &name, "--disk", &disk, "--", "sh", "-c", script];
    for by_stop in [false, true] {
        let mut command = host.start(&run)?;
        listed(host, &name)?.wait_for_line("/var/log/begun", "begun", PATIENCE)?;
        if by_stop {
            host.done(&["stop", &name])?;
        } else {
            command.terminate()?;
        }
        let outcome = command.finish(PATIENCE)?;
        assert_eq!(outcome.code, 5, "by stop: {by_stop}: {outcome}");
        host.done(&["run", "--disk", &disk, "--", "rm", "/var/log/begun"])?;
    }
    Ok(())
}

/// As in `run … | head -1`, with a payload that would write for ever.
fn reader_leaves(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("run");
    let disk = format!("vda:1:{}", image.display());
    let mut command = host.command(&["run", "--name", &name, "--disk", &disk, "--", "yes"]);
    let mut run = command.stdout(Stdio::piped()).spawn()?;
    let mut first = [0; 2];
    let mut reader = run.stdout.take().ok_or_else(|| std::io::Error::other("run without its output"))?;
    reader.read_exact(&mut first)?;
    assert_eq!(&first, b"y\n");
    drop(reader);
    let ended = Process::open(run.id())?.ends(PATIENCE)?;
    if !ended {
        run.kill()?;
    }
    let code = exit_code(run.wait()?);
    assert!(ended, "the payload writes on for nobody");
    // A shell's status for SIGPIPE.
    assert_eq!(code, 141);
    Ok(())
}

fn root_of_the_host(host: &Host) -> Verdict {
    let outcome = host.subhostctl(&["run", "--root", "/", "--", "/bin/true"])?;
    assert!(outcome.code != 0 && outcome.stderr.contains("--overlay"), "{outcome}");
    Ok(())
}
