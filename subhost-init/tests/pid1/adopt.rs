//! A new supervisor in the place of one that is gone.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use subhost_init::adopt::adopt;
use subhost_init::handoff::{End, Message, Program, Request, Why};
use subhost_init::launch::Ended;
use subhost_init::process::ProcessIdentity;

use crate::guest::{Guest, request};
use crate::payload::pty;

const SIGINT: i32 = 2;
/// Longer than any test takes.
const WAIT: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("adopt::a_new_supervisor_is_told_and_obeyed", told_and_obeyed),
    ("adopt::it_gets_what_the_console_says_from_then_on", console),
    ("adopt::one_that_dies_is_followed_by_the_next", one_after_another),
    ("adopt::a_guest_with_a_supervisor_is_not_taken", supervised),
    ("adopt::what_has_no_packet_socket_is_not_taken", no_socket),
    ("adopt::how_it_ended_is_known_without_being_its_parent", ended),
];

fn told_and_obeyed() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("", ""));
    running.ready().abandon();
    let adopted = running.adopt();
    assert_eq!((adopted.ready, adopted.end, adopted.console.is_some()), (true, None, false));
    running.talk(adopted.socket).write_initctl(&request(1, b'3', b""));
    running.wait_for(Message::Ended { program: Program::Runlevel(b'3'), status: 0 });
    // It sleeps as before: neither end of a socket keeps it awake.
    assert_eq!(running.activity(Duration::from_millis(300)), [0, 0]);
    running.ask(Request::PowerOff);
    let ended = running.end();
    assert_eq!(ended.signal(), SIGINT);
    assert!(ended.seen.contains(&Message::Stopping { end: End::PowerOff, why: Why::Host }), "{ended:?}");
}

fn console() {
    let (master, slave) = pty();
    let guest = Guest::new();
    // The first megabyte is drained by PID 1; the line after it is for the new supervisor.
    let rc = "[ $1 = 3 ] && echo level 3; [ $1 = 2 ] && head -c 1000000 /dev/zero; exit 0";
    let mut running = guest.start_on_console(&guest.boot("", rc), slave, master);
    running.wait_for(Message::Started(Program::SystemInit)).abandon();
    let adopted = loop {
        let adopted = running.adopt();
        if adopted.ready {
            break adopted;
        }
        // Drained again.
        drop(adopted);
    };
    running.talk(adopted.socket).write_initctl(&request(1, b'3', b""));
    let master = adopted.console.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"level 3\r\n") {
        assert!(poll(&mut [PollFd::new(&master, PollFlags::IN)], Some(&WAIT)).unwrap() > 0, "{}", said.len());
        let mut buffer = [0; 4096];
        // PID 1 has made it non-blocking, and may have read the last of what came before.
        let count = rustix::io::read(&master, &mut buffer).unwrap_or(0);
        said.extend_from_slice(&buffer[..count]);
    }
    running.ask(Request::Kill);
    running.end();
}

fn one_after_another() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("[ -e $D/go ] || mkfifo $D/go; read x < $D/go", ""));
    running.wait_for(Message::Started(Program::SystemInit)).abandon();
    guest.wait_for_file("go");
    for _ in 0..10 {
        assert!(!running.adopt().ready);
    }
    std::fs::write(guest.path("go"), "\n").unwrap();
    let adopted = running.adopt();
    running.talk(adopted.socket);
    if !adopted.ready {
        running.ready();
    }
    running.ask(Request::PowerOff);
    assert_eq!(running.end().signal(), SIGINT);
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 0\n");
}

fn supervised() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("", ""));
    running.ready();
    let init = ProcessIdentity::of(running.pid()).unwrap().open().unwrap().unwrap();
    let error = adopt(&init, Instant::now()).unwrap_err().to_string();
    assert!(error.ends_with("offers no socket to a new supervisor"), "{error}");
    running.ask(Request::PowerOff);
    assert_eq!(running.end().signal(), SIGINT);
}

fn no_socket() {
    let mut child = std::process::Command::new("sh")
        .args(["-c", "exec sleep 100 4</dev/null 5</dev/null"])
        .spawn()
        .unwrap();
    let process = ProcessIdentity::of(child.id()).unwrap().open().unwrap().unwrap();
    let error = adopt(&process, Instant::now() + Duration::from_millis(50)).unwrap_err().to_string();
    assert!(error.ends_with("offers no socket to a new supervisor"), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn ended() {
    let [major, minor] = kernel();
    let known = major > 6 || (major == 6 && minor >= 15);
    let guest = Guest::new();
    // Its parent is unshare(1), which sees SIGINT when it powers off.
    for (killed, status) in [(false, Ended::Exited(0)), (true, Ended::Killed(9))] {
        let mut running = guest.start(&guest.boot("", ""));
        running.ready();
        let init = ProcessIdentity::of(running.pid()).unwrap().open().unwrap().unwrap();
        assert_eq!(init.ended(Instant::now()), None, "it runs");
        if killed {
            init.signal(9).unwrap();
        } else {
            running.ask(Request::PowerOff);
        }
        running.end();
        assert_eq!(init.ended(Instant::now() + Duration::from_secs(10)), known.then_some(status));
    }
}

/// The running kernel's version.
fn kernel() -> [u32; 2] {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    [numbers.next().unwrap(), numbers.next().unwrap()]
}
