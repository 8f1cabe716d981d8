//! `cargo xtask proof fuzz`: each fuzz target for a while.

use std::fs;
use std::process::Command;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::done;
use crate::Outcome;
use crate::workspace;

struct Target {
    package: &'static str,
    name: &'static str,
    /// A dictionary in the package's directory for all this.
    dictionary: Option<&'static str>,
    /// The longest input that is made up.
    max_len: u32,
    /// Directories of the package that it begins with too.
    begin: &'static [&'static str],
}

const fn target(
    package: &'static str,
    name: &'static str,
    dictionary: Option<&'static str>,
    max_len: u32,
) -> Target {
    Target { package, name, dictionary, max_len, begin: &[] }
}

const fn of_config(name: &'static str) -> Target {
    Target { begin: &["tests/cases"], ..target("subhost-config", name, Some("bash.dict"), 1024) }
}

const TARGETS: [Target; 17] = [
    of_config("parser"),
    of_config("evaluator"),
    of_config("quote"),
    target("subhost-mount", "tables", None, 8192),
    target("subhost-mount", "superblocks", None, 8192),
    target("subhost-mount", "mountinfo", Some("mountinfo.dict"), 2048),
    target("subhost-init", "initctl", Some("initctl.dict"), 4096),
    target("subhost-init", "packets", Some("packets.dict"), 1024),
    target("subhost-init", "account", Some("account.dict"), 2048),
    target("subhost-init", "hierarchies", Some("hierarchies.dict"), 2048),
    target("subhost-cli", "control", None, 512),
    target("subhost-cli", "handover", Some("json.dict"), 2048),
    target("subhost-cli", "state", Some("json.dict"), 2048),
    target("subhost-cli", "subid", Some("text.dict"), 1024),
    target("subhost-cli", "fstab", Some("text.dict"), 1024),
    target("subhost-cli", "import", Some("text.dict"), 4096),
    target("subhost-cli", "scripts", Some("text.dict"), 1024),
];

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask proof fuzz                         each target for 10 minutes
  cargo xtask proof fuzz --minutes 60 evaluator  one of them for an hour
  cargo xtask proof fuzz --seconds 60            each for a minute, as every night
What is found stays in PACKAGE/fuzz/artifacts, what was learned in PACKAGE/fuzz/corpus.
Needs `cargo install cargo-fuzz --locked` and `rustup toolchain install nightly`.")]
pub(crate) struct Options {
    /// Minutes for each target
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Seconds for each target
    #[arg(long, conflicts_with = "minutes")]
    seconds: Option<u64>,
    /// Only this one
    #[arg(value_parser = PossibleValuesParser::new(TARGETS.map(|target| target.name)))]
    target: Option<String>,
}

impl Options {
    pub(crate) fn run(self) -> Outcome {
        let seconds = self.seconds.unwrap_or(self.minutes * 60);
        // One that fails does not keep the others from being run.
        let mut failed = Vec::new();
        for target in TARGETS {
            if self.target.as_ref().is_none_or(|wanted| wanted == target.name)
                && let Err(error) = fuzz(&target, seconds)
            {
                failed.push(format!("{}: {error}", target.name));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
    }
}

fn fuzz(target: &Target, seconds: u64) -> Outcome {
    let package = workspace::root().join(target.package);
    let directory = package.join("fuzz");
    // What is new is written to the first directory. The others are what it begins with.
    let learned = directory.join("corpus").join(target.name);
    let kept = directory.join("corpus-min").join(target.name);
    fs::create_dir_all(&learned)?;
    // The cargo that runs this task is of the stable toolchain.
    let mut cargo = Command::new("rustup");
    cargo.args(["run", "nightly", "cargo", "fuzz", "run"]).current_dir(&package);
    // What is fuzzed has no unsafe code, so nothing for a sanitizer.
    cargo.args(["--sanitizer", "none", "--target-dir"]).arg(workspace::target().join("fuzz"));
    cargo.arg(target.name).args([learned, kept]);
    cargo.args(target.begin.iter().map(|directory| package.join(directory)));
    cargo.arg("--");
    if let Some(dictionary) = target.dictionary {
        cargo.arg(format!("-dict={}", directory.join(dictionary).display()));
    }
    cargo.args(["-timeout=10", "-rss_limit_mb=512", "-print_final_stats=1"]);
    cargo.arg(format!("-max_len={}", target.max_len));
    done(cargo.arg(format!("-max_total_time={seconds}")))
}
