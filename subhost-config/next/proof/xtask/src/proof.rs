//! `cargo xtask proof`: the long runs that hold subhost-config against real bash.

mod fuzz;
mod packages;

use std::path::PathBuf;
use std::process::Command;

use clap::Subcommand;

use crate::Outcome;
use crate::workspace;

#[derive(Subcommand)]
pub(crate) enum Proof {
    /// Generated scripts: what is accepted gives what bash gives
    Differential {
        /// How many scripts
        #[arg(long, default_value_t = 200_000)]
        count: u64,
        /// The first one; the same seed gives the same scripts
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Write what differs, made small, into this folder
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// Settings files of real Debian packages, downloaded, read by bash in a sandbox (as root)
    Packages(packages::Options),
    /// The part of it that runs in the sandbox
    #[command(hide = true)]
    PackagesInside(packages::Inside),
    /// Fuzz targets, with cargo-fuzz and a nightly compiler
    Fuzz(fuzz::Options),
    /// Time and memory beside bash
    Speed,
}

impl Proof {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::Differential { count, seed, keep } => {
                let mut cargo = workspace::cargo();
                cargo.args(["test", "--release", "--package", "subhost-config", "--test", "differential"]);
                cargo.args(["--", "--nocapture", "accepted_scripts"]);
                cargo
                    .env("SUBHOST_PROOF_COUNT", count.to_string())
                    .env("SUBHOST_PROOF_SEED", seed.to_string());
                if let Some(folder) = keep {
                    cargo.env("SUBHOST_PROOF_KEEP", std::path::absolute(folder)?);
                }
                done(&mut cargo)
            }
            Self::Packages(options) => options.run(),
            Self::PackagesInside(inside) => inside.run(),
            Self::Fuzz(options) => options.run(),
            Self::Speed => {
                done(workspace::cargo().args(["bench", "--package", "subhost-config", "--bench", "speed"]))
            }
        }
    }
}

/// Runs a command on this terminal.
fn done(command: &mut Command) -> Outcome {
    let what = format!("{command:?}");
    let status = command.status().map_err(|error| format!("{what}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what}: {status}").into()) }
}
