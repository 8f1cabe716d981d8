//! Commands inside a subhost that runs, on terminals.

use subhost_tests::canary::Canary;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::{enemy, program};

use crate::joining::{Scripted, tree};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_terminal_has_its_name_in_the_guest",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: terminal,
    },
    Case {
        name: "keys_and_window_sizes_reach_a_command_on_a_terminal",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: passed_on,
    },
    Case {
        name: "a_guest_that_replaces_its_terminals_gets_none_of_the_host",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: replaced,
    },
    Case {
        name: "what_is_typed_into_a_terminal_by_force_stays_in_the_guest",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: pushed,
    },
];

/// What a line of shell says on a terminal of its own. At the end of its input script(1) types a NUL, which may be echoed.
fn on_terminal(host: &Host, line: &str) -> std::io::Result<String> {
    Ok(host.witness("script", &["-qec", line, "/dev/null"])?.replace("^@", ""))
}

/// The line that runs `exec` for a guest, with words that a shell reads.
fn exec_line(host: &Host, guest: &Scripted, words: &str) -> std::io::Result<String> {
    let program = program::path().map_err(std::io::Error::other)?;
    Ok(format!("{} --root-dir {} exec {} {words}", program.display(), host.root_dir().display(), guest.name))
}

fn terminal(host: &Host) -> Verdict {
    let guest = Scripted::start(host, &tree(host)?, "")?;
    for (user, owner) in [("root", 0), ("ann", 1000)] {
        let words = format!("-u {user} -- sh -c 'tty; stat -c \"%u %g %a\" $(tty); echo on >$(tty); exit 5'");
        let out = on_terminal(host, &format!("{}; echo status=$?", exec_line(host, &guest, &words)?))?;
        let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
        assert!(lines[0].starts_with("/dev/pts/"), "{out}");
        assert_eq!(&lines[1..], [&*format!("{owner} 5 620"), "on", "status=5"], "{out}");
    }
    guest.finish(host)?;
    Ok(())
}

fn passed_on(host: &Host) -> Verdict {
    let tree = tree(host)?;
    let guest = Scripted::start(host, &tree, "")?;
    // What happens on the outer side waits until the command inside is ready for it.
    let ready = tree.join("tmp/ready").display().to_string();
    let wait = format!("while [ ! -e {ready} ]; do sleep 0.05; done; rm {ready}");
    let on = |signal: &str, script: &str| {
        format!(
            "-- sh -c 'trap \"{script}; exit 9\" {signal}; touch /tmp/ready; while :; do sleep 0.05; done'"
        )
    };
    let resized = exec_line(host, &guest, &on("WINCH", "stty size"))?;
    let out =
        on_terminal(host, &format!("({wait}; stty rows 40 cols 99) </dev/tty & {resized}; echo status=$?"))?;
    assert!(out.contains("40 99\r\n") && out.contains("status=9"), "{out}");

    let interrupted = exec_line(host, &guest, &on("INT", "echo interrupted"))?;
    // The end of what is typed comes later.
    let typed = format!("{{ {wait}; printf '\\003'; sleep 1; }} | script -qec \"$1\" /dev/null");
    let out = host.witness("sh", &["-c", &typed, "sh", &format!("{interrupted}; echo status=$?")])?;
    assert!(out.contains("interrupted\r\n") && out.contains("status=9"), "{out}");
    guest.finish(host)?;
    Ok(())
}

/// Row M2 of docs/security.md.
fn replaced(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let guest = Scripted::start(host, &tree(host)?, "")?;
    let secret = canary.directory().join("secret").display().to_string();
    let shell = "sh -c 'test -t 0 && test -t 1 && echo three; stat -Lc \"%t %F\" /proc/self/fd/0'";
    for kind in [
        format!("ln -s {secret} /dev/pts/ptmx; ln -s {secret} /dev/pts/0"),
        "ln -s /dev/console /dev/pts/ptmx; ln -s /proc/1/fd/0 /dev/pts/0".to_owned(),
        "ln -s /proc/self/fd/0 /dev/pts/ptmx".to_owned(),
        format!("echo {secret} >/dev/pts/ptmx"),
        "mkfifo /dev/pts/ptmx".to_owned(),
        "mkdir /dev/pts/ptmx".to_owned(),
        "touch /dev/pts/ptmx; mount --bind /dev/null /dev/pts/ptmx".to_owned(),
        "touch /dev/pts/ptmx; mount --bind /dev/tty /dev/pts/ptmx".to_owned(),
        "ln -s ptmx /dev/pts/ptmx".to_owned(),
        "mount -t devpts own /dev/pts".to_owned(),
        "mount -t devpts -o max=0 own /dev/pts".to_owned(),
    ] {
        let script = format!("mount -t tmpfs over /dev/pts && {{ {kind}; }}");
        let done = guest.exec(host, &["--", "sh", "-c", &script])?;
        assert_eq!(done.code, 0, "{kind}: {done}");
        let out = on_terminal(host, &exec_line(host, &guest, &format!("-- {shell}"))?)?;
        // A slave, whosever: major number 136.
        assert_eq!(out, "three\r\n88 character special file\r\n", "{kind}: {out}");
        let script = "while grep -q ' /dev/pts tmpfs ' /proc/mounts; do umount -l /dev/pts; done";
        assert_eq!(guest.exec(host, &["--", "sh", "-c", script])?.code, 0);
        canary.unharmed()?;
    }
    guest.finish(host)?;
    Ok(())
}

/// Row T1 of docs/security.md.
fn pushed(host: &Host) -> Verdict {
    let tree = tree(host)?;
    enemy::copy_into(host, &tree)?;
    let guest = Scripted::start(host, &tree, "")?;
    let read = "sleep 0.2; stty -icanon -echo min 0 time 1; echo \"<$(dd bs=100 count=1 2>/dev/null)>\"";
    let push = enemy::words(enemy::PROGRAM, "push").join(" ");
    for user in ["root", "ann"] {
        let line = exec_line(host, &guest, &format!("-u {user} -- {push}"))?;
        let out = on_terminal(host, &format!("{line}; {read}"))?;
        assert!(out.contains("tried to push, "), "{out}");
        assert!(out.trim_end().ends_with("<>"), "{user}: {out}");
    }
    // The witness: on the very terminal it would have been typed.
    let here = std::env::current_exe()?.to_string_lossy().into_owned();
    let out = on_terminal(host, &format!("{}; {read}", enemy::words(&here, "push").join(" ")))?;
    assert!(out.contains("<pushed"), "{out}");
    guest.finish(host)?;
    Ok(())
}
