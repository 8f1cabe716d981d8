//! What needs root: loop devices, locks, mounts. Each case works in a mount namespace and a directory of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actor;
mod devices;
#[path = "../harness/mod.rs"]
mod harness;
mod images;
mod killed;
mod locks;
mod loops;
mod mounts;
mod overlays;
mod races;
mod scene;
#[path = "../sys/mod.rs"]
mod sys;
mod tables;
mod trees;
mod unchanged;

use std::process::ExitCode;

use harness::Case;

/// A name, the programs, and the test.
type Row = (&'static str, &'static [&'static str], fn());

fn main() -> ExitCode {
    if actor::plays() {
        return ExitCode::SUCCESS;
    }
    let rows = [
        loops::CASES,
        locks::CASES,
        devices::CASES,
        mounts::CASES,
        images::CASES,
        overlays::CASES,
        tables::CASES,
        unchanged::CASES,
        killed::CASES,
        trees::CASES,
        races::CASES,
    ]
    .concat();
    let before = scene::loop_devices();
    let conclusion = harness::run(rows.into_iter().map(case).collect());
    scene::remove_loop_devices_but(&before);
    harness::finish(&conclusion, &scene::left_behind())
}

fn case((name, programs, run): Row) -> Case {
    Case { name: name.to_owned(), needs_root: true, programs, run: Box::new(run) }
}
