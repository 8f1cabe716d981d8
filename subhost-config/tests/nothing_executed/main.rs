//! Evaluating makes no system calls but those for memory: nothing is started, opened, read or written. With policies
//! that allow all files, it makes none beside those but such as look at files.
//!
//! The evaluation runs in a child process under a filter that kills it at any other call. Further children, which do
//! make such calls, show that the filter kills.

mod sys;

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::{env, fs};

use libtest_mimic::{Arguments, Failed, Trial};
use subhost_config::schema::{Environment, SubhostConfig};
use subhost_config::{Evaluator, FilePolicy, IncludePolicy, Source, parse, render};

/// What a child is to do.
const TASK: &str = "SUBHOST_CONFIG_TEST_TASK";
/// The signal that the filter kills with.
const SIGSYS: i32 = 31;

fn main() -> ExitCode {
    if let Ok(task) = env::var(TASK) {
        child(&task);
        return ExitCode::SUCCESS;
    }
    let mut trials = vec![
        Trial::test("evaluates_all_cases_without_a_system_call", || evaluates("cases", 400)),
        Trial::test("evaluates_the_corpus_without_a_system_call", || evaluates("corpus", 30)),
        Trial::test("evaluates_all_cases_with_all_files_allowed", || evaluates("files", 400)),
        Trial::test("the_filter_kills_a_command", || is_killed("command")),
        Trial::test("the_filter_kills_a_written_file", || is_killed("file")),
        Trial::test("the_filter_for_reading_kills_a_command", || is_killed("command-reading")),
        Trial::test("the_filter_for_reading_kills_a_written_file", || is_killed("file-reading")),
    ];
    trials.extend(sys::FORBIDDEN.iter().map(|(name, _)| {
        Trial::test(format!("the_filter_kills_{name}"), move || {
            let output = run(&format!("free {name}"));
            if !output.status.success() {
                return Err(format!("without the filter: {}", output.status).into());
            }
            is_killed(name)
        })
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Evaluates all scripts of a set in a child, which has to come to its end.
fn evaluates(set: &str, at_least: usize) -> Result<(), Failed> {
    let output = run(set);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().unwrap_or_default();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{}, the last script was {last}\n{said}", output.status).into());
    }
    let count: usize = last.parse().map_err(|_| format!("{last:?} is not a number"))?;
    if count < at_least { Err(format!("{count} scripts only").into()) } else { Ok(()) }
}

fn is_killed(what: &str) -> Result<(), Failed> {
    let status = run(&format!("control {what}")).status;
    if status.signal() == Some(SIGSYS) { Ok(()) } else { Err(format!("{what}: {status}").into()) }
}

fn run(task: &str) -> Output {
    let program = env::current_exe().expect("the program is known");
    Command::new(program).env(TASK, task).env("RUST_BACKTRACE", "0").output().expect("the child starts")
}

/// The one thread of a child.
fn child(task: &str) {
    let (task, what) = task.split_once(' ').unwrap_or((task, ""));
    let number = sys::FORBIDDEN.iter().find(|(name, _)| *name == what).map(|(_, number)| *number);
    match (task, number) {
        ("free", Some(number)) => sys::call(number),
        ("control", Some(number)) => {
            sys::allow_memory_only().expect("the filter is taken");
            sys::call(number);
        }
        ("control", None) => {
            let file = env::temp_dir().join("subhost-config-canary");
            let (what, reading) = match what.strip_suffix("-reading") {
                Some(what) => (what, true),
                None => (what, false),
            };
            let filter = if reading { sys::allow_memory_and_reading } else { sys::allow_memory_only };
            filter().expect("the filter is taken");
            match what {
                "command" => drop(Command::new("true").status()),
                _ => drop(fs::write(file, "")),
            }
        }
        _ => evaluate_all(task),
    }
}

fn evaluate_all(set: &str) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory =
        if set == "corpus" { package.join("fuzz/corpus-min") } else { package.join("tests/cases") };
    let mut scripts = Vec::new();
    files_in(&directory, &mut scripts);
    let scripts: Vec<(String, Vec<u8>)> = scripts
        .into_iter()
        .map(|path| (path.display().to_string(), fs::read(&path).expect("the script is read")))
        .collect();
    let mut output = io::stdout().lock();

    let mut evaluator = Evaluator::new();
    if set == "files" {
        evaluator = evaluator
            .step_budget(200_000)
            .includes(IncludePolicy::directories(["/"]).by_anybody())
            .files(FilePolicy::directories(["/"]));
        sys::allow_memory_and_reading().expect("the filter is taken");
    } else {
        sys::allow_memory_only().expect("the filter is taken");
    }
    for (name, text) in &scripts {
        // Named before, so that the one that was killed is known.
        writeln!(output, "{name}").expect("the name is written");
        let source = Source::new(name.clone(), text.clone());
        let (script, mut diagnostics) = parse(&source);
        let (variables, more) = evaluator.run(&script);
        diagnostics.extend(more);
        drop(variables.to_declare_p());
        diagnostics.extend(SubhostConfig::from_variables(&variables, &Environment::empty()).1);
        diagnostics.iter().for_each(|diagnostic| drop(render(diagnostic, variables.sources(), false)));
    }
    writeln!(output, "{}", scripts.len()).expect("the number is written");
}

fn files_in(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("the entry is read").path();
        if path.is_dir() {
            files_in(&path, found);
        } else if path.extension().is_none_or(|extension| extension == "sh") {
            found.push(path);
        }
    }
}
