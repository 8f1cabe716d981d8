//! Configurations.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Subcommand};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

use super::Devices;
use crate::completion;
use crate::dhcp;
use crate::layout::{Name, is_plain_absolute};
use crate::names::Names;

/// Check a configuration and the things that it names
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl check web                              /opt/sub/web/config, its images and bridges
  subhostctl check --start web                      what start takes: /opt/subhost/web, a directory
  subhostctl check ./config                         a file: a word with a slash is a path
  subhostctl check --json web                       with the places of all that is wrong
  subhostctl check --format overlay-boot ./mta.conf a file of overlay-boot(8), and only that
  subhostctl check --fsck web                       and are the file systems in its images clean?
What configurations share they may include from below /etc/subhost: `. /etc/subhost/common`
All that is wrong is said in one go. Returns 0 if it is right, 2 if it would be refused.
--fsck runs e2fsck -f -n, xfs_repair -n, btrfs check --readonly, fsck.erofs and their like,
whichever a disk needs, as a user without rights on the host. Nothing is repaired, and a journal is
not replayed: it is the kernel that does that, when the disk is mounted. It needs root, images that
no subhost uses, and as long as that fsck takes; Ctrl-C ends it. Returns 1 if a file system is not
clean.")]
pub struct Check {
    /// Name of the subhost, or the path of a configuration
    #[arg(value_name = "NAME|FILE", add = ArgValueCompleter::new(completion::subhost_or_file))]
    pub name: OsString,
    /// The language that it is written in; never guessed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Check what start would take, also where there is something to boot
    #[arg(long, conflicts_with = "format")]
    pub start: bool,
    /// Run the host's fsck on each disk too, read-only and in namespaces of its own
    #[arg(long, conflicts_with = "format")]
    pub fsck: bool,
}

/// Show what a configuration says: its settings, or its variables
#[derive(Debug, Args)]
pub struct Config {
    /// What of it
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What of a configuration is shown.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting of a subhost, its value and where it came from
    #[command(after_help = "\
Examples:
  subhostctl config show web
  subhostctl config show web --init auto          as boot with the same options would take them
  SUBHOST_RUNLEVEL=3 subhostctl config show web
  subhostctl config show --json web
Values are shown as the configuration would hold them.")]
    Show(ConfigShow),
    /// Print the variables that a file sets, as `declare -p` of bash does
    #[command(after_help = "\
Examples:
  subhostctl config eval /etc/default/grub
  subhostctl config eval --json ./config
  subhostctl config eval --include-dir /etc/app /etc/app/main.conf
  subhostctl config eval --include-dir . --include-dir /etc/default ./config
  subhostctl config eval --files /srv/www ./sites.conf
  subhostctl config eval --format overlay-boot /opt/subhost/mta/mta.conf
The file is read and never executed. What is wrong with it goes to standard error.
Without --include-dir it may include nothing (`. FILE`), without --files look at no file
(`[ -e FILE ]`, `*.conf`, `$(<FILE)`). It has to name files by their full paths.
Returns 0, or 2 for a file that is refused; then nothing is printed.")]
    Eval(ConfigEval),
}

/// `config show`.
#[derive(Debug, Args)]
pub struct ConfigShow {
    /// Name of the subhost, or the path of a configuration
    #[arg(value_name = "NAME|FILE", add = ArgValueCompleter::new(completion::subhost_or_file))]
    pub name: OsString,
    /// Run this program of the guest as PID 1 (`auto`: the one that is found)
    #[arg(long, value_name = "PATH")]
    pub init: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become help text")]
    pub devices: Devices,
}

/// `config eval`.
#[derive(Debug, Args)]
pub struct ConfigEval {
    /// The file
    pub file: PathBuf,
    /// Allow to include files below this directory that only root could have written
    #[arg(long = "include-dir", value_name = "DIR", value_hint = clap::ValueHint::DirPath,
          value_parser = PathBufValueParser::new().try_map(absolute))]
    pub include_dirs: Vec<PathBuf>,
    /// Allow to look at files below this directory, and to read them
    #[arg(long = "files", value_name = "DIR", value_hint = clap::ValueHint::DirPath,
          value_parser = PathBufValueParser::new().try_map(absolute))]
    pub file_dirs: Vec<PathBuf>,
    /// The language that it is written in; never guessed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// The language of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Assignments of bash
    #[default]
    Bash,
    /// The variables of overlay-boot(8)
    OverlayBoot,
}

/// Show what boot would do, as commands; changes nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl plan web
  subhostctl plan --start web                what start would do with /opt/subhost/web
Needs no root where the files are readable.")]
pub struct Plan {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::subhosts))]
    pub name: Name,
    /// What start would do, also where there is something to boot
    #[arg(long, conflicts_with_all = ["init", "disks", "filesystems", "cables", "binds", "ephemeral", "read_only"])]
    pub start: bool,
    /// Run this program of the guest as PID 1 (`auto`: the one that is found)
    #[arg(long, value_name = "PATH")]
    pub init: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become help text")]
    pub devices: Devices,
}

/// Print what servers that give addresses have to know of subhosts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl dhcp --format dnsmasq > /etc/dnsmasq.d/subhosts.conf
  subhostctl dhcp --format isc > /etc/dhcp/subhosts.conf      for dhcpd: include it
  subhostctl dhcp --format kea > /etc/kea/subhosts.json       for \"reservations\": <?include ... ?>
  subhostctl dhcp --format ethers 'web*'                      of some only
  subhostctl dhcp --json
Of each card: its MAC address of BRIDGES, or the one that a boot makes up, HOSTNAME, and what
ADDRESSES has for it. A further card has its name behind the host's: web-eth1. If two cards have
one MAC address, IP address or host name, or a configuration is wrong, nothing is printed, and the
files are named; name some subhosts to leave others out.")]
pub struct Dhcp {
    /// The language to print; needed unless it is --json
    #[arg(long, value_enum)]
    pub format: Option<dhcp::Format>,
    /// Names of the subhosts, or patterns of names; all if there is none
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(completion::subhosts))]
    pub names: Vec<Names>,
}

/// A directory by the path that a file would name it by, which begins at `/` and has no `..`.
fn absolute(directory: PathBuf) -> std::io::Result<PathBuf> {
    let absolute = std::path::absolute(&directory)?;
    if is_plain_absolute(&absolute) { Ok(absolute) } else { directory.canonicalize() }
}
