//! `cargo xtask`: everything that is done to the project rather than by it.

mod bench;
mod compile;
mod demo;
mod dist;
mod fixtures;
mod floor;
mod image;
mod instructions;
mod packages;
mod pages;
mod progress;
mod proof;
mod test;
mod torture;
mod tour;
mod vm;
mod workspace;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use subhost_tests::isolate::{self, Stage};

/// What every task gives back: the error is a text for the person at the terminal.
type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Project automation.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the program and a small disk image, boot it, fetch its page, power it off (as root)
    Demo {
        /// Rounds of the comparison with the raw system calls
        #[arg(long, default_value_t = 15)]
        rounds: usize,
    },
    /// Measure the program against the raw system calls and other programs (as root)
    Bench(bench::Options),
    /// Make a Debian package and an archive of the program, with checksums
    Dist(dist::Options),
    /// Run every test, the privileged ones in namespaces of their own
    Test(test::Options),
    /// Build the guests' images (as root)
    Fixtures {
        /// Debian images too
        #[arg(long)]
        debian: bool,
        /// Where to put them [default: $SUBHOST_FIXTURES, or `fixtures`]
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Install the Debian packages that the other tasks need, or name them
    Packages,
    /// Count the instructions of what does not depend on the machine, and hold them against bounds
    Instructions(instructions::Options),
    /// Write the pages that are made from the code: man/, and the tables of docs/troubleshooting.md
    Pages,
    /// Run the program's own tour, and make docs/tour.md and its picture of what it shows (as root)
    Tour,
    /// The long runs that hold subhost-config against real bash
    #[command(subcommand)]
    Proof(proof::Proof),
    /// Faults at every step, and the same over and over (as root)
    Torture(torture::Options),
    /// Run a command as root under another kernel, in an emulated machine (as root)
    Vm(vm::Options),
    /// The part of vm that runs in namespaces of its own
    #[command(hide = true)]
    VmInside(vm::Inside),
    /// The part of bench that runs in namespaces of its own
    #[command(hide = true)]
    BenchInside(bench::Inside),
    /// The part of tour that runs in namespaces of its own
    #[command(hide = true)]
    TourInside(tour::Inside),
    /// The part of the demo that runs in namespaces of its own
    #[command(hide = true)]
    DemoInside(demo::Inside),
}

fn main() -> ExitCode {
    // For tests from which `test --without` takes something away.
    if let Some(status) = subhost_tests::enemy::main() {
        return status;
    }
    match isolate::stage().map_err(Into::into).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(stage: Stage) -> Outcome<ExitCode> {
    match Arguments::parse().task {
        Task::Demo { rounds } => demo::run(rounds)?,
        Task::DemoInside(inside) if stage == Stage::Inside => inside.run()?,
        Task::DemoInside(_) => return Err("demo-inside is started by demo".into()),
        Task::Bench(options) => options.run()?,
        Task::BenchInside(inside) if stage == Stage::Inside => inside.run()?,
        Task::BenchInside(_) => return Err("bench-inside is started by bench".into()),
        Task::Test(options) => return test::run(&options),
        Task::Fixtures { debian, dir } => {
            let dir = dir.unwrap_or_else(subhost_tests::fixture::directory);
            fixtures::build(&dir, debian, &progress::Steps::new())?;
        }
        Task::Instructions(options) => return options.run(),
        Task::Dist(options) => options.run()?,
        Task::Pages => pages::write()?,
        Task::Tour => tour::run()?,
        Task::TourInside(inside) if stage == Stage::Inside => inside.run()?,
        Task::TourInside(_) => return Err("tour-inside is started by tour".into()),
        Task::Proof(proof) => proof.run(stage)?,
        Task::Torture(options) => options.run()?,
        Task::Vm(options) => return vm::run(options),
        Task::VmInside(inside) if stage == Stage::Inside => return inside.run(),
        Task::VmInside(_) => return Err("vm-inside is started by vm".into()),
        Task::Packages => packages::install(packages::ALL, &progress::Steps::new())?,
    }
    Ok(ExitCode::SUCCESS)
}
