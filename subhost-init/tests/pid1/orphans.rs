//! Processes whose parent has ended, in any number.

use std::process::Command;
use std::time::{Duration, Instant};

use subhost_init::handoff::{Message, Pid1Args, Program, Request};

use crate::guest::{Guest, Running};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("orphans::of_a_booted_guest_are_no_zombies", of_a_booted_guest_are_no_zombies),
    ("orphans::of_a_payload_are_reaped", of_a_payload_are_reaped),
    ("orphans::that_came_before_the_guest_was_up_are_reaped", that_came_before_the_guest_was_up_are_reaped),
];

const PATIENCE: Duration = Duration::from_secs(60);

/// Makes 100,000 orphans, then the file `done`: each subshell leaves four children to PID 1.
const MAKE: &str = "i=0; while [ $i -lt 25000 ]; do (: & : & : & : &); i=$((i + 1)); done; echo > $D/done";

/// How many zombies PID 1 has for children in each look, until the file `done` is there; in order.
fn zombies(guest: &Guest, running: &Running) -> Vec<usize> {
    let mut zombies = Vec::new();
    while !guest.path("done").exists() {
        zombies.push(running.children()[1]);
        std::thread::sleep(Duration::from_millis(2));
    }
    zombies.sort_unstable();
    zombies
}

fn comes_to(running: &Running, children: [usize; 2]) {
    let begun = Instant::now();
    while running.children() != children {
        assert!(begun.elapsed() < PATIENCE, "{:?} are left", running.children());
    }
}

/// The kernel reaps them, so that this holds on a busy machine too: seen is at most one that is just being reaped, on each
/// processor.
fn of_a_booted_guest_are_no_zombies() {
    let guest = Guest::new();
    let rc = format!(
        "[ $1 != 2 ] || {{ while [ ! -e $D/go ]; do sleep 0.01; done; {MAKE}; sleep 1000; }} >&- 2>&- &"
    );
    let mut running = guest.start(&guest.boot("", &rc));
    running.ready();
    let memory = |running: &Running| ["VmSize", "VmData"].map(|name| running.figure(name, "status"));
    let before = memory(&running);
    std::fs::write(guest.path("go"), "").unwrap();
    let zombies = zombies(&guest, &running);
    let most = zombies.last().copied().unwrap_or_default();
    eprintln!("figure: 100000 orphans of a booted guest: {most} zombies at most, in {} looks", zombies.len());
    assert!(zombies.len() > 100 && most <= 64, "{most} zombies at once, in {} looks", zombies.len());
    comes_to(&running, [1, 0]);
    assert_eq!(memory(&running), before);
    assert!(running.figure("Anonymous", "smaps_rollup") <= 64);
    running.ask(Request::PowerOff);
    let ended = running.end();
    // What runs at the end is waited for as before.
    assert!(
        ended.seen.contains(&Message::Ended { program: Program::Runlevel(b'0'), status: 0 }),
        "{ended:?}"
    );
}

fn of_a_payload_are_reaped() {
    let guest = Guest::new();
    let payload = guest.script("command", &format!("{MAKE}\nread line < $D/fifo"));
    assert!(Command::new("mkfifo").arg(guest.path("fifo")).status().unwrap().success());
    let mut running = guest.start(&Pid1Args { payload: Some(vec![payload]), ..Pid1Args::default() });
    running.wait_for(Message::Started(Program::Payload));
    let zombies = zombies(&guest, &running);
    let (usual, most) = (zombies[zombies.len() / 2], zombies[zombies.len() - 1]);
    eprintln!(
        "figure: 100000 orphans of a payload: {usual} zombies usually, {most} at most, in {} looks",
        zombies.len()
    );
    // On a busy machine PID 1 has to wait for its turn as all do: what counts is that it keeps up.
    assert!(usual <= 64, "{usual} zombies at once");
    // In the end there is only the payload.
    comes_to(&running, [1, 0]);
    std::fs::write(guest.path("fifo"), "go\n").unwrap();
    assert_eq!(running.end().code(), 0);
}

/// PID 1 is stopped while they end, and finds them when nobody tells it of them any more.
fn that_came_before_the_guest_was_up_are_reaped() {
    let guest = Guest::new();
    let rc = "[ $1 = 2 ] || exit 0; echo up > $D/up; while [ ! -e $D/go ]; do sleep 0.01; done; \
              i=0; while [ $i -lt 100 ]; do (: & : & : & : &); i=$((i + 1)); done; echo > $D/done";
    let mut running = guest.start(&guest.boot("", rc));
    running.wait_for(Message::Started(Program::Runlevel(b'2')));
    guest.wait_for_file("up");
    running.signal("STOP");
    std::fs::write(guest.path("go"), "").unwrap();
    guest.wait_for_file("done");
    // The script too.
    comes_to(&running, [401, 401]);
    running.signal("CONT").ready();
    comes_to(&running, [0, 0]);
    running.ask(Request::PowerOff);
    running.end();
}
