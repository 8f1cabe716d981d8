//! The command line.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{OsStringValueParser, PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};
use nix::sys::signal::Signal;
use subhost_config::schema::{BindSpec, CableSpec, DiskSpec, SpecError};

use crate::completion;
use crate::dhcp;
use crate::layout::{Name, is_plain_absolute};
use crate::names::Names;

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
    /// Folder that holds a folder with a `config` for each subhost
    #[arg(long, global = true, value_name = "DIR", default_value = "/opt/sub")]
    pub root_dir: PathBuf,
    /// Folder that holds a folder with the tree of each subhost that `start` starts [default: $SUBHOST, or
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
    /// What to do
    #[command(subcommand)]
    pub command: Command,
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

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot a subhost from its configuration
    #[command(after_help = "\
Stays in the foreground and shows the console; Ctrl-C or SIGTERM powers the subhost off.
The configuration is bash syntax, read as data:
  DISKS=( vda:1:/disks/web.raw )
  BRIDGES=( br0:06:a7:dd:b4:02:f2 )")]
    Boot(Boot),
    /// Run one command in a fresh subhost
    #[command(after_help = "\
Examples:
  subhostctl run --overlay / -- ps ax                   over the host's files; changes are not kept
  subhostctl run --disk vda:1:/disks/web.raw -- cat /etc/os-release
  subhostctl run --root /srv/tree --cable br0=06:a7:dd:b4:02:f2 -- ip link
  subhostctl run --root /srv/tree --as-init -- /usr/bin/server      nothing above it in there
Returns the command's status, 128 + n if signal n ended it, 126 or 127 if it could not be
executed, 125 if the subhost could not be made.")]
    Run(Run),
    /// Start a subhost from a folder, with a shell inside, or enter again what lingers of it
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
    Start(Start),
    /// Stop a subhost: orderly, then by force
    #[command(after_help = "\
Examples:
  subhostctl stop web                        also one that lingers, as start has left it
  subhostctl stop --timeout 5 web mail       what goes on after 5 s is ended by force
  subhostctl stop 'web*'                     all that run and have such a name
  subhostctl stop --all
It is asked in the language of its init, and what it did is said. Returns 3 if something is left.")]
    Stop(Stop),
    /// End a subhost at once, or send its init a signal
    #[command(after_help = "\
Examples:
  subhostctl kill web                        as if the power had gone: the guest writes nothing back
  subhostctl kill --signal HUP web           SIGHUP for PID 1 of the subhost
What lingers of one that start has started is left for start or stop.
SIGNAL is a name, with or without SIG, or a number. What a signal does is up to the init that gets
it; one that it has no handler for it never sees.")]
    Kill(Kill),
    /// Boot all subhosts that are to start with the host
    #[command(after_help = "\
Examples:
  subhostctl autostart                       as the host's init does
  subhostctl autostart --dry-run             which, and in which order?
They are those with AUTOSTART=yes: each after the ones in its AFTER are ready or have failed, and
after its START_DELAY. What runs already is left as it is. Returns 1 if one did not become ready.
`subhostctl stop --all` stops them in the reverse order.")]
    Autostart(Autostart),
    /// Stop subhosts and boot them again
    #[command(after_help = "\
Examples:
  subhostctl restart web                     its configuration is read anew
Each is booted in the background, with the options, the folder and the settings of the environment
that it had before; one that does not run is booted. Returns when all are ready.")]
    Restart(Restart),
    /// Have subhosts restart from inside
    #[command(after_help = "\
Examples:
  subhostctl reboot web                      as `reboot` inside would
It is asked in the language of its init. The network namespace, the cables and their addresses
stay, and its configuration is read anew. Returns when the next run has begun.")]
    Reboot(Running),
    /// Make all processes of subhosts stand still
    #[command(after_help = "\
Examples:
  subhostctl pause web                       until subhostctl resume web
They keep their memory, and what comes over the network waits. stop and kill end one that is
paused, too.")]
    Pause(Running),
    /// Let subhosts go on that were paused
    Resume(Running),
    /// Wait until subhosts have ended, or are ready
    #[command(after_help = "\
Examples:
  subhostctl wait web                        until it has powered off; a reboot is no end
  subhostctl wait --timeout 60 web mail      until both have
  subhostctl wait --ready web                until its start scripts are done
Returns 0 when none of them runs or, with --ready, when all are ready; 1 when the time is over
before that, or one does not run that is to become ready.")]
    Wait(Wait),
    /// Show the console of a running subhost, and type into it
    #[command(after_help = "\
Examples:
  subhostctl console web                     Ctrl-] leaves it
  subhostctl console --escape ^X web         Ctrl-X leaves it
  echo halt | subhostctl console web         without a terminal: input and output are passed on
Any number of consoles can be open at once; what the console said last is shown first. It goes on
over a reboot, and ends with the subhost.")]
    Console(Console),
    /// Show what the console of a subhost has said
    #[command(after_help = "\
Examples:
  subhostctl logs web                        all that is kept (LOG_SIZE), also of runs before
  subhostctl logs -n 20 -f web               the last 20 lines, and what comes
  subhostctl --json logs web                 a line of JSON for each
It is in /var/log/subhost. What a terminal would act on is not shown, but with --raw.
Ctrl-C ends -f.")]
    Logs(Logs),
    /// Show what happened to subhosts
    #[command(after_help = "\
Examples:
  subhostctl events                          of all subhosts
  subhostctl events -f --json web            of one, a line of JSON each, and what comes
Events: boot, ready, late, stop, reboot, ended, restart, adopted, failed. They are in
/var/log/subhost/events.")]
    Events(Events),
    /// Show what the host, subhosts and virtual machines use
    #[cfg(feature = "accounting")]
    #[command(after_help = crate::accounting::args::USAGE_HELP)]
    Usage(crate::accounting::args::Usage),
    /// Keep samples of what is used, on this host or several
    #[cfg(feature = "accounting")]
    #[command(after_help = crate::accounting::args::COLLECT_HELP)]
    Collect(crate::accounting::args::Collect),
    /// Report what was used in a time, from the samples that are kept
    #[cfg(feature = "accounting")]
    #[command(after_help = crate::accounting::args::REPORT_HELP)]
    Report(crate::accounting::args::Report),
    /// Show on the terminal who uses most
    #[cfg(feature = "accounting")]
    #[command(after_help = crate::accounting::args::TOP_HELP)]
    Top(crate::accounting::args::Top),
    /// Make whole what a crash has left
    #[command(after_help = "\
Examples:
  subhostctl recover                         whatever there is
  subhostctl recover web
A subhost that runs without a supervisor gets a new one, with its console; one that has ended
loses the names that it left. What a killed create, clone, snapshot, reset or resize has left, as
doctor tells it, is removed. What was done is said. Returns 0 also when there was nothing to do.")]
    Recover(Recover),
    /// Run a command inside a running subhost as its root, a shell by default
    #[command(after_help = "\
Examples:
  subhostctl enter web                       the shell of its root
  subhostctl enter web -- ps ax
It is in all namespaces of the subhost, with its restrictions. On a terminal it gets one of its
own, else pipes, with output and errors apart. Returns the command's status, 128 + n if signal n
ended it, 126 or 127 if it could not be executed, 125 if the subhost could not be entered.")]
    Enter(Enter),
    /// Run a command inside a running subhost, as a user of it
    #[command(after_help = "\
Examples:
  subhostctl exec web -- tail -f /var/log/syslog
  subhostctl exec web -u www-data -w /var/www -- git pull
  subhostctl exec web -u 1000:1000 -e LANG=C -- make
  subhostctl exec web --detach -- /usr/local/bin/rotate-logs
USER is a name or a number, and so is GROUP. Names are looked up in the subhost's own /etc/passwd
and /etc/group, which are read as data; the user has its groups there, unless GROUP is given.
Returns as enter does; with --detach 0 as soon as the command is executed. Signals are passed on.
When subhostctl is killed, so is the command and all that it has started; what it has put into the
background goes on when it ends by itself.")]
    Exec(Exec),
    /// List subhosts
    #[command(after_help = "\
Examples:
  subhostctl list                            all that are configured or run
  subhostctl list 'web*'                     those with such a name
  subhostctl list --json                     an array of what status shows")]
    List {
        /// Names of the subhosts, or patterns of names; all if there is none
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(completion::subhosts))]
        names: Vec<Names>,
    },
    /// Show subhosts
    #[command(after_help = "\
Examples:
  subhostctl status web
  subhostctl status 'web*' mail
  subhostctl status --json web               an object; an array of them for several or a pattern
Of each cable is told in what it is not as it was made.")]
    Status {
        /// Names of the subhosts, or patterns of names
        #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(completion::subhosts))]
        names: Vec<Names>,
    },
    /// Show all that is known of a subhost, as one JSON document
    #[command(after_help = "\
Examples:
  subhostctl inspect web
  subhostctl inspect web | jq '.observed.cables[].host_end.port'
What status shows, the record, what the kernel has of it now on the host and inside, each setting,
and the plan of its next boot, or why that would be refused. docs/json.md tells what the fields
mean. Changes nothing.")]
    Inspect {
        /// Name of the subhost
        #[arg(add = ArgValueCandidates::new(completion::subhosts))]
        name: Name,
    },
    /// Check a configuration and the things that it names
    #[command(after_help = "\
Examples:
  subhostctl check web                              /opt/sub/web/config, its images and bridges
  subhostctl check --start web                      the folder /opt/subhost/web, as start takes it
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
    Check(Check),
    /// Show what a configuration says: its settings, or its variables
    #[command(subcommand)]
    Config(Config),
    /// Show what boot would do, as commands; changes nothing
    #[command(after_help = "\
Examples:
  subhostctl plan web
  subhostctl plan --start web                what start would do with /opt/subhost/web
Needs no root where the files are readable.")]
    Plan(Plan),
    /// Show the partition table of an image
    #[command(after_help = "\
Label and UUID are those of the file system, PARTLABEL and PARTUUID those of the partition itself.
INDEX is what DISKS and --disk take. A table that contradicts itself is refused; what is odd but
does no harm is said, also that a damaged GPT was read from its backup.")]
    Partitions {
        /// The image
        image: PathBuf,
    },
    /// Show what is mounted, and who holds it
    #[command(after_help = "\
Examples:
  subhostctl mounts                    of all subhosts, seen from inside
  subhostctl mounts /srv               of this host, at and below a folder
  subhostctl mounts /dev/loop0         of a block device, wherever it is mounted
  subhostctl mounts /disks/web.raw     of the loop devices over an image, wherever they are mounted
  subhostctl mounts --json /srv        with every process that holds one, and how
A mount is listed after the one that it is on: unmount from the last line up.
HELD BY names processes with what they have there (root, cwd, exe, map, fd), and the other mount
namespaces that have the same mounted. Of a block device or an image the last lines name each
device, and those that have it, or something on it, open.
Returns 0, also when there is none, or 2 for a PATH that is not there.")]
    Mounts {
        /// Folder, image, file or block device; without it, all subhosts
        path: Option<PathBuf>,
    },
    /// Copy a file out of, or into, a subhost that is stopped
    #[command(after_help = "\
Examples:
  subhostctl cp web:/etc/network/interfaces .    out of its first disk
  subhostctl cp ./interfaces web:/etc/network/   into it, as a file of its root's
  subhostctl cp web:/var/log/syslog - | less     to standard output; - reads standard input, too
What start would start has its folder, over its BASE, in the place of a disk.
Links are followed inside the subhost, but a link at the end of a target is replaced. A file
appears whole or not at all. Set-user-id bits do not go along. Of a running one, use subhostctl
enter NAME -- cat PATH.")]
    Cp(Cp),
    /// Delete the folder of a subhost that neither runs nor lingers
    #[command(after_help = "\
Examples:
  subhostctl delete web                      asks, on a terminal
  subhostctl delete --yes web                /opt/subhost/web, or /opt/sub/web, with all in it
Disks that lie elsewhere, and a base, stay. Links are deleted and not followed; with anything
mounted in the folder, or its image in use, nothing is deleted.")]
    Delete(Delete),
    /// Make a subhost: a folder for start, or a disk image for boot
    #[cfg(feature = "images")]
    #[command(after_help = "\
Examples:
  subhostctl create web --suite trixie --include nginx,openssh-server --ssh-key id.pub
  subhostctl create web --image /disks/web.raw --size 2G --suite trixie
  subhostctl create web --image /disks/web.raw --size 2G --table gpt --tar rootfs.tar.zst
  subhostctl create web --oci ./debian                 a folder in OCI's image layout
  subhostctl create web2 --clone web                   a subhost that is stopped
A folder is /opt/subhost/NAME (or --subhost-dir), for start; with --image there is a configuration
in /opt/sub/NAME (or --root-dir), for boot. It gets its host name, eth0 by DHCP, and no cable yet:
that is a line in its configuration. All of it is there in the end, or nothing: what a killed
command leaves is removed by the next one. docs/create.md has the rest.")]
    Create(crate::images::args::Create),
    /// Write the root of a subhost that is stopped, or paused, to an archive of tar
    #[cfg(feature = "images")]
    #[command(after_help = "\
Examples:
  subhostctl export web web.tar
  subhostctl export web | zstd > web.tar.zst     create --tar takes it back
  subhostctl pause web && subhostctl export web web.tar; subhostctl resume web
Of one that start starts it is the tree over its base; that one may linger or be paused, too. Of
others it is the first disk. Owners are numbers; extended attributes and file capabilities come
along.")]
    Export(crate::images::args::Export),
    /// Keep what a subhost of start has changed, under a name, or tell and remove what is kept
    #[cfg(feature = "images")]
    #[command(after_help = "\
Examples:
  subhostctl snapshot web before-upgrade
  subhostctl reset web before-upgrade            back to it
  subhostctl snapshot --list web
  subhostctl snapshot --remove web before-upgrade     asks, on a terminal
It is in the subhost's folder, in snapshot/NAME, and shares its blocks with the original where the
file system can; SIZE counts these, too. To make one, the subhost has to be stopped. One that is
mounted, or in the BASE of a subhost, is not removed.")]
    Snapshot(crate::images::args::Snapshot),
    /// Discard what a subhost of start has changed of its base, or since a snapshot
    #[cfg(feature = "images")]
    #[command(after_help = "\
Examples:
  subhostctl reset web                           asks, on a terminal
  subhostctl reset --yes web before-upgrade
There is the old layer or the new one, at any moment. The subhost has to be stopped.")]
    Reset(crate::images::args::Reset),
    /// Show what a subhost of start has changed of its base
    #[cfg(feature = "images")]
    #[command(after_help = "\
Examples:
  subhostctl diff web                            A: added, M: changed, D: removed
  subhostctl --json diff web
What is below a folder that is added is listed too, below one that is removed it is not. Of a
subhost that runs, what it changes meanwhile may be missing, which is said.")]
    Diff(crate::images::args::Diff),
    /// Make a second subhost that is as one that is stopped
    #[cfg(feature = "images")]
    #[command(after_help = "\
Examples:
  subhostctl clone web web2
Its files share their blocks with the original where the file system can. It has a host name and MAC
addresses of its own; images of disks are copied to its folder.")]
    Clone(crate::images::args::Clone),
    /// Open a disk that does not boot
    #[cfg(feature = "images")]
    #[command(after_help = "\
Examples:
  subhostctl rescue web                          a shell in its root, with no network
  subhostctl rescue --fsck web                   the same, its file systems repaired before
  subhostctl rescue --read-only /disks/web.raw   of an image, whose root is found
  subhostctl rescue /disks/web.raw:2 -- cat /etc/fstab
  subhostctl rescue --host-tools web -- ls /run/rescue
The file systems are mounted where the disk's own fstab says, and else at /run/rescue/NODE, seen by
this command alone. No init is needed. With --host-tools the root is the host's, in a layer that is
thrown away, and the disks are at /run/rescue. Nothing is left afterwards but what was changed on
the disks. Returns the command's status, as run does. docs/rescue.md is a runbook.")]
    Rescue(crate::images::args::Rescue),
    /// Make a disk image larger or smaller, with its last partition and the file system in that
    #[cfg(feature = "images")]
    #[command(after_help = "\
Examples:
  subhostctl resize /disks/web.raw 4G
  subhostctl resize web 4G                   the image of its first disk
Of ext4 and btrfs both ways, of xfs larger only. The subhost has to be stopped. e2fsck, resize2fs
and sfdisk run in a jail, as with check --fsck. When it is interrupted, the image boots, and the
same command goes on where it was.")]
    Resize(crate::images::args::Resize),
    /// Look whether this host can run subhosts, and what is left that nobody needs
    #[command(after_help = "\
Tries what a boot needs for real, and takes it back at once; looks at the kernel, control groups,
bridges, the folder of subhosts, each configuration, and at what outlived its subhost. Changes
nothing. Returns 0, or 1 if something is bad. --quiet leaves out what is good.")]
    Doctor,
    #[cfg(feature = "images")]
    #[expect(missing_docs, reason = "what is given tells")]
    Tour(crate::tour::Tour),
    /// Print what servers that give addresses have to know of subhosts
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
    Dhcp(Dhcp),
    /// Make a configuration from what another program has of a system
    #[cfg(feature = "import")]
    #[command(after_help = "\
Examples:
  subhostctl import libvirt /etc/libvirt/qemu/web.xml         on standard output
  virsh dumpxml web | subhostctl import libvirt --into web -  as /opt/sub/web/config
  subhostctl import qemu 4711                                 of a process
  subhostctl import qemu 'qemu-system-x86_64 -m 512 -hda /disks/web.raw'
  subhostctl import ganeti web.example.com                    as gnt-instance info has it
  subhostctl import ganeti --instance web instances.txt       as gnt-instance info or list said
  subhostctl import lxc /var/lib/lxc/web/config
  subhostctl import nspawn /etc/systemd/nspawn/web.nspawn
  subhostctl import oci /srv/bundle
  subhostctl import overlay-boot /opt/subhost/mta/mta.conf
SOURCE may be - for standard input. Nothing of it is executed. What cannot be carried over is said
on standard error, and in comments. Only raw images are disks; where one can be read, its file
systems are found. --into writes /opt/sub/NAME/config, or /opt/subhost/NAME/config for a folder.")]
    Import(Import),
    /// Enter a subhost on whatever host it is
    #[command(after_help = "\
Examples:
  subhostctl go web                          the shell of its root
  subhostctl go web ps ax
  subhostctl go --inventory ./hosts web
One that is here is entered as `enter` does, another one by ssh: `ssh -t HOST subhostctl enter web`.
Which host has it stands in /etc/subhost/inventory, a host each line:
  host-a.example.com: web db
  root@192.0.2.2: mail
  {\"host\": \"host-c\", \"names\": [\"dns\"]}
Returns what enter does, or 255 if ssh fails.")]
    Go(Go),
    /// Print the completion script of a shell
    #[command(after_help = "\
Examples:
  source <(subhostctl completions bash)
  subhostctl completions bash > /usr/share/bash-completion/completions/subhostctl
  subhostctl completions zsh > /usr/share/zsh/vendor-completions/_subhostctl
The script asks the program itself, which knows the subhosts, bridges and files that are there, as
far as the user may see them.")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of a command, for man(1)
    #[command(after_help = "\
Examples:
  subhostctl man boot | man -l -
  subhostctl man > /usr/local/share/man/man8/subhostctl.8
  subhostctl man config show > /usr/local/share/man/man8/subhostctl-config-show.8")]
    Man {
        /// The command; the program itself if there is none
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
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
    /// A folder or file of the host inside the guest, where that has one
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

/// `boot`.
#[derive(Debug, Args)]
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

/// `check`.
#[derive(Debug, Args)]
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

/// `config`.
#[derive(Debug, Subcommand)]
pub enum Config {
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
    /// Allow to include files below this folder that only root could have written
    #[arg(long = "include-dir", value_name = "DIR", value_hint = clap::ValueHint::DirPath,
          value_parser = PathBufValueParser::new().try_map(absolute))]
    pub include_dirs: Vec<PathBuf>,
    /// Allow to look at files below this folder, and to read them
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

/// `plan`.
#[derive(Debug, Args)]
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

/// `run`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["disks", "overlay", "root"]))]
pub struct Run {
    /// Its name; its network namespace is then visible to `ip netns`
    #[arg(long)]
    pub name: Option<Name>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become help text")]
    pub devices: Devices,
    /// Root: an ephemeral layer over this folder of the host
    #[arg(long, value_name = "LOWER", conflicts_with_all = ["root", "disks"])]
    pub overlay: Option<PathBuf>,
    /// Root: this folder of the host, itself
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

/// `start`.
#[derive(Debug, Args)]
pub struct Start {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::trees))]
    pub name: Name,
    /// The command and its arguments; bash, or sh where there is none
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// `stop`.
#[derive(Debug, Args)]
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

/// `kill`.
#[derive(Debug, Args)]
pub struct Kill {
    /// Names of the subhosts, or patterns of names
    #[arg(required = true, value_name = "NAME",
          add = ArgValueCandidates::new(completion::running))]
    pub names: Vec<Names>,
    /// Send only this to PID 1, and end nothing
    #[arg(long, short, value_name = "SIGNAL", value_parser = parse_signal)]
    pub signal: Option<i32>,
}

/// `autostart`.
#[derive(Debug, Args)]
pub struct Autostart {
    /// Only show them
    #[arg(long)]
    pub dry_run: bool,
}

/// `restart`.
#[derive(Debug, Args)]
pub struct Restart {
    /// Names of the subhosts, or patterns of names
    #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(completion::subhosts))]
    pub names: Vec<Names>,
    /// Longest orderly stop, in seconds, before it is ended by force
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub timeout: Option<u64>,
}

/// `reboot`, `pause`, `resume`.
#[derive(Debug, Args)]
pub struct Running {
    /// Names of the subhosts, or patterns of names
    #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(completion::running))]
    pub names: Vec<Names>,
}

/// `wait`.
#[derive(Debug, Args)]
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

/// `console`.
#[derive(Debug, Args)]
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

/// `logs`.
#[derive(Debug, Args)]
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

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Names of the subhosts; all without one
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// Go on with what happens from now on
    #[arg(long, short)]
    pub follow: bool,
}

/// `recover`.
#[derive(Debug, Args)]
pub struct Recover {
    /// Names of the subhosts; all without one
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// We become the supervisor
    #[arg(long, hide = true, requires = "names")]
    pub background: bool,
}

/// `delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::subhosts))]
    pub name: Name,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `cp`.
#[derive(Debug, Args)]
pub struct Cp {
    /// The file: NAME:PATH in a subhost, a path, or - for standard input
    #[arg(value_name = "FROM", add = ArgValueCompleter::new(completion::subhost_path_or_file))]
    pub from: OsString,
    /// Where to: NAME:PATH in a subhost, a path, or - for standard output; a folder takes the file's name
    #[arg(value_name = "TO", add = ArgValueCompleter::new(completion::subhost_path_or_file))]
    pub to: OsString,
}

/// `enter`.
#[derive(Debug, Args)]
pub struct Enter {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::running))]
    pub name: Name,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// `dhcp`.
#[derive(Debug, Args)]
pub struct Dhcp {
    /// The language to print; needed unless it is --json
    #[arg(long, value_enum)]
    pub format: Option<dhcp::Format>,
    /// Names of the subhosts, or patterns of names; all if there is none
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(completion::subhosts))]
    pub names: Vec<Names>,
}

/// `import`.
#[cfg(feature = "import")]
#[derive(Debug, Args)]
pub struct Import {
    /// Whose program has the system
    #[arg(value_enum, value_name = "FROM")]
    pub from: ImportFrom,
    /// A file, or - for standard input; also an instance of Ganeti, the pid or command line of a qemu, or a bundle
    #[arg(value_name = "SOURCE", value_hint = clap::ValueHint::AnyPath, allow_hyphen_values = true)]
    pub source: OsString,
    /// Write it as the configuration of this subhost
    #[arg(long, value_name = "NAME")]
    pub into: Option<Name>,
    /// Replace the one that is there
    #[arg(long, requires = "into")]
    pub force: bool,
    /// Which of several instances of Ganeti
    #[arg(long, value_name = "INSTANCE")]
    pub instance: Option<String>,
}

/// Programs whose systems can be carried over.
#[cfg(feature = "import")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ImportFrom {
    /// An instance, the environment of its OS's scripts, or what gnt-instance info or list says
    Ganeti,
    /// The XML of a domain
    Libvirt,
    /// A command line
    Qemu,
    /// Its configuration
    OverlayBoot,
    /// A .nspawn file
    Nspawn,
    /// A container's config
    Lxc,
    /// A bundle with its config.json
    Oci,
}

/// `go`.
#[derive(Debug, Args)]
pub struct Go {
    /// The hosts with their subhosts [default: /etc/subhost/inventory]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub inventory: Option<PathBuf>,
    /// Name of the subhost
    pub name: Name,
    /// The command and its arguments; a shell without one
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// `exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::running))]
    pub name: Name,
    /// User to run as; root by default
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Folder of the subhost to start in; / by default
    #[arg(long = "workdir", short = 'w', value_name = "DIR",
          value_parser = OsStringValueParser::new().try_map(parse_directory))]
    pub directory: Option<CString>,
    /// A variable for its environment
    #[arg(long = "env", short = 'e', value_name = "NAME=VALUE",
          value_parser = OsStringValueParser::new().try_map(parse_variable))]
    pub variables: Vec<CString>,
    /// Return when it is executed, and leave it running without input and output
    #[arg(long)]
    pub detach: bool,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// A folder by the path that a file would name it by, which begins at `/` and has no `..`.
fn absolute(folder: PathBuf) -> std::io::Result<PathBuf> {
    let absolute = std::path::absolute(&folder)?;
    if is_plain_absolute(&absolute) { Ok(absolute) } else { folder.canonicalize() }
}

fn parse_bind(text: OsString) -> Result<BindSpec, SpecError> {
    BindSpec::parse(text.as_bytes())
}

fn parse_disk(text: OsString) -> Result<DiskSpec, SpecError> {
    DiskSpec::parse(text.as_bytes())
}

fn parse_key(text: &str) -> Result<Key, String> {
    match text.as_bytes() {
        b"none" => Ok(Key(None)),
        [b'^', letter @ (b'@'..=b'_' | b'a'..=b'z')] => Ok(Key(Some(letter & 0x1f))),
        [byte @ 0x21..=0x7e] => Ok(Key(Some(*byte))),
        _ => Err("is ^ and a letter, one character, or none".to_owned()),
    }
}

fn parse_directory(path: OsString) -> Result<CString, String> {
    if !path.as_bytes().starts_with(b"/") {
        return Err("it has to begin with /".to_owned());
    }
    CString::new(path.into_vec()).map_err(|_| "it holds a NUL byte".to_owned())
}

fn parse_variable(text: OsString) -> Result<CString, String> {
    let name = text.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
    let is_name = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if !is_name || name.len() == text.len() {
        return Err("it has to be NAME=VALUE, with a NAME of letters, digits and _".to_owned());
    }
    CString::new(text.into_vec()).map_err(|_| "it holds a NUL byte".to_owned())
}

/// The number of a signal.
fn parse_signal(text: &str) -> Result<i32, String> {
    let name = text.to_ascii_uppercase();
    let name = format!("SIG{}", name.strip_prefix("SIG").unwrap_or(&name));
    let number = text.parse().ok().filter(|number| (1..=64).contains(number));
    let number = number.or_else(|| Signal::from_str(&name).ok().map(|signal| signal as i32));
    number.ok_or_else(|| "it has to be a signal's name, as TERM, or a number from 1 to 64".to_owned())
}

fn parse_cable(text: &str) -> Result<CableSpec, String> {
    CableSpec::parse(text.as_bytes(), b'=').map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// What is longer is broken anew, in the middle of what stands there line by line.
    #[test]
    fn no_line_of_help_is_longer_than_what_is_shown() {
        fn look(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }
}
