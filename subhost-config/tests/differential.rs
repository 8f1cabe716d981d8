//! Generated scripts: what is accepted gives what bash gives, most is accepted, and nothing panics.
//!
//! A long run: `cargo xtask proof differential`.

mod generator;
mod oracle;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use oracle::shrink::{Finding, compare, shrink};
use oracle::{bash_values_of_a, evaluate};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use subhost_config::quote;

/// Scripts that are compared at once.
const ROUND: u64 = 2_000;
/// As many findings are made small and shown.
const SHOWN: usize = 20;

/// A number from the environment, for long runs.
fn number(name: &str, default: u64) -> u64 {
    env::var(name)
        .ok()
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}: no number")))
}

#[test]
fn accepted_scripts_give_what_bash_gives() {
    let (count, seed) = (number("SUBHOST_PROOF_COUNT", 5_000), number("SUBHOST_PROOF_SEED", 1));
    let (mut accepted, mut refused) = (0, BTreeMap::<&str, usize>::new());
    let mut findings = Vec::new();
    let mut first = seed;
    while first < seed + count && findings.len() < SHOWN {
        let last = (first + ROUND).min(seed + count);
        let scripts: Vec<Vec<u8>> = (first..last).map(generator::script).collect();
        let comparison = compare(&scripts);
        accepted += comparison.accepted;
        comparison.refused.into_iter().for_each(|code| *refused.entry(code).or_default() += 1);
        findings.extend(comparison.findings);
        first = last;
    }
    let done = usize::try_from(first - seed).expect("fits");
    println!(
        "{done} scripts from seed {seed}: {accepted} accepted, {} different; refused: {refused:?}",
        findings.len()
    );
    report(findings);
    let least = 60;
    assert!(accepted * 100 >= done * least, "{accepted} of {done} accepted: the comparison would say little");
}

/// Fails with what was found, made small, if anything was. Keeps it as cases if `SUBHOST_PROOF_KEEP` is a directory.
fn report(findings: Vec<Finding>) {
    let mut small: Vec<Finding> = findings.into_iter().take(SHOWN).map(shrink).collect();
    small.sort_by(|one, other| one.script.cmp(&other.script));
    small.dedup_by(|one, other| one.script == other.script);
    let mut text = String::new();
    for finding in &small {
        text += &format!("---- {:?}\n{}", String::from_utf8_lossy(&finding.script), finding.difference);
    }
    if let Some(directory) = env::var_os("SUBHOST_PROOF_KEEP") {
        for (number, finding) in small.iter().enumerate() {
            let path = Path::new(&directory).join(format!("found-{number}.sh"));
            fs::write(&path, &finding.script).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    assert!(small.is_empty(), "different from bash:\n{text}");
}

/// Tokens with little order: what slips through must still be what bash gives.
#[test]
fn accepted_token_soup_is_what_bash_gives() {
    let scripts: Vec<Vec<u8>> = (0..number("SUBHOST_PROOF_SOUP", 4_000)).map(generator::soup).collect();
    let comparison = compare(&scripts);
    println!("{} of {} accepted", comparison.accepted, scripts.len());
    report(comparison.findings);
}

/// The scripts of the cases; those that are meant to do harm are not given to bash in pieces.
fn scripts_of_cases() -> Vec<String> {
    let directories = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"))
        .expect("the directory is read");
    let mut paths: Vec<PathBuf> = directories
        .map(|directory| directory.expect("an entry is read").path())
        .filter(|directory| !directory.ends_with("hostile"))
        .flat_map(|directory| fs::read_dir(directory).expect("a directory is read"))
        .map(|file| file.expect("an entry is read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// What people and findings have written, in other combinations.
#[test]
fn accepted_mixtures_of_cases_are_what_bash_gives() {
    let cases = scripts_of_cases();
    assert!(cases.len() > 300, "{} cases", cases.len());
    let (count, seed) = (number("SUBHOST_PROOF_MIXTURES", 2_000), number("SUBHOST_PROOF_SEED", 1));
    let scripts: Vec<Vec<u8>> = (seed..seed + count).map(|seed| generator::mixture(seed, &cases)).collect();
    let comparison = compare(&scripts);
    println!("{} of {} mixtures accepted", comparison.accepted, scripts.len());
    report(comparison.findings);
}

#[test]
fn bash_reads_a_quoted_value_back() {
    let mut runner = TestRunner::deterministic();
    let value = proptest::collection::vec(1..=255u8, 0..12);
    let values: Vec<Vec<u8>> = (0..1_000).map(|_| value.new_tree(&mut runner).unwrap().current()).collect();
    let scripts: Vec<Vec<u8>> = values.iter().map(|value| [&b"A="[..], &quote(value)].concat()).collect();
    for ((script, value), theirs) in scripts.iter().zip(&values).zip(bash_values_of_a(&scripts)) {
        let (variables, diagnostics) = evaluate(script);
        assert_eq!(diagnostics, []);
        assert_eq!(variables.get("A").and_then(|a| a.value.first()), Some(&value[..]));
        assert_eq!(&theirs, value);
    }
}
