//! Commands inside a subhost that runs: who they run as, and where.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use subhost_tests::canary::Canary;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;
use subhost_tests::program::{self, Outcome, Running};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "exec_runs_as_the_user_that_the_guests_files_name",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: users,
    },
    Case {
        name: "exec_takes_a_directory_and_variables_and_detaches",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: surroundings,
    },
    Case {
        name: "exec_returns_the_status_of_its_command_or_says_what_is_wrong",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: statuses,
    },
    Case {
        name: "a_command_that_joins_has_no_more_than_the_guest_whoever_calls",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: inherited,
    },
    Case {
        name: "no_library_of_the_guest_is_loaded_to_look_up_a_user",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: poisoned,
    },
];

const PATIENCE: Duration = Duration::from_secs(20);

/// A guest that runs a script in a tree.
pub(crate) struct Scripted {
    pub(crate) name: String,
    command: Running,
}

impl Scripted {
    /// Comes back when it is in the list and the script has made `/tmp/up`.
    pub(crate) fn start(host: &Host, tree: &Path, script: &str) -> std::io::Result<Self> {
        let name = host.name("join");
        let script = format!(
            "rm -rf /tmp/stop; echo up >/tmp/up\n{script}\nwhile [ ! -e /tmp/stop ]; do sleep 0.05; done"
        );
        let path = tree.to_string_lossy();
        fs::create_dir_all(tree.join("tmp"))?;
        let command =
            host.start(&["run", "--nesting", "--name", &name, "--root", &path, "--", "sh", "-c", &script])?;
        let deadline = Instant::now() + PATIENCE;
        while !fs::exists(tree.join("tmp/up"))? {
            assert!(Instant::now() < deadline, "the guest does not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::remove_file(tree.join("tmp/up"))?;
        Ok(Self { name, command })
    }

    pub(crate) fn guest(&self, host: &Host) -> std::io::Result<Guest> {
        host.running(&self.name)
    }

    /// Runs `exec NAME WORDS…`.
    pub(crate) fn exec(&self, host: &Host, words: &[&str]) -> std::io::Result<Outcome> {
        host.subhostctl(&[&["exec", &self.name], words].concat())
    }

    /// Ends it, and gives what it has said.
    pub(crate) fn finish(self, host: &Host) -> std::io::Result<Outcome> {
        // A directory: a command that opens a file would be seen with it by a guest that looks for open files.
        self.exec(host, &["--", "mkdir", "/tmp/stop"])?;
        self.command.finish(PATIENCE)
    }
}

/// A tree with users and groups.
pub(crate) fn tree(host: &Host) -> std::io::Result<std::path::PathBuf> {
    let tree = host.copy_of(Fixture::TinyTree)?;
    fs::write(
        tree.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/ash\nfar:x:70000:70000::/:/bin/sh\n",
    )?;
    fs::write(
        tree.join("etc/group"),
        "root:x:0:\nann:x:1001:\naudio:x:29:bob,ann\nvideo:x:44:ann\nfar:x:70000:root,ann\nannabel:x:50:annabel\n",
    )?;
    Ok(tree)
}

/// Rows C2 and C3 of docs/security.md.
fn users(host: &Host) -> Verdict {
    let guest = Scripted::start(host, &tree(host)?, "")?;
    let script = "echo $(id -u) $(id -g) : $(id -G) : $HOME $USER $LOGNAME $SHELL";
    for (user, said) in [
        ("root", "0 0 : 0 : /root root root /bin/sh"),
        ("0", "0 0 : 0 : /root root root /bin/sh"),
        ("ann", "1000 1001 : 1001 29 44 : /home/ann ann ann /bin/ash"),
        ("1000", "1000 1001 : 1001 29 44 : /home/ann ann ann /bin/ash"),
        ("ann:audio", "1000 29 : 29 : /home/ann ann ann /bin/ash"),
        ("1000:5", "1000 5 : 5 : /home/ann ann ann /bin/ash"),
        ("4000", "4000 4000 : 4000 : / /bin/sh"),
    ] {
        // A caller with groups of its own, which are left behind.
        let mut command = Command::new("setpriv");
        let exec = host.command(&["exec", &guest.name, "-u", user, "--", "sh", "-c", script]);
        command.args(["--groups", "4,24,27,65534", "--"]).arg(exec.get_program()).args(exec.get_args());
        let outcome = program::run(command, PATIENCE)?;
        assert_eq!((outcome.code, outcome.stdout.trim_end()), (0, said), "{user}: {outcome}");
    }
    for user in [
        "",
        "1000:",
        ":5",
        "-1",
        "+1",
        " 1",
        "0x0",
        "4294967295",
        "1a",
        "bob",
        "ann:none",
        "../root",
        "far",
        "65536",
    ] {
        let outcome = guest.exec(host, &[&format!("--user={user}"), "--", "id"])?;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (125, ""), "{user:?}: {outcome}");
        assert!(outcome.stderr.contains("user ") || outcome.stderr.contains("group "), "{user:?}: {outcome}");
    }
    guest.finish(host)?;
    Ok(())
}

fn surroundings(host: &Host) -> Verdict {
    let tree = tree(host)?;
    fs::create_dir_all(tree.join("home/ann"))?;
    fs::create_dir(tree.join("closed"))?;
    host.witness("chmod", &["700", &tree.join("closed").to_string_lossy()])?;
    let guest = Scripted::start(host, &tree, "")?;
    let said = guest.exec(
        host,
        &[
            "-w",
            "/home/ann",
            "-e",
            "A=1",
            "-e",
            "A=x y",
            "-e",
            "HOME=/tmp",
            "--",
            "sh",
            "-c",
            "pwd; env | sort",
        ],
    )?;
    let expected = "/home/ann\nA=x y\nHOME=/tmp\nLOGNAME=root\n\
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/home/ann\nSHELL=/bin/sh\nSHLVL=1\n";
    assert!(said.stdout.starts_with(expected), "{said}");
    assert!(said.stdout.ends_with("USER=root\ncontainer=subhost\n"), "{said}");
    for (words, status, why) in [
        (["-w", "tmp"], 2, "begin with /"),
        (["-w", ""], 2, "begin with /"),
        (["-e", "A"], 2, "NAME=VALUE"),
        (["-e", "=1"], 2, "NAME=VALUE"),
        (["-e", "1A=1"], 2, "NAME=VALUE"),
        (["-e", "A B=1"], 2, "NAME=VALUE"),
        (["-w", "/nowhere"], 125, "change directory to /nowhere"),
        (["-w", "/etc/passwd"], 125, "change directory to /etc/passwd"),
    ] {
        let outcome = guest.exec(host, &[&words[..], &["--", "true"]].concat())?;
        assert_eq!(outcome.code, status, "{outcome}");
        assert!(outcome.stderr.contains(why), "{outcome}");
    }
    // As the user, and not before.
    let closed = guest.exec(host, &["-u", "ann", "-w", "/closed", "--", "true"])?;
    assert!(closed.code == 125 && closed.stderr.contains("Permission denied"), "{closed}");

    let script = "echo $$ >/tmp/pid; readlink /proc/self/fd/0; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo on >/tmp/on";
    let detached = guest.exec(host, &["--detach", "--", "sh", "-c", script])?;
    assert_eq!((detached.code, detached.stdout.as_str()), (0, ""), "{detached}");
    fs::write(tree.join("tmp/go"), "")?;
    guest.guest(host)?.wait_for_line("/tmp/on", "on", PATIENCE)?;
    assert_eq!(guest.exec(host, &["--detach", "--", "/nowhere"])?.code, 127);
    guest.finish(host)?;
    Ok(())
}

fn statuses(host: &Host) -> Verdict {
    let guest = Scripted::start(host, &tree(host)?, "")?;
    for (command, status) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 42"], 42),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["sh", "-c", "kill -15 $$"], 143),
        (&["/no/such/program"], 127),
        (&["no-such-program"], 127),
        (&["/etc/passwd"], 126),
    ] {
        let outcome = guest.exec(host, &[&["--"], command].concat())?;
        assert_eq!(outcome.code, status, "{outcome}");
        if [126, 127].contains(&status) {
            assert!(outcome.stderr.contains(command[0]), "{outcome}");
        }
    }
    // A signal for the one that waits is one for the command.
    let script = "trap 'exit 9' TERM; echo begun >/tmp/begun; while :; do sleep 0.05; done";
    let mut waiting = host.start(&["exec", &guest.name, "--", "sh", "-c", script])?;
    guest.guest(host)?.wait_for_line("/tmp/begun", "begun", PATIENCE)?;
    waiting.terminate()?;
    assert_eq!(waiting.finish(PATIENCE)?.code, 9);
    guest.finish(host)?;
    let ended = host.subhostctl(&["exec", &host.name("join"), "--", "true"])?;
    assert!(ended.code == 125 && ended.stderr.contains("does not run"), "{ended}");
    Ok(())
}

/// Row C1 of docs/security.md.
fn inherited(host: &Host) -> Verdict {
    let guest = Scripted::start(host, &tree(host)?, "")?;
    let look = |status: &str| ["grep", "-E", "^(Cap|Groups|NoNewPrivs)", status].map(str::to_owned);
    // Everything that a caller can hand on.
    let called = |words: &[&str]| {
        let command = host.command(words);
        let mut all = Command::new("setpriv");
        let some = "+chown,+dac_override,+net_admin,+sys_admin,+sys_ptrace";
        all.args(["--inh-caps", some, "--ambient-caps", some, "--groups", "4,27", "--"]);
        all.arg(command.get_program()).args(command.get_args());
        program::run(all, PATIENCE)
    };
    let own = look("/proc/self/status");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let init = look("/proc/1/status");
    let init: Vec<&str> = init.iter().map(String::as_str).collect();
    let joined = called(&[&["exec", &guest.name, "--"][..], &own].concat())?;
    let user = called(&[&["exec", &guest.name, "-u", "ann", "--"][..], &own].concat())?;
    let of_init = called(&[&["exec", &guest.name, "--"][..], &init].concat())?;
    let path = tree_of(host);
    let run = called(&[&["run", "--root", &path, "--"][..], &own].concat())?;
    let caps = |outcome: &Outcome, kind: &str| {
        let line = outcome.stdout.lines().find(|line| line.starts_with(kind)).unwrap_or_default();
        line.split('\t').nth(1).unwrap_or_default().to_owned()
    };
    for outcome in [&joined, &user, &run] {
        assert_eq!(outcome.code, 0, "{outcome}");
        for none in ["CapInh", "CapAmb"] {
            assert_eq!(caps(outcome, none), "0000000000000000", "{outcome}");
        }
        assert_eq!(caps(outcome, "CapBnd"), caps(&of_init, "CapBnd"), "{outcome}");
    }
    assert_eq!(caps(&joined, "CapEff"), caps(&of_init, "CapEff"), "{joined}");
    assert_eq!(caps(&user, "CapEff"), "0000000000000000", "{user}");
    assert_eq!(caps(&joined, "Groups").trim(), "0");
    assert_eq!(caps(&run, "Groups").trim(), "");
    guest.finish(host)?;
    Ok(())
}

fn tree_of(host: &Host) -> String {
    host.directory().join(Fixture::TinyTree.file_name()).to_string_lossy().into_owned()
}

/// Row P7 of docs/security.md.
fn poisoned(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let tree = tree(host)?;
    let hit = host.directory().join("loaded");
    let source = host.directory().join("poison.c");
    fs::write(
        &source,
        format!(
            "#include <fcntl.h>\n#include <unistd.h>\n\
             __attribute__((constructor)) static void hit(void) {{ close(open(\"{}\", O_CREAT | O_WRONLY, 0600)); }}\n",
            hit.display()
        ),
    )?;
    let library = host.directory().join("poison.so");
    host.witness("cc", &["-shared", "-fPIC", "-o", &library.to_string_lossy(), &source.to_string_lossy()])?;
    for directory in ["lib", "lib64", "usr/lib", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"] {
        fs::create_dir_all(tree.join(directory))?;
        for name in ["evil", "files", "compat", "systemd"] {
            fs::copy(&library, tree.join(directory).join(format!("libnss_{name}.so.2")))?;
        }
    }
    fs::write(tree.join("etc/nsswitch.conf"), "passwd: evil files\ngroup: evil files\n")?;
    let guest = Scripted::start(host, &tree, "")?;
    for user in ["ann", "bob", "ann:audio", "0"] {
        let outcome = guest.exec(host, &["-u", user, "--", "id", "-u"])?;
        assert_eq!(outcome.code, if user == "bob" { 125 } else { 0 }, "{outcome}");
    }
    // Anything else in their places harms no more; root gets in all the same.
    let file = canary.directory().join("secret").display().to_string();
    for kind in [
        format!("ln -s {file} /etc/passwd"),
        "mkfifo /etc/passwd".to_owned(),
        "mkdir /etc/passwd".to_owned(),
        "ln -s /proc/1/root/etc/group /etc/passwd".to_owned(),
        "ln -s passwd /etc/passwd".to_owned(),
        "head -c 3000000 /dev/zero >/etc/passwd".to_owned(),
    ] {
        let script = format!("rm -rf /etc/passwd; {kind}");
        assert_eq!(guest.exec(host, &["--", "sh", "-c", &script])?.code, 0, "{kind}");
        let outcome = guest.exec(host, &["-u", "ann", "--", "id"])?;
        assert!(outcome.code == 125 && !canary.is_told_in(&outcome.stderr), "{kind}: {outcome}");
        let outcome = guest.exec(host, &["--", "echo", "inside"])?;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "inside\n"), "{kind}: {outcome}");
    }
    guest.finish(host)?;
    assert!(!fs::exists(&hit)?, "a library of the guest was loaded");
    canary.unharmed()?;
    // The witness: whoever loads it is noticed.
    let mut loads = Command::new("true");
    loads.env("LD_PRELOAD", &library);
    program::run(loads, PATIENCE)?;
    assert!(fs::exists(&hit)?, "nobody notices");
    Ok(())
}
