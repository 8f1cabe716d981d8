//! `RESTART`: what is booted again by itself, and what is not.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use subhost_tests::case::{Case, FIGURE, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::{Guest, Process};
use subhost_tests::host::Host;

use crate::adopt::{kill_supervisor, last_event};
use crate::boot;
use crate::logs::{PATIENCE, eventually, tiny};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_subhost_that_fails_is_booted_again_and_waits_longer_each_time",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: failure,
    },
    Case {
        name: "a_subhost_that_the_host_has_ended_is_not_booted_again",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: ended_by_the_host,
    },
    Case {
        name: "a_power_off_from_inside_is_booted_again_only_always",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: power_off,
    },
    Case {
        name: "one_that_cannot_be_booted_again_is_tried_until_it_is_stopped",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: cannot,
    },
    Case {
        name: "a_killed_supervisor_that_waits_leaves_nothing_that_is_in_the_way",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: killed_waiting,
    },
    Case {
        name: "a_failure_under_a_new_supervisor_is_booted_again",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: adopted,
    },
];

fn state(host: &Host, name: &str) -> std::io::Result<String> {
    Ok(look(host, name)?.map_or_else(String::new, |guest| guest.state().to_owned()))
}

fn until(host: &Host, name: &str, wanted: &str) -> std::io::Result<()> {
    eventually(wanted, || Ok(state(host, name)? == wanted))
}

/// As it is listed; one that ends in that moment is not there.
fn look(host: &Host, name: &str) -> std::io::Result<Option<Guest>> {
    match host.guest(name) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        other => other,
    }
}

/// Ends PID 1 as nobody of the program does, and waits until it is gone.
fn fail(guest: &Guest) -> Verdict {
    guest.signal_init(Signal::KILL)?;
    assert!(guest.ends(PATIENCE)?);
    Ok(())
}

fn next_run(host: &Host, name: &str, before: &Guest) -> Result<Guest, Box<dyn std::error::Error>> {
    eventually("it runs again", || {
        Ok(look(host, name)?
            .is_some_and(|guest| guest.state() == "running" && guest.init_pid() != before.init_pid()))
    })?;
    Ok(host.running(name)?)
}

fn failure(host: &Host) -> Verdict {
    let (name, first) = tiny(host, "RESTART=on-failure")?;
    let supervisor = first.field("supervisor_pid").clone();
    let begun = Instant::now();
    fail(&first)?;
    until(host, &name, "restarting")?;
    assert_eq!(last_event(host, &name, "ended")?["cause"], "signal");
    let second = next_run(host, &name, &first)?;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // It is the same process, so whoever watches that sees no end.
    assert_eq!(*second.field("supervisor_pid"), supervisor);
    let begun = Instant::now();
    fail(&second)?;
    next_run(host, &name, &second)?;
    assert!(begun.elapsed() >= Duration::from_secs(2), "the second failure in a row");
    host.done(&["wait", "--ready", &name])?;
    host.done(&["stop", &name])?;
    assert_eq!(state(host, &name)?, "stopped");
    Ok(())
}

fn ended_by_the_host(host: &Host) -> Verdict {
    let (name, mut guest) = tiny(host, "RESTART=always")?;
    for words in [&["stop", &name][..], &["kill", &name], &["stop", "--timeout", "0", &name]] {
        host.done(words)?;
        assert_eq!(state(host, &name)?, "stopped", "{words:?}");
        assert!(guest.supervisor()?.ends(PATIENCE)?, "{words:?}");
        assert_eq!(state(host, &name)?, "stopped", "{words:?}");
        guest = boot(host, &name)?;
    }
    // While it waits to be booted again, it is stopped at once.
    fail(&guest)?;
    until(host, &name, "restarting")?;
    let begun = Instant::now();
    let outcome = host.subhostctl(&["stop", "--all"])?;
    eprintln!("{FIGURE}stopped while it waited in {} ms", begun.elapsed().as_millis());
    assert!(outcome.code == 0 && outcome.stderr.contains("is not booted again"), "{outcome}");
    assert_eq!(state(host, &name)?, "stopped");
    assert!(guest.supervisor()?.ends(PATIENCE)?);
    Ok(())
}

fn power_off(host: &Host) -> Verdict {
    let (name, first) = tiny(host, "RESTART=always")?;
    first.write_initctl(b"x")?;
    let second = next_run(host, &name, &first)?;
    host.done(&["stop", &name])?;
    drop(second);
    let image = host.directory().join(Fixture::TinyMbr.file_name());
    host.config(&name, &format!("DISKS=( vda:1:{} )\nRESTART=on-failure\n", image.display()))?;
    let third = boot(host, &name)?;
    third.write_initctl(b"x")?;
    host.done(&["wait", &name])?;
    assert!(third.supervisor()?.ends(PATIENCE)?);
    assert_eq!(state(host, &name)?, "stopped");
    Ok(())
}

fn cannot(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "RESTART=on-failure")?;
    let image = host.directory().join(Fixture::TinyMbr.file_name());
    let away = host.directory().join("away.raw");
    fs::rename(&image, &away)?;
    fail(&guest)?;
    // It is tried, fails, and is waited for again.
    eventually("a boot that failed", || Ok(last_event(host, &name, "failed").is_ok()))?;
    until(host, &name, "restarting")?;
    let event = last_event(host, &name, "failed")?;
    assert!(event["text"].as_str().is_some_and(|text| text.contains("raw")), "{event}");
    fs::rename(&away, &image)?;
    next_run(host, &name, &guest)?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn killed_waiting(host: &Host) -> Verdict {
    let (name, _guest) = tiny(host, "RESTART=on-failure")?;
    for way in ["boot", "recover", "stop"] {
        let guest = host.running(&name)?;
        fail(&guest)?;
        until(host, &name, "restarting")?;
        let pid = guest.field("supervisor_pid").as_u64().and_then(|pid| u32::try_from(pid).ok());
        let supervisor = Process::open(pid.ok_or("no supervisor")?)?;
        supervisor.signal(Signal::KILL)?;
        assert!(supervisor.ends(PATIENCE)?);
        assert_eq!(state(host, &name)?, "stopped");
        match way {
            "boot" => drop(boot(host, &name)?),
            "recover" => {
                let outcome = host.subhostctl(&["recover"])?;
                assert!(outcome.stderr.contains("its control socket is removed"), "{outcome}");
                boot(host, &name)?;
            }
            _ => drop(host.done(&["stop", &name])?),
        }
    }
    Ok(())
}

fn adopted(host: &Host) -> Verdict {
    let (name, guest) = tiny(host, "RESTART=on-failure")?;
    kill_supervisor(&guest)?;
    host.done(&["recover", &name])?;
    fail(&guest)?;
    next_run(host, &name, &guest)?;
    host.done(&["stop", &name])?;
    Ok(())
}
