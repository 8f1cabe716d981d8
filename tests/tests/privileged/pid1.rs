//! Start and stop scripts that hang, or are not there, and a PID 1 that does not answer.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::boot;
use crate::inits::is_off;
use crate::logs::{eventually, logged};
use crate::tiny::insert;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_start_script_that_hangs_is_named_and_the_guest_goes_on",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: start_hangs,
    },
    Case {
        name: "a_stop_script_that_hangs_is_named_and_killed",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: stop_hangs,
    },
    Case {
        name: "a_pid_1_that_does_not_answer_is_killed_in_time",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: frozen,
    },
    Case {
        name: "a_guest_that_ends_before_it_is_ready_says_what_it_has_said",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: ends_early,
    },
    Case {
        name: "a_guest_with_rcs_alone_boots_and_powers_off",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: start_script_alone,
    },
];

const PATIENCE: Duration = Duration::from_secs(45);

fn with_script(host: &Host, settings: &str, place: &str, text: &str) -> std::io::Result<String> {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n{settings}\n", image.display()))?;
    fs::write(host.directory().join("script"), text)?;
    insert(host, &image, "script", place, 0o100_755)?;
    Ok(name)
}

fn start_hangs(host: &Host) -> Verdict {
    // What hangs is not the script itself.
    let script = "#!/bin/sh\nprintf 'waits \\033[2J for nobody\\n' >/dev/console\nsleep 1000\n";
    let name = with_script(host, "BOOT_TIMEOUT=500ms", "/etc/rc2.d/S50hangs", script)?;
    let outcome = host.subhostctl(&["boot", &name, "--detach"])?;
    assert_eq!(outcome.code, 1, "{outcome}");
    assert!(
        outcome.stderr.contains("runlevel 2 hangs (/etc/rc2.d/S50hangs start, in: sleep 1000)"),
        "{outcome}"
    );
    let said = outcome.stderr.split_once("its last output:\n").map(|(_, said)| said);
    assert!(said.is_some_and(|said| said.ends_with("waits \u{fffd}[2J for nobody\n")), "{outcome}");
    // It goes on, for somebody to look.
    let guest = host.running(&name)?;
    assert_eq!(host.done(&["enter", &name, "--", "cat", "/var/log/boot"])?, "rcS done\n");
    host.done(&["enter", &name, "--", "sh", "-c", "kill $(pidof sleep)"])?;
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn ends_early(host: &Host) -> Verdict {
    let end = "#!/bin/sh\necho no disk, no service\n";
    let name = with_script(host, "RESTART=no", "/etc/rc2.d/S50ends", &format!("{end}poweroff -f\n"))?;
    let outcome = host.subhostctl(&["boot", &name, "--detach"])?;
    assert_eq!(outcome.code, 1, "{outcome}");
    let last = format!("no disk, no service\nsubhostctl: error: boot {name}: it ended before it was ready\n");
    assert!(outcome.stderr.contains("its last output:\n") && outcome.stderr.ends_with(&last), "{outcome}");
    // By a signal that only the host can send.
    let image = host.directory().join(Fixture::TinyMbr.file_name());
    fs::write(host.directory().join("script"), format!("{end}sleep 1000\n"))?;
    insert(host, &image, "script", "/etc/rc2.d/S50ends", 0o100_755)?;
    let boot = host.start(&["boot", &name, "--detach"])?;
    eventually("it runs", || Ok(host.guest(&name)?.is_some_and(|guest| guest.state() == "running")))?;
    logged(&name, "no service\r\nno disk, no service")?;
    host.running(&name)?.signal_init(Signal::KILL)?;
    let outcome = boot.finish(PATIENCE)?;
    assert_eq!(outcome.code, 1, "{outcome}");
    let last =
        format!("no disk, no service\nsubhostctl: error: subhost {name}: PID 1 was ended by signal 9\n");
    assert!(outcome.stderr.contains("its last output:\n") && outcome.stderr.ends_with(&last), "{outcome}");
    Ok(())
}

fn stop_hangs(host: &Host) -> Verdict {
    let script = "#!/bin/sh\ntrap '' TERM\nsleep 1000\n";
    let name = with_script(host, "STOP_TIMEOUT=1s", "/etc/rc0.d/K99hangs", script)?;
    let foreground = host.start(&["boot", &name])?;
    let deadline = Instant::now() + PATIENCE;
    let guest = loop {
        match host.guest(&name)?.filter(|guest| guest.state() == "running") {
            Some(guest) => break guest,
            None => assert!(Instant::now() < deadline, "it does not run"),
        }
    };
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    guest.write_initctl(b"x")?;
    assert!(guest.ends(PATIENCE)?, "still there after the stop time");
    let outcome = foreground.finish(PATIENCE)?;
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(
        outcome.stderr.contains("runlevel 0 hangs (/etc/rc0.d/K99hangs stop, in: sleep 1000)"),
        "{outcome}"
    );
    Ok(())
}

/// As if something of the guest made PID 1 itself wait.
fn frozen(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\nSTOP_TIMEOUT=500ms\n", image.display()))?;
    let guest = boot(host, &name)?;
    guest.signal_init(rustix::process::Signal::STOP)?;
    let outcome = host.subhostctl(&["stop", &name])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.stderr.contains("did not stop in time, and was killed"), "{outcome}");
    is_off(host, &name, &guest, "stop")
}

fn start_script_alone(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let place = format!("{}?offset=1048576", image.display());
    host.witness("debugfs", &["-w", "-R", "rm /etc/init.d/rc", &place])?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", image.display()))?;
    let guest = boot(host, &name)?;
    guest.write_initctl(b"x")?;
    is_off(host, &name, &guest, "one byte")?;
    assert_eq!(host.witness("debugfs", &["-R", "cat /var/log/boot", &place])?, "rcS done\n");
    Ok(())
}
