//! What needs root: each test in a fresh network namespace that plays the host, with `ip` and `bridge` as witnesses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod addresses;
mod bridges;
mod cables;
mod guards;
mod host;
mod limits;
mod makers;
mod namespaces;
mod pins;
mod ports;
mod replugs;
mod traffic;
mod uplinks;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    if makers::plays() {
        return ExitCode::SUCCESS;
    }
    let root = nix::unistd::geteuid().is_root();
    if !root && std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        eprintln!("these tests need root, and may not be skipped under CI");
        return ExitCode::FAILURE;
    }
    if !root {
        eprintln!("SKIP: these tests need root");
    }
    let tests = [
        addresses::TESTS,
        bridges::TESTS,
        cables::TESTS,
        guards::TESTS,
        limits::TESTS,
        makers::TESTS,
        namespaces::TESTS,
        pins::TESTS,
        ports::TESTS,
        replugs::TESTS,
        traffic::TESTS,
        uplinks::TESTS,
    ]
    .concat();
    let trials = tests.iter().map(|&(name, test)| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
        .with_ignored_flag(!root)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
