//! `cargo xtask vm`: a command under another kernel, in an emulated machine that sees this host's files.

mod initramfs;
mod kernel;
mod machine;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use subhost_tests::isolate;

use crate::Outcome;
use crate::packages;
use crate::progress::Steps;
use crate::workspace;

pub(crate) use kernel::Series;
pub(crate) use machine::Inside;

/// Tells the tests how much more time commands get in a machine that is emulated.
const SLOW: (&str, &str) = ("SUBHOST_SLOW", "10");

#[derive(Args)]
#[command(after_help = "\
The command sees this host's files, but for /dev, /proc, /run and /sys, in the current directory and \
with the environment of the caller. All that it writes is thrown away; only its output and its \
status come back. It has no input. TMPDIR is /scratch, an ext4 of its own. The root is an overlay, \
over which `subhostctl run --overlay /` cannot go: it can over /scratch. The network is `lo`. \
With KVM it is fast; without, the processor is emulated, and SUBHOST_SLOW=10 gives commands in tests \
ten times as long.
Kernels are kept in target/vm; remove it to fetch newer ones.

Examples:
  cargo xtask vm 6.1 -- uname -a
  cargo xtask vm 6.12 -- sh -c 'cd /scratch; exec stat -f .'
  cargo xtask vm 6.1 --privileged subhost-mount               its privileged tests
  cargo xtask vm 6.1 --privileged subhost-mount -- overlay    those with this in their name")]
pub(crate) struct Options {
    /// The kernel: the newest of Debian's for virtual machines of this series
    series: Series,
    /// End with an error after this time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// The memory of the machine in MiB, which also holds what the command writes
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    memory: u64,
    /// Build the test program `privileged` of this package and run it, with the arguments after `--`
    #[arg(long, value_name = "PACKAGE")]
    privileged: Option<String>,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD", required_unless_present = "privileged")]
    command: Vec<OsString>,
}

/// Prepares on this host, and waits for the machine. It ends with this process, and all that belongs to it.
pub(crate) fn run(options: Options) -> Outcome<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        return Err("the machine sees the files of this host as root: run it as root".into());
    }
    if std::env::consts::ARCH != "x86_64" {
        return Err("the machine is an x86_64, which cannot run this host's programs".into());
    }
    let steps = Steps::new();
    packages::install(&[packages::VM], &steps)?;
    // In a package of its own only in newer releases.
    packages::install(&[packages::VIRTIOFSD], &steps)?;
    let kernel = options.series.fetch(&steps)?;
    let mut command = options.command;
    if let Some(package) = options.privileged {
        let program = steps.step(&format!("build the privileged tests of {package}"), |_| build(&package))?;
        command.insert(0, program.into());
    }
    let mut inside = isolate::command(["vm-inside"])?;
    inside.arg(kernel).arg(std::env::current_dir()?);
    inside.arg("--minutes").arg(options.minutes.to_string()).arg("--memory").arg(options.memory.to_string());
    if machine::is_emulated() && std::env::var_os(SLOW.0).is_none() {
        inside.env(SLOW.0, SLOW.1);
    }
    let status = inside.arg("--").args(command).status().map_err(|error| format!("setpriv: {error}"))?;
    Ok(u8::try_from(isolate::exit_code(status)).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Builds the test program `privileged` of a package. Gives its path.
fn build(package: &str) -> Outcome<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--no-run", "--package", package, "--test", "privileged"]);
    let output = cargo.output().map_err(|error| format!("cargo test: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("cargo test: {}\n{text}", output.status).into());
    }
    // Executable tests/privileged/main.rs (target/debug/deps/privileged-0123456789abcdef)
    let path = text.lines().filter(|line| line.trim_start().starts_with("Executable ")).find_map(|line| {
        let (_, path) = line.split_once('(')?;
        path.strip_suffix(')')
    });
    Ok(workspace::root().join(path.ok_or("cargo test --no-run names no program")?))
}
