//! Cases that may be impossible here: then they say SKIP and why, and under `CI=true` that is a failure.

use std::env;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};

/// One test.
pub(crate) struct Case {
    pub(crate) name: String,
    /// Whether only root can run it.
    pub(crate) needs_root: bool,
    /// The programs that it makes its input or its witness with.
    pub(crate) programs: &'static [&'static str],
    /// Panics when it fails.
    pub(crate) run: Box<dyn FnOnce() + Send>,
}

impl Case {
    fn obstacle(&self) -> Option<String> {
        if self.needs_root && !rustix::process::geteuid().is_root() {
            return Some("not root".to_owned());
        }
        let missing = self.programs.iter().find(|program| !is_there(program))?;
        Some(format!("{missing} is not installed"))
    }
}

/// Runs the cases that the command line asks for.
pub(crate) fn run(cases: Vec<Case>) -> Conclusion {
    let trials = cases.into_iter().map(|case| {
        Trial::ignorable_test(case.name.clone(), move || {
            let Some(obstacle) = case.obstacle() else {
                (case.run)();
                return Ok(Completion::Completed);
            };
            if env::var_os("CI").is_some_and(|value| value == "true") {
                return Err(Failed::from(format!("cannot run here: {obstacle}")));
            }
            Ok(Completion::ignored_with(format!("SKIP: {obstacle}")))
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect())
}

/// The exit code of a test program: what the cases say, and then what is `left` behind.
#[allow(dead_code, reason = "only where something can be left behind")]
pub(crate) fn finish(conclusion: &Conclusion, left: &[String]) -> ExitCode {
    for thing in left {
        eprintln!("left behind: {thing}");
    }
    if left.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}

/// The output of a program that must succeed.
pub(crate) fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("PATH", path()).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// With the directories of the tools of an administrator, which a user's path may lack.
pub(crate) fn path() -> String {
    format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}

fn is_there(program: &str) -> bool {
    env::split_paths(&path()).any(|directory| directory.join(program).is_file())
}
