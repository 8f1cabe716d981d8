//! The command line: the options of all commands, and what each command is given.

mod config;
#[cfg(feature = "import")]
mod import;
mod inside;
mod life;
mod look;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser};
use clap_complete::engine::ArgValueCompleter;
use subhost_config::schema::{BindSpec, CableSpec, DiskSpec, SpecError};

use crate::completion;

#[cfg(feature = "accounting")]
pub use crate::accounting::args::{Collect, Report, Top, Usage};
#[cfg(feature = "images")]
pub use crate::images::args::{Clone, Create, Diff, Export, Rescue, Reset, Resize, Snapshot};
pub use config::{Check, Config, ConfigCommand, ConfigEval, ConfigShow, Dhcp, Format, Plan};
#[cfg(feature = "import")]
pub use import::{Import, ImportFrom};
pub use inside::{Cp, Delete, Enter, Exec, Go};
pub use life::{Autostart, Boot, Kill, Pause, Reboot, Recover, Restart, Resume, Run, Start, Stop, Wait};
pub use look::{Console, Doctor, Events, Inspect, Key, List, Logs, Mounts, Partitions, Status};

/// Runs systems from disk images or trees as namespaces on the host's kernel.
#[derive(Debug, Parser)]
#[command(
    name = "subhostctl",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  subhostctl check web                       is the configuration right?
  subhostctl plan web                        what would boot do?
  subhostctl config show web                 every setting, and where it came from
  subhostctl boot web                        boot /opt/sub/web/config, in the foreground
  subhostctl boot --detach web               the same, back when the start scripts are done
  subhostctl enter web                       a shell inside
  subhostctl exec web -u ann -- id           one command inside, as a user of it
  subhostctl stop web                        orderly stop
  subhostctl run --overlay / -- ls /         one command over the host's own files, nothing kept"
)]
pub struct Cli {
    /// Directory of the configurations, DIR/NAME/config for each subhost
    #[arg(long, global = true, value_name = "DIR", default_value = "/opt/sub")]
    pub root_dir: PathBuf,
    /// Directory of what `start` starts, DIR/NAME for each subhost [default: $SUBHOST, or
    /// /opt/subhost]
    #[arg(long, global = true, value_name = "DIR")]
    pub subhost_dir: Option<PathBuf>,
    /// Read this configuration instead of ROOT_DIR/NAME/config
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Have a real bash run the configuration, in namespaces of its own and over the host's files, keeping no change
    #[arg(long, global = true)]
    pub config_exec: bool,
    /// Show JSON, where a command reads
    #[arg(long, global = true)]
    pub json: bool,
    /// Colour tables and diagnostics; auto: on a terminal, unless NO_COLOR is set or TERM is dumb
    #[arg(
        long,
        global = true,
        value_name = "auto|always|never",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub color: When,
    /// Show errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Say what boot, run and start are about to do, as plan shows it
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum When {
    /// On a terminal
    #[default]
    Auto,
    /// Wherever it goes
    Always,
    /// Never
    Never,
}

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(subhostctl completions bash)
  subhostctl completions bash > /usr/share/bash-completion/completions/subhostctl
  subhostctl completions zsh > /usr/share/zsh/vendor-completions/_subhostctl
The script asks the program itself, which knows the subhosts, bridges and files that are there, as
far as the user may see them.")]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Print the manual page of a command, for man(1)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl man boot | man -l -
  subhostctl man > /usr/local/share/man/man8/subhostctl.8
  subhostctl man config show > /usr/local/share/man/man8/subhostctl-config-show.8")]
pub struct Man {
    /// The command; the program itself if there is none
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Disks and cables from the command line.
#[derive(Debug, Default, Args)]
pub struct Devices {
    /// A disk: device name in the guest, partition index (0: the whole image), image
    #[arg(long = "disk", value_name = "NODE:PART:IMG",
          value_parser = OsStringValueParser::new().try_map(parse_disk),
          add = ArgValueCompleter::new(completion::disk))]
    pub disks: Vec<DiskSpec>,
    /// A type of file system that disks may hold, beside ext2, ext3, ext4, xfs, btrfs, erofs and squashfs
    #[arg(long = "filesystem", value_name = "TYPE")]
    pub filesystems: Vec<String>,
    /// A cable: bridge and MAC address; either may be empty
    #[arg(long = "cable", value_name = "BRIDGE=MAC", value_parser = parse_cable,
          add = ArgValueCompleter::new(completion::cable))]
    pub cables: Vec<CableSpec>,
    /// A directory or file of the host inside the guest, where that has one
    #[arg(long = "bind", value_name = "HOST:GUEST[:ro]",
          value_parser = OsStringValueParser::new().try_map(parse_bind))]
    pub binds: Vec<BindSpec>,
    /// Keep what the guest writes in memory, and throw it away in the end: the disks are only read
    #[arg(long, conflicts_with = "read_only")]
    pub ephemeral: bool,
    /// Let the guest write nothing to its disks
    #[arg(long)]
    pub read_only: bool,
}

fn parse_bind(text: OsString) -> Result<BindSpec, SpecError> {
    BindSpec::parse(text.as_bytes())
}

fn parse_disk(text: OsString) -> Result<DiskSpec, SpecError> {
    DiskSpec::parse(text.as_bytes())
}

fn parse_cable(text: &str) -> Result<CableSpec, String> {
    CableSpec::parse(text.as_bytes(), b'=').map_err(|error| error.to_string())
}
