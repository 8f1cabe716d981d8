//! Booting with scripts, and `/run`.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::Duration;

use subhost_init::handoff::{Message, Pid1Args, Program, Request};

use subhost_init::layout::Scripts;

use crate::guest::{Guest, request};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("boot::scripts_run_in_order_and_are_told", scripts_run_in_order_and_are_told),
    ("boot::scripts_get_the_environment_of_sysvinit", scripts_get_the_environment_of_sysvinit),
    ("boot::scripts_that_are_missing_are_skipped", scripts_that_are_missing_are_skipped),
    ("boot::a_script_that_is_late_is_told_of", a_script_that_is_late_is_told_of),
    ("boot::openrc_and_runit_lines_are_run", openrc_and_runit_lines_are_run),
    ("boot::who_reads_the_records", who_reads_the_records),
    ("boot::fifo_survives_a_mount_over_run", fifo_survives_a_mount_over_run),
    ("boot::fifo_is_made_again_on_usr1", fifo_is_made_again_on_usr1),
    ("boot::fifo_that_is_there_is_used", fifo_that_is_there_is_used),
    ("boot::other_levels_run_rc", other_levels_run_rc),
    ("boot::guest_goes_on_without_the_host", guest_goes_on_without_the_host),
    ("boot::needs_no_host_at_all", needs_no_host_at_all),
    ("boot::idle_it_sleeps_and_is_small", idle_it_sleeps_and_is_small),
];

fn scripts_run_in_order_and_are_told() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("exit 4", "exit 0"));
    running.ready();
    running.ask(Request::PowerOff);
    let ended = running.end();
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 0\n");
    assert_eq!(
        ended.seen[..5],
        [
            Message::Started(Program::SystemInit),
            Message::Ended { program: Program::SystemInit, status: 4 },
            Message::Started(Program::Runlevel(b'2')),
            Message::Ended { program: Program::Runlevel(b'2'), status: 0 },
            Message::Ready { status: 0 },
        ]
    );
}

fn scripts_get_the_environment_of_sysvinit() {
    let guest = Guest::new();
    let note = "echo $RUNLEVEL $PREVLEVEL $CONSOLE $INIT_VERSION ${TERM:+term} ${PATH:+path} >> $D/env; umask >> $D/env";
    let mut running = guest.start(&guest.boot(note, note));
    running.ready().ask(Request::Reboot);
    running.end();
    assert_eq!(
        guest.read("env"),
        "S N /dev/console sysvinit-2.96 term path\n0022\n\
         2 N /dev/console sysvinit-2.96 term path\n0022\n\
         6 2 /dev/console sysvinit-2.96 term path\n0022\n"
    );
}

fn scripts_that_are_missing_are_skipped() {
    let guest = Guest::new();
    let scripts =
        Scripts { start: Some(c"/no/rcS".into()), level: None, power_off: None, ..Scripts::default() };
    let mut running = guest.start(&Pid1Args { scripts, ..Pid1Args::default() });
    running.ready().ask(Request::PowerOff);
    let ended = running.end();
    assert_eq!(
        ended.seen[..3],
        [
            Message::Skipped { program: Program::SystemInit, errno: 2 },
            Message::Skipped { program: Program::Runlevel(b'2'), errno: 2 },
            Message::Ready { status: 0 },
        ]
    );
    assert_eq!(ended.signal(), 2);
}

fn a_script_that_is_late_is_told_of() {
    let guest = Guest::new();
    assert!(std::process::Command::new("mkfifo").arg(guest.path("go")).status().unwrap().success());
    let args = Pid1Args { boot: Duration::from_millis(100), ..guest.boot("read x < $D/go", "") };
    let mut running = guest.start(&args);
    let pid = running.wait_for_late(Program::SystemInit);
    assert_eq!(running.command_line(pid).last().unwrap(), guest.path("rcS").to_str().unwrap());
    // It goes on.
    fs::write(guest.path("go"), "go\n").unwrap();
    running.ready().ask(Request::PowerOff);
    running.end();
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 0\n");
}

fn openrc_and_runit_lines_are_run() {
    let guest = Guest::new();
    let script = guest.script("script", "echo $* >> $D/log\n[ $1 = stays ] && exec sleep 1000\nexit 0");
    let line =
        |words: &str| Some(std::ffi::CString::new(format!("{} {words}", script.to_str().unwrap())).unwrap());
    let scripts = Scripts {
        start: line("sysinit"),
        boot: line("boot"),
        level: line("stays %"),
        single: None,
        power_off: line("shutdown"),
        reboot: line("reboot"),
        stays: true,
    };
    let args = Pid1Args { scripts, ..Pid1Args::default() };
    let mut running = guest.start(&args);
    running.ready().ask(Request::Reboot);
    assert_eq!(running.end().signal(), 1);
    // What stays may be stopped before it has begun; all else comes in this order.
    let log = guest.read("log").replace("stays 2\n", "");
    assert_eq!(log, "sysinit\nboot\nreboot\n");
}

fn who_reads_the_records() {
    let guest = Guest::new();
    // Debian's bootmisc.sh empties the file.
    let mut running = guest.start(&guest.boot(": > /run/utmp", "LC_ALL=C who -b -r /run/utmp >> $D/who"));
    running.ready();
    assert_eq!(fs::metadata(running.inside("/run/utmp")).unwrap().permissions().mode() & 0o7777, 0o664);
    running.ask(Request::PowerOff);
    running.end();
    let who = guest.read("who");
    let lines: Vec<_> = who.lines().map(str::trim).collect();
    assert_eq!(lines.len(), 4, "{who}");
    assert!(lines[0].starts_with("system boot") && lines[2].starts_with("system boot"), "{who}");
    // who shows the `N` of the first level as `S`.
    assert!(lines[1].starts_with("run-level 2 ") && lines[1].ends_with(" last=S"), "{who}");
    assert!(lines[3].starts_with("run-level 0 ") && lines[3].ends_with(" last=2"), "{who}");
}

fn fifo_survives_a_mount_over_run() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("mount -t tmpfs tmpfs /run", ""));
    running.ready();
    let fifo = fs::metadata(running.inside("/run/initctl")).unwrap();
    assert!(fifo.file_type().is_fifo());
    assert_eq!(fifo.permissions().mode() & 0o7777, 0o600);
    running.write_initctl(&request(1, b'0', b""));
    assert_eq!(running.end().signal(), 2);
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 0\n");
}

fn fifo_is_made_again_on_usr1() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("", "[ -p /run/initctl ] && echo fifo >> $D/log"));
    running.ready();
    fs::remove_file(running.inside("/run/initctl")).unwrap();
    fs::write(running.inside("/run/initctl"), "no fifo").unwrap();
    running.signal("USR1").ask(Request::PowerOff);
    running.end();
    assert_eq!(guest.read("log"), "rcS\nrc 2\nfifo\nrc 0\nfifo\n");
}

fn fifo_that_is_there_is_used() {
    let guest = Guest::new();
    let rcs = "stat -c %i /run/initctl >> $D/inode; kill -USR1 1";
    let mut running = guest.start(&guest.boot(rcs, "stat -c %i /run/initctl >> $D/inode"));
    running.ready().ask(Request::PowerOff);
    running.end();
    let inodes = guest.read("inode");
    let mut inodes: Vec<_> = inodes.lines().collect();
    assert_eq!(inodes.len(), 3);
    inodes.dedup();
    assert_eq!(inodes.len(), 1);
}

fn other_levels_run_rc() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("", "echo $PREVLEVEL $RUNLEVEL >> $D/log"));
    running.ready().write_initctl(&request(1, b'3', b""));
    running.wait_for(Message::Ended { program: Program::Runlevel(b'3'), status: 0 });
    running.write_initctl(&[request(1, b'3', b""), request(1, b'5', b"")].concat());
    running.wait_for(Message::Ended { program: Program::Runlevel(b'5'), status: 0 });
    running.ask(Request::PowerOff).wait_for(Message::Ended { program: Program::Runlevel(b'0'), status: 0 });
    running.end();
    assert_eq!(guest.read("log"), "rcS\nrc 2\nN 2\nrc 3\n2 3\nrc 5\n3 5\nrc 0\n5 0\n");
}

fn guest_goes_on_without_the_host() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("", ""));
    running.ready().abandon();
    assert_eq!(running.activity(Duration::from_millis(300)), [0, 0]);
    running.write_initctl(b"x");
    assert_eq!(running.end().signal(), 2);
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 0\n");
}

fn needs_no_host_at_all() {
    let guest = Guest::new();
    let mkfifo = std::process::Command::new("mkfifo").arg(guest.path("up")).status().unwrap();
    assert!(mkfifo.success());
    let mut running = guest.start_alone(&guest.boot("", "[ $1 = 2 ] && echo up > $D/up; exit 0"));
    assert_eq!(guest.read("up"), "up\n");
    assert_eq!(running.activity(Duration::from_millis(300)), [0, 0]);
    running.write_initctl(b"x");
    assert_eq!(running.end().signal(), 2);
    assert_eq!(guest.read("log"), "rcS\nrc 2\nrc 0\n");
}

fn idle_it_sleeps_and_is_small() {
    let guest = Guest::new();
    let mut running = guest.start(&guest.boot("", "sleep 1000 >/dev/null 2>&1 &"));
    running.ready();
    assert_eq!(running.activity(Duration::from_millis(1_000)), [0, 0]);
    let anonymous = running.figure("Anonymous", "smaps_rollup");
    assert!(anonymous <= 64, "{anonymous} KiB");
    running.ask(Request::Kill);
    running.end();
}
