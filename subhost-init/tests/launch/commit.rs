//! The one commit point: whoever kills the launching process, and whenever, leaves all or nothing.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, linkat};
use subhost_init::process::{ProcessHandle, ProcessIdentity};

use crate::Test;
use crate::stage::{finish, on_stage, strings, with_output};

/// The first word of this program when it is the launching process that is to be killed.
pub(crate) const HELPER: &str = "launching-process";

pub(crate) const TESTS: [Test; 5] = [
    ("killed_before_the_commit_nothing_is_left", killed_before_the_commit_nothing_is_left),
    ("killed_after_the_commit_the_guest_goes_on", killed_after_the_commit_the_guest_goes_on),
    ("dropped_before_the_commit_the_child_is_gone", dropped_before_the_commit_the_child_is_gone),
    ("dropped_after_the_commit_the_guest_goes_on", dropped_after_the_commit_the_guest_goes_on),
    ("two_launches_do_not_hold_each_other", two_launches_do_not_hold_each_other),
];

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// A record without a name, in a directory of the host.
fn record(directory: &Path) -> OwnedFd {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(directory)
        .unwrap()
        .into()
}

fn commit(record: &OwnedFd, path: &Path) {
    let own_name = format!("/proc/self/fd/{}", record.as_raw_fd());
    linkat(CWD, own_name, CWD, path, AtFlags::SYMLINK_FOLLOW).unwrap();
}

/// Launches as told, says the pid of the child, and waits to be killed.
pub(crate) fn helper(what: &str) {
    let directory = std::env::current_dir().unwrap();
    on_stage(|stage| {
        let record = record(&directory);
        let stdio = [
            OwnedFd::from(File::open("/dev/null").unwrap()),
            rustix::io::dup(std::io::stdout()).unwrap(),
            rustix::io::dup(std::io::stderr()).unwrap(),
        ];
        let prepared = stage
            .script("echo running; sleep 600")
            .stdio(stdio)
            .record(record.try_clone().unwrap())
            .start()
            .unwrap();
        if what == "committed" {
            commit(&record, &directory.join("record"));
        }
        println!("{}", prepared.init_pid());
        let _ = std::io::stdin().read(&mut [0]);
        panic!("the launching process was not killed");
    });
}

/// The launching process, its output, and the child that it has prepared.
fn launching_process(what: &str, directory: &Path) -> (Child, BufReader<impl Read>, ProcessHandle) {
    let mut helper = Command::new(std::env::current_exe().unwrap())
        .args([HELPER, what])
        .current_dir(directory)
        .env("TMPDIR", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(helper.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let identity = ProcessIdentity::of(line.trim().parse().unwrap()).unwrap();
    (helper, output, identity.open().unwrap().unwrap())
}

fn kill(mut helper: Child) {
    helper.kill().unwrap();
    helper.wait().unwrap();
}

/// Directories of the killed helper's stage: its mounts went with it, but nobody was there to remove the directories.
fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir(path.join("live")).unwrap();
            fs::remove_dir(path).unwrap();
        }
    }
}

fn killed_before_the_commit_nothing_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let (helper, mut output, child) = launching_process("uncommitted", directory.path());
    kill(helper);
    assert!(child.wait_gone(deadline()).unwrap());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    sweep(directory.path());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

fn killed_after_the_commit_the_guest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (helper, mut output, child) = launching_process("committed", directory.path());
    kill(helper);
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "running\n");
    assert!(!child.wait_gone(Instant::now()).unwrap());
    assert!(child.signal(libc::SIGKILL).unwrap());
    assert!(child.wait_gone(deadline()).unwrap());
    sweep(directory.path());
}

fn dropped_before_the_commit_the_child_is_gone() {
    on_stage(|stage| {
        let (launch, mut output) = with_output(stage.script("echo running"));
        let prepared = launch.start().unwrap();
        let identity = ProcessIdentity::of(prepared.init_pid()).unwrap();
        drop(prepared);
        assert!(identity.open().unwrap().is_none());
        assert_eq!(crate::stage::read_all(&mut output), "");
    });
}

fn dropped_after_the_commit_the_guest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    on_stage(|stage| {
        let record = record(directory.path());
        let (launch, output) = with_output(stage.script("echo running; sleep 600"));
        let prepared = launch.record(record.try_clone().unwrap()).start().unwrap();
        let handle = ProcessIdentity::of(prepared.init_pid()).unwrap().open().unwrap().unwrap();
        commit(&record, &directory.path().join("record"));
        drop(prepared);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line, "running\n");
        assert!(handle.signal(libc::SIGKILL).unwrap());
        assert!(handle.wait_gone(deadline()).unwrap());
        let pid = nix::unistd::Pid::from_raw(i32::try_from(handle.pid()).unwrap());
        nix::sys::wait::waitpid(pid, None).unwrap();
    });
}

fn two_launches_do_not_hold_each_other() {
    on_stage(|stage| {
        let first = stage.launch(shell("exit 5")).start().unwrap();
        let second = stage.launch(shell("read forever")).start().unwrap();
        let identity = ProcessIdentity::of(first.init_pid()).unwrap();
        drop(first);
        assert!(identity.open().unwrap().is_none());
        let mut second = second.go().unwrap();
        // Its input is /dev/null.
        assert_eq!(second.wait().unwrap(), subhost_init::launch::Ended::Exited(1));
        let third = stage.launch(shell("sleep 600")).start().unwrap();
        finish(third.go().unwrap());
    });
}

fn shell(script: &str) -> subhost_init::launch::Program {
    subhost_init::launch::Program::Guest {
        path: c"/bin/busybox".to_owned(),
        argv: strings(&["sh", "-c", script]),
    }
}
