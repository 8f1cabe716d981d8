//! The evaluation beside bash itself: time and memory, in the same run. No figure is asserted, since the machine is
//! not known; the last column is what is aimed at.
//!
//! `cargo xtask proof speed`

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use subhost_config::{Diagnostic, Evaluator, Source, parse};

const ROUNDS: usize = 15;

const TYPICAL: &str = include_str!("typical.conf");

struct Sample {
    name: &'static str,
    text: String,
    /// How often in each round.
    turns: u32,
    aim: &'static str,
}

fn samples() -> Vec<Sample> {
    let list = |count| format!("DISKS=(\n{})\n", "vda:1:/disks/a.raw\n".repeat(count));
    let sample = |name, text, turns, aim| Sample { name, text, turns, aim };
    let mut keys = "declare -A M=(\n".to_owned();
    for key in 0..10_000 {
        let _ = writeln!(keys, "[key{key}]=value{key}");
    }
    keys.push_str(")\n");
    vec![
        sample("configuration of 40 lines", TYPICAL.to_owned(), 200, "< 50 µs"),
        sample("list of 10,000", list(10_000), 5, ""),
        sample("list of 100,000", list(100_000), 1, "< 60 ms, < 10 × its size"),
        sample("list of 1,000,000", list(1_000_000), 1, "10 × that of 100,000"),
        sample("map of 10,000 keys", keys, 2, ""),
        sample(
            "loop of 10,000 turns",
            "for ((i=0; i<10000; i++)); do A+=(\"x$i\"); done\n".to_owned(),
            1,
            "",
        ),
    ]
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [task, path] = &arguments[..]
        && task == "--memory-of"
    {
        println!("{}", peak_of_ours(Path::new(path)));
        return;
    }
    let folder = env::temp_dir().join(format!("subhost-config-speed-{}", std::process::id()));
    fs::create_dir(&folder).expect("a folder of its own");
    println!(
        "{:<26} {:>9} {:>10} {:>10} {:>6} {:>10} {:>7} {:>10}  aim",
        "", "bytes", "ours", "bash", "ratio", "peak", "× size", "bash"
    );
    for sample in samples() {
        let path = folder.join("sample.conf");
        fs::write(&path, &sample.text).expect("the sample is written");
        row(&sample, &path);
    }
    fs::remove_dir_all(&folder).expect("the folder goes");
}

fn row(sample: &Sample, path: &Path) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let rounds = if sample.text.len() > 5_000_000 { 5 } else { ROUNDS };
    for round in 0..=rounds {
        let pair = (time_of_ours(sample), time_of_bash(path, sample.turns));
        // The first round fills the caches.
        if round > 0 {
            ours.push(pair.0);
            theirs.push(pair.1);
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let peak =
        memory(Command::new(env::current_exe().expect("the program is known")).arg("--memory-of").arg(path));
    let base = memory(
        Command::new(env::current_exe().expect("the program is known")).args(["--memory-of", "/dev/null"]),
    );
    let of_bash = memory(&mut bash(PEAK_OF_BASH, path));
    let size = sample.text.len();
    println!(
        "{:<26} {:>9} {:>10} {:>10} {:>5.1}× {:>6} KiB {:>7} {:>6} KiB  {}",
        sample.name,
        size,
        in_words(ours),
        in_words(theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
        peak,
        // Of a small file this would be the program's own size.
        if size > 100_000 {
            format!("{:.1}×", (peak - base) as f64 * 1024.0 / size as f64)
        } else {
            String::new()
        },
        of_bash,
        sample.aim,
    );
}

fn time_of_ours(sample: &Sample) -> Duration {
    let begin = Instant::now();
    for _ in 0..sample.turns {
        // The copy that a file would be read into is a part of it.
        let source = Source::new("sample", sample.text.as_bytes());
        let (script, diagnostics) = parse(&source);
        let (variables, more) = Evaluator::new().run(&script);
        let error = diagnostics.iter().chain(&more).find(|it: &&Diagnostic| it.is_error());
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
    Duration::from_micros(number(&mut bash(&commands, path))) / turns
}

const PEAK_OF_BASH: &str = r#"
. "$1"
while read -r name value unit; do [[ $name != VmHWM: ]] || echo "$value"; done </proc/self/status
"#;

fn bash(commands: &str, path: &Path) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", commands, "bash"])
        .arg(path)
        .env_clear()
        .env("LC_ALL", "C.UTF-8");
    bash
}

fn number(command: &mut Command) -> u64 {
    let output = command.output().expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The most memory that a process had, in KiB, as it says itself.
fn memory(command: &mut Command) -> u64 {
    number(command)
}

fn peak_of_ours(path: &Path) -> u64 {
    let source = Source::new("sample", fs::read(path).expect("the sample is read"));
    let (script, _) = parse(&source);
    let (variables, _) = Evaluator::new().run(&script);
    let status = fs::read_to_string("/proc/self/status").expect("the kernel tells");
    drop(variables);
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak is told");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn in_words(duration: Duration) -> String {
    let us = duration.as_secs_f64() * 1e6;
    if us < 1e4 { format!("{us:.1} µs") } else { format!("{:.1} ms", us / 1e3) }
}
