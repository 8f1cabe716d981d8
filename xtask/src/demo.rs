//! `cargo xtask demo`: from nothing to a booted subhost and back, with the time of each step.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use subhost_tests::case::CLEAN_UP;
use subhost_tests::fixture::{self, Fixture};
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;
use subhost_tests::isolate;
use subhost_tests::leak::Snapshot;

use crate::Outcome;
use crate::compile;
use crate::fixtures;
use crate::floor;
use crate::packages;
use crate::progress::{Steps, in_words};

/// How long the guest may take for each thing that it does.
const PATIENCE: Duration = Duration::from_secs(30);

const BRIDGE: &str = "br0";
const MAC: &str = "06:a7:dd:b4:02:f2";
const MAC_BYTES: [u8; 6] = [0x06, 0xa7, 0xdd, 0xb4, 0x02, 0xf2];

/// Prepares on this host, and runs the rest in namespaces of its own: the host's network is not touched.
pub(crate) fn run(rounds: usize) -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Err("the demo mounts, and makes namespaces: run it as root".into());
    }
    let steps = Steps::new();
    packages::install(&[packages::DEMO], &steps)?;
    let program = steps.step("build subhostctl (release, static)", compile::release)?;
    fixtures::build(&fixture::directory(), false, &steps)?;
    let directory = tempfile::Builder::new().prefix("subhost-").tempdir()?;
    let mut command = isolate::command(["demo-inside"])?;
    command.arg(&program).arg(directory.path()).arg("--rounds").arg(rounds.to_string());
    let status = command.status().map_err(|error| format!("unshare: {error}"))?;
    // Gone with its namespaces are all mounts, so that the directory can be removed.
    directory.close()?;
    if status.success() { Ok(()) } else { Err(format!("the demo did not succeed: {status}").into()) }
}

#[derive(Args)]
pub(crate) struct Inside {
    program: PathBuf,
    directory: PathBuf,
    #[arg(long)]
    rounds: usize,
}

impl Inside {
    /// Boots, looks, powers off, checks that nothing is left, and measures.
    pub(crate) fn run(self) -> Outcome {
        let steps = Steps::new();
        let host = Host::new(&self.directory, self.program)?;
        let name = host.name("demo");
        let image = host.copy_of(Fixture::TinyMbr)?;

        steps.step(&format!("bridge {BRIDGE} in a network namespace"), |_| {
            Ok(host.bridge(BRIDGE, "10.80.0.1/16")?)
        })?;
        host.two_lines(&name, 1, &image, BRIDGE, MAC)?;
        let before = Snapshot::take(&host.scope())?;

        println!("\n{}:", host.root_dir().join(&name).join("config").display());
        indented(&fs::read_to_string(host.root_dir().join(&name).join("config"))?);
        steps.step(&format!("subhostctl boot {name} --detach"), |_| {
            Ok(host.done(&["boot", &name, "--detach"])?)
        })?;
        let page = steps.step("fetch the guest's page across the bridge", |_| Ok(fetch(PATIENCE)?))?;
        indented(&page);
        let list = steps.step("subhostctl list", |_| Ok(host.done(&["list"])?))?;
        indented(&list);
        let guest: Guest = host.running(&name)?;
        steps.step("power off: one byte to the guest's /run/initctl", |_| {
            guest.write_initctl(b"0")?;
            if guest.ends(PATIENCE)? { Ok(()) } else { Err("the guest did not end".into()) }
        })?;
        drop(guest);
        steps.step("verify that nothing is left", |_| {
            let difference = before.settle(&host.scope(), CLEAN_UP)?;
            if difference.is_empty() { Ok(()) } else { Err(difference.to_string().into()) }
        })?;

        println!();
        let measured = steps.step("measure start and stop against the raw system calls", |_| {
            floor::compare(&host, &image, BRIDGE, MAC_BYTES, self.rounds)
        })?;
        report(&image, &measured);
        Ok(())
    }
}

fn fetch(within: Duration) -> std::io::Result<String> {
    let address = fixture::address_of(0, MAC_BYTES);
    subhost_tests::wire::page(SocketAddr::from((address, 80)), within)
}

fn report(image: &Path, measured: &floor::Comparison) {
    let ratio = measured.program.as_secs_f64() / measured.floor.as_secs_f64();
    let image = image.file_name().unwrap_or_default().display();
    println!(
        "/bin/true from {image} with a netns and one cable, start to end, median of {}:",
        measured.rounds
    );
    println!("    raw system calls  {:>10}", in_words(measured.floor));
    println!("    subhostctl run    {:>10}  {ratio:.1} times", in_words(measured.program));
}

fn indented(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}
