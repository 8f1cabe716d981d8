//! Looking at what is there.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use crate::completion;
use crate::layout::Name;
use crate::names::Names;

/// Show the console of a running subhost, and type into it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl console web                     Ctrl-] leaves it
  subhostctl console --escape ^X web         Ctrl-X leaves it
  echo halt | subhostctl console web         without a terminal: input and output are passed on
Any number of consoles can be open at once; what the console said last is shown first. It goes on
over a reboot, and ends with the subhost.")]
pub struct Console {
    /// Name of the subhost
    pub name: Name,
    /// The key that leaves it, on a terminal: ^ and a letter, one character, or none
    #[arg(long, value_name = "KEY", default_value = "^]", value_parser = parse_key)]
    pub escape: Key,
    /// Do not show what the console said last
    #[arg(long)]
    pub no_history: bool,
}

/// A key, as the byte that a terminal sends for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub Option<u8>);

/// Show what the console of a subhost has said
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl logs web                        all that is kept (LOG_SIZE), also of runs before
  subhostctl logs -n 20 -f web               the last 20 lines, and what comes
  subhostctl --json logs web                 a line of JSON for each
It is in /var/log/subhost. What a terminal would act on is not shown, but with --raw.
Ctrl-C ends -f.")]
pub struct Logs {
    /// Name of the subhost
    pub name: Name,
    /// Go on with what is said from now on
    #[arg(long, short)]
    pub follow: bool,
    /// Only the last lines
    #[arg(long = "lines", short = 'n', value_name = "LINES")]
    pub lines: Option<usize>,
    /// As it was said, with all that a terminal acts on
    #[arg(long)]
    pub raw: bool,
}

/// Show what happened to subhosts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl events                          of all subhosts
  subhostctl events -f --json web            of one, a line of JSON each, and what comes
Events: boot, ready, late, stop, reboot, ended, restart, adopted, failed. They are in
/var/log/subhost/events.")]
pub struct Events {
    /// Names of the subhosts; all without one
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// Go on with what happens from now on
    #[arg(long, short)]
    pub follow: bool,
}

/// List subhosts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl list                            all that are configured or run
  subhostctl list 'web*'                     those with such a name
  subhostctl list --json                     an array of what status shows")]
pub struct List {
    /// Names of the subhosts, or patterns of names; all if there is none
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(completion::subhosts))]
    pub names: Vec<Names>,
}

/// Show subhosts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl status web
  subhostctl status 'web*' mail
  subhostctl status --json web               an object; an array of them for several or a pattern
Of each cable is told in what it is not as it was made.")]
pub struct Status {
    /// Names of the subhosts, or patterns of names
    #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(completion::subhosts))]
    pub names: Vec<Names>,
}

/// Show all that is known of a subhost, as one JSON document
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl inspect web
  subhostctl inspect web | jq '.observed.cables[].host_end.port'
What status shows, the record, what the kernel has of it now on the host and inside, each setting,
and the plan of its next boot, or why that would be refused. docs/json.md tells what the fields
mean. Changes nothing.")]
pub struct Inspect {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::subhosts))]
    pub name: Name,
}

/// Show the partition table of an image
#[derive(Debug, Args)]
#[command(after_help = "\
Label and UUID are those of the file system, PARTLABEL and PARTUUID those of the partition itself.
INDEX is what DISKS and --disk take. A table that contradicts itself is refused; what is odd but
does no harm is said, also that a damaged GPT was read from its backup.")]
pub struct Partitions {
    /// The image
    pub image: PathBuf,
}

/// Show what is mounted, and who holds it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl mounts                    of all subhosts, seen from inside
  subhostctl mounts /srv               of this host, at and below a directory
  subhostctl mounts /dev/loop0         of a block device, wherever it is mounted
  subhostctl mounts /disks/web.raw     of the loop devices over an image, wherever they are mounted
  subhostctl mounts --json /srv        with every process that holds one, and how
A mount is listed after the one that it is on: unmount from the last line up.
HELD BY names processes with what they have there (root, cwd, exe, map, fd), and the other mount
namespaces that have the same mounted. Of a block device or an image the last lines name each
device, and those that have it, or something on it, open.
Returns 0, also when there is none, or 2 for a PATH that is not there.")]
pub struct Mounts {
    /// Directory, image, file or block device; without it, all subhosts
    pub path: Option<PathBuf>,
}

/// Look whether this host can run subhosts, and what is left that nobody needs
#[derive(Debug, Args)]
#[command(after_help = "\
Tries what a boot needs for real, and takes it back at once; looks at the kernel, control groups,
bridges, the directory of subhosts, each configuration, and at what outlived its subhost. Changes
nothing. Returns 0, or 1 if something is bad. --quiet leaves out what is good.")]
pub struct Doctor {}

fn parse_key(text: &str) -> Result<Key, String> {
    match text.as_bytes() {
        b"none" => Ok(Key(None)),
        [b'^', letter @ (b'@'..=b'_' | b'a'..=b'z')] => Ok(Key(Some(letter & 0x1f))),
        [byte @ 0x21..=0x7e] => Ok(Key(Some(*byte))),
        _ => Err("is ^ and a letter, one character, or none".to_owned()),
    }
}
