//! Building the program: static and optimised for use, plain for tests.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::Outcome;
use crate::progress::Step;
use crate::workspace;

/// Builds the `subhostctl` to use: release, without shared libraries. Gives its path.
pub(crate) fn release(step: &Step) -> Outcome<PathBuf> {
    build(step, &[])
}

/// The same without its features. Whichever is built later takes the place of the other.
pub(crate) fn bare(step: &Step) -> Outcome<PathBuf> {
    build(step, &["--no-default-features"])
}

fn build(step: &Step, features: &[&str]) -> Outcome<PathBuf> {
    let triple = host_triple()?;
    // A directory of its own: other flags would make cargo build everything anew each time they change.
    let target = workspace::target().join("static");
    let mut cargo = workspace::cargo();
    // With --target the flags are not applied to build scripts and proc macros, which cannot be static.
    cargo.args(["build", "--release", "--package", "subhost-cli", "--target", &triple]).args(features);
    let script = workspace::root().join("xtask/src/no-unwinding.ld");
    let mut flags = [
        "-Ctarget-feature=+crt-static",
        // At a fixed address nothing is relocated when it starts: that would cost each supervisor more memory than all else.
        "-Crelocation-model=static",
        "-Clink-arg=-T",
        &format!("-Clink-arg={}", script.display()),
    ]
    .join("\x1f");
    // One copy of what came out alike: LLVM's linker can do that, which is rustc's own there.
    if triple == "x86_64-unknown-linux-gnu" {
        flags += "\x1f-Clink-arg=-Wl,--icf=all";
    }
    // Whoever builds the same source elsewhere is to get the same bytes. The last that fits counts.
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let mut named = vec![(workspace::root(), "/subhost"), (target.clone(), "/target")];
    if let Some(home) = home {
        let registries = std::fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
        // Short, as there are hundreds of them.
        named.extend(registries.map(|registry| (registry.path(), "")));
        named.insert(0, (home, "/cargo"));
    }
    for (directory, name) in named {
        // Writing to a string cannot fail.
        let _ = write!(flags, "\x1f--remap-path-prefix={}={name}", directory.display());
    }
    // The variable in which words may have spaces.
    cargo.env("CARGO_TARGET_DIR", &target).env("CARGO_ENCODED_RUSTFLAGS", flags);
    step.run(&mut cargo)?;
    Ok(target.join(triple).join("release/subhostctl"))
}

/// Builds the `subhostctl` to test, as `cargo build` does. Gives its path.
pub(crate) fn debug(step: &Step) -> Outcome<PathBuf> {
    // The whole workspace, so that the tests find every dependency built with the features that they ask for.
    step.run(workspace::cargo().args(["build", "--workspace", "--bins", "--examples"]))?;
    Ok(workspace::target().join("debug/subhostctl"))
}

fn host_triple() -> Outcome<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().map_err(|error| format!("rustc -vV: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let triple = text.lines().find_map(|line| line.strip_prefix("host: "));
    triple.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".into())
}
