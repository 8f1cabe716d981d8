//! Launches and enters small guests for real. Needs root, and `/bin/busybox` (static).

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod cgroup;
mod commit;
mod confinement;
mod entering;
mod failures;
mod isolation;
mod program;
mod stage;
mod terminal;
mod tidiness;

use libtest_mimic::{Arguments, Trial};

/// A name that says what is to hold, and the test.
type Test = (&'static str, fn());

fn main() {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some(commit::HELPER) => return commit::helper(&words.next().expect("the helper is told what to do")),
        Some(tidiness::HELPER) => return tidiness::helper(),
        _ => {}
    }
    let root = nix::unistd::geteuid().is_root();
    let tests: [&[Test]; 8] = [
        &commit::TESTS,
        &confinement::TESTS,
        &entering::TESTS,
        &failures::TESTS,
        &isolation::TESTS,
        &program::TESTS,
        &terminal::TESTS,
        &tidiness::TESTS,
    ];
    let no_root = (!root).then_some("SKIP: needs root");
    let no_cgroup = cgroup::mount_point().is_none().then_some("SKIP: needs a mounted cgroup2");
    let mut trials: Vec<Trial> = tests.into_iter().flatten().map(|test| trial(test, no_root)).collect();
    trials.extend(cgroup::TESTS.iter().map(|test| trial(test, no_root.or(no_cgroup))));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// What cannot run is counted as ignored, with the reason before its name; under CI it fails.
fn trial((name, test): &Test, skip: Option<&'static str>) -> Trial {
    let test = *test;
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    Trial::test(*name, move || match skip {
        Some(reason) => Err(reason.into()),
        None => {
            test();
            Ok(())
        }
    })
    .with_kind(skip.unwrap_or_default())
    .with_ignored_flag(skip.is_some() && !in_ci)
}
