//! Commands run inside a guest that runs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::time::Duration;

use subhost_init::Error;
use subhost_init::enter::Enter;
use subhost_init::launch::{Launch, Program, Running};

use crate::Test;
use crate::stage::{IDLE, IdleGuest, Stage, finish, on_stage, output_pipe, read_all, strings, with_output};

pub(crate) const TESTS: [Test; 9] = [
    ("a_command_that_the_guest_stops_on_its_way_in_is_given_up", a_command_that_the_guest_stops),
    ("a_command_ends_with_the_thread_that_has_started_it", a_command_ends_with_its_thread),
    ("a_command_is_never_open_to_the_guest_before_it_runs", a_command_is_never_open_to_the_guest),
    ("a_command_is_in_all_namespaces_of_the_guest", a_command_is_in_all_namespaces_of_the_guest),
    ("a_command_hands_back_its_status", a_command_hands_back_its_status),
    ("a_command_is_as_confined_as_the_guest", a_command_is_as_confined_as_the_guest),
    ("a_command_runs_as_the_user_asked_for", a_command_runs_as_the_user_asked_for),
    ("a_command_that_cannot_be_executed_is_a_typed_error", a_command_that_cannot_be_executed),
    ("a_guest_without_user_namespace_can_be_entered", a_guest_without_user_namespace_can_be_entered),
];

fn idle_guest(stage: &Stage) -> IdleGuest {
    IdleGuest::of(stage.script(IDLE))
}

fn enter<'a>(guest: &'a Running, words: &[&str]) -> Enter<'a> {
    // Tests run on threads, so the caller has several.
    assert!(fs::read_dir("/proc/self/task").unwrap().count() > 1);
    Enter::new(guest.pidfd()).argv(strings(words)).environment(strings(&["PATH=/sbin:/bin"]))
}

/// Runs a script in the guest: its status and what it said.
fn say(guest: &Running, script: &str) -> (i32, String) {
    let (stdio, mut output) = output_pipe();
    let mut entered = enter(guest, &["sh", "-c", script]).stdio(stdio).start().unwrap();
    let text = read_all(&mut output);
    (entered.wait().unwrap(), text)
}

fn a_command_is_in_all_namespaces_of_the_guest() {
    on_stage(|stage| {
        let guest = IdleGuest::of(stage.script(IDLE).own_clocks(true));
        let host = fs::read_link("/proc/self/ns/time").unwrap();
        assert_ne!(fs::read_link(format!("/proc/{}/ns/time", guest.pid())).unwrap(), host);
        let script = "for kind in cgroup ipc mnt net pid time user uts; do \
             test $(readlink /proc/1/ns/$kind) = $(readlink /proc/self/ns/$kind) && echo $kind; done; \
             readlink /proc/self/cwd; readlink /proc/self/root; ls /proc/self/fd";
        let (status, text) = say(&guest, script);
        // The fourth descriptor is that of the directory that ls reads.
        assert_eq!(text, "cgroup\nipc\nmnt\nnet\npid\ntime\nuser\nuts\n/\n/\n0\n1\n2\n3\n");
        assert_eq!(status, 0);
        guest.finish();
    });
}

fn a_command_that_the_guest_stops() {
    on_stage(|stage| {
        // It ends by itself, should this test not.
        let script = "echo up; n=0; while [ $((n += 1)) -lt 5000000 ]; do kill -STOP -1 2>/dev/null; done";
        let guest = IdleGuest::of(stage.script(script));
        let mut given_up = 0;
        // Some are stopped only when they have executed their program.
        for _ in 0..500 {
            let command = enter(&guest, &["echo"]).patience(Duration::from_millis(200));
            match command.start() {
                Err(Error::HeldUp { object }) => {
                    assert_eq!(object, "echo");
                    given_up += 1;
                }
                Err(error) => panic!("{error}"),
                Ok(mut entered) => {
                    rustix::process::pidfd_send_signal(entered.pidfd(), rustix::process::Signal::KILL)
                        .unwrap();
                    entered.wait().unwrap();
                }
            }
            if given_up == 3 {
                break;
            }
        }
        assert_eq!(given_up, 3, "none was stopped on its way in");
        // Nothing of them is left, not even a zombie of ours.
        let children = fs::read_to_string("/proc/thread-self/children").unwrap();
        assert_eq!(children.split_whitespace().count(), 1, "{children}");
        guest.finish();
    });
}

fn a_command_ends_with_its_thread() {
    on_stage(|stage| {
        let guest = idle_guest(stage);
        for (user, ends) in [(0, true), (1_000, true), (0, false)] {
            let mut entered = std::thread::scope(|scope| {
                let start = || {
                    let command = enter(&guest, &["sleep", "1000"]).user(user, user, Vec::new());
                    command.ends_with_caller(ends).start().unwrap()
                };
                scope.spawn(start).join().unwrap()
            });
            if !ends {
                assert!(fs::metadata(format!("/proc/{}/exe", entered.pid())).is_ok());
                rustix::process::pidfd_send_signal(entered.pidfd(), rustix::process::Signal::TERM).unwrap();
            }
            assert_eq!(entered.wait().unwrap(), if ends { 137 } else { 143 });
        }
        guest.finish();
    });
}

fn a_command_hands_back_its_status() {
    on_stage(|stage| {
        let guest = idle_guest(stage);
        assert_eq!(say(&guest, "exit 0").0, 0);
        assert_eq!(say(&guest, "exit 42").0, 42);
        assert_eq!(say(&guest, "kill -9 $$").0, 137);
        assert_eq!(say(&guest, "kill -TERM $$").0, 143);
        guest.finish();
    });
}

fn a_command_is_as_confined_as_the_guest() {
    on_stage(|stage| {
        let guest = idle_guest(stage);
        let look = "grep -E '^(Cap|Groups)' /proc";
        let (_, inside) = say(&guest, &format!("{look}/self/status"));
        let (_, init) = say(&guest, &format!("{look}/1/status"));
        assert_eq!(inside, init);
        assert!(inside.contains("CapInh:\t0000000000000000\n"), "{inside}");
        assert!(inside.contains("CapAmb:\t0000000000000000\n"), "{inside}");
        let (stdio, mut output) = output_pipe();
        let words = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
        let mut entered = enter(&guest, &words).stdio(stdio).start().unwrap();
        assert_eq!(read_all(&mut output), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
        assert_eq!(entered.wait().unwrap(), 0);
        guest.finish();
    });
}

fn a_command_runs_as_the_user_asked_for() {
    on_stage(|stage| {
        let guest = idle_guest(stage);
        let (stdio, mut output) = output_pipe();
        let mut entered =
            enter(&guest, &["sh", "-c", "id -u; id -g; id -G; grep ^CapEff /proc/self/status; pwd"])
                .user(1000, 1001, vec![1001, 27])
                .working_directory(c"/tmp".to_owned())
                .stdio(stdio)
                .start()
                .unwrap();
        assert_eq!(read_all(&mut output), "1000\n1001\n1001 27\nCapEff:\t0000000000000000\n/tmp\n");
        assert_eq!(entered.wait().unwrap(), 0);

        fs::create_dir(stage.live.join("etc/closed")).unwrap();
        fs::set_permissions(
            stage.live.join("etc/closed"),
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )
        .unwrap();
        let error = enter(&guest, &["sh"])
            .user(1000, 1000, Vec::new())
            .working_directory(c"/etc/closed".to_owned())
            .start()
            .unwrap_err();
        assert_eq!(error.to_string(), "change directory to /etc/closed: Permission denied (os error 13)");
        guest.finish();
    });
}

fn a_command_is_never_open_to_the_guest() {
    on_stage(|stage| {
        // Looks at every process it sees with what the shell has built in. The program of a process can be looked at by
        // whoever may trace it, and before the command is executed that is the program of this test. What execve(2)
        // is about to close the kernel shows for a moment: beside 0, 1 and 2 that is one end of a socket.
        let spy = "echo up; while :; do for process in /proc/[0-9]*; do \
             test $process = /proc/1 && continue; exe=$process/exe; \
             test -e $exe && ! test $exe -ef /bin/busybox && test -e $exe && echo traceable: $exe; \
             set -- $process/fd/*; test $# -gt 4 && echo open: $*; done; done";
        let (launch, output) = with_output(stage.script(spy));
        let guest = launch.start().unwrap().go().unwrap();
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let _leaks = [(); 20].map(|()| fs::File::open("/").unwrap());
        for _ in 0..300 {
            assert_eq!(enter(&guest, &["echo"]).start().unwrap().wait().unwrap(), 0);
        }
        finish(guest);
        assert_eq!(read_all(output.get_mut()), "");
        assert_eq!(output.buffer(), b"");
    });
}

fn a_command_that_cannot_be_executed() {
    on_stage(|stage| {
        fs::write(stage.live.join("bin/data"), "data").unwrap();
        let guest = idle_guest(stage);
        let error = enter(&guest, &["none"]).start().unwrap_err();
        assert_eq!(error.to_string(), "execute none: No such file or directory (os error 2)");
        assert_eq!(error.exit_status(), Some(127));
        let error = enter(&guest, &["data"]).start().unwrap_err();
        assert_eq!(error.to_string(), "execute data: Permission denied (os error 13)");
        assert_eq!(error.exit_status(), Some(126));
        let error = enter(&guest, &[]).start().unwrap_err();
        assert_eq!(error.to_string(), "command: is empty");
        let pidfd = guest.pidfd().try_clone_to_owned().unwrap();
        guest.finish();
        let error = Enter::new(pidfd.as_fd()).argv(strings(&["sh"])).start().unwrap_err();
        assert!(error.to_string().ends_with("No such process (os error 3)"), "{error}");
    });
}

fn a_guest_without_user_namespace_can_be_entered() {
    on_stage(|stage| {
        let program = Program::Guest { path: c"/bin/busybox".to_owned(), argv: strings(&["sh", "-c", IDLE]) };
        let guest = IdleGuest::of(Launch::new(&stage.live).program(program));
        let (status, text) = say(&guest, "readlink /proc/self/ns/pid; id -u; exit 7");
        let host = fs::read_link("/proc/self/ns/pid").unwrap();
        assert!(text.ends_with("\n0\n") && !text.contains(host.to_str().unwrap()), "{text}");
        assert_eq!(status, 7);
        guest.finish();
    });
}
