//! Comparing many scripts with bash, and making those that differ small.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::{bash, for_bash, is_accepted, ours};

/// An accepted script for which bash gives something else, or one that made us panic.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) script: Vec<u8>,
    pub(crate) difference: String,
}

impl Finding {
    /// Whether bash complains of what we accept; else both accept it, and differ.
    fn is_complaint(&self) -> bool {
        self.difference.starts_with("bash complains")
    }
}

/// What came of many scripts.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) accepted: usize,
    pub(crate) findings: Vec<Finding>,
    /// The code of the first error of each that was refused.
    pub(crate) refused: Vec<&'static str>,
}

/// Evaluates all scripts, and compares those that are accepted with bash.
pub(crate) fn compare(scripts: &[Vec<u8>]) -> Comparison {
    let mut result = Comparison::default();
    let (mut accepted, mut plain, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for (script, evaluated) in scripts.iter().zip(evaluate_all(scripts)) {
        match evaluated {
            Evaluated::Accepted { for_bash, lines } => {
                accepted.push(script);
                plain.push(for_bash);
                expected.push(lines);
            }
            Evaluated::Refused(code) => result.refused.push(code),
            Evaluated::Panicked => {
                result.findings.push(Finding { script: script.clone(), difference: "a panic\n".to_owned() });
            }
        }
    }
    result.accepted = accepted.len();
    for ((script, lines), theirs) in accepted.iter().zip(&expected).zip(bash(&plain)) {
        if let Some(difference) = theirs.difference(lines) {
            result.findings.push(Finding { script: script.to_vec(), difference });
        }
    }
    result
}

enum Evaluated {
    Accepted { for_bash: Vec<u8>, lines: String },
    Refused(&'static str),
    Panicked,
}

fn evaluate_all(scripts: &[Vec<u8>]) -> Vec<Evaluated> {
    let evaluate = |script: &Vec<u8>| match catch_unwind(AssertUnwindSafe(|| ours(script))) {
        Ok((lines, diagnostics)) if is_accepted(&diagnostics) => {
            Evaluated::Accepted { for_bash: for_bash(script, &diagnostics), lines }
        }
        Ok((_, diagnostics)) => {
            let error = diagnostics.iter().find(|diagnostic| diagnostic.is_error());
            Evaluated::Refused(error.map_or("", |error| error.code))
        }
        Err(_) => Evaluated::Panicked,
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = scripts.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        let running: Vec<_> = scripts
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(evaluate).collect::<Vec<_>>()))
            .collect();
        running.into_iter().flat_map(|it| it.join().expect("panics are caught inside")).collect()
    })
}

/// The smallest that can be had by leaving out lines and bytes, and that is still a finding of its kind.
pub(crate) fn shrink(finding: Finding) -> Finding {
    let mut smallest = finding;
    let mut length = smallest.script.len();
    while length > 0 {
        let found = compare(&shorter(&smallest.script, length)).findings.into_iter();
        let of_its_kind = found.filter(|it| it.is_complaint() == smallest.is_complaint());
        match of_its_kind.min_by_key(|it| it.script.len()) {
            Some(smaller) => {
                smallest = smaller;
                length = length.min(smallest.script.len());
            }
            None => length /= 2,
        }
    }
    smallest
}

/// The script without each piece of this length; without each of its lines too while that is about as long.
fn shorter(script: &[u8], length: usize) -> Vec<Vec<u8>> {
    let without = |from: usize, to: usize| [&script[..from], &script[to.min(script.len())..]].concat();
    let step = (length / 2).max(1);
    let mut candidates: Vec<_> =
        (0..script.len()).step_by(step).map(|from| without(from, from + length)).collect();
    let mut start = 0;
    for line in script.split_inclusive(|&byte| byte == b'\n') {
        candidates.push(without(start, start + line.len()));
        start += line.len();
    }
    candidates.retain(|candidate| candidate.len() < script.len());
    candidates.sort();
    candidates.dedup();
    candidates
}
