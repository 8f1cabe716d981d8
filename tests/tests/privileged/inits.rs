//! Guests with OpenRC, runit and busybox, by our PID 1 and by their own.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;
use subhost_tests::program::slowness;

use crate::initctl::booted_again;
use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
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

fn patience() -> Duration {
    Duration::from_secs(45) * slowness()
}

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
pub(crate) fn is_off(host: &Host, name: &str, guest: &Guest, tool: &str) -> Verdict {
    assert!(guest.ends(patience())?, "still there after {tool}");
    assert!(guest.supervisor()?.ends(patience())?, "it has a supervisor after {tool}");
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
    let deadline = Instant::now() + patience();
    while !guest.file("/run/runit.reboot").exists() {
        assert!(!guest.ends(Duration::from_millis(10))?, "it has ended");
        assert!(Instant::now() < deadline, "its first stage has not come to its end");
    }
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
    guest.wait_for_line("/var/log/boot-log", "rc 2 reached", patience())?;
    is_up(host, &name)?;
    let deadline = Instant::now() + patience();
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
    let deadline = Instant::now() + patience();
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
