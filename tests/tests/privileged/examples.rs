//! The examples of the libraries do what they are there for.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::{self, Running};
use subhost_tests::wire;

use crate::{BRIDGE, MAC, address, bridge};

pub(crate) const CASES: &[Case] = &[
    Case { name: "example_json_prints_a_sourced_file", needs: &[Need::Program], body: json },
    Case {
        name: "example_mount_shows_a_file_of_an_image",
        needs: &[Need::Program, Need::Made(Fixture::TinyLogical)],
        body: mount,
    },
    Case { name: "example_plug_cables_a_namespace_to_a_bridge", needs: &[Need::Program], body: plug },
    Case {
        name: "example_run_command_is_pid_1s_child_and_passes_the_status",
        needs: &[Need::Program, Need::PlainRoot],
        body: run_command,
    },
    Case {
        name: "example_boot_boots_with_the_libraries_alone",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: boot,
    },
];

const WITHIN: Duration = Duration::from_secs(30);

/// An example, beside the program.
fn example(name: &str, args: &[&str]) -> Result<Command, Box<dyn std::error::Error>> {
    let path: PathBuf = program::path()?.with_file_name("examples").join(name);
    if !path.is_file() {
        return Err(format!("no {}: cargo build --workspace --examples", path.display()).into());
    }
    let mut command = Command::new(path);
    command.args(args);
    Ok(command)
}

/// What an example that must succeed has said.
fn said(name: &str, args: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
    let outcome = program::run(example(name, args)?, WITHIN)?;
    if outcome.code == 0 { Ok(outcome.stdout) } else { Err(format!("{name}: {outcome}").into()) }
}

fn json(host: &Host) -> Verdict {
    let file = host.directory().join("config");
    fs::write(&file, "A=( x{1,2} )\nB=${A[1]}\ndeclare -A C=( [k]=v )\n")?;
    let value: serde_json::Value = serde_json::from_str(&said("json", &[&file.to_string_lossy()])?)?;
    assert_eq!(value, serde_json::json!({"A": ["x1", "x2"], "B": "x2", "C": {"k": "v"}}));
    fs::write(&file, "A=$(reboot)\n")?;
    let refused = program::run(example("json", &[&file.to_string_lossy()])?, WITHIN)?;
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{refused}");
    Ok(())
}

fn mount(host: &Host) -> Verdict {
    let image = host.copy_of(Fixture::TinyLogical)?;
    let before = fs::read(&image)?;
    let image_text = image.to_string_lossy();
    let listed = said("mount", &[&image_text])?;
    assert!(listed.lines().any(|line| line.starts_with("5\t") && line.ends_with("\text4")), "{listed}");
    let names = said("mount", &[&image_text, "5", "/etc"])?;
    assert!(names.lines().any(|name| name == "passwd"), "{names}");
    let passwd = fs::read_to_string(Fixture::TinyTree.path()?.join("etc/passwd"))?;
    assert_eq!(said("mount", &[&image_text, "5", "/etc/passwd"])?, passwd);
    assert!(fs::read(&image)? == before, "the image was changed");
    Ok(())
}

fn plug(host: &Host) -> Verdict {
    bridge(host)?;
    let name = host.name("p");
    host.witness("ip", &["netns", "add", &name])?;
    said("plug", &[&name, BRIDGE, "10.80.0.9/16"])?;
    let address = host.witness("ip", &["-n", &name, "-br", "address", "show", "eth0"])?;
    assert!(address.contains(" UP ") && address.contains(" 10.80.0.9/16"), "{address}");
    assert_eq!(wire::bridge_of(&format!("{name}0"))?.as_deref(), Some(BRIDGE));
    said("plug", &[&name, BRIDGE])?;
    let inside = host.witness("ip", &["-n", &name, "-br", "link"])?;
    assert!(inside.contains("eth0@") && inside.contains("eth1@"), "{inside}");
    host.witness("ip", &["netns", "delete", &name])?;
    Ok(())
}

fn run_command(_: &Host) -> Verdict {
    let command = example("run_command", &["sh", "-c", "echo $$ $PPID $(id -u) $(hostname); exit 7"])?;
    let outcome = program::run(command, WITHIN)?;
    assert_eq!(outcome.code, 7, "{outcome}");
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    assert!(matches!(words[..], [_, "1", "0", "run-command"]), "{outcome}");
    Ok(())
}

fn boot(host: &Host) -> Verdict {
    bridge(host)?;
    let name = host.name("ex");
    let image = host.copy_of(Fixture::TinyMbr)?;
    host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
    let config = host.root_dir().join(&name).join("config");
    let running = Running::start(example("boot", &[&name, &config.to_string_lossy()])?)?;
    wire::page(address(80), WITHIN)?;
    let init = child_of(running.pid())?;
    // As a failing power supply says it: PID 1 powers off in order.
    pidfd_send_signal(pidfd_open(init, PidfdFlags::empty())?, Signal::POWER)?;
    let outcome = running.finish(WITHIN)?;
    assert!(outcome.stdout.ends_with("has ended: PowerOff\n"), "{outcome}");
    Ok(())
}

/// The one child that a process has.
fn child_of(pid: u32) -> Result<Pid, Box<dyn std::error::Error>> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = fs::read_to_string(thread?.path().join("children"))?;
        if let Some(child) = children.split_whitespace().next() {
            return Ok(Pid::from_raw(child.parse()?).ok_or("pid 0")?);
        }
    }
    Err("it has no child".into())
}
