//! `cargo xtask instructions`: how many instructions the program takes for what does not depend on the machine.
//!
//! Times say little on a machine that others use as well; these counts are the same everywhere, but for a thousandth or so.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Args;
use subhost_tests::fixture::{self, Fixture};

use crate::Outcome;
use crate::compile;
use crate::fixtures;
use crate::packages;
use crate::progress::Steps;
use crate::workspace;

/// The status of a task that could not be done, and must not read as if it were.
const SKIPPED: u8 = 77;

/// What is counted, and the most that it may take: twice as much as when it was written here, in thousands.
const BOUNDS: [(&str, u64); 4] = [
    ("start: --version", 340),
    ("evaluation: config eval", 3_060),
    ("partition table: partitions", 2_510),
    ("plan: plan of one disk", 3_710),
];

/// Those that the program takes no more for with its features than without, in which none has a part.
const WITHOUT_A_PART: [usize; 2] = [0, 3];
/// As far as these counts repeat, in percent.
const ALIKE_PERCENT: u64 = 2;

#[derive(Args)]
#[command(after_help = "\
Fails if one takes more than its bound, or more with the program's features than without where none
has a part in it; ends with status 77 where there is no valgrind.")]
pub(crate) struct Options {}

impl Options {
    pub(crate) fn run(self) -> Outcome<ExitCode> {
        let steps = Steps::new();
        if let Err(reason) = packages::install(&[packages::INSTRUCTIONS], &steps) {
            println!("SKIP: {reason}");
            return Ok(ExitCode::from(SKIPPED));
        }
        let directory = tempfile::Builder::new().prefix("subhost-").tempdir()?;
        let bare = directory.path().join("bare");
        fs::copy(steps.step("build subhostctl without features (release, static)", compile::bare)?, &bare)?;
        let program = steps.step("build subhostctl (release, static)", compile::release)?;
        fixtures::build(&fixture::directory(), false, &steps)?;
        let image = Fixture::TinyGpt.path()?.display().to_string();
        let config = directory.path().join("config");
        fs::write(&config, format!("DISKS=( vda:1:{image} )\nHOSTNAME=web1\nMEMORY=512M\n"))?;
        let config = config.display().to_string();
        let typical = workspace::root().join("subhost-config/benches/typical.conf").display().to_string();
        let words: [&[&str]; 4] = [
            &["--version"],
            &["config", "eval", &typical],
            &["partitions", &image],
            &["plan", "--config", &config, "web"],
        ];
        let mut worse = Vec::new();
        for (index, ((what, bound), words)) in BOUNDS.into_iter().zip(words).enumerate() {
            let found = count(&program, words, directory.path())?;
            println!("{what:<30} {:>7} thousand, bound {bound:>7}", found / 1000);
            if found / 1000 > bound {
                worse.push(format!("{what}: than there were"));
            }
            if WITHOUT_A_PART.contains(&index) {
                let without = count(&bare, words, directory.path())?;
                println!("{:<30} {:>7} thousand", "  without features", without / 1000);
                if found * 100 > without * (100 + ALIKE_PERCENT) {
                    worse.push(format!("{what}: than without features"));
                }
            }
        }
        if worse.is_empty() {
            Ok(ExitCode::SUCCESS)
        } else {
            Err(format!("more instructions: {}", worse.join(", ")).into())
        }
    }
}

/// The instructions of a command outside of the kernel.
fn count(program: &Path, words: &[&str], directory: &Path) -> Outcome<u64> {
    let mut valgrind = Command::new("valgrind");
    let file = directory.join("callgrind.out");
    valgrind.args(["--tool=callgrind", &format!("--callgrind-out-file={}", file.display())]);
    // What is set on this machine is no matter of the program's.
    valgrind.arg(program).args(words).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = valgrind.output().map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(format!("subhostctl {}: {}\n{text}", words.join(" "), output.status).into());
    }
    collected(&text).ok_or_else(|| format!("valgrind tells no count:\n{text}").into())
}

/// What callgrind says in the end: `==7== Collected : 1460442`.
fn collected(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected : "))?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_in_the_line_that_says_so() {
        let text = "==7== Events    : Ir\n==7== Collected : 1460442\n==7== \n";
        assert_eq!(collected(text), Some(1_460_442));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
