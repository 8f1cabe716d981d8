//! Commands that only look: they need no root, and change nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

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
        name: "plan_and_check_take_the_cables_of_the_subhost_itself_for_its_own",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: own_cables,
    },
    Case {
        name: "check_finds_what_boot_would_refuse",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: check,
    },
    Case {
        name: "check_takes_disks_from_the_environment_as_boot_does",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: environment,
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
        name: "list_and_status_tell_what_a_cable_is_in_truth",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: cable_in_truth,
    },
    Case {
        name: "output_that_cannot_be_written_is_an_error_and_a_reader_that_left_is_none",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: output,
    },
    Case {
        name: "an_image_whose_path_is_not_text_is_like_any_other",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: not_text,
    },
];

/// Runs the program as a user who owns nothing.
pub(crate) fn as_nobody(host: &Host, args: &[&str]) -> std::io::Result<Outcome> {
    // The directory that it was built in may be closed to others.
    let copy = host.directory().join("subhostctl");
    let inner = host.command(args);
    std::fs::copy(inner.get_program(), &copy)?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(copy).args(inner.get_args());
    program::run(command, Duration::from_secs(20))
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

fn own_cables(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    boot(host, &name)?;
    let link = format!("{name}0");
    for command in ["plan", "check"] {
        let outcome = as_nobody(host, &[command, &name])?;
        assert_eq!(outcome.code, 0, "{outcome}");
        let outcome = host.subhostctl(&[command, &name])?;
        assert!(outcome.code == 0 && !outcome.stderr.contains(&link), "{outcome}");
    }
    // Not knowing whose it is, it says so.
    let plan = as_nobody(host, &["plan", &name])?;
    assert!(plan.stderr.contains(&format!("interface {link} exists already")), "{plan}");
    host.done(&["stop", &name])?;
    // The kernel may still have it.
    host.done(&["plan", &name])?;
    // What is no cable of ours is refused, whoever asks.
    let foreign = host.name("other");
    host.config(&foreign, &format!("DISKS=( vda:1:{} )\nBRIDGES=( br0:{MAC} )\n", image.display()))?;
    host.witness("ip", &["link", "add", &format!("{foreign}0"), "type", "bridge"])?;
    let outcome = as_nobody(host, &["plan", &foreign])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("not ours"), "{outcome}");
    host.witness("ip", &["link", "del", &format!("{foreign}0")])?;
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

/// What boot takes without a file, check takes too, and finds what is wrong with it.
fn environment(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let check = |partition: u32| {
        let mut command = host.command(&["check", &name]);
        command.env("DISKS", format!("vda:{partition}:{}", image.display()));
        program::run(command, Duration::from_secs(20))
    };
    let right = check(1)?;
    assert_eq!(right.code, 0, "{right}");
    let wrong = check(3)?;
    assert!(wrong.code == 2 && wrong.stderr.contains("no partition 3"), "{wrong}");
    let nothing = host.subhostctl(&["check", &name])?;
    assert!(nothing.code == 2 && nothing.stderr.contains(&name), "{nothing}");
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

fn cable_in_truth(host: &Host) -> Verdict {
    bridge(host)?;
    host.bridge("other", "10.81.0.1/24")?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    // So long that the host end has its full name as altname.
    let name = host.name("tiny-with-a-long-name");
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    boot(host, &name)?;
    let cable = |words: &[&str]| {
        let json: Value = serde_json::from_str(&host.done(&[&["--json"], words].concat())?)?;
        let subhost = if json.is_array() { &json[0] } else { &json };
        Ok::<_, Box<dyn std::error::Error>>(subhost["cables"][0].clone())
    };
    let made = cable(&["status", &name])?;
    let end = made["host"].as_str().ok_or("no host end")?.to_owned();
    let steps: &[(&[&str], [Value; 3], &str)] = &[
        (&["up"], [true.into(), true.into(), BRIDGE.into()], ""),
        (&["down"], [true.into(), false.into(), BRIDGE.into()], "down"),
        (&["up", "master", "other"], [true.into(), true.into(), "other".into()], "now on other"),
        (&["nomaster"], [true.into(), true.into(), Value::Null], "now on no bridge"),
        (&["down"], [true.into(), false.into(), Value::Null], "now on no bridge, down"),
        // It is still called so by its altname.
        (&["name", "elsewhere"], [true.into(), false.into(), Value::Null], "now on no bridge, down"),
    ];
    for (change, expected, words) in steps {
        host.witness("ip", &[&["link", "set", "dev", &end], *change].concat())?;
        for view in [&["list"][..], &["status", &name]] {
            let cable = cable(view)?;
            let now = ["present", "up", "bridge_now"].map(|key| cable[key].clone());
            assert_eq!(now, *expected, "{view:?} after {change:?}");
            // What was made is told as before.
            assert_eq!((&cable["host"], &cable["bridge"]), (&made["host"], &BRIDGE.into()), "{view:?}");
            assert!(host.done(view)?.contains(words), "{view:?} after {change:?}");
        }
    }
    // Another link that has taken the name is not the cable.
    host.witness("ip", &["link", "del", "dev", "elsewhere"])?;
    host.witness("ip", &["link", "add", &end, "type", "bridge"])?;
    let cable = cable(&["status", &name])?;
    assert_eq!((&cable["present"], &cable["up"]), (&false.into(), &false.into()), "{cable}");
    assert!(host.done(&["list"])?.contains(&format!("{end}={BRIDGE} (gone)")));
    host.witness("ip", &["link", "del", "dev", &end])?;
    host.done(&["stop", &name])?;
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
        &["doctor"],
        &["--json", "doctor"],
        &["mounts"],
        &["--json", "mounts", "/"],
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

fn not_text(host: &Host) -> Verdict {
    let name = host.name("tiny");
    let directory = host.directory().join(OsStr::from_bytes(b"d\xe9j\xe0 vu"));
    fs::create_dir(&directory)?;
    let image = directory.join(OsStr::from_bytes(b"a\x1b[2J'\xff.raw"));
    fs::rename(host.copy_of(Fixture::TinyMbr)?, &image)?;
    // The configuration quotes it as bash does.
    host.config(&name, &format!("DISKS=( vda:1:{} )\n", ansi_c(&image)))?;
    host.done(&["check", &name])?;
    // The path in the plan is one that bash takes, and that no terminal acts on.
    let plan = host.done(&["plan", &name])?;
    let losetup = plan.lines().find(|line| line.starts_with("losetup ")).ok_or("no losetup")?;
    assert!(!plan.contains(['\x1b', '\u{fffd}']), "{plan}");
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("losetup() {{ printf %s \"${{@: -1}}\"; }}; {losetup}")]);
    assert_eq!(bash.output()?.stdout, image.as_os_str().as_bytes(), "{losetup}");
    let json: Value = serde_json::from_str(&host.done(&["--json", "plan", &name])?)?;
    let shown = image.to_string_lossy();
    assert_eq!(json["images"][0], *shown);
    boot(host, &name)?;
    let status: Value = serde_json::from_str(&host.done(&["--json", "status", &name])?)?;
    assert_eq!(status["disks"][0]["image"], *shown);
    host.done(&["stop", &name])?;
    let mut run = host.command(&["run", "--disk"]);
    run.arg([OsStr::new("vda:1:"), image.as_os_str()].join(OsStr::new(""))).args(["--", "hostname"]);
    let outcome = program::run(run, Duration::from_secs(20))?;
    assert_eq!(outcome.code, 0, "{outcome}");
    Ok(())
}

/// A path as bash reads it in `$'...'`.
fn ansi_c(path: &Path) -> String {
    let bytes: String = path.as_os_str().as_bytes().iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("$'{bytes}'")
}
