//! Launches and enters small guests for real. Needs root, and `/bin/busybox` (static).

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod commit;
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
    if !root && std::env::var_os("CI").is_some_and(|value| value == "true") {
        panic!("these tests need root, and under CI nothing is skipped");
    }
    let tests: [&[Test]; 7] = [
        &commit::TESTS,
        &entering::TESTS,
        &failures::TESTS,
        &isolation::TESTS,
        &program::TESTS,
        &terminal::TESTS,
        &tidiness::TESTS,
    ];
    let trials = tests.into_iter().flatten().map(|(name, test)| {
        Trial::test(*name, || {
            test();
            Ok(())
        })
        .with_kind(if root { "" } else { "SKIP: needs root" })
        .with_ignored_flag(!root)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}
