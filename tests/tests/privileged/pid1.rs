//! Guests whose start scripts are elsewhere, other inits, scripts that hang, and reboots from inside.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;

use crate::initctl::booted_again;
use crate::tiny::insert;
use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "fifty_reboots_from_inside_keep_netns_cables_macs_and_names",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: fifty_reboots,
    },
    Case {
        name: "a_reboot_gives_a_spoilt_network_back_as_new",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: spoilt,
    },
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
        name: "a_guest_with_rcs_alone_boots_and_powers_off",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: start_script_alone,
    },
    Case {
        name: "tools_of_busybox_do_what_they_do_on_a_machine",
        needs: &[Need::Program, Need::Made(Fixture::TinyBare)],
        body: |host| tools(host, Fixture::TinyBare, &[], BUSYBOX),
    },
    Case {
        name: "tools_of_sysvinit_do_what_they_do_on_a_machine",
        needs: &[Need::Program, Need::Made(Fixture::DebianBare)],
        body: |host| tools(host, Fixture::DebianBare, &[], SYSVINIT),
    },
    Case {
        name: "tools_of_openrc_under_sysvinit_do_what_they_do_on_a_machine",
        needs: &[Need::Program, Need::Made(Fixture::DebianOpenRc)],
        body: |host| tools(host, Fixture::DebianOpenRc, &[], SYSVINIT),
    },
    Case {
        name: "tools_of_openrc_alone_do_what_they_do_on_a_machine",
        needs: &[Need::Program, Need::Made(Fixture::DebianOpenRc)],
        body: |host| tools(host, Fixture::DebianOpenRc, &["/etc/init.d/rc", "/etc/init.d/rcS"], OPENRC),
    },
    Case {
        name: "tools_of_runit_do_what_they_do_on_a_machine",
        needs: &[Need::Program, Need::Made(Fixture::DebianRunit)],
        body: |host| tools(host, Fixture::DebianRunit, &[], RUNIT),
    },
    Case {
        name: "openrc_starts_and_stops_its_services",
        needs: &[Need::Program, Need::Made(Fixture::DebianOpenRc)],
        body: openrc,
    },
    Case {
        name: "runit_starts_and_stops_its_services",
        needs: &[Need::Program, Need::Made(Fixture::DebianRunit)],
        body: runit,
    },
    Case {
        name: "busybox_init_is_stopped_in_its_own_language",
        needs: &[Need::Program, Need::Made(Fixture::TinyBare)],
        body: |host| own_init(host, Fixture::TinyBare, "auto", "busybox, by SIGUSR2"),
    },
    Case {
        name: "sysvinit_is_stopped_in_its_own_language",
        needs: &[Need::Program, Need::Made(Fixture::DebianBare)],
        body: |host| own_init(host, Fixture::DebianBare, "/sbin/init", "init, by /run/initctl"),
    },
    Case {
        name: "openrc_init_is_stopped_in_its_own_language",
        needs: &[Need::Program, Need::Made(Fixture::DebianOpenRc)],
        body: |host| own_init(host, Fixture::DebianOpenRc, "/sbin/openrc-init", "openrc-init, by SIGTERM"),
    },
    Case {
        name: "runit_init_is_stopped_in_its_own_language",
        needs: &[Need::Program, Need::Made(Fixture::DebianRunit)],
        body: |host| own_init(host, Fixture::DebianRunit, "auto", "runit-init, by stopit and SIGCONT"),
    },
];

const PATIENCE: Duration = Duration::from_secs(45);

/// How long a guest that shall not end is watched. An absence can only be seen by waiting.
const WATCH: Duration = Duration::from_millis(500);

/// What a tool does to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Off,
    Again,
    Stays,
}

type Tools = &'static [(&'static str, After)];

const BUSYBOX: Tools = &[
    ("reboot", After::Again),
    ("poweroff", After::Off),
    ("halt", After::Off),
    ("kill -INT 1", After::Again),
    ("kill -PWR 1", After::Off),
    ("kill -HUP 1", After::Stays),
    ("poweroff -f", After::Off),
];
const SYSVINIT: Tools = &[
    ("telinit q", After::Stays),
    ("telinit u", After::Stays),
    ("init 6", After::Again),
    ("reboot", After::Again),
    ("shutdown -r now", After::Again),
    ("shutdown -h now", After::Off),
    ("poweroff", After::Off),
    ("halt", After::Off),
    ("init 0", After::Off),
];
const OPENRC: Tools = &[
    ("telinit q", After::Stays),
    ("openrc-shutdown -r now", After::Again),
    ("init 6", After::Again),
    ("openrc-shutdown -p now", After::Off),
    ("poweroff", After::Off),
];
const RUNIT: Tools = &[
    ("init 6", After::Again),
    ("reboot", After::Again),
    ("shutdown -h now", After::Off),
    ("poweroff", After::Off),
    ("halt", After::Off),
    ("init 0", After::Off),
];

/// A file of the guest that tells how far it has come.
fn log_of(fixture: Fixture) -> &'static str {
    if Fixture::TINY.contains(&fixture) { "/var/log/boot" } else { "/var/log/boot-log" }
}

/// Changes an image without a table.
fn change(host: &Host, image: &Path, command: &str) -> std::io::Result<()> {
    host.witness("debugfs", &["-w", "-R", command, &image.to_string_lossy()])?;
    Ok(())
}

/// The guest is off, and nobody boots it again.
fn is_off(host: &Host, name: &str, guest: &Guest, tool: &str) -> Verdict {
    assert!(guest.ends(PATIENCE)?, "still there after {tool}");
    assert!(guest.supervisor()?.ends(PATIENCE)?, "it has a supervisor after {tool}");
    assert_eq!(host.guest(name)?.map(|guest| guest.state().to_owned()).as_deref(), Some("stopped"), "{tool}");
    Ok(())
}

/// Each tool on the real guest, without these of its files.
fn tools(host: &Host, fixture: Fixture, without: &[&str], tools: Tools) -> Verdict {
    let image = host.copy_of(fixture)?;
    for path in without {
        change(host, &image, &format!("rm {path}"))?;
    }
    let name = host.name("tool");
    host.config(&name, &format!("DISKS=( vda:0:{} )\n", image.display()))?;
    let mut running = None;
    for (tool, after) in tools {
        let guest = match running.take() {
            Some(guest) => guest,
            None => boot(host, &name)?,
        };
        // Its status may not come back: it can die with the guest.
        // Shown if it fails.
        eprintln!("{tool}");
        host.subhostctl(&["enter", &name, "--", "sh", "-c", tool])?;
        match after {
            After::Off => is_off(host, &name, &guest, tool)?,
            After::Again => {
                let guest = booted_again(host, &name, &guest)?;
                if fixture == Fixture::DebianRunit {
                    has_runits_files(&guest)?;
                }
                running = Some(guest);
            }
            After::Stays => {
                assert!(!guest.ends(WATCH)?, "{tool} ended the guest");
                running = Some(guest);
            }
        }
    }
    assert!(running.is_none(), "the last one is to power off");
    Ok(())
}

/// What runit's tools mark for init is taken back by a start script that still runs.
fn has_runits_files(guest: &Guest) -> Verdict {
    let deadline = Instant::now() + PATIENCE;
    while !guest.file("/run/runit.reboot").exists() {
        assert!(!guest.ends(Duration::from_millis(10))?, "it has ended");
        assert!(Instant::now() < deadline, "its first stage has not come to its end");
    }
    Ok(())
}

fn inode(path: &Path) -> std::io::Result<u64> {
    fs::metadata(path).map(|meta| meta.ino())
}

/// What outside and inside tell of the cables, but for whether they are up.
fn cables(host: &Host, name: &str) -> std::io::Result<Vec<String>> {
    let mut told = Vec::new();
    for index in 0..2 {
        let outside = host.witness("ip", &["-j", "-o", "link", "show", "dev", &format!("{name}{index}")])?;
        let inside =
            host.witness("ip", &["-n", name, "-j", "-o", "link", "show", "dev", &format!("eth{index}")])?;
        for text in [outside, inside] {
            let link: serde_json::Value = serde_json::from_str(&text)?;
            let keys = ["ifindex", "ifname", "address", "master", "mtu", "link_index"];
            told.push(keys.map(|key| format!("{key}={}", link[0][key])).join(" "));
        }
    }
    Ok(told)
}

fn two_cables(host: &Host) -> Result<(String, Guest), Box<dyn std::error::Error>> {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let bridges = format!("BRIDGES=( {BRIDGE}:{MAC} : )");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n{bridges}\n", image.display()))?;
    let guest = boot(host, &name)?;
    Ok((name, guest))
}

fn fifty_reboots(host: &Host) -> Verdict {
    let (name, mut guest) = two_cables(host)?;
    let pin = Path::new("/run/netns").join(&name);
    let user_namespace = |guest: &Guest| fs::read_link(format!("/proc/{}/ns/user", guest.init_pid()));
    let before = (inode(&pin)?, cables(host, &name)?, user_namespace(&guest)?);
    let begun = Instant::now();
    for round in 0..50 {
        host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
        guest = booted_again(host, &name, &guest)?;
        assert_eq!((inode(&pin)?, cables(host, &name)?, user_namespace(&guest)?), before, "reboot {round}");
    }
    eprintln!("figure: fifty reboots in {} ms", begun.elapsed().as_millis());
    // And the network works as it did at first.
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    let page = subhost_tests::wire::page(crate::address(80), PATIENCE)?;
    assert_eq!(page, format!("This is {name}, a subhost.\n"));
    host.done(&["stop", &name])?;
    Ok(())
}

fn spoilt(host: &Host) -> Verdict {
    let (name, first) = two_cables(host)?;
    let before = cables(host, &name)?;
    host.done(&["enter", &name, "--", "ip", "link", "set", "eth1", "down"])?;
    host.done(&["enter", &name, "--", "ip", "link", "set", "eth1", "name", "wan"])?;
    host.done(&["enter", &name, "--", "ip", "address", "add", "192.0.2.1/24", "dev", "wan"])?;
    host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
    let second = booted_again(host, &name, &first)?;
    assert_eq!(cables(host, &name)?, before);
    let addresses = host.witness("ip", &["-n", &name, "address"])?;
    assert!(!addresses.contains("192.0.2.1"), "{addresses}");
    // One that is gone is made again, and then the other one is new, too.
    host.done(&["enter", &name, "--", "ip", "link", "delete", "eth1"])?;
    host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
    booted_again(host, &name, &second)?;
    assert_eq!(cables(host, &name)?.len(), before.len());
    host.done(&["stop", &name])?;
    Ok(())
}

fn with_script(host: &Host, settings: &str, place: &str, text: &str) -> std::io::Result<String> {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n{settings}\n", image.display()))?;
    fs::write(host.folder().join("script"), text)?;
    insert(host, &image, "script", place, 0o100_755)?;
    Ok(name)
}

fn start_hangs(host: &Host) -> Verdict {
    // What hangs is not the script itself.
    let script = "#!/bin/sh\nsleep 1000\n";
    let name = with_script(host, "BOOT_TIMEOUT=500ms", "/etc/rc2.d/S50hangs", script)?;
    let outcome = host.subhostctl(&["boot", &name, "--detach"])?;
    assert_eq!(outcome.code, 1, "{outcome}");
    assert!(
        outcome.stderr.contains("runlevel 2 hangs (/etc/rc2.d/S50hangs start, in: sleep 1000)"),
        "{outcome}"
    );
    // It goes on, for somebody to look.
    let guest = host.running(&name)?;
    assert_eq!(host.done(&["enter", &name, "--", "cat", "/var/log/boot"])?, "rcS done\n");
    host.done(&["enter", &name, "--", "sh", "-c", "kill $(pidof sleep)"])?;
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    host.done(&["stop", &name])?;
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

/// A guest with a cable, booted.
fn with_cable(
    host: &Host,
    fixture: Fixture,
    without: &[&str],
) -> Result<(String, Guest), Box<dyn std::error::Error>> {
    bridge(host)?;
    let image = host.copy_of(fixture)?;
    for path in without {
        change(host, &image, &format!("rm {path}"))?;
    }
    let name = host.name("deb");
    host.two_lines(&name, 0, &image, BRIDGE, MAC)?;
    let guest = boot(host, &name)?;
    Ok((name, guest))
}

/// Its address shows that its scripts have brought its cable up.
fn is_up(host: &Host, name: &str) -> Verdict {
    let addresses = host.witness("ip", &["-n", name, "-o", "address", "show", "dev", "eth0"])?;
    assert!(addresses.contains("10.80.2.242/16"), "{addresses}");
    Ok(())
}

fn openrc(host: &Host) -> Verdict {
    let without = ["/etc/init.d/rc", "/etc/init.d/rcS"];
    let (name, guest) = with_cable(host, Fixture::DebianOpenRc, &without)?;
    is_up(host, &name)?;
    let status = host.done(&["enter", &name, "--", "rc-status", "--all", "--nocolor"])?;
    for service in ["networking", "boot-log"] {
        let line = status.lines().find(|line| line.trim_start().starts_with(service)).unwrap_or_default();
        assert!(line.contains("started"), "{service}: {status}");
    }
    assert_eq!(host.done(&["enter", &name, "--", "runlevel"])?.trim_end(), "N 2");
    host.done(&["stop", &name])?;
    is_off(host, &name, &guest, "stop")
}

fn runit(host: &Host) -> Verdict {
    let (name, guest) = with_cable(host, Fixture::DebianRunit, &[])?;
    guest.wait_for_line("/var/log/boot-log", "rc 2 reached", PATIENCE)?;
    is_up(host, &name)?;
    let deadline = Instant::now() + PATIENCE;
    while !host.subhostctl(&["enter", &name, "--", "sv", "status", "sleeper"])?.stdout.starts_with("run: ") {
        assert!(Instant::now() < deadline, "the service does not run");
    }
    host.done(&["stop", &name])?;
    is_off(host, &name, &guest, "stop")
}

/// Booted by its own init, and stopped: it has heard, and has stopped in order.
fn own_init(host: &Host, fixture: Fixture, init: &str, asked: &str) -> Verdict {
    let image = host.copy_of(fixture)?;
    let name = host.name("own");
    host.config(&name, &format!("DISKS=( vda:0:{} )\nINIT={init}\n", image.display()))?;
    let guest = boot(host, &name)?;
    let log = log_of(fixture);
    let lines = |text: &str| text.lines().filter(|line| line.starts_with("rc ")).count();
    let deadline = Instant::now() + PATIENCE;
    while lines(&fs::read_to_string(guest.file(log)).unwrap_or_default()) == 0 {
        assert!(!guest.ends(Duration::from_millis(20))?, "it has ended");
        assert!(Instant::now() < deadline, "{init} has not come far");
    }
    let outcome = host.subhostctl(&["stop", &name])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.stderr.contains(&format!("stopped (asked {asked})")), "{outcome}");
    is_off(host, &name, &guest, "stop")?;
    let told = host.witness("debugfs", &["-R", &format!("cat {log}"), &image.to_string_lossy()])?;
    assert!(lines(&told) >= 2, "its stop scripts have not run: {told}");
    Ok(())
}
