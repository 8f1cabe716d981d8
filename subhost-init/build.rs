//! Compiles PID 1 (`src/pid1/main.rs`), a freestanding program, with the compiler that builds the library.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/pid1");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");

    let variable = |name: &str| env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    if variable("CARGO_CFG_TARGET_OS") != "linux" || !(architecture == "x86_64" || architecture == "aarch64")
    {
        println!("cargo::error=PID 1 is written for Linux on x86_64 and aarch64");
        return;
    }
    let root = variable("CARGO_MANIFEST_DIR");
    let program = Path::new(&variable("OUT_DIR")).join("subhost-init");
    let mut remap = OsString::from("--remap-path-prefix=");
    remap.push(&root);
    remap.push("=subhost-init");

    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .current_dir(&root)
        .args(["--crate-name=subhost_init", "--crate-type=bin", "--edition=2024", "--target"])
        .arg(variable("TARGET"))
        .args(["-Copt-level=s", "-Cpanic=abort", "-Ccodegen-units=1", "-Cembed-bitcode=yes", "-Clto=fat"])
        .args(["-Cstrip=symbols", "-Crelocation-model=static", "-Ctarget-feature=+crt-static"])
        // No start files, no C library.
        .args(
            ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none"]
                .map(|arg| format!("-Clink-arg={arg}")),
        )
        .arg(remap)
        .arg("-o")
        .arg(&program)
        .arg("src/pid1/main.rs");
    if variable("CARGO_CFG_TARGET_ENV") == "musl" {
        // Else the toolchain's own start files come in for this target, whatever the linker is told.
        rustc.arg("-Clink-self-contained=no");
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("-Clinker=");
        option.push(linker);
        rustc.arg(option);
    }
    let output = rustc.output().unwrap_or_else(|error| panic!("run {rustc:?}: {error}"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{rustc:?}: {}\n{messages}", output.status);
    for line in messages.lines() {
        println!("cargo::warning={line}");
    }
}
