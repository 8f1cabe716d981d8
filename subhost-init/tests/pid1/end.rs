//! Power-off and restart.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use subhost_init::handoff::{End, Message, Pid1Args, Program, Request, Why};

use crate::guest::{Guest, request};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("end::one_stray_byte_powers_off_in_order", one_stray_byte_powers_off_in_order),
    ("end::telinit_q_and_u_do_nothing", telinit_q_and_u_do_nothing),
    ("end::poweroff_sets_init_halt_for_rc", poweroff_sets_init_halt_for_rc),
    ("end::init_6_restarts", init_6_restarts),
    ("end::any_byte_ends_at_once_where_it_is_immediate", any_byte_ends_at_once_where_it_is_immediate),
    ("end::signals_mean_what_sysvinit_and_busybox_mean", signals_mean_what_sysvinit_and_busybox_mean),
    ("end::signals_from_inside_arrive", signals_from_inside_arrive),
    ("end::busybox_halt_powers_off", busybox_halt_powers_off),
    ("end::busybox_tools_are_obeyed", busybox_tools_are_obeyed),
    ("end::other_signals_do_nothing", other_signals_do_nothing),
    ("end::host_asks", host_asks),
    ("end::rc_0_that_hangs_is_bounded", rc_0_that_hangs_is_bounded),
    ("end::start_script_that_hangs_does_not_stop_the_end", start_script_that_hangs_does_not_stop_the_end),
    ("end::a_fork_bomb_is_bounded", a_fork_bomb_is_bounded),
    ("end::services_get_term_before_the_end", services_get_term_before_the_end),
    ("end::who_came_from_outside_is_seen_to_be_gone", who_came_from_outside_is_seen_to_be_gone),
    ("end::a_script_may_end_the_guest_itself", a_script_may_end_the_guest_itself),
    ("end::a_flood_of_initctl_does_not_stop_the_end", a_flood_of_initctl_does_not_stop_the_end),
];

fn one_stray_byte_powers_off_in_order() {
    let guest = Guest::new();
    for byte in [b"x".as_slice(), b"i", b"\x69\x19", b"\0"] {
        let mut running = guest.start(&guest.boot("", ""));
        running.ready().write_initctl(byte);
        let ended = running.end();
        assert_eq!(ended.signal(), SIGINT);
        assert_eq!(
            ended.seen[5..],
            [
                Message::Stopping { end: End::PowerOff, why: Why::StrayBytes },
                Message::Started(Program::Runlevel(b'0')),
                Message::Ended { program: Program::Runlevel(b'0'), status: 0 },
                Message::Ending(End::PowerOff),
            ]
        );
    }
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 0\n".repeat(4));
}

fn telinit_q_and_u_do_nothing() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("", ""));
    running.ready();
    for level in *b"qQuUa" {
        running.write_initctl(&request(1, level, b""));
    }
    // What is written later is read later: the level is only reached when all before it did nothing.
    running.write_initctl(&request(1, b'4', b""));
    running.wait_for(Message::Ended { program: Program::Runlevel(b'4'), status: 0 });
    running.ask(Request::Kill);
    running.end();
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 4\n");
}

fn poweroff_sets_init_halt_for_rc() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("", "echo ${INIT_HALT-unset} >> $D/log"));
    running.ready();
    running.write_initctl(&[request(6, 0, b"INIT_HALT=POWEROFF"), request(1, b'0', b"")].concat());
    let ended = running.end();
    assert_eq!(ended.signal(), SIGINT);
    assert!(ended.seen.contains(&Message::Stopping { end: End::PowerOff, why: Why::Initctl }));
    assert_eq!(guest.read("log"), "rcS\nrc 2\nunset\nrc 0\nPOWEROFF\n");
}

fn init_6_restarts() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("", ""));
    running.ready().write_initctl(&request(1, b'6', b""));
    assert_eq!(running.end().signal(), SIGHUP);
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 6\n");
}

fn any_byte_ends_at_once_where_it_is_immediate() {
    let guest = Guest::new();
    for bytes in [b"i".to_vec(), request(1, b'q', b""), request(1, b'6', b"")] {
        let mut running = guest.start(&Pid1Args { immediate: true, ..guest.boot("", "") });
        running.ready().write_initctl(&bytes);
        assert_eq!(running.end().signal(), SIGINT);
    }
    assert_eq!(guest.read("log"), "rcS\nrc 2\n".repeat(3));
}

fn signals_mean_what_sysvinit_and_busybox_mean() {
    for (name, rc, signal) in
        [("INT", "rc 6", SIGHUP), ("TERM", "rc 6", SIGHUP), ("PWR", "rc 0", SIGINT), ("USR2", "rc 0", SIGINT)]
    {
        let guest = Guest::new();
        let mut running = guest.start(&guest.boot("", ""));
        running.ready().signal(name);
        assert_eq!(running.end().signal(), signal, "{name}");
        assert_eq!(guest.read("log"), format!("rcS\nrc 2\n{rc}\n"), "{name}");
    }
}

fn signals_from_inside_arrive() {
    let guest = Guest::new();
    let running = guest.start(&guest.boot("", "[ $1 = 2 ] && kill -USR2 1; exit 0"));
    assert_eq!(running.end().signal(), SIGINT);
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 0\n");
}

fn busybox_halt_powers_off() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("kill -USR1 1", "kill -USR1 1"));
    running.ready().signal("USR1");
    assert_eq!(running.end().signal(), SIGINT);
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 0\n");
}

fn busybox_tools_are_obeyed() {
    for (tool, rc, signal) in [("poweroff", 0, SIGINT), ("halt", 0, SIGINT), ("reboot", 6, SIGHUP)] {
        let guest = Guest::new();
        let later = format!("[ $1 = 3 ] && (while [ ! -e $D/go ]; do :; done; busybox {tool}) & exit 0");
        let mut running = guest.start(&guest.boot("", &later));
        running.ready().write_initctl(&request(1, b'3', b""));
        running.wait_for(Message::Ended { program: Program::Runlevel(b'3'), status: 0 });
        fs::write(guest.path("go"), "").unwrap();
        assert_eq!(running.end().signal(), signal, "{tool}");
        assert_eq!(guest.read("log"), format!("rcS\nrc 2\nrc 3\nrc {rc}\n"), "{tool}");
    }
}

fn other_signals_do_nothing() {
    let guest = Guest::new();
    let mut running = guest
        .start(&guest.boot("", "kill -HUP 1; kill -QUIT 1; kill -ALRM 1; kill -KILL 1; kill -RTMIN+3 1"));
    running.ready();
    for name in ["HUP", "QUIT", "ALRM", "WINCH", "RTMIN+4"] {
        running.signal(name);
    }
    running.write_initctl(&request(1, b'3', b""));
    running.wait_for(Message::Ended { program: Program::Runlevel(b'3'), status: 0 });
    running.ask(Request::Kill);
    running.end();
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 3\n");
}

fn host_asks() {
    for (request, rc, signal) in [
        (Request::PowerOff, "rc 0\n", SIGINT),
        (Request::Reboot, "rc 6\n", SIGHUP),
        (Request::Kill, "", SIGINT),
    ] {
        let guest = Guest::new();
        let mut running = guest.start(&guest.boot("", ""));
        running.ready().ask(request);
        let ended = running.end();
        assert_eq!(ended.signal(), signal, "{request:?}");
        assert_eq!(guest.read("log"), format!("rcS\nrc 2\n{rc}"), "{request:?}");
        let end = if request == Request::Reboot { End::Reboot } else { End::PowerOff };
        assert_eq!(ended.seen.last(), Some(&Message::Ending(end)));
    }
}

fn rc_0_that_hangs_is_bounded() {
    let guest = Guest::new();
    let hang = "[ $1 = 2 ] && exit\ntrap '' TERM INT\nwhile :; do sleep 1000; done";
    let mut running = guest.start(&Pid1Args { stop: Duration::from_millis(400), ..guest.boot("", hang) });
    running.ready().ask(Request::PowerOff);
    let ended = running.end();
    assert_eq!(ended.signal(), SIGINT);
    assert!(ended.seen.contains(&Message::TimedOut(Program::Runlevel(b'0'))), "{ended:?}");
    assert!(ended.took < Duration::from_millis(400 + 2_000), "{:?}", ended.took);
}

fn start_script_that_hangs_does_not_stop_the_end() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("echo > $D/hangs; while :; do sleep 1000; done", ""));
    running.wait_for(Message::Started(Program::SystemInit));
    guest.wait_for_file("hangs");
    let asked = Instant::now();
    running.ask(Request::PowerOff);
    let ended = running.end();
    assert_eq!(ended.signal(), SIGINT);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(guest.read("log").ends_with("rc 0\n"));
}

fn a_fork_bomb_is_bounded() {
    let guest = Guest::new();
    // Eight lines of processes, each of which starts the next, ends, and does not mind SIGTERM.
    let bomb = guest.script("bomb", "trap '' TERM\n\"$0\" >/dev/null 2>&1 </dev/null &");
    let start =
        format!("[ $1 = 2 ] && for i in 1 2 3 4 5 6 7 8; do {} & done; exit 0", bomb.to_str().unwrap());
    let args = guest.boot("", &start);
    let mut running =
        guest.start(&Pid1Args { stop: Duration::from_secs(1), grace: Duration::from_millis(300), ..args });
    running.ready().ask(Request::PowerOff);
    let ended = running.end();
    assert_eq!(ended.signal(), SIGINT);
    assert!(ended.took < Duration::from_secs(4), "{:?}", ended.took);
}

fn services_get_term_before_the_end() {
    let guest = Guest::new();
    let service =
        guest.script("service", "trap 'echo term >> $D/log; exit' TERM\nmkfifo $D/never\nexec 9<>$D/never\necho up > $D/up\nread x <&9");
    let start =
        format!("[ $1 = 2 ] || exit 0; {} & while [ ! -s $D/up ]; do :; done", service.to_str().unwrap());
    let mut running = guest.start(&guest.boot("", &start));
    running.ready().ask(Request::PowerOff);
    let ended = running.end();
    assert_eq!(ended.signal(), SIGINT);
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 0\nterm\n");
    assert!(ended.took < Duration::from_secs(4), "the grace ends when nobody is left: {:?}", ended.took);
}

/// It is no child of PID 1, which is not told of its end: the grace would be waited for.
fn who_came_from_outside_is_seen_to_be_gone() {
    let guest = Guest::new();
    let args = Pid1Args { grace: Duration::from_secs(3_600), ..guest.boot("", "") };
    let mut running = guest.start(&args);
    running.ready();
    let pid = running.pid().to_string();
    let mut nsenter = Command::new("nsenter");
    let mut inside = nsenter.args(["-t", &pid, "-p", "sh", "-c", "echo in; exec sleep 1000"]);
    inside = inside.stdout(Stdio::piped());
    let mut inside = inside.spawn().unwrap();
    let mut told = [0; 3];
    inside.stdout.take().unwrap().read_exact(&mut told).unwrap();
    running.ask(Request::PowerOff);
    let waits = std::thread::spawn(move || inside.wait().unwrap().signal());
    assert_eq!(running.end().signal(), SIGINT);
    assert_eq!(waits.join().unwrap(), Some(15));
}

fn a_script_may_end_the_guest_itself() {
    // The last script of Debian's rc 0 calls reboot(2); busybox does it with -f.
    for (tool, signal) in [("poweroff", SIGINT), ("halt", SIGINT), ("reboot", SIGHUP)] {
        let guest = Guest::new();
        let mut running =
            guest.start(&guest.boot("", &format!("[ $1 = 0 ] && exec busybox {tool} -f; exit 0")));
        running.ready().ask(Request::PowerOff);
        assert_eq!(running.end().signal(), signal, "{tool}");
    }
}

fn a_flood_of_initctl_does_not_stop_the_end() {
    let guest = Guest::new();
    fs::write(guest.path("q"), request(1, b'q', b"")).unwrap();
    let flood = "[ $1 = 2 ] && (while cat $D/q; do :; done > /run/initctl 2>/dev/null) & exit 0";
    let mut running = guest.start(&guest.boot("", flood));
    running.ready().ask(Request::PowerOff);
    let ended = running.end();
    assert_eq!(ended.signal(), SIGINT);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}
