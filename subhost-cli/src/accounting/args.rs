//! The command lines of `usage`, `collect`, `report` and `top`.

use std::path::PathBuf;

use clap::Args;

use super::remote::RemoteHost;
use super::time::{Time, parse_word};

/// Show what the host, subhosts and virtual machines use
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl usage                           what has been used until now
  subhostctl usage --watch 5                 every 5 seconds, with shares of that time
  subhostctl usage --ended --since 24h       the last figures of those that have ended
  subhostctl usage --format prometheus > /var/lib/node_exporter/subhost.prom
  subhostctl usage --adopt --dry-run         which virtual machines share their cgroup?
A row is the host, a subhost, a virtual machine (a process of QEMU, called as its -name says), or
the rest of the host. CPU% is of all processors: since it began, with --watch since the row before.
docs/accounting.md tells what each column is, and who counts it.")]
pub struct Usage {
    /// Again and again, every 2 seconds or so many
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub watch: Option<u64>,
    /// How it is shown; --json is --format json
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Only those that have ended, as far back as events are kept
    #[arg(long, conflicts_with = "watch")]
    pub ended: bool,
    /// Also those that have ended since then
    #[arg(long, value_name = "T", value_parser = parse_word)]
    pub since: Option<Time>,
    /// Put virtual machines into cgroups of their own that share theirs with others, and count memory and I/O of all subhosts
    #[arg(long, conflicts_with_all = ["watch", "format", "ended", "since"])]
    pub adopt: bool,
    /// Only show what --adopt would do
    #[arg(long, requires = "adopt")]
    pub dry_run: bool,
}

/// How `usage` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// Columns between tabs
    Tsv,
    /// An object; with --watch one on each line
    Json,
    /// The text format of Prometheus
    Prometheus,
}

/// Keep samples of what is used, on this host or several
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl collect                         this host, every minute, until it is ended
  subhostctl collect --count 1               once, as cron does
  subhostctl collect --host web1 --host root@web2 --local
Samples are lines of JSON in /var/log/subhost/usage, or --store, which jq, DuckDB and SQLite read as
they are. Of another host ssh is asked for `subhostctl --json usage` there, without a password; in
the store it is called as it was asked. What fails of one is told, and the others go on.
Returns 1 if one of the last samples failed.")]
pub struct Collect {
    /// Another host, by ssh
    #[arg(long = "host", value_name = "[USER@]HOST")]
    pub hosts: Vec<RemoteHost>,
    /// This host, too
    #[arg(long, requires = "hosts")]
    pub local: bool,
    /// From one sample to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub every: u64,
    /// So many samples; without it, until it is ended
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Directory that they are kept in [default: /var/log/subhost/usage]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub store: Option<PathBuf>,
    /// Keep in this file which host has which subhosts, as `go` reads it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub inventory: Option<PathBuf>,
    /// How large a file becomes before there is a next one
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub max_size: u64,
    /// How many full files are kept; all without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
}

/// Report what was used in a time, from the samples that are kept
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl report --from 2026-11-01 --to 2026-12-01
  subhostctl report --from 7d --format csv > week.csv
  subhostctl report --from 24h --format html > day.html
What is used is counted at the sample that shows it, so that two months have the sum of each.
T is a time in UTC, as 2026-11-26 or 2026-11-26T13:00:00Z, or so long ago: 90m, 24h, 7d.")]
pub struct Report {
    /// What was used after that; from the first sample on without it
    #[arg(long, value_name = "T", value_parser = parse_word)]
    pub from: Option<Time>,
    /// Until then; now without it
    #[arg(long, value_name = "T", value_parser = parse_word)]
    pub to: Option<Time>,
    /// Directory that the samples are kept in [default: /var/log/subhost/usage]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub store: Option<PathBuf>,
    /// How it is shown; --json is --format json
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
}

/// How `report` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// For people
    Table,
    /// For spreadsheets
    Csv,
    /// An object
    Json,
    /// A page with plots
    Html,
}

/// Show on the terminal who uses most
#[derive(Debug, Args)]
#[command(after_help = "\
The same rows as usage, those that use most first. q or Ctrl-C ends it.
Where there is no terminal, subhostctl usage --watch shows the same.")]
pub struct Top {
    /// From one look to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub every: u64,
}
