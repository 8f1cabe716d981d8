//! Beginning and ending.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use nix::sys::signal::Signal;

use super::Devices;
use crate::completion;
use crate::layout::Name;
use crate::names::Names;

/// Boot a subhost from its configuration
#[derive(Debug, Args)]
#[command(after_help = "\
Stays in the foreground and shows the console; Ctrl-C or SIGTERM powers the subhost off.
The configuration is bash syntax, read as data:
  DISKS=( vda:1:/disks/web.raw )
  BRIDGES=( br0:06:a7:dd:b4:02:f2 )")]
pub struct Boot {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::subhosts))]
    pub name: Name,
    /// Return when the start scripts are done, and supervise in the background
    #[arg(long)]
    pub detach: bool,
    /// Run this program of the guest as PID 1 (`auto`: the one that is found)
    #[arg(long, value_name = "PATH")]
    pub init: Option<String>,
    /// Take the configuration from Ganeti's instance of that name
    #[cfg(feature = "import")]
    #[arg(long)]
    pub ganeti: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become help text")]
    pub devices: Devices,
    /// We are the supervisor in the background: standard output tells when the subhost is ready
    #[arg(long, hide = true)]
    pub background: bool,
    /// We were its supervisor: what is kept of the run before waits at standard input
    #[arg(long, hide = true, conflicts_with = "background")]
    pub again: bool,
}

/// Run one command in a fresh subhost
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl run --overlay / -- ps ax                   over the host's files; changes are not kept
  subhostctl run --disk vda:1:/disks/web.raw -- cat /etc/os-release
  subhostctl run --root /srv/tree --cable br0=06:a7:dd:b4:02:f2 -- ip link
  subhostctl run --root /srv/tree --as-init -- /usr/bin/server      nothing above it in there
Returns the command's status, 128 + n if signal n ended it, 126 or 127 if it could not be
executed, 125 if the subhost could not be made.")]
#[command(group = clap::ArgGroup::new("source").required(true).args(["disks", "overlay", "root"]))]
pub struct Run {
    /// Its name; its network namespace is then visible to `ip netns`
    #[arg(long)]
    pub name: Option<Name>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become help text")]
    pub devices: Devices,
    /// Root: an ephemeral layer over this directory of the host
    #[arg(long, value_name = "LOWER", conflicts_with_all = ["root", "disks"])]
    pub overlay: Option<PathBuf>,
    /// Root: this directory of the host, itself
    #[arg(long, value_name = "DIR", conflicts_with = "disks")]
    pub root: Option<PathBuf>,
    /// Let the command mount, and make user namespaces, as containers inside need
    #[arg(long)]
    pub nesting: bool,
    /// The command is PID 1 itself: nothing is above it that reaps, and passes on how it ended
    #[arg(long)]
    pub as_init: bool,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Start a subhost from a directory, with a shell inside, or enter again what lingers of it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl start web                       bash in /opt/subhost/web/root, or over its BASE
  subhostctl start web -- apt-get -y upgrade a command instead
  subhostctl start web                       again: in the mounts and the network of the last time
  subhostctl stop web                        unmounts all, and deletes the network
It ends with that command, and so does all that it has left running. What is mounted, and the
network namespace with its cables, linger until stop. In /opt/subhost/web (or --subhost-dir, or
$SUBHOST):
  config    BASE, BRIDGES and whatever else boot knows, but DISKS; may be missing
  root      the system itself, or what differs from BASE
  work      of the overlay over BASE
  web.img   an image that holds root and work instead; mounted at mnt
  live      where the host sees the whole, once it has been started
Returns the command's status, 128 + n if signal n ended it, 126 or 127 if it could not be
executed, 125 if the subhost could not be made.")]
pub struct Start {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::trees))]
    pub name: Name,
    /// The command and its arguments; bash, or sh where there is none
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Stop a subhost: orderly, then by force
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl stop web                        also one that lingers, as start has left it
  subhostctl stop --timeout 5 web mail       what goes on after 5 s is ended by force
  subhostctl stop 'web*'                     all that run and have such a name
  subhostctl stop --all
It is asked in the language of its init, and what it did is said. Returns 3 if something is left.")]
pub struct Stop {
    /// Names of the subhosts, or patterns of names
    #[arg(required_unless_present = "all", value_name = "NAME",
          add = ArgValueCandidates::new(completion::running))]
    pub names: Vec<Names>,
    /// All that run or linger
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// Longest orderly stop, in seconds, before it is ended by force
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub timeout: Option<u64>,
    /// Come back when the host ends of its cables are gone too, some 20 ms later
    #[arg(long)]
    pub wait: bool,
}

/// End a subhost at once, or send its init a signal
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl kill web                        as if the power had gone: the guest writes nothing back
  subhostctl kill --signal HUP web           SIGHUP for PID 1 of the subhost
What lingers of one that start has started is left for start or stop.
SIGNAL is a name, with or without SIG, or a number. What a signal does is up to the init that gets
it; one that it has no handler for it never sees.")]
pub struct Kill {
    /// Names of the subhosts, or patterns of names
    #[arg(required = true, value_name = "NAME",
          add = ArgValueCandidates::new(completion::running))]
    pub names: Vec<Names>,
    /// Send only this to PID 1, and end nothing
    #[arg(long, short, value_name = "SIGNAL", value_parser = parse_signal)]
    pub signal: Option<i32>,
}

/// Boot all subhosts that are to start with the host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl autostart                       as the host's init does
  subhostctl autostart --dry-run             which, and in which order?
They are those with AUTOSTART=yes: each after the ones in its AFTER are ready or have failed, and
after its START_DELAY. What runs already is left as it is. Returns 1 if one did not become ready.
`subhostctl stop --all` stops them in the reverse order.")]
pub struct Autostart {
    /// Only show them
    #[arg(long)]
    pub dry_run: bool,
}

/// Stop subhosts and boot them again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl restart web                     its configuration is read anew
Each is booted in the background, with the options, the directory and the settings of the
environment that it had before; one that does not run is booted. Returns when all are ready.")]
pub struct Restart {
    /// Names of the subhosts, or patterns of names
    #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(completion::subhosts))]
    pub names: Vec<Names>,
    /// Longest orderly stop, in seconds, before it is ended by force
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub timeout: Option<u64>,
}

/// Have subhosts restart from inside
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl reboot web                      as `reboot` inside would
It is asked in the language of its init. The network namespace, the cables and their addresses
stay, and its configuration is read anew. Returns when the next run has begun.")]
pub struct Reboot {
    /// Names of the subhosts, or patterns of names
    #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(completion::running))]
    pub names: Vec<Names>,
}

/// Make all processes of subhosts stand still
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl pause web                       until subhostctl resume web
They keep their memory, and what comes over the network waits. stop and kill end one that is
paused, too.")]
pub struct Pause {
    /// Names of the subhosts, or patterns of names
    #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(completion::running))]
    pub names: Vec<Names>,
}

/// Let subhosts go on that were paused
#[derive(Debug, Args)]
pub struct Resume {
    /// Names of the subhosts, or patterns of names
    #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(completion::running))]
    pub names: Vec<Names>,
}

/// Wait until subhosts have ended, or are ready
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl wait web                        until it has powered off; a reboot is no end
  subhostctl wait --timeout 60 web mail      until both have
  subhostctl wait --ready web                until its start scripts are done
Returns 0 when none of them runs or, with --ready, when all are ready; 1 when the time is over
before that, or one does not run that is to become ready.")]
pub struct Wait {
    /// Until they have ended, which is the default
    #[arg(long, conflicts_with = "ready")]
    pub exit: bool,
    /// Until their start scripts are done
    #[arg(long)]
    pub ready: bool,
    /// Names of the subhosts, or patterns of names
    #[arg(required = true, value_name = "NAME",
          add = ArgValueCandidates::new(completion::running))]
    pub names: Vec<Names>,
    /// Longest wait, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=31_536_000))]
    pub timeout: Option<u64>,
}

/// Make whole what a crash has left
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl recover                         whatever there is
  subhostctl recover web
A subhost that runs without a supervisor gets a new one, with its console; one that has ended
loses the names that it left. What a killed create, clone, snapshot, reset or resize has left, as
doctor tells it, is removed. What was done is said. Returns 0 also when there was nothing to do.")]
pub struct Recover {
    /// Names of the subhosts; all without one
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// We become the supervisor
    #[arg(long, hide = true, requires = "names")]
    pub background: bool,
}

/// The number of a signal.
fn parse_signal(text: &str) -> Result<i32, String> {
    let name = text.to_ascii_uppercase();
    let name = format!("SIG{}", name.strip_prefix("SIG").unwrap_or(&name));
    let number = text.parse().ok().filter(|number| (1..=64).contains(number));
    let number = number.or_else(|| Signal::from_str(&name).ok().map(|signal| signal as i32));
    number.ok_or_else(|| "it has to be a signal's name, as TERM, or a number from 1 to 64".to_owned())
}
