//! `cargo xtask bench`: the program from start to end, against the raw system calls and against its peers.
//!
//! All of a cell takes turns in a random order, with some quiet before each, as a fixed order and a warm kernel flatter
//! whoever comes second.

mod cells;
mod kept;
mod peers;
mod report;
mod rounds;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use subhost_tests::fixture::{self, Fixture};
use subhost_tests::host::Host;
use subhost_tests::isolate;

use crate::Outcome;
use crate::compile;
use crate::fixtures;
use crate::packages;
use crate::progress::Steps;
use report::Report;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cell {
    /// A directory as root
    A,
    /// A directory below an ephemeral layer
    B,
    /// A directory, a network namespace and one cable with a MAC address on a bridge
    C,
    /// A raw image with an MBR and ext4
    D,
    /// As c, with 16 cables
    E,
    /// Many that are kept: start, memory, stop
    F,
    /// `exec` in one that runs, and nsenter
    Exec,
    /// `list` of the many
    List,
    /// `check` of a configuration
    Check,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                         everything, as Markdown
  cargo xtask bench --cells a,d --rounds 50
  cargo xtask bench --cells f,list --kept 300
  cargo xtask bench --json > bench.json
Only the ratios of one run say something; docs/performance.md tells what they mean.")]
pub(crate) struct Options {
    /// Which cells; all of them without it
    #[arg(long, value_enum, value_delimiter = ',')]
    cells: Vec<Cell>,
    /// Rounds of each cell, from which the medians are
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(3..))]
    rounds: u32,
    /// How many subhosts f and list keep
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    kept: u32,
    /// JSON instead of Markdown
    #[arg(long)]
    json: bool,
    /// This subhostctl, rather than the one that is built
    #[arg(long)]
    program: Option<PathBuf>,
}

impl Options {
    /// Prepares on this host, and measures in namespaces of its own.
    pub(crate) fn run(self) -> Outcome {
        if !rustix::process::geteuid().is_root() {
            return Err("the benchmarks mount, and make namespaces: run them as root".into());
        }
        // What is printed there belongs to no table.
        let steps = Steps::on_stderr();
        packages::install(&[packages::DEMO], &steps)?;
        let program = match self.program {
            Some(program) => program.canonicalize()?,
            None => steps.step("build subhostctl (release, static)", compile::release)?,
        };
        fixtures::build(&fixture::directory(), false, &steps)?;
        let directory = tempfile::Builder::new().prefix("subhost-").tempdir()?;
        let mut command = isolate::command(["bench-inside"])?;
        command.arg(&program).arg(directory.path());
        command.arg(format!("--rounds={}", self.rounds)).arg(format!("--kept={}", self.kept));
        for cell in &self.cells {
            let name = cell.to_possible_value().map(|value| value.get_name().to_owned());
            command.arg("--cells").args(name);
        }
        command.args(self.json.then_some("--json"));
        let status = command.status().map_err(|error| format!("unshare: {error}"))?;
        // Gone with its namespaces are all mounts, so that the directory can be removed.
        directory.close()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the benchmarks did not succeed: {status}").into())
        }
    }
}

/// The part in namespaces of its own.
#[derive(Args)]
pub(crate) struct Inside {
    program: PathBuf,
    directory: PathBuf,
    #[arg(long, value_enum)]
    cells: Vec<Cell>,
    #[arg(long)]
    rounds: usize,
    #[arg(long)]
    kept: usize,
    #[arg(long)]
    json: bool,
}

impl Inside {
    pub(crate) fn run(self) -> Outcome {
        let host = Host::new(&self.directory, self.program.clone())?;
        let tree = self.directory.join("tree");
        host.witness("cp", &["-a", &Fixture::TinyTree.path()?.to_string_lossy(), &tree.to_string_lossy()])?;
        let place =
            cells::Place { host: &host, tree, image: host.copy_of(Fixture::TinyMbr)?, program: self.program };
        host.bridge(cells::BRIDGE, "10.80.0.1/16")?;
        let mut report = Report::new(&place.program)?;
        let wanted = |cell: Cell| self.cells.is_empty() || self.cells.contains(&cell);
        for cell in [Cell::A, Cell::B, Cell::C, Cell::D, Cell::E] {
            if wanted(cell) {
                report.add(cells::started(cell, &place, self.rounds)?);
            }
        }
        if wanted(Cell::Check) {
            report.add(cells::check(&place, self.rounds)?);
        }
        if wanted(Cell::F) || wanted(Cell::Exec) || wanted(Cell::List) {
            let count = if wanted(Cell::F) || wanted(Cell::List) { self.kept } else { 1 };
            let many = kept::Many::boot(&host, count)?;
            if wanted(Cell::F) {
                report.add(many.starts());
                report.add(many.memory()?);
            }
            if wanted(Cell::Exec) {
                report.add(many.exec(self.rounds)?);
            }
            if wanted(Cell::List) {
                report.add(many.list(self.rounds)?);
            }
            let stops = many.stop(self.rounds, &place.image)?;
            if wanted(Cell::F) {
                report.add(stops);
            }
        }
        report.print(self.json)
    }
}
