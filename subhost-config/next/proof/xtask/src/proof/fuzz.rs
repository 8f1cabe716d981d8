//! `cargo xtask proof fuzz`: each fuzz target of subhost-config for a while.

use std::fs;
use std::path::Path;

use clap::Args;

use super::done;
use crate::Outcome;
use crate::workspace;

const TARGETS: &[&str] = &["parser", "evaluator", "quote"];

#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Only these targets [default: all]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TARGETS))]
    targets: Vec<String>,
}

impl Options {
    /// Begins with the cases and with what is kept; what is found stays in `fuzz/corpus` and `fuzz/artifacts`.
    pub(crate) fn run(self) -> Outcome {
        let package = workspace::root().join("subhost-config");
        let targets = if self.targets.is_empty() {
            TARGETS.iter().map(|target| (*target).to_owned()).collect()
        } else {
            self.targets
        };
        for target in targets {
            let corpus = package.join("fuzz/corpus").join(&target);
            fs::create_dir_all(&corpus)?;
            copy_flat(&package.join("tests/cases"), "", &corpus)?;
            copy_flat(&package.join("fuzz/corpus-min").join(&target), "", &corpus)?;
            // The cargo of rustup, which understands `+nightly`; the crate has no unsafe code, so no sanitizer.
            let mut cargo = std::process::Command::new("cargo");
            cargo.current_dir(package.join("fuzz"));
            for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "CARGO_MANIFEST_DIR"] {
                cargo.env_remove(variable);
            }
            cargo.args(["+nightly", "fuzz", "run", "--sanitizer", "none", &target, "--"]);
            cargo.args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=512", "-print_final_stats=1"]);
            done(cargo.arg(format!("-max_total_time={}", self.seconds)))
                .map_err(|error| format!("{error}\ncargo-fuzz comes by `cargo install cargo-fuzz`"))?;
        }
        Ok(())
    }
}

/// Copies every file below `from` into one folder, its path as its name.
fn copy_flat(from: &Path, prefix: &str, into: &Path) -> Outcome {
    for entry in fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            copy_flat(&entry.path(), &format!("{name}-"), into)?;
        } else {
            fs::copy(entry.path(), into.join(name))?;
        }
    }
    Ok(())
}
