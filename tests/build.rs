//! Compiles the probe (`probe/main.rs`), a static program that tests put into guests.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=probe");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let probe = Path::new(&variable("OUT_DIR")).join("probe");
    let linker = env::var_os("RUSTC_LINKER");
    if linker.is_none() && variable("HOST") != variable("TARGET") {
        // Without a linker for that machine the tests can be checked, and that needs no program.
        std::fs::write(&probe, "").unwrap_or_else(|error| panic!("write {}: {error}", probe.display()));
        return;
    }
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--crate-name=probe", "--edition=2024", "--target"]).arg(variable("TARGET"));
    rustc.args(["-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols", "-Ctarget-feature=+crt-static"]);
    if let Some(linker) = linker {
        let mut option = OsString::from("-Clinker=");
        option.push(linker);
        rustc.arg(option);
    }
    rustc.arg("-o").arg(&probe).arg("probe/main.rs");
    let status = rustc.status().unwrap_or_else(|error| panic!("run {rustc:?}: {error}"));
    assert!(status.success(), "{rustc:?}: {status}");
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"))
}
