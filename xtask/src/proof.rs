//! `cargo xtask proof`: the long runs, which hold subhost-config against real bash, readers against made-up bytes, and
//! paths against those who exchange them.

mod fuzz;
mod packages;

use std::path::PathBuf;
use std::process::Command;

use clap::Subcommand;
use subhost_tests::isolate::Stage;

use crate::Outcome;
use crate::workspace;

#[derive(Subcommand)]
pub(crate) enum Proof {
    /// Generated scripts: what is accepted gives what bash gives
    #[command(after_help = "\
Examples:
  cargo xtask proof differential                 200,000 scripts
  cargo xtask proof differential --seed 700001   others
  cargo xtask proof differential --keep found    what differs, made small, as files in a directory")]
    Differential {
        /// How many scripts
        #[arg(long, default_value_t = 200_000)]
        count: u64,
        /// The first one; the same seed gives the same scripts
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Write what differs, made small, into this directory
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// Settings files of 60 Debian packages: each as bash has it, or refused (as root)
    Packages(packages::Options),
    /// The part of it that runs in namespaces of its own
    #[command(hide = true)]
    PackagesInside(packages::Inside),
    /// Made-up bytes for all that reads any: no panic, no hang (with cargo-fuzz and a nightly compiler)
    Fuzz(fuzz::Options),
    /// Trees, sources and images that are exchanged all the time while they are used (as root)
    #[command(after_help = "\
Examples:
  cargo xtask proof races                        10,000 tries of each
  cargo xtask proof races --tries 1000000        for a night
Each says how often it met what was meant, and how often it was refused or met the other.")]
    Races {
        /// How often each is tried at least
        #[arg(long, default_value_t = 10_000)]
        tries: u32,
    },
    /// Time and memory of a configuration, beside bash; time of a look at an image
    #[command(after_help = "\
Example:
  cargo xtask proof speed        no figure is asserted; the last column is what is aimed at")]
    Speed,
}

impl Proof {
    pub(crate) fn run(self, stage: Stage) -> Outcome {
        match self {
            Self::Differential { count, seed, keep } => {
                let mut cargo = workspace::cargo();
                cargo.args(["test", "--release", "--package", "subhost-config", "--test", "differential"]);
                cargo.args(["--", "--nocapture", "accepted_scripts"]);
                cargo.env("SUBHOST_PROOF_COUNT", count.to_string());
                cargo.env("SUBHOST_PROOF_SEED", seed.to_string());
                if let Some(directory) = keep {
                    std::fs::create_dir_all(&directory)?;
                    cargo.env("SUBHOST_PROOF_KEEP", std::path::absolute(directory)?);
                }
                done(&mut cargo)
            }
            Self::Packages(options) => options.run(),
            Self::PackagesInside(inside) if stage == Stage::Inside => inside.run(),
            Self::PackagesInside(_) => Err("packages-inside is started by packages".into()),
            Self::Fuzz(options) => options.run(),
            Self::Races { tries } => {
                let mut cargo = workspace::cargo();
                cargo.args(["test", "--package", "subhost-mount", "--test", "privileged", "--", "race_"]);
                // Then a case that cannot run here fails.
                cargo.env("CI", "true");
                done(cargo.env("SUBHOST_TRIES", tries.to_string()))
            }
            Self::Speed => {
                done(workspace::cargo().args(["bench", "--package", "subhost-config", "--bench", "speed"]))?;
                done(workspace::cargo().args(["bench", "--package", "subhost-mount", "--bench", "probe"]))?;
                done(workspace::cargo().args(["bench", "--package", "subhost-mount", "--bench", "mount"]))
            }
        }
    }
}

/// Runs a command on this terminal.
pub(crate) fn done(command: &mut Command) -> Outcome {
    let what = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("{what}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what}: {status}").into()) }
}
