//! `cargo xtask torture`: kills and failures at each system call, cycles, many at once.

use std::env;

use clap::Args;
use subhost_tests::fixture;
use subhost_tests::random;

use crate::Outcome;
use crate::compile;
use crate::fixtures;
use crate::packages;
use crate::progress::Steps;
use crate::proof::done;
use crate::workspace;

/// A long case may take this many seconds.
const CASE_SECONDS: &str = "86400";

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask torture                  as much as with every change
  cargo xtask torture --long           all of it: hours
  cargo xtask torture --long cycles    all of those with this in their name
  cargo xtask torture --seed 7         what another run has done")]
pub(crate) struct Options {
    /// All of it
    #[arg(long)]
    long: bool,
    /// Repeats what is random in a run that has printed this
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Only those with this in their name
    filter: Option<String>,
}

impl Options {
    pub(crate) fn run(self) -> Outcome {
        let steps = Steps::new();
        packages::install(&[packages::TEST], &steps)?;
        fixtures::build(&fixture::directory(), false, &steps)?;
        let program = steps.step("build subhostctl", compile::release)?;
        let seed = self.seed.unwrap_or_else(random::seed);
        println!("seed {seed}");
        let mut cargo = workspace::cargo();
        cargo.args(["test", "--package", "subhost-tests", "--test", "torture", "--"]);
        // One at a time, as each takes the machine for itself.
        cargo.args(["--test-threads=1"]).args(self.filter);
        cargo.env("SUBHOSTCTL", &program).env("SUBHOST_FIXTURES", fixture::directory());
        cargo.env("SUBHOST_SEED", seed.to_string());
        // Then a case that cannot run here fails.
        cargo.env("CI", "true");
        if self.long {
            cargo.env("SUBHOST_LONG", "1");
            if env::var_os("SUBHOST_CASE_SECONDS").is_none() {
                cargo.env("SUBHOST_CASE_SECONDS", CASE_SECONDS);
            }
        }
        done(&mut cargo)
    }
}
