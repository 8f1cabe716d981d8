//! The console of a subhost that runs, for any number of viewers, and the socket that it comes from.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use subhost_tests::case::{Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;
use subhost_tests::program;

use crate::adopt::{kill_supervisor, restart};
use crate::boot;
use crate::initctl::booted_again;
use crate::logs::{eventually, into_file, kept_kib, logged, say, shows, tiny};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "two_viewers_see_a_console_and_what_one_types_is_read_inside",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: viewers,
    },
    Case {
        name: "a_console_goes_on_over_reboots_and_supervisors_and_ends_with_its_subhost",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: goes_on,
    },
    Case {
        name: "a_terminal_at_a_console_has_its_size_and_is_given_back_as_it_was",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: terminal,
    },
    Case {
        name: "hostile_clients_of_a_supervisor_delay_neither_it_nor_its_guest",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: hostile,
    },
    Case {
        name: "only_root_reaches_the_socket_of_a_supervisor",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: others,
    },
    Case {
        name: "wait_ready_waits_for_the_start_scripts",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: ready,
    },
    Case {
        name: "a_supervisor_is_small",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: small,
    },
];

/// A viewer with a pipe as its input, and its output in a file.
fn viewer(host: &Host, name: &str, shown: &Path) -> io::Result<Child> {
    let mut command = host.command(&["console", name]);
    command.stdin(Stdio::piped()).stdout(fs::File::create(shown)?).stderr(Stdio::piped());
    command.spawn()
}

fn end(mut viewer: Child) -> io::Result<String> {
    drop(viewer.stdin.take());
    let output = viewer.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(io::Error::other(format!("{}: {said}", output.status)))
    }
}

fn socket_of(name: &str) -> PathBuf {
    Path::new("/run/subhost/control").join(name)
}

fn viewers(host: &Host) -> Verdict {
    let (name, _guest) = tiny(host, "")?;
    say(host, &name, "echo of before")?;
    logged(&name, "of before")?;
    let files = ["one", "two"].map(|file| host.directory().join(file));
    let mut one = viewer(host, &name, &files[0])?;
    let two = viewer(host, &name, &files[1])?;
    for file in &files {
        // What was said before is shown first.
        shows(file, "of before\r\n")?;
    }
    let script = "echo asks; read x; echo read:$x";
    let line = format!("({script}) </dev/console >/dev/console");
    let mut reader = host.start(&["enter", &name, "--", "sh", "-c", &line])?;
    for file in &files {
        shows(file, "asks\r\n")?;
    }
    one.stdin.as_mut().ok_or("no pipe")?.write_all(b"typed here\n")?;
    for file in &files {
        shows(file, "read:typed here\r\n")?;
    }
    assert!(reader.wait(crate::logs::PATIENCE)?.is_some_and(|status| status.success()));
    host.done(&["stop", &name])?;
    for viewer in [one, two] {
        assert!(end(viewer)?.contains("has ended"));
    }
    let outcome = host.subhostctl(&["console", &name])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("does not run"), "{outcome}");
    Ok(())
}

fn goes_on(host: &Host) -> Verdict {
    let (name, mut guest) = tiny(host, "")?;
    let shown = host.directory().join("shown");
    let viewer = viewer(host, &name, &shown)?;
    // Nobody reads what is said while it is opened.
    eventually("the viewer sees it", || {
        say(host, &name, "echo of the first run")?;
        Ok(String::from_utf8_lossy(&fs::read(&shown)?).contains("of the first run"))
    })?;
    for round in ["reboot", "kill", "reboot"] {
        if round == "reboot" {
            guest.write_initctl(&restart())?;
            booted_again(host, &name, &guest)?;
        } else {
            // The viewer itself gives it a new one.
            kill_supervisor(&guest)?;
        }
        fs::write(&shown, "")?;
        eventually("the viewer sees it", || {
            say(host, &name, &format!("echo after {round}"))?;
            Ok(String::from_utf8_lossy(&fs::read(&shown)?).contains(&format!("after {round}\r\n")))
        })?;
        guest = host.running(&name)?;
    }
    host.done(&["stop", &name])?;
    assert!(end(viewer)?.contains("has ended"));
    Ok(())
}

fn terminal(host: &Host) -> Verdict {
    let (name, _guest) = tiny(host, "")?;
    let program = program::path()?;
    let call = format!("{} --root-dir {} console", program.display(), host.root_dir().display());
    let keys = [("", "\\035"), ("--escape ^x", "\\030"), ("--escape q", "q")];
    for (mark, (option, key)) in keys.into_iter().enumerate() {
        // A terminal of 33 rows: the size is seen inside, the key leaves it, and its settings are as before.
        let line = format!(
            "stty rows 33 columns 101; before=$(stty -g); {call} {option} {name}; echo status=$?; \
             [ \"$(stty -g)\" = \"$before\" ] && echo as before"
        );
        let fifo = host.directory().join(format!("keys{mark}"));
        host.witness("mkfifo", &[&fifo.to_string_lossy()])?;
        let shown = host.directory().join(format!("shown{mark}"));
        let mut script = Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .stdin(fs::File::options().read(true).write(true).open(&fifo)?);
        let mut script = script.stdout(fs::File::create(&shown)?).spawn()?;
        eventually("its size is that of the terminal", || {
            host.done(&["enter", &name, "--", "sh", "-c", "stty size </dev/console >/dev/console"])?;
            Ok(String::from_utf8_lossy(&fs::read(&shown)?).contains("33 101\r\n"))
        })?;
        let mut keys = fs::File::options().write(true).open(&fifo)?;
        let key = host.witness("printf", &[key])?;
        keys.write_all(key.as_bytes())?;
        shows(&shown, "as before\r\n")?;
        assert!(fs::read_to_string(&shown)?.contains("status=0\r\n"));
        script.wait()?;
    }
    host.done(&["stop", &name])?;
    Ok(())
}

/// A client that says what it likes.
struct Client(OwnedFd);

impl Client {
    fn connect(name: &str) -> io::Result<Client> {
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(socket_of(name))?)?;
        Ok(Client(socket))
    }

    fn say(&self, packet: &[u8]) {
        // It may have been shut out.
        let _ = rustix::net::send(&self.0, packet, SendFlags::NOSIGNAL);
    }
}

/// A viewer that never reads, as long as it is kept.
pub(crate) fn silent_viewer(name: &str) -> io::Result<OwnedFd> {
    let client = Client::connect(name)?;
    client.say(b"console\n");
    Ok(client.0)
}

fn hostile(host: &Host) -> Verdict {
    let (name, _guest) = tiny(host, "")?;
    let supervisor = host.running(&name)?.field("supervisor_pid").to_string();
    let descriptors = || fs::read_dir(format!("/proc/{supervisor}/fd")).map(Iterator::count);
    let before = descriptors()?;
    let mut clients = Vec::new();
    for _ in 0..200 {
        let client = Client::connect(&name)?;
        for packet in [
            &b""[..],
            b"c",
            b"consolex",
            b"console\n\n",
            &[b'x'; 100_000],
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            client.say(packet);
        }
        clients.push(client);
    }
    // These ask, and never read.
    for _ in 0..40 {
        let client = Client::connect(&name)?;
        client.say(b"console\n");
        clients.push(client);
        // And these do not even ask.
        clients.push(Client::connect(&name)?);
    }
    say(host, &name, "head -c 3000000 /dev/zero; echo; echo not delayed")?;
    logged(&name, "not delayed")?;
    assert!(descriptors()? <= before + 16, "{} descriptors", descriptors()?);
    let shown = host.directory().join("shown");
    let mut late = into_file(host, &["console", &name], &shown)?;
    eventually("a new viewer sees it", || {
        say(host, &name, "echo still there")?;
        Ok(String::from_utf8_lossy(&fs::read(&shown)?).contains("still there"))
    })?;
    drop(clients);
    host.done(&["stop", &name])?;
    late.wait()?;
    Ok(())
}

fn others(host: &Host) -> Verdict {
    let (name, _guest) = tiny(host, "")?;
    let mode = |path: &Path| fs::symlink_metadata(path).map(|meta| meta.permissions().mode() & 0o777);
    assert_eq!((mode(&socket_of(&name))?, mode(Path::new("/run/subhost/control"))?), (0o600, 0o700));
    // Also where they could reach it.
    for directory in ["/run/subhost", "/run/subhost/control"] {
        fs::set_permissions(directory, PermissionsExt::from_mode(0o755))?;
    }
    fs::set_permissions(socket_of(&name), PermissionsExt::from_mode(0o666))?;
    let script = "import socket, sys\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n\
        s.connect(sys.argv[1])\n\
        s.send(b'status \\n')\n\
        print(s.recv(100))\n";
    let ask = |id: &str| {
        let socket = socket_of(&name);
        host.witness(
            "setpriv",
            &[
                "--reuid",
                id,
                "--regid",
                id,
                "--clear-groups",
                "python3",
                "-c",
                script,
                &socket.to_string_lossy(),
            ],
        )
    };
    assert_eq!(ask("0")?, "b'ready  \\n'\n");
    let refused = ask("65534");
    assert!(refused.as_ref().is_ok_and(|said| said == "b''\n") || refused.is_err(), "{refused:?}");
    for directory in ["/run/subhost", "/run/subhost/control"] {
        fs::set_permissions(directory, PermissionsExt::from_mode(0o700))?;
    }
    host.done(&["stop", &name])?;
    Ok(())
}

fn ready(host: &Host) -> Verdict {
    let name = host.name("tiny");
    let image = host.copy_of(Fixture::TinyMbr)?;
    let nobody = host.subhostctl(&["wait", "--ready", &name])?;
    assert_eq!(nobody.code, 2, "{nobody}");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let stopped = host.subhostctl(&["wait", "--ready", &name])?;
    assert!(stopped.code == 1 && stopped.stderr.contains("it does not run"), "{stopped}");
    let supervisor = host.start(&["boot", &name])?;
    eventually("it runs", || Ok(host.guest(&name)?.is_some_and(|guest| guest.state() == "running")))?;
    host.done(&["wait", "--ready", &name])?;
    // A line that the last start script writes.
    assert!(host.done(&["enter", &name, "--", "cat", "/var/log/boot"])?.contains("rc 2 done\n"));
    host.done(&["wait", "--ready", "--timeout", "60", &name])?;
    host.done(&["stop", &name])?;
    assert_eq!(supervisor.finish(crate::logs::PATIENCE)?.code, 0);
    boot(host, &name)?;
    host.done(&["stop", &name])?;
    Ok(())
}

/// Of its own it has a small heap and a stack; what else is private is what the program's file has to be changed for.
fn small(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "")?;
    let supervisor = |guest: &Guest| guest.field("supervisor_pid").as_u64().ok_or("no supervisor");
    let first = kept_kib(supervisor(&guest)?)?;
    kill_supervisor(&guest)?;
    host.done(&["recover", &name])?;
    let second = kept_kib(supervisor(&host.running(&name)?)?)?;
    eprintln!("{FIGURE}its own memory: {first} KiB, of one that has taken over {second} KiB");
    assert!((1..=96).contains(&first) && (1..=96).contains(&second), "{first} {second}");
    host.done(&["stop", &name])?;
    Ok(())
}
