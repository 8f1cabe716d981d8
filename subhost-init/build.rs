//! Compiles PID 1 (`src/pid1/main.rs`), a freestanding program, with the compiler that builds the library.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/pid1");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");

    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    if variable("CARGO_CFG_TARGET_OS") != "linux" || !(architecture == "x86_64" || architecture == "aarch64")
    {
        println!("cargo::error=PID 1 is written for Linux on x86_64 and aarch64");
        return;
    }
    let root = variable("CARGO_MANIFEST_DIR");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .current_dir(&root)
        .args(["--crate-name=subhost_init", "--crate-type=bin", "--edition=2024", "--target"])
        .arg(variable("TARGET"))
        .args(["-Copt-level=s", "-Cpanic=abort", "-Ccodegen-units=1", "-Clto=fat", "-Cstrip=symbols"])
        .args(["-Crelocation-model=static", "-Ctarget-feature=+crt-static"])
        .arg(joined(["--remap-path-prefix=".as_ref(), &root, "=subhost-init".as_ref()]))
        .args(linking())
        .arg("-o")
        .arg(Path::new(&variable("OUT_DIR")).join("subhost-init"))
        .arg("src/pid1/main.rs");
    let output = rustc.output().unwrap_or_else(|error| panic!("run {rustc:?}: {error}"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{rustc:?}: {}\n{messages}", output.status);
    for line in messages.lines() {
        println!("cargo::warning={line}");
    }
}

/// How to link without start files and without a C library.
fn linking() -> Vec<OsString> {
    let cc = [
        "-Clink-arg=-nostartfiles",
        "-Clink-arg=-nostdlib",
        "-Clink-arg=-static",
        "-Clink-arg=-Wl,--build-id=none",
    ];
    let mut options: Vec<OsString> = cc.map(OsString::from).to_vec();
    if variable("CARGO_CFG_TARGET_ENV") == "musl" {
        // Else the toolchain's own start files come in for this target, whatever the linker is told.
        options.push("-Clink-self-contained=no".into());
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        options.push(joined(["-Clinker=".as_ref(), &linker]));
    } else if !variable("HOST")
        .to_string_lossy()
        .starts_with(&*variable("CARGO_CFG_TARGET_ARCH").to_string_lossy())
    {
        // The host's cc links nothing for another architecture; the toolchain's own linker does, which is enough for
        // `cargo check`.
        let lld = [
            "-Clinker=rust-lld",
            "-Clinker-flavor=ld.lld",
            "-Clink-arg=-static",
            "-Clink-arg=--build-id=none",
        ];
        options = lld.map(OsString::from).to_vec();
    }
    options
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"))
}

fn joined<const N: usize>(parts: [&OsStr; N]) -> OsString {
    parts.into_iter().collect()
}
