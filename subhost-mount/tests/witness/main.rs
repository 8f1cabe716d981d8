//! What sfdisk, blkid and their like read from the tables and file systems that their own tools wrote. A tool that
//! is not there is a failure: `cargo xtask packages` installs them all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../partition_tables/disk.rs"]
mod disk;
mod file_systems;
#[path = "../harness/mod.rs"]
#[expect(dead_code, reason = "here a tool that is missing is a failure")]
mod harness;
mod tables;
mod types;

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    let mut cases = tables::cases();
    cases.extend(file_systems::cases());
    cases.push(types::case());
    harness::run(cases).exit_code()
}

fn empty_image(path: &Path, len: u64) {
    std::fs::File::create(path).unwrap().set_len(len).unwrap();
}

/// The output of a program that must succeed.
fn output(program: &str, args: &[&str]) -> String {
    feed(program, args, "")
}

/// The same, of one that asks.
fn feed(program: &str, args: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .env("PATH", harness::path())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    // A program that does not ask may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?} <<<\"{input}\": {complaint}");
    String::from_utf8(output.stdout).unwrap()
}
