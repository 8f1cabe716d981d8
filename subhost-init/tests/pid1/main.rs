//! The real PID 1, run as PID 1.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopt;
mod boot;
mod end;
mod guest;
mod orphans;
mod payload;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let root = rustix::process::geteuid().is_root();
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let tests = [adopt::TESTS, payload::TESTS, boot::TESTS, end::TESTS, orphans::TESTS].concat();
    let trials = tests.into_iter().map(|(name, test): (&str, fn())| {
        let run = move || {
            if root {
                test();
                return Ok(());
            }
            Err("not root: no namespaces can be made".into())
        };
        // Under CI a test that cannot run fails.
        Trial::test(name, run).with_ignored_flag(!root && !in_ci)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}
