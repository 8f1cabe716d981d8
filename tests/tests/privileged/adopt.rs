//! Supervisors that are killed, and those that come after them.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use subhost_tests::case::{Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;

use crate::initctl::booted_again;
use crate::logs::{PATIENCE, eventually, logged, say, tiny};
use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_killed_supervisor_is_replaced_with_console_log_and_names",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: replaced,
    },
    Case {
        name: "of_many_who_recover_one_becomes_the_supervisor",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: many,
    },
    Case {
        name: "twenty_killed_supervisors_leave_a_guest_that_is_taken_over_again",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: twenty,
    },
    Case {
        name: "a_reboot_under_a_new_supervisor_keeps_namespaces_and_cables",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: rebooted,
    },
    Case {
        name: "how_a_guest_ended_is_known_to_a_new_supervisor",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: causes,
    },
    Case {
        name: "a_guest_whose_pid_1_does_not_answer_loses_its_console_and_nothing_else",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: silent,
    },
    Case {
        name: "a_guest_with_an_init_of_its_own_is_taken_over_without_its_console",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: foreign,
    },
    Case {
        name: "recover_sweeps_what_has_ended_and_says_nothing_of_what_is_whole",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: swept,
    },
    Case {
        name: "recover_between_two_runs_leaves_the_next_one_to_the_supervisor",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: between,
    },
];

/// Kills the supervisor, and waits until it is gone.
pub(crate) fn kill_supervisor(guest: &Guest) -> io::Result<()> {
    guest.supervisor()?.signal(Signal::KILL)?;
    if guest.supervisor()?.ends(PATIENCE)? { Ok(()) } else { Err(io::Error::other("it does not end")) }
}

fn status(host: &Host, name: &str) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    Ok(serde_json::from_str(&host.done(&["status", "--json", name])?)?)
}

/// The processes that supervise a subhost, as the kernel names them.
fn supervisors(name: &str) -> io::Result<Vec<String>> {
    let line = format!("subhostctl\0--supervise\0{name}\0");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if fs::read(entry.path().join("cmdline")).is_ok_and(|words| words == line.as_bytes()) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// The last event of this kind.
pub(crate) fn last_event(
    host: &Host,
    name: &str,
    event: &str,
) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let lines = host.done(&["events", "--json", name])?;
    let events = lines.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
    let found = events.into_iter().rev().find(|line| line["event"] == event);
    Ok(found.ok_or_else(|| format!("no {event} in {lines}"))?)
}

fn replaced(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "")?;
    say(host, &name, "echo by the first")?;
    logged(&name, "by the first")?;
    kill_supervisor(&guest)?;
    let unsupervised = status(host, &name)?;
    assert_eq!(unsupervised["supervision"], "unsupervised", "{unsupervised}");
    // What is said meanwhile is lost, and nobody waits for it.
    say(host, &name, "head -c 1000000 /dev/zero")?;
    let outcome = host.subhostctl(&["recover"])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.stderr.contains(&format!("{name}: has a supervisor again")), "{outcome}");
    let supervised = status(host, &name)?;
    assert_eq!(supervised["supervision"], "supervised", "{supervised}");
    assert_eq!(supervised["init_pid"], guest.init_pid());
    assert_eq!(supervisors(&name)?, [supervised["supervisor_pid"].to_string()]);
    say(host, &name, "echo by the second")?;
    logged(&name, "by the second")?;
    host.done(&["wait", "--ready", &name])?;
    // `boot --detach` and `console` take over, too.
    for words in [["boot", "--detach"], ["console", "--no-history"]] {
        kill_supervisor(&host.running(&name)?)?;
        let mut command = host.start(&[&words[..], &[&name]].concat())?;
        eventually("a supervisor again", || Ok(supervisors(&name)?.len() == 1))?;
        say(host, &name, &format!("echo after {}", words[0]))?;
        logged(&name, &format!("after {}", words[0]))?;
        // A console without input is open as long as its subhost.
        if words[0] == "boot" {
            assert_eq!(command.finish(PATIENCE)?.code, 0);
        } else {
            host.done(&["stop", &name])?;
            assert!(command.wait(PATIENCE)?.is_some());
        }
    }
    assert_eq!(supervisors(&name)?, [] as [&str; 0]);
    Ok(())
}

fn many(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "")?;
    kill_supervisor(&guest)?;
    let commands: Vec<_> = (0..6).map(|_| host.start(&["recover", &name])).collect::<Result<_, _>>()?;
    let mut done = 0;
    for command in commands {
        let outcome = command.finish(PATIENCE)?;
        // The others wait for the one that is at it, and find it done.
        assert!(outcome.code == 0 && !outcome.stderr.contains("error"), "{outcome}");
        done += usize::from(outcome.stderr.contains("has a supervisor again"));
    }
    assert_eq!(done, 1, "of six one has given it a supervisor");
    assert_eq!(supervisors(&name)?.len(), 1);
    say(host, &name, "echo once")?;
    logged(&name, "once")?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn twenty(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "")?;
    kill_supervisor(&guest)?;
    let begun = Instant::now();
    host.done(&["recover", &name])?;
    let whole = begun.elapsed();
    for round in 0..20_u32 {
        kill_supervisor(&host.running(&name)?)?;
        let mut command = host.start(&["recover", "--background", &name])?;
        command.wait(whole * round / 20)?;
        command.kill()?;
        drop(command);
        let outcome = host.subhostctl(&["recover", &name])?;
        assert_eq!(outcome.code, 0, "round {round}: {outcome}");
        assert!(outcome.stderr.contains("has a supervisor again"), "round {round}: {outcome}");
        assert_eq!(supervisors(&name)?.len(), 1, "round {round}");
        assert_eq!(host.running(&name)?.init_pid(), guest.init_pid());
    }
    eprintln!("{FIGURE}a new supervisor in {} ms", whole.as_millis());
    say(host, &name, "echo after all")?;
    logged(&name, "after all")?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn rebooted(host: &Host) -> Verdict {
    bridge(host)?;
    let (name, first) = tiny(host, &format!("BRIDGES=( {BRIDGE}:{MAC} )"))?;
    let place = |guest: &Guest| -> io::Result<_> {
        let namespace = |kind| fs::read_link(format!("/proc/{}/ns/{kind}", guest.init_pid()));
        let link = host.witness("ip", &["-j", "-o", "link", "show", "dev", &format!("{name}0")])?;
        let link: serde_json::Value = serde_json::from_str(&link)?;
        Ok((
            namespace("user")?,
            namespace("net")?,
            link[0]["ifindex"].to_string(),
            link[0]["master"].to_string(),
        ))
    };
    let before = place(&first)?;
    let mut guest = first;
    for _ in 0..3 {
        kill_supervisor(&guest)?;
        host.done(&["recover", &name])?;
        guest.write_initctl(&restart())?;
        guest = booted_again(host, &name, &guest)?;
        assert_eq!(place(&guest)?, before);
    }
    let page = subhost_tests::wire::page(crate::address(80), PATIENCE)?;
    assert_eq!(page, format!("This is {name}, a subhost.\n"));
    host.done(&["stop", &name])?;
    Ok(())
}

/// A request in `/run/initctl` for run level 6.
pub(crate) fn restart() -> Vec<u8> {
    let mut bytes: Vec<u8> =
        [0x0309_1969_u32, 1, u32::from(b'6'), 3].iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.resize(384, 0);
    bytes
}

fn causes(host: &Host) -> Verdict {
    let (name, mut guest) = tiny(host, "")?;
    for how in ["power-off", "signal"] {
        kill_supervisor(&guest)?;
        host.done(&["recover", &name])?;
        match how {
            "power-off" => guest.write_initctl(b"x")?,
            _ => guest.signal_init(Signal::KILL)?,
        }
        host.done(&["wait", &name])?;
        eventually("nobody supervises it", || Ok(supervisors(&name)?.is_empty()))?;
        let event = last_event(host, &name, "ended")?;
        // To whoever is not the parent SIGKILL looks like reboot(2), unless he looks before the parent does.
        let is_told = event["cause"] == how || (how == "signal" && event["cause"] == "unknown");
        assert!(is_told, "{event}");
        let text = host.done(&["status", &name])?;
        assert!(text.contains(event["text"].as_str().unwrap_or("?")), "{text}");
        guest = boot(host, &name)?;
    }
    host.done(&["stop", &name])?;
    Ok(())
}

fn silent(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "")?;
    kill_supervisor(&guest)?;
    guest.signal_init(Signal::STOP)?;
    let outcome = host.subhostctl(&["recover", &name])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.stderr.contains("console and log are lost until the next boot"), "{outcome}");
    guest.signal_init(Signal::CONT)?;
    assert!(host.done(&["status", &name])?.contains("console and log are lost until the next boot"));
    let outcome = host.subhostctl(&["console", &name])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("lost until the next boot"), "{outcome}");
    // It is watched all the same, and is whole again with the next run.
    guest.write_initctl(b"x")?;
    host.done(&["wait", &name])?;
    boot(host, &name)?;
    say(host, &name, "echo whole again")?;
    logged(&name, "whole again")?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn between(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "RESTART=always")?;
    let supervisor = guest.supervisor()?;
    supervisor.signal(Signal::STOP)?;
    guest.signal_init(Signal::KILL)?;
    eventually("it has ended", || Ok(host.done(&["list", "--json", &name])?.contains("\"ended\"")))?;
    let outcome = host.subhostctl(&["recover", &name])?;
    supervisor.signal(Signal::CONT)?;
    assert!(outcome.code == 0 && outcome.stderr.is_empty(), "{outcome}");
    booted_again(host, &name, &guest)?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn foreign(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "INIT=/sbin/init")?;
    kill_supervisor(&guest)?;
    let outcome = host.subhostctl(&["recover", &name])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.stderr.contains("console and log are lost until the next boot"), "{outcome}");
    assert_eq!(status(host, &name)?["supervision"], "supervised");
    host.done(&["stop", &name])?;
    assert_eq!(supervisors(&name)?, [] as [&str; 0]);
    Ok(())
}

fn swept(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "")?;
    let whole = host.subhostctl(&["recover"])?;
    assert_eq!((whole.code, whole.stderr.as_str()), (0, ""), "{whole}");
    kill_supervisor(&guest)?;
    guest.signal_init(Signal::KILL)?;
    assert!(guest.ends(PATIENCE)?);
    let outcome = host.subhostctl(&["recover"])?;
    assert!(outcome.code == 0 && outcome.stderr.contains("had ended; its names are removed"), "{outcome}");
    let stopped = status(host, &name)?;
    assert_eq!((&stopped["state"], &stopped["last_end"]["cause"]), (&"stopped".into(), &"unknown".into()));
    let nothing = host.subhostctl(&["recover", &name])?;
    assert_eq!((nothing.code, nothing.stderr.as_str()), (0, ""), "{nothing}");
    // A command's subhost is not taken over: nobody would have its output.
    let tree = host.copy_of(Fixture::TinyMbr)?.display().to_string();
    let script = "while [ ! -e /tmp/stop ]; do sleep 0.05; done";
    let disk = format!("vda:1:{tree}");
    let mut run = host.start(&["run", "--name", &name, "--disk", &disk, "--", "sh", "-c", script])?;
    eventually("it runs", || Ok(host.guest(&name)?.is_some_and(|guest| guest.state() == "running")))?;
    run.kill()?;
    assert!(run.wait(Duration::from_secs(30))?.is_some());
    let outcome = host.subhostctl(&["recover"])?;
    assert!(
        outcome.code == 3 && outcome.stderr.contains("runs without the run that has started it"),
        "{outcome}"
    );
    host.done(&["stop", &name])?;
    Ok(())
}
