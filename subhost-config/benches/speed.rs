//! The evaluation beside bash itself, and its memory. No figure is asserted, since the machine is not known; the last
//! column is what is aimed at.
//!
//! `cargo xtask proof speed`

#[path = "../tests/scaling/sys.rs"]
mod sys;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use subhost_config::{Diagnostic, Evaluator, Script, Source, Variables, parse};
use sys::cost_of;

/// Counts in the timed runs too, which makes them a little slower.
#[global_allocator]
static ALLOCATOR: sys::Counting = sys::Counting;

const TYPICAL: &str = include_str!("typical.conf");

struct Sample {
    name: &'static str,
    text: String,
    rounds: usize,
    /// How often in each round.
    turns: u32,
    aim: &'static str,
}

fn samples() -> Vec<Sample> {
    let list = |count| format!("DISKS=(\n{})\n", "vda:1:/disks/a.raw\n".repeat(count));
    let sample = |name, text, rounds, turns, aim| Sample { name, text, rounds, turns, aim };
    let mut keys = "declare -A M=(\n".to_owned();
    for key in 0..10_000 {
        let _ = writeln!(keys, "[key{key}]=value{key}");
    }
    keys.push_str(")\n");
    let turns = "for ((i=0; i<10000; i++)); do A+=(\"x$i\"); done\n".to_owned();
    vec![
        sample("configuration of 42 lines", TYPICAL.to_owned(), 15, 200, "< 50 µs"),
        sample("list of 100,000", list(100_000), 15, 1, "< 60 ms, < 10 × its size"),
        sample("list of 1,000,000", list(1_000_000), 5, 1, "< 10 × its size"),
        sample("map of 10,000 keys", keys, 15, 2, ""),
        sample("loop of 10,000 turns", turns, 15, 1, ""),
    ]
}

fn main() {
    let directory = tempfile::tempdir().expect("a directory of its own is made");
    let path = directory.path().join("sample.conf");
    println!(
        "{:<26} {:>9} {:>9} {:>9} {:>6} {:>11} {:>7} {:>11}  aim",
        "", "bytes", "ours", "bash", "ratio", "peak bytes", "× size", "allocations"
    );
    let times: Vec<_> = samples()
        .iter()
        .map(|sample| {
            fs::write(&path, &sample.text).expect("the sample is written");
            (sample.name, row(sample, &path))
        })
        .collect();
    let of = |name| times.iter().find(|it| it.0 == name).expect("it is a sample").1.as_secs_f64();
    let growth = of("list of 1,000,000") / of("list of 100,000");
    println!("\nten times the list takes {growth:.1} times as long; aim: 10");
}

/// Prints one line; gives the time that it takes us.
fn row(sample: &Sample, path: &Path) -> Duration {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first round fills the caches.
    for round in 0..=sample.rounds {
        let pair = (time_of_ours(sample), time_of_bash(path, sample.turns));
        if round > 0 {
            ours.push(pair.0);
            theirs.push(pair.1);
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let (_, cost) = cost_of(|| evaluate(&sample.text));
    let size = sample.text.len();
    println!(
        "{:<26} {:>9} {:>9} {:>9} {:>5.1}× {:>11} {:>7} {:>11}  {}",
        sample.name,
        size,
        in_words(ours),
        in_words(theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
        cost.peak,
        // Of a small file it would say nothing.
        if size > 100_000 { format!("{:.1}×", cost.peak as f64 / size as f64) } else { String::new() },
        cost.calls,
        sample.aim,
    );
    ours
}

/// Everything that is held at the end: the text as it would be read from a file, its commands, the variables.
fn evaluate(text: &str) -> (Script, Variables, Vec<Diagnostic>) {
    let source = Source::new("sample", text);
    let (script, mut diagnostics) = parse(&source);
    let (variables, more) = Evaluator::new().run(&script);
    diagnostics.extend(more);
    (script, variables, diagnostics)
}

fn time_of_ours(sample: &Sample) -> Duration {
    let begin = Instant::now();
    for _ in 0..sample.turns {
        let (_, variables, diagnostics) = evaluate(&sample.text);
        let error = diagnostics.iter().find(|it: &&Diagnostic| it.is_error());
        assert!(error.is_none() && !variables.is_empty(), "{}: {error:?}", sample.name);
    }
    begin.elapsed() / sample.turns
}

/// Measured by bash, so that its start does not count.
fn time_of_bash(path: &Path, turns: u32) -> Duration {
    let commands = format!(
        "begin=$EPOCHREALTIME; for ((turn=0; turn<{turns}; turn++)); do . \"$1\"; done; end=$EPOCHREALTIME\n\
         echo $(( ${{end/.}} - ${{begin/.}} ))"
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", &commands, "bash"]).arg(path);
    let output = bash.env_clear().env("LC_ALL", "C.UTF-8").output().expect("bash runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let micros = text.trim().parse();
    Duration::from_micros(micros.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
        / turns
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn in_words(duration: Duration) -> String {
    let us = duration.as_secs_f64() * 1e6;
    if us < 1e3 { format!("{us:.1} µs") } else { format!("{:.1} ms", us / 1e3) }
}
