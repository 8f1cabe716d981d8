//! Real bash as the witness. One process takes many scripts, each in a subshell of its own.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod shrink;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use subhost_config::{Diagnostic, Evaluator, Source, Variables, code, parse};

/// As many scripts as one process gets.
const BATCH: usize = 250;

/// Steps of our evaluation: a generated script needs a few hundred.
const STEPS: u64 = 200_000;

/// Limits of bash, so that a difference in a loop ends as a difference: seconds of each subshell, and KiB.
const LIMITS: &str = "ulimit -S -t 20; ulimit -S -v 4000000\n";

/// What our evaluation gives: `declare -p` lines, and all diagnostics.
pub(crate) fn ours(script: &[u8]) -> (String, Vec<Diagnostic>) {
    let (variables, diagnostics) = evaluate(script);
    (String::from_utf8_lossy(&variables.to_declare_p()).into_owned(), diagnostics)
}

/// What our evaluation gives.
pub(crate) fn evaluate(script: &[u8]) -> (Variables, Vec<Diagnostic>) {
    let (script, mut diagnostics) = parse(&Source::new("script", script));
    let (variables, more) = Evaluator::new().step_budget(STEPS).run(&script);
    diagnostics.extend(more);
    (variables, diagnostics)
}

/// Whether nothing of it is refused.
pub(crate) fn is_accepted(diagnostics: &[Diagnostic]) -> bool {
    !diagnostics.iter().any(Diagnostic::is_error)
}

/// What bash makes of one script.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Bash {
    /// `declare -p` of everything, none if it did not come so far.
    all: Option<String>,
    /// Its standard error, without the name of the script.
    pub(crate) complaints: String,
    /// What it printed itself.
    pub(crate) printed: String,
}

impl Bash {
    /// The `declare -p` lines of what the script set. A variable that bash brings along or changes by itself counts as
    /// set by the script if `ours` has a line for it.
    pub(crate) fn lines(&self, ours: &str) -> String {
        let Some(all) = &self.all else { return "bash did not come to the end\n".to_owned() };
        let expected: Vec<&str> = ours.lines().map(name).collect();
        let fresh = fresh().lines().collect::<Vec<_>>();
        let counts = |line: &&str| {
            let name = name(line);
            expected.contains(&name) || !(is_of_bash(name) || fresh.contains(line))
        };
        all.lines().filter(counts).fold(String::new(), |text, line| text + line + "\n")
    }

    /// What differs from `ours`, nothing if all is as it has to be: no complaint, nothing printed, the same variables.
    pub(crate) fn difference(&self, ours: &str) -> Option<String> {
        let lines = self.lines(ours);
        let mut text = String::new();
        for (what, found) in [("complains", &self.complaints), ("prints", &self.printed)] {
            if !found.is_empty() {
                let _ = writeln!(text, "bash {what}: {}", found.trim_end());
            }
        }
        if lines != ours {
            let only = |these: &str, those: &str| {
                let those: Vec<_> = those.lines().collect();
                these
                    .lines()
                    .filter(|line| !those.contains(line))
                    .fold(String::new(), |text, line| text + "    " + line + "\n")
            };
            let _ = write!(text, "  bash:\n{}  ours:\n{}", only(&lines, ours), only(ours, &lines));
        }
        (!text.is_empty()).then_some(text)
    }
}

/// The text that bash has to be given: where we warn of Windows line ends or of a byte order mark, the one without.
pub(crate) fn for_bash(script: &[u8], diagnostics: &[Diagnostic]) -> Vec<u8> {
    let warned = |code| diagnostics.iter().any(|diagnostic| diagnostic.code == code);
    let text =
        script.strip_prefix(b"\xef\xbb\xbf").filter(|_| warned(code::BYTE_ORDER_MARK)).unwrap_or(script);
    let mut plain = Vec::new();
    for (at, &byte) in text.iter().enumerate() {
        if !(byte == b'\r' && text.get(at + 1) == Some(&b'\n') && warned(code::CRLF)) {
            plain.push(byte);
        }
    }
    plain
}

/// What bash makes of each script.
pub(crate) fn bash<S: AsRef<[u8]> + Sync>(scripts: &[S]) -> Vec<Bash> {
    let mut results: Vec<Vec<Bash>> = Vec::new();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let batch = scripts.len().div_ceil(workers).clamp(1, BATCH);
    let chunks: Vec<&[S]> = scripts.chunks(batch).collect();
    for round in chunks.chunks(workers) {
        thread::scope(|scope| {
            let running: Vec<_> = round.iter().map(|chunk| scope.spawn(|| one_process(chunk))).collect();
            results.extend(running.into_iter().map(|it| it.join().expect("a batch does not panic")));
        });
    }
    results.concat()
}

/// What bash makes of one script.
pub(crate) fn bash_one(script: &[u8]) -> Bash {
    bash(&[script]).remove(0)
}

fn one_process<S: AsRef<[u8]>>(scripts: &[S]) -> Vec<Bash> {
    let directory = tempfile::tempdir().expect("a temporary directory is made");
    let directory = directory.path();
    let mut driver = LIMITS.to_owned();
    for (number, script) in scripts.iter().enumerate() {
        fs::write(directory.join(format!("{number}.sh")), script).expect("the script is written");
        let path = directory.join(number.to_string());
        let path = path.to_str().expect("a path of letters");
        // No variable of ours and no parameter: the script finds bash as it starts.
        let _ = writeln!(driver, "(. {path}.sh >{path}.out; declare -p >{path}.all) 2>{path}.err </dev/null");
    }
    run(&driver, directory);
    (0..scripts.len()).map(|number| read(&directory.join(number.to_string()))).collect()
}

/// Runs bash on commands. Their end is all that is waited for: what they say of themselves is in files.
fn run(commands: &str, directory: &Path) {
    let file = directory.join("driver");
    fs::write(&file, commands).expect("the commands are written");
    // Nothing for a pattern to match.
    let empty = directory.join("empty");
    fs::create_dir(&empty).expect("an empty directory is made");
    Command::new("bash")
        .args(["--norc", "--noprofile", "-s"])
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .current_dir(&empty)
        .stdin(fs::File::open(&file).expect("the commands are opened"))
        .stdout(Stdio::null())
        // What it says of a subshell that was killed; the file that is missing then says it too.
        .stderr(Stdio::null())
        .status()
        .expect("bash runs");
}

fn read(path: &Path) -> Bash {
    let text = |extension: &str| {
        let bytes = fs::read(path.with_extension(extension)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let all = text("all").filter(|all| !all.is_empty());
    let name = format!("{}.sh: ", path.display());
    let complaints = text("err").unwrap_or_default().replace(&name, "");
    Bash { all, complaints, printed: text("out").unwrap_or_default() }
}

/// The variable in a line of `declare -p`.
fn name(line: &str) -> &str {
    line.split([' ', '=']).nth(2).unwrap_or_default()
}

/// Bash changes it by itself.
fn is_of_bash(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "_",
        "COMP_WORDBREAKS",
        "DIRSTACK",
        "EPOCHREALTIME",
        "EPOCHSECONDS",
        "FUNCNAME",
        "GROUPS",
        "HISTCMD",
        "LINENO",
        "OLDPWD",
        "OPTIND",
        "PIPESTATUS",
        "PPID",
        "PWD",
        "RANDOM",
        "SECONDS",
        "SHELLOPTS",
        "SRANDOM",
    ];
    NAMES.contains(&name) || name.starts_with("BASH")
}

/// `declare -p` of a bash that did nothing.
fn fresh() -> &'static str {
    static FRESH: OnceLock<String> = OnceLock::new();
    FRESH.get_or_init(|| bash_one(b"").all.expect("bash runs an empty script"))
}

/// What `$A` is in bash after each script, in bytes.
pub(crate) fn bash_values_of_a(scripts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().expect("a temporary directory is made");
    let path = |name: String| directory.path().join(name);
    let mut driver = String::new();
    for (number, script) in scripts.iter().enumerate() {
        let file = path(format!("{number}.sh"));
        fs::File::create(&file).and_then(|mut file| file.write_all(script)).expect("the script is written");
        let value = path(format!("{number}.value"));
        let _ = writeln!(driver, "(. {}; printf %s \"$A\" >{})", file.display(), value.display());
    }
    run(&driver, directory.path());
    (0..scripts.len())
        .map(|number| fs::read(path(format!("{number}.value"))).expect("bash wrote the value"))
        .collect()
}
