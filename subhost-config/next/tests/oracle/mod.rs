//! Real bash as the witness.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use subhost_config::{Diagnostic, Evaluator, Source, Variables, parse};

/// Prints, in bash's own words, every variable, whether it has a value or not.
const DUMP: &str = r#". "$1"; builtin declare -p"#;

/// What bash sets by the way.
const BY_THE_WAY: &[&str] = &["BASH_REMATCH", "FUNCNAME", "PIPESTATUS", "_"];

/// What our evaluation gives: `declare -p` lines, and all diagnostics.
pub(crate) fn ours(script: &[u8]) -> (String, Vec<Diagnostic>) {
    let (variables, diagnostics) = evaluate(script);
    (String::from_utf8_lossy(&variables.to_declare_p()).into_owned(), diagnostics)
}

/// What our evaluation gives.
pub(crate) fn evaluate(script: &[u8]) -> (Variables, Vec<Diagnostic>) {
    let (script, mut diagnostics) = parse(&Source::new("script", script));
    let (variables, more) = Evaluator::new().run(&script);
    diagnostics.extend(more);
    (variables, diagnostics)
}

/// What bash gives, in our order: `declare -p` lines of all that the script set, and its standard error.
///
/// A variable that bash brings along counts as set by the script if `lines` of ours have it.
pub(crate) fn bash(script: &[u8], lines: &str) -> (String, String) {
    let ours: Vec<&str> = lines.lines().map(name).collect();
    let of_bash = |line: &&str| {
        let name = name(line);
        !ours.contains(&name) && (names_of_bash().iter().any(|it| it == name) || BY_THE_WAY.contains(&name))
    };
    let (theirs, complaints) = run(script);
    let mut theirs: Vec<&str> = theirs.lines().filter(|line| !of_bash(line)).collect();
    theirs.sort_by_key(|line| name(line));
    (theirs.into_iter().map(|line| format!("{line}\n")).collect(), complaints)
}

/// The variable in a line of `declare -p`.
fn name(line: &str) -> &str {
    line.split([' ', '=']).nth(2).unwrap_or_default()
}

/// What `$A` is in bash, in bytes.
pub(crate) fn bash_value_of_a(script: &[u8]) -> Vec<u8> {
    execute(script, r#". "$1"; printf %s "$A""#).stdout
}

fn run(script: &[u8]) -> (String, String) {
    let output = execute(script, DUMP);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn execute(script: &[u8], commands: &str) -> Output {
    // Empty, as a script that is refused here may match files, or write some, in bash.
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file is made");
    file.write_all(script).expect("the script is written");
    Command::new("bash")
        .args(["--norc", "--noprofile", "-c", commands, "bash"])
        .arg(file.path())
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("bash runs")
}

/// The variables that bash has before it reads anything.
fn names_of_bash() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| run(b"").0.lines().map(|line| name(line).to_owned()).collect())
}
