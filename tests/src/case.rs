//! Running test cases, each on a host of its own, with the leak check at its end.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::fixture::Fixture;
use crate::host::Host;
use crate::isolate::{self, Stage};
use crate::leak::{Difference, Snapshot};
use crate::program;

/// What a case gives back: an error is a failure, as a panic is.
pub type Verdict = Result<(), Box<dyn Error>>;

/// How long the kernel may take to clean up behind a subhost.
pub const CLEAN_UP: Duration = Duration::from_secs(3);

/// How long one case may take, in seconds; a long run sets more.
const CASE: (&str, u64) = ("SUBHOST_CASE_SECONDS", 180);

/// What a line on standard error begins with that is shown of a case that passes, too.
pub const FIGURE: &str = "figure: ";

/// The type of an overlay, as `statfs` has it.
const OVERLAY: rustix::fs::FsWord = 0x794c_7630;

/// The argument that makes the test binary run one case inside its namespaces.
const RUN_CASE: &str = "--run-one-case";

/// What a case cannot run without.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// The built `subhostctl`.
    Program,
    /// An image or tree of the fixtures.
    Made(Fixture),
    /// What `cargo xtask dist` makes.
    Package,
    /// A root that `run --overlay /` can go over: one that is an overlay itself cannot be idmapped.
    PlainRoot,
}

/// One test: what it says, what it needs, what it does.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name, which states the behaviour.
    pub name: &'static str,
    /// What must be there, beside root and the tools of every case.
    pub needs: &'static [Need],
    /// The test itself.
    pub body: fn(&Host) -> Verdict,
}

/// The `main` of a test binary: runs all cases as `cargo test` runs tests, each in namespaces of its own.
pub fn main(cases: &[Case]) -> ExitCode {
    let stage = match isolate::stage() {
        Ok(stage) => stage,
        Err(error) => {
            eprintln!("prepare namespaces of its own: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut args = env::args().skip(1);
    if stage == Stage::Inside && args.next().as_deref() == Some(RUN_CASE) {
        let (name, directory) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
        let case = cases.iter().find(|case| case.name == name);
        return match case.map(|case| run_inside(case, Path::new(&directory))) {
            Some(Ok(())) => ExitCode::SUCCESS,
            Some(Err(error)) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
            None => {
                eprintln!("no case {name}");
                ExitCode::FAILURE
            }
        };
    }
    let trial = |case: Case| Trial::ignorable_test(case.name, move || run_outside(&case));
    let trials = cases.iter().copied().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The case and the leak check.
fn run_inside(case: &Case, directory: &Path) -> Verdict {
    let host = Host::new(directory, program::path().unwrap_or_default())?;
    let before = Snapshot::take(&host.scope())?;
    (case.body)(&host)?;
    host.take_down()?;
    nothing_left(&host, &before)
}

/// Fails with the list of what `host` has more than `before`, or less.
pub fn nothing_left(host: &Host, before: &Snapshot) -> Verdict {
    let difference: Difference = before.settle(&host.scope(), CLEAN_UP)?;
    if difference.is_empty() { Ok(()) } else { Err(difference.to_string().into()) }
}

/// Starts the case in new namespaces and waits for it.
fn run_outside(case: &Case) -> Result<Completion, Failed> {
    if let Some(reason) = reason_to_skip(case) {
        // On a build machine everything must have run.
        return if env::var_os("CI").is_some_and(|value| value == "true") {
            Err(format!("skipped, which CI=true does not allow: {reason}").into())
        } else {
            Ok(Completion::ignored_with(format!("SKIP: {reason}")))
        };
    }
    let directory = tempfile::Builder::new().prefix("subhost-").tempdir().map_err(Failed::from)?;
    let args = [OsStr::new(RUN_CASE), OsStr::new(case.name), directory.path().as_os_str()];
    let command = isolate::command(args).map_err(Failed::from)?;
    let (variable, usual) = CASE;
    let seconds = env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let outcome = program::run(command, Duration::from_secs(seconds)).map_err(Failed::from)?;
    for line in outcome.stderr.lines().filter(|line| line.starts_with(FIGURE)) {
        eprintln!("{}: {line}", case.name);
    }
    if outcome.code == 0 { Ok(Completion::Completed) } else { Err(outcome.to_string().into()) }
}

/// Why a case cannot run here.
fn reason_to_skip(case: &Case) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("no /dev/loop-control".to_owned());
    }
    let tools = [("unshare", "util-linux"), ("ip", "iproute2"), ("bridge", "iproute2"), ("tc", "iproute2")];
    for (tool, package) in tools.into_iter().chain([("nft", "nftables")]) {
        if Command::new(tool).arg("--version").output().is_err()
            && Command::new(tool).arg("-V").output().is_err()
        {
            return Some(format!("no {tool} (package {package})"));
        }
    }
    case.needs.iter().find_map(|need| match need {
        Need::Program => program::path().err(),
        Need::Made(fixture) => fixture.path().err(),
        Need::Package => program::dist().err(),
        Need::PlainRoot => match rustix::fs::statfs("/") {
            Ok(root) if root.f_type == OVERLAY => Some("/ is an overlay".to_owned()),
            _ => None,
        },
    })
}
