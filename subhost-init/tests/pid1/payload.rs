//! Payload mode.

use std::ffi::CString;
use std::process::Command;
use std::time::Duration;

use rustix::pty::OpenptFlags;
use subhost_init::handoff::{End, Message, Pid1Args, Program, Request, Step, Why};

use crate::guest::Guest;

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("payload::status_is_passed_on", status_is_passed_on),
    ("payload::is_told_about", is_told_about),
    ("payload::commands_that_cannot_run_are_126_and_127", commands_that_cannot_run_are_126_and_127),
    ("payload::a_file_that_is_no_program_goes_to_the_shell", a_file_that_is_no_program_goes_to_the_shell),
    ("payload::gets_environment_directory_and_mask", gets_environment_directory_and_mask),
    ("payload::starts_clean", starts_clean),
    ("payload::what_it_leaves_behind_is_killed", what_it_leaves_behind_is_killed),
    ("payload::stopped_processes_end_too", stopped_processes_end_too),
    ("payload::gets_signals_from_the_host", gets_signals_from_the_host),
    ("payload::has_a_controlling_terminal", has_a_controlling_terminal),
    ("payload::console_is_drained_when_the_host_is_gone", console_is_drained_when_the_host_is_gone),
    ("payload::unknown_words_end_it", unknown_words_end_it),
    ("payload::under_another_pid_the_program_does_nothing", under_another_pid_the_program_does_nothing),
];

fn status_is_passed_on() {
    for (command, status) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)] {
        assert_eq!(Guest::new().start(&Guest::payload(command)).end().code(), status, "{command}");
    }
}

fn is_told_about() {
    let ended = Guest::new().start(&Guest::payload("exit 3")).end();
    assert_eq!(
        ended.seen,
        [
            Message::Started(Program::Payload),
            Message::PayloadExited { status: 3 },
            Message::Stopping { end: End::Exit(3), why: Why::Payload },
            Message::Ending(End::Exit(3)),
        ]
    );
    assert!(ended.took < Duration::from_secs(4), "no grace where nothing is left: {:?}", ended.took);
}

fn commands_that_cannot_run_are_126_and_127() {
    for (command, status, errno) in
        [("no-such-command", 127, 2), ("/no/such", 127, 2), ("/etc/passwd", 126, 13)]
    {
        let payload = Some(vec![CString::new(command).unwrap()]);
        let ended = Guest::new().start(&Pid1Args { payload, ..Pid1Args::default() }).end();
        assert_eq!(ended.code(), status, "{command}");
        assert!(ended.seen.contains(&Message::Failed { step: Step::Execute, errno }), "{ended:?}");
    }
    let nowhere = Pid1Args { cwd: Some(c"/no/such".into()), ..Guest::payload("exit 0") };
    assert_eq!(Guest::new().start(&nowhere).end().code(), 126);
}

fn a_file_that_is_no_program_goes_to_the_shell() {
    let guest = Guest::new();
    let script = guest.executable("script", "echo $1 $2\n");
    let payload = Some(vec![script, c"a b".into(), c"c".into()]);
    let ended = guest.start(&Pid1Args { payload, ..Pid1Args::default() }).end();
    assert_eq!((ended.code(), ended.output.as_str()), (0, "a b c\n"));
}

fn gets_environment_directory_and_mask() {
    let args = Guest::payload("pwd; umask; echo \"$PATH\"; echo \"${RUNLEVEL-none}\"");
    let ended = Guest::new().start(&Pid1Args { cwd: Some(c"/usr/share".into()), umask: 0o27, ..args }).end();
    let path = std::env::var("PATH").unwrap();
    assert_eq!(ended.output, format!("/usr/share\n0027\n{path}\nnone\n"));
}

fn starts_clean() {
    let command = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd; \
                   [ \"$(ps -o ppid=,pgid=,sid= -p $$ | tr -s ' ')\" = \" 1 $$ $$\" ] && echo leader of 1; cat /proc/1/comm";
    let ended = Guest::new().start(&Guest::payload(command)).end();
    let words: Vec<_> = ended.output.split_whitespace().collect();
    // Descriptor 3 is the directory that ls reads.
    let expected = "SigBlk: 0000000000000000 SigIgn: 0000000000000000 0 1 2 3 leader of 1 init";
    assert_eq!(words.join(" "), expected);
}

fn what_it_leaves_behind_is_killed() {
    let guest = Guest::new();
    let command = guest.script("command", "(trap '' TERM; echo up > $D/up; while :; do sleep 1000; done) &\nwhile [ ! -s $D/up ]; do :; done; exit 4");
    let args =
        Pid1Args { grace: Duration::from_millis(300), payload: Some(vec![command]), ..Pid1Args::default() };
    let ended = guest.start(&args).end();
    assert_eq!(ended.code(), 4);
    assert!(ended.took > Duration::from_millis(300), "{:?}", ended.took);
    assert!(ended.took < Duration::from_millis(2_800), "{:?}", ended.took);
}

fn stopped_processes_end_too() {
    let guest = Guest::new();
    let command = guest.script(
        "command",
        "(trap 'echo term > $D/term; exit' TERM; echo up > $D/up; kill -STOP $(exec sh -c 'echo $PPID')) &
         while ! grep -q 'State:.T' /proc/$!/status; do :; done; exit 0",
    );
    let ended = guest.start(&Pid1Args { payload: Some(vec![command]), ..Pid1Args::default() }).end();
    assert_eq!((ended.code(), guest.read("term").as_str()), (0, "term\n"));
}

fn gets_signals_from_the_host() {
    let guest = Guest::new();
    let command =
        guest.script("command", "trap 'exit 33' USR1\necho up > $D/fifo\nwhile :; do read x < $D/fifo; done");
    assert!(Command::new("mkfifo").arg(guest.path("fifo")).status().unwrap().success());
    let mut running = guest.start(&Pid1Args { payload: Some(vec![command]), ..Pid1Args::default() });
    assert_eq!(guest.read("fifo"), "up\n");
    running.ask(Request::Signal(10));
    assert_eq!(running.end().code(), 33);
}

/// A new pty: its master and its slave.
pub(crate) fn pty() -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let slave = rustix::pty::ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    );
    (master, slave.unwrap())
}

fn has_a_controlling_terminal() {
    for (tty, status) in [(true, 0), (false, 1)] {
        let (master, slave) = pty();
        let args =
            Pid1Args { tty, ..Guest::payload("test -t 0 || exit 9; (: > /dev/tty) 2>/dev/null || exit 1") };
        assert_eq!(Guest::new().start_on_console(&args, slave, master).end().code(), status, "tty {tty}");
    }
}

fn console_is_drained_when_the_host_is_gone() {
    // The only master is PID 1's; without a reader its writers block after a few kilobytes.
    let (master, slave) = pty();
    let guest = Guest::new();
    let mut running =
        guest.start_on_console(&Guest::payload("head -c 1000000 /dev/zero; exit 5"), slave, master);
    running.abandon();
    assert_eq!(running.end().code(), 5);
}

fn unknown_words_end_it() {
    let guest = Guest::new();
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child"])
        .arg(guest.path("init"))
        .args(["runlevel=2", "colour=red"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "subhost-init: argument not understood: colour=red\n"
    );
}

fn under_another_pid_the_program_does_nothing() {
    let guest = Guest::new();
    let output = Command::new(guest.path("init")).arg("start").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0));
}
