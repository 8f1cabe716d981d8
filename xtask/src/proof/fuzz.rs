//! `cargo xtask proof fuzz`: each fuzz target of subhost-config for a while.

use std::fs;
use std::process::Command;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::done;
use crate::Outcome;
use crate::workspace;

const TARGETS: [&str; 3] = ["parser", "evaluator", "quote"];

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask proof fuzz                         each target for 10 minutes
  cargo xtask proof fuzz --minutes 60 evaluator  one of them for an hour
What is found stays in subhost-config/fuzz/artifacts, what was learned in subhost-config/fuzz/corpus.
Needs `cargo install cargo-fuzz --locked` and `rustup toolchain install nightly`.")]
pub(crate) struct Options {
    /// Minutes for each target
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Only this one
    #[arg(value_parser = PossibleValuesParser::new(TARGETS))]
    target: Option<String>,
}

impl Options {
    pub(crate) fn run(self) -> Outcome {
        let targets = self.target.map_or_else(|| TARGETS.map(str::to_owned).to_vec(), |target| vec![target]);
        // One that fails does not keep the others from being run.
        let mut failed = Vec::new();
        for target in targets {
            if let Err(error) = fuzz(&target, self.minutes * 60) {
                failed.push(format!("{target}: {error}"));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
    }
}

fn fuzz(target: &str, seconds: u64) -> Outcome {
    let package = workspace::root().join("subhost-config");
    // What is new is written to the first folder. The others are what it begins with.
    let folders = [
        package.join("fuzz/corpus").join(target),
        package.join("fuzz/corpus-min").join(target),
        package.join("tests/cases"),
    ];
    fs::create_dir_all(&folders[0])?;
    // The cargo that runs this task is of the stable toolchain.
    let mut cargo = Command::new("rustup");
    cargo.args(["run", "nightly", "cargo", "fuzz", "run"]).current_dir(&package);
    // The crate has no unsafe code, so nothing for a sanitizer.
    cargo.args(["--sanitizer", "none", "--target-dir"]).arg(workspace::target().join("fuzz"));
    cargo
        .arg(target)
        .args(folders)
        .arg("--")
        .arg(format!("-dict={}", package.join("fuzz/bash.dict").display()));
    cargo.args(["-timeout=10", "-rss_limit_mb=512", "-max_len=1024", "-print_final_stats=1"]);
    done(cargo.arg(format!("-max_total_time={seconds}")))
}
