//! What happened to a subhost, one line after the other.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;

use crate::adopt::{kill_supervisor, restart};
use crate::boot;
use crate::initctl::booted_again;
use crate::logs::{into_file, shows, tiny};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_life_is_told_in_events_in_order",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: life,
    },
    Case {
        name: "events_are_shown_safely_and_followed",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: followed,
    },
];

fn kinds(host: &Host, name: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let text = host.done(&["events", "--json", name])?;
    let mut kinds = Vec::new();
    for line in text.lines() {
        let event: serde_json::Value = serde_json::from_str(line)?;
        assert_eq!(event["name"], name);
        kinds.push(event["event"].as_str().unwrap_or_default().to_owned());
    }
    Ok(kinds)
}

fn life(host: &Host) -> Verdict {
    let (name, first) = tiny(host, "")?;
    first.write_initctl(&restart())?;
    let second = booted_again(host, &name, &first)?;
    host.done(&["wait", "--ready", &name])?;
    kill_supervisor(&second)?;
    host.done(&["recover", &name])?;
    host.done(&["stop", &name])?;
    let expected = ["boot", "ready", "stop", "ended", "reboot", "boot", "ready", "adopted", "stop", "ended"];
    assert_eq!(kinds(host, &name)?, expected);
    assert_eq!(kinds(host, &host.name("other"))?, [] as [&str; 0]);
    let status = host.done(&["status", &name])?;
    assert!(status.contains("last end") && status.contains("powered off"), "{status}");
    let file = fs::metadata("/var/log/subhost/events")?;
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    Ok(())
}

fn followed(host: &Host) -> Verdict {
    let (name, _guest) = tiny(host, "")?;
    // What is no event is passed over, and what is one is not trusted to be harmless.
    let mut text = fs::read_to_string("/var/log/subhost/events")?;
    text += "no event\n{\"time\":\"x\\u001b[2J\",\"name\":\"y\",\"event\":\"z\",\"text\":\"\\u202e\"}\n";
    fs::write("/var/log/subhost/events", text)?;
    let shown = host.directory().join("shown");
    let mut follower = into_file(host, &["events", "-f"], &shown)?;
    shows(&shown, "x\u{fffd}[2J  y  z: \u{fffd}\n")?;
    host.done(&["stop", &name])?;
    shows(&shown, "ended: powered off\n")?;
    boot(host, &name)?;
    shows(&shown, "ended: powered off\n")?;
    host.done(&["stop", &name])?;
    follower.kill()?;
    follower.wait()?;
    let text = fs::read_to_string(&shown)?;
    assert!(!text.contains("no event") && !text.contains('\u{1b}'), "{text}");
    Ok(())
}
