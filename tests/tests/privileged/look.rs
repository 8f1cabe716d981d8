//! Commands that only look: they need no root, and change nothing.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use subhost_tests::case::{self, Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::isolate::exit_code;
use subhost_tests::leak::Snapshot;
use subhost_tests::program::{self, Outcome};

use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "plan_works_without_root_and_changes_nothing",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: plan,
    },
    Case {
        name: "check_finds_what_boot_would_refuse",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: check,
    },
    Case {
        name: "partitions_agree_with_sfdisk",
        needs: &[
            Need::Program,
            Need::Made(Fixture::TinyMbr),
            Need::Made(Fixture::TinyGpt),
            Need::Made(Fixture::TinyLogical),
        ],
        body: partitions,
    },
    Case {
        name: "list_and_status_tell_of_a_running_guest",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: list,
    },
    Case {
        name: "output_that_cannot_be_written_is_an_error_and_a_reader_that_left_is_none",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: output,
    },
];

/// Runs the program as a user who owns nothing.
pub(crate) fn as_nobody(host: &Host, args: &[&str]) -> std::io::Result<Outcome> {
    // The folder that it was built in may be closed to others.
    let copy = host.folder().join("subhostctl");
    let inner = host.command(args);
    std::fs::copy(inner.get_program(), &copy)?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(copy).args(inner.get_args());
    program::run(command, std::time::Duration::from_secs(20))
}

fn plan(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    let before = Snapshot::take(&host.scope().watch(host.root_dir()))?;
    let plan = as_nobody(host, &["plan", &name])?;
    assert_eq!(plan.code, 0, "{plan}");
    for word in ["losetup", "mount", "ip ", "1048576", "vda1", BRIDGE, MAC, &format!("{name}0"), "eth0"] {
        assert!(plan.stdout.contains(word), "no {word:?} in: {plan}");
    }
    let json = as_nobody(host, &["--json", "plan", &name])?;
    let value: Value = serde_json::from_str(&json.stdout)?;
    assert_eq!(value["name"], Value::from(name), "{json}");
    let difference = before.settle(&host.scope().watch(host.root_dir()), case::CLEAN_UP)?;
    assert!(difference.is_empty(), "{difference}");
    Ok(())
}

fn check(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let (good, bad) = (host.name("good"), host.name("bad"));
    host.two_lines(&good, 1, &image, BRIDGE, MAC)?;
    host.two_lines(&bad, 3, &image, "br7", "01:00:5e:00:00:01")?;
    assert_eq!(as_nobody(host, &["check", &good])?.code, 0);
    let outcome = as_nobody(host, &["check", &bad])?;
    assert_eq!(outcome.code, 2, "{outcome}");
    Ok(())
}

/// The same table by `sfdisk`: index, first sector and number of sectors of each partition.
fn partitions(host: &Host) -> Verdict {
    for fixture in [Fixture::TinyMbr, Fixture::TinyGpt, Fixture::TinyLogical] {
        // A copy: the fixtures may be where only root can read.
        let image = host.copy_of(fixture)?;
        let image = image.to_string_lossy();
        let sfdisk: Value = serde_json::from_str(&host.witness("sfdisk", &["--json", &image])?)?;
        let out = as_nobody(host, &["partitions", &image])?;
        assert_eq!(out.code, 0, "{out}");
        for row in sfdisk["partitiontable"]["partitions"].as_array().ok_or("no partitions by sfdisk")? {
            let node = row["node"].as_str().unwrap_or_default();
            let index = node.trim_start_matches(&*image).to_owned();
            let shown = out.stdout.lines().any(|line| line.split_whitespace().next() == Some(&index));
            assert!(shown, "partition {index} is not in: {out}");
        }
    }
    Ok(())
}

fn list(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    let guest = boot(host, &name)?;
    let comm = std::fs::read_to_string(format!("/proc/{}/status", guest.init_pid()))?;
    // The last number is the pid in the innermost namespace.
    let inner = comm.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    assert_eq!(inner.split_whitespace().last(), Some("1"), "{comm}");
    assert!(guest.field("supervisor_pid").as_u64().is_some_and(|pid| pid > 0));
    assert_eq!(guest.field("cables").as_array().map(Vec::len), Some(1));
    assert_eq!(guest.field("disks").as_array().map(Vec::len), Some(1));
    let netns = guest.field("netns").as_str().unwrap_or_default().to_owned();
    assert!(netns.ends_with(&name), "{netns}");
    let status: Value = serde_json::from_str(&host.done(&["--json", "status", &name])?)?;
    assert_eq!(status["init_pid"], guest.init_pid());
    assert_eq!(status["state"], "running");
    let text = host.done(&["list"])?;
    assert!(text.lines().any(|line| line.starts_with(&name) && line.contains("running")), "{text}");
    host.done(&["stop", &name])?;
    assert!(host.guest(&name)?.is_none_or(|guest| guest.state() != "running"));
    Ok(())
}

fn output(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let path = image.display().to_string();
    host.config(&name, &format!("DISKS=( vda:1:{path} )\n"))?;
    let rows: &[&[&str]] = &[
        &["plan", &name],
        &["--json", "plan", &name],
        &["check", &name],
        &["list"],
        &["--json", "status", &name],
        &["partitions", &path],
        &["completions", "bash"],
    ];
    for words in rows {
        let outcome = with_output(host, words, fs::File::options().write(true).open("/dev/full")?)?;
        assert_eq!(outcome.0, 1, "{words:?}: {}", outcome.1);
        assert!(outcome.1.contains("No space left on device"), "{words:?}: {}", outcome.1);
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        assert_eq!(with_output(host, words, writer)?, (0, String::new()), "{words:?}");
        // Where not even that can be said, the status says it.
        let mut command = host.command(words);
        command.stdout(fs::File::options().write(true).open("/dev/full")?);
        command.stderr(fs::File::options().write(true).open("/dev/full")?);
        assert_eq!(command.status()?.code(), Some(1), "{words:?}");
    }
    Ok(())
}

/// The status and the standard error of the program with this standard output.
fn with_output(host: &Host, words: &[&str], out: impl Into<Stdio>) -> std::io::Result<(i32, String)> {
    let output = host.command(words).stdout(out).stderr(Stdio::piped()).output()?;
    Ok((exit_code(output.status), String::from_utf8_lossy(&output.stderr).into_owned()))
}
