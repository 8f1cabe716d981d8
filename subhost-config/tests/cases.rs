//! The cases in `tests/cases`: one script a file, held against real bash.
//!
//! - `NAME.sh` is the script.
//! - `NAME.out` is what bash's `declare -p` prints of what the script sets. It is accepted, gives just that, and bash
//!   says nothing.
//! - `NAME.err` are the diagnostics, `line:column CODE` each. Without a `NAME.out` the script is refused.
//! - `NAME.bash` stands beside a `NAME.err` where bash takes what we refuse, on purpose, and is what bash gives.
//!
//! With `SUBHOST_CASES=write`, bash writes each `NAME.out` and `NAME.bash` anew, and each `NAME.sh` that has nothing
//! beside it gets its `NAME.out`. A `NAME.err` is written by hand.

mod oracle;

use std::path::{Path, PathBuf};
use std::{env, fs};

use oracle::{Bash, bash, for_bash, is_accepted};
use subhost_config::{Diagnostic, Evaluator, Source, code, parse};

struct Case {
    /// The path without extension.
    path: PathBuf,
    script: Vec<u8>,
    out: Option<String>,
    err: Option<String>,
    bash: Option<String>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let beside = |extension| fs::read_to_string(path.with_extension(extension)).ok();
        let script = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            path: path.with_extension(""),
            script,
            out: beside("out"),
            err: beside("err"),
            bash: beside("bash"),
        }
    }

    fn write(&self, extension: &str, text: &str) {
        let path = self.path.with_extension(extension);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// What is not as the files say.
    fn check(&self, theirs: &Bash) -> Result<(), String> {
        let source = Source::new("case", self.script.clone());
        let (script, mut diagnostics) = parse(&source);
        let (variables, more) = Evaluator::new().step_budget(200_000).run(&script);
        diagnostics.extend(more);
        let lines = String::from_utf8_lossy(&variables.to_declare_p()).into_owned();

        let found = shown(&diagnostics, &source);
        // Warnings need not be written down.
        if self.err.as_ref().is_some_and(|err| *err != found)
            || self.err.is_none() && !is_accepted(&diagnostics)
        {
            let expected = self.err.as_deref().unwrap_or_default();
            return Err(format!("diagnostics:\n{found}  expected:\n{expected}"));
        }
        if let Some(out) = &self.out {
            if *out != lines {
                return Err(format!("gives:\n{lines}  expected:\n{out}"));
            }
            return theirs.difference(out).map_or(Ok(()), Err);
        }
        if is_accepted(&diagnostics) {
            return Err(format!("is accepted, and has no .out:\n{lines}"));
        }
        match &self.bash {
            Some(expected) => theirs.difference(expected).map_or(Ok(()), Err),
            None if is_syntax(&diagnostics) && theirs.complaints.is_empty() => {
                Err("bash does not call it a syntax error".to_owned())
            }
            None => Ok(()),
        }
    }

    /// What bash is given: where it is not to be run, nothing.
    fn for_bash(&self) -> Vec<u8> {
        let (_, diagnostics) = parse(&Source::new("case", self.script.clone()));
        let is_wanted =
            self.err.is_none() || self.out.is_some() || self.bash.is_some() || is_syntax(&diagnostics);
        if is_wanted { for_bash(&self.script, &diagnostics) } else { Vec::new() }
    }
}

/// Nothing but errors that bash has too.
fn is_syntax(diagnostics: &[Diagnostic]) -> bool {
    let ours_alone = [code::NUL_BYTE, code::TEXT_AFTER_ARRAY, code::BAD_ESCAPE];
    diagnostics.iter().all(|it| it.code.starts_with("E01") && !ours_alone.contains(&it.code))
        && !diagnostics.is_empty()
}

fn shown(diagnostics: &[Diagnostic], source: &Source) -> String {
    let line = |diagnostic: &Diagnostic| {
        let place = diagnostic.span.map_or_else(
            || "-".to_owned(),
            |span| {
                let place = source.location(span.start());
                format!("{}:{}", place.line, place.column)
            },
        );
        format!("{place} {}\n", diagnostic.code)
    };
    diagnostics.iter().map(line).collect()
}

fn scripts_in(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("the entry is read").path();
        if path.is_dir() {
            scripts_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sh") {
            found.push(path);
        }
    }
}

fn cases() -> Vec<Case> {
    let mut paths = Vec::new();
    scripts_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"), &mut paths);
    paths.sort();
    paths.iter().map(|path| Case::read(path)).collect()
}

#[test]
fn every_case_gives_what_its_files_say_and_what_bash_gives() {
    let cases = cases();
    let scripts: Vec<Vec<u8>> = cases.iter().map(Case::for_bash).collect();
    let all = bash(&scripts);
    if env::var_os("SUBHOST_CASES").is_some_and(|value| value == "write") {
        return write(&cases, &all);
    }
    let mut wrong = String::new();
    let mut count = 0;
    for (case, theirs) in cases.iter().zip(&all) {
        if let Err(difference) = case.check(theirs) {
            count += 1;
            let script = String::from_utf8_lossy(&case.script);
            wrong += &format!("==== {}\n{}\n---- {difference}\n", case.path.display(), script.trim_end());
        }
    }
    assert!(wrong.is_empty(), "{count} of {} cases:\n{wrong}", cases.len());
    assert!(cases.len() >= 400, "{} cases", cases.len());
}

/// Writes what bash gives. Fails where it complains: that is no case of something that we accept.
fn write(cases: &[Case], all: &[Bash]) {
    let mut complaints = String::new();
    for (case, theirs) in cases.iter().zip(all) {
        let is_quiet = theirs.complaints.is_empty() && theirs.printed.is_empty();
        let (ours, _) = oracle::ours(&case.script);
        if case.out.is_some() || case.err.is_none() {
            if is_quiet {
                case.write("out", &theirs.lines(&ours));
            } else {
                complaints += &format!("{}: {}{}", case.path.display(), theirs.complaints, theirs.printed);
            }
        } else if case.bash.is_some() {
            case.write("bash", &theirs.lines(&ours));
        }
    }
    assert!(complaints.is_empty(), "bash complains:\n{complaints}");
}
