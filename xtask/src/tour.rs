//! `cargo xtask tour`: runs `subhostctl tour` on a terminal, and makes docs/tour.md and its picture of what that shows.

mod screen;
mod svg;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use subhost_tests::isolate;

use crate::Outcome;
use crate::compile;
use crate::packages;
use crate::progress::Steps;
use crate::workspace;

const PAGE: &str = "docs/tour.md";
const PICTURE: &str = "docs/img/tour.svg";
/// All of the page behind this line is made.
const FROM_HERE: &str = "<!-- made by `cargo xtask tour` from here -->\n";

/// Runs the tour in namespaces of its own, and writes both files.
pub(crate) fn run() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Err("the tour mounts, and makes namespaces: run it as root".into());
    }
    let steps = Steps::new();
    packages::install(&[packages::DEMO, packages::TOUR], &steps)?;
    // Before the build, which may put another file in the place of this program.
    let mut inside = isolate::command(["tour-inside"])?;
    let program = steps.step("build subhostctl (debug)", compile::debug)?;
    let output = inside.arg(program).output()?;
    if !output.status.success() {
        return Err(format!("the tour did not succeed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let lines = screen::lines(&String::from_utf8(output.stdout)?);
    let page = fs::read_to_string(workspace::root().join(PAGE))?;
    let (by_hand, _) = page.split_once(FROM_HERE).ok_or("docs/tour.md has lost the line of what is made")?;
    fs::write(workspace::root().join(PAGE), format!("{by_hand}{FROM_HERE}{}", sections(&lines)))?;
    fs::write(workspace::root().join(PICTURE), svg::animation(&lines))?;
    Ok(())
}

#[derive(Args)]
pub(crate) struct Inside {
    program: PathBuf,
}

impl Inside {
    pub(crate) fn run(self) -> Outcome {
        let line = format!("stty cols {}; {} tour --yes", screen::COLUMNS, self.program.display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("TERM", "xterm");
        let status = script.env_remove("NO_COLOR").status().map_err(|error| format!("script: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("script: {status}").into()) }
    }
}

/// What is said in words, and what stood on the terminal in blocks.
fn sections(lines: &[screen::Line]) -> String {
    let mut page = String::new();
    let mut in_block = false;
    let texts = lines.iter().map(screen::Line::text);
    // What comes before the first step, and after the last, is for those at the terminal.
    for text in texts.skip_while(|text| step(text).is_none()) {
        if let Some(says) = step(&text) {
            page += &format!("{}\n{says}\n\n```console\n", if in_block { "```\n" } else { "" });
            in_block = true;
        } else if text.starts_with("That was all") {
            break;
        } else if !text.is_empty() {
            page += &format!("{text}\n");
        }
    }
    page + "```\n"
}

/// The words of a line that begins a step, as `3/10  Is all right with it?`.
fn step(text: &str) -> Option<&str> {
    let (number, says) = text.split_once("  ")?;
    let (at, of) = number.split_once('/')?;
    let is_number = |word: &str| word.parse::<u32>().is_ok();
    (is_number(at) && is_number(of)).then_some(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_step_stand_before_its_block() {
        let lines =
            screen::lines("A tour.\n\n1/2  One:\n$ list\nNAME\n\n2/2  Two:\n$ check\n\nThat was all: x\n");
        assert_eq!(
            sections(&lines),
            "\nOne:\n\n```console\n$ list\nNAME\n```\n\nTwo:\n\n```console\n$ check\n```\n"
        );
    }
}
