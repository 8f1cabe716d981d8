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
    /// Folders of the package that it begins with too.
    begin: &'static [&'static str],
    /// A dictionary in the package.
    dictionary: Option<&'static str>,
    /// The longest input that is made up.
    max_len: u32,
}

const fn of_config(name: &'static str) -> Target {
    let dictionary = Some("fuzz/bash.dict");
    Target { package: "subhost-config", name, begin: &["tests/cases"], dictionary, max_len: 1024 }
}

const fn of_mount(name: &'static str) -> Target {
    Target { package: "subhost-mount", name, begin: &[], dictionary: None, max_len: 8192 }
}

const TARGETS: [Target; 5] = [
    of_config("parser"),
    of_config("evaluator"),
    of_config("quote"),
    of_mount("tables"),
    of_mount("superblocks"),
];

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask proof fuzz                         each target for 10 minutes
  cargo xtask proof fuzz --minutes 60 evaluator  one of them for an hour
What is found stays in PACKAGE/fuzz/artifacts, what was learned in PACKAGE/fuzz/corpus.
Needs `cargo install cargo-fuzz --locked` and `rustup toolchain install nightly`.")]
pub(crate) struct Options {
    /// Minutes for each target
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Only this one
    #[arg(value_parser = PossibleValuesParser::new(TARGETS.map(|target| target.name)))]
    target: Option<String>,
}

impl Options {
    pub(crate) fn run(self) -> Outcome {
        // One that fails does not keep the others from being run.
        let mut failed = Vec::new();
        for target in TARGETS {
            if self.target.as_ref().is_none_or(|wanted| wanted == target.name)
                && let Err(error) = fuzz(&target, self.minutes * 60)
            {
                failed.push(format!("{}: {error}", target.name));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
    }
}

fn fuzz(target: &Target, seconds: u64) -> Outcome {
    let package = workspace::root().join(target.package);
    // What is new is written to the first folder. The others are what it begins with.
    let learned = package.join("fuzz/corpus").join(target.name);
    let kept = package.join("fuzz/corpus-min").join(target.name);
    fs::create_dir_all(&learned)?;
    // The cargo that runs this task is of the stable toolchain.
    let mut cargo = Command::new("rustup");
    cargo.args(["run", "nightly", "cargo", "fuzz", "run"]).current_dir(&package);
    // What is fuzzed has no unsafe code, so nothing for a sanitizer.
    cargo.args(["--sanitizer", "none", "--target-dir"]).arg(workspace::target().join("fuzz"));
    cargo.arg(target.name).args([learned, kept]);
    cargo.args(target.begin.iter().map(|folder| package.join(folder)));
    cargo.arg("--");
    if let Some(dictionary) = target.dictionary {
        cargo.arg(format!("-dict={}", package.join(dictionary).display()));
    }
    cargo.args(["-timeout=10", "-rss_limit_mb=512", "-print_final_stats=1"]);
    cargo.arg(format!("-max_len={}", target.max_len));
    done(cargo.arg(format!("-max_total_time={seconds}")))
}
