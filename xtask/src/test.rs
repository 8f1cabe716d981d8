//! `cargo xtask test`: every test of the workspace, and one line that counts them.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};

use clap::Args;
use subhost_tests::enemy;
use subhost_tests::fixture;

use crate::Outcome;
use crate::compile;
use crate::fixtures;
use crate::packages;
use crate::progress::{Steps, in_words};
use crate::workspace;

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask test
  cargo xtask test -p subhost-tests cable             those with this in their name
  cargo xtask test --without openat2 -p subhost-mount")]
pub(crate) struct Options {
    /// Leave out the tests that boot Debian; they count as skipped
    #[arg(long)]
    no_debian: bool,
    /// Only this package's tests (may be given more than once)
    #[arg(short, long, value_name = "PACKAGE")]
    package: Vec<String>,
    /// Run them as on a kernel that lacks these system calls: a filter is around each test program
    #[arg(long, value_name = "CALL[,CALL]")]
    without: Option<String>,
    /// Only tests with this in their name
    filter: Option<String>,
    /// For the test programs, such as `--test-threads=1`
    #[arg(last = true, value_name = "ARGS")]
    rest: Vec<String>,
}

/// Runs the tests, and prints their number as the last line.
pub(crate) fn run(options: &Options) -> Outcome<ExitCode> {
    let ci = env::var_os("CI").is_some_and(|value| value == "true");
    let steps = Steps::new();
    if rustix::process::geteuid().is_root() {
        prepare(options, ci, &steps)?;
    } else {
        println!("not root: the privileged tests are skipped");
    }
    let program = steps.step("build subhostctl", compile::debug)?;

    let mut cargo = workspace::cargo();
    if let Some(system_calls) = &options.without {
        let runner = enemy::runner(system_calls);
        cargo.args(["--config", &format!("target.'cfg(all())'.runner = {runner:?}")]);
    }
    cargo.args(["test", "--no-fail-fast"]);
    if options.package.is_empty() {
        cargo.arg("--workspace");
    }
    for package in &options.package {
        cargo.args(["--package", package]);
    }
    cargo.args(&options.filter).arg("--").args(&options.rest);
    cargo.env("SUBHOSTCTL", &program).env("SUBHOST_FIXTURES", fixture::directory());

    let mut child = cargo.stdout(Stdio::piped()).spawn().map_err(|error| format!("cargo test: {error}"))?;
    let output = child.stdout.take().ok_or("cargo test: no standard output")?;
    let mut total = Total::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        total.count(&line);
    }
    let status = child.wait()?;
    if !status.success() && total.failed == 0 {
        // It did not compile, or a test program died before it could count.
        println!("cargo test: {status}");
        total.failed = 1;
    }

    println!("\nprepared in {}", in_words(steps.total()));
    for line in &total.skips {
        println!("SKIP {line}");
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    let good = total.failed == 0 && !(ci && total.skipped > 0);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Packages and images.
fn prepare(options: &Options, ci: bool, steps: &Steps) -> Outcome {
    packages::install(&[packages::TEST], steps)?;
    fixtures::build(&fixture::directory(), false, steps)?;
    if !options.no_debian
        && let Err(error) = fixtures::build(&fixture::directory(), true, steps)
    {
        // Without a network the rest can still be tested, but a build machine has to test everything.
        if ci {
            return Err(error);
        }
        eprintln!("{error}\nno Debian guest: its tests are skipped");
    }
    Ok(())
}

/// The sum over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Total {
    passed: u64,
    failed: u64,
    skipped: u64,
    skips: Vec<String>,
}

impl Total {
    /// Takes one line of the output: a test program's own sum, or a test that was skipped.
    fn count(&mut self, line: &str) {
        if let Some(sums) = line.strip_prefix("test result: ") {
            // ok. 14 passed; 0 failed; 1 ignored; 0 measured; …
            let number = |what: &str| {
                let field = sums.split([';', '.']).find_map(|field| field.trim().strip_suffix(what));
                field.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0)
            };
            self.passed += number("passed");
            self.failed += number("failed");
            self.skipped += number("ignored");
        } else if let Some((name, reason)) = line.split_once(" ... ignored")
            && let Some(name) = name.strip_prefix("test ")
        {
            // The harness of the standard library and ours write it differently.
            let reason = reason.trim_start_matches([' ', ',', '(']).trim_end_matches(')');
            let reason = reason.strip_prefix("SKIP: ").unwrap_or(reason);
            let reason = if reason.is_empty() { "ignored" } else { reason };
            self.skips.push(format!("{}: {reason}", name.trim_end()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_several_programs_add_up() {
        let mut total = Total::default();
        for line in [
            "running 2 tests",
            "test boots         ... ignored (SKIP: not root)",
            "test tests::slow ... ignored, takes an hour",
            "test src/lib.rs - (line 7) ... ignored",
            "test fails ... FAILED",
            "test result: FAILED. 14 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.33s",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.05s",
        ] {
            total.count(line);
        }
        let skips = ["boots: not root", "tests::slow: takes an hour", "src/lib.rs - (line 7): ignored"];
        let skips = skips.map(str::to_owned).to_vec();
        assert_eq!(total, Total { passed: 17, failed: 1, skipped: 2, skips });
    }

    #[test]
    fn a_line_that_a_test_prints_does_not_count() {
        let mut total = Total::default();
        total.count("the test result: ok. 14 passed; 1 failed");
        assert_eq!(total, Total::default());
    }
}
