//! Arguments of the commands for images and trees.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

use crate::completion;
use crate::layout::Name;

/// Sizes are rounded down to this: what partitions and file systems begin and end at.
pub const MIB: u64 = 1 << 20;

/// Make a subhost: a directory for start, or a disk image for boot
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl create web --suite trixie --include nginx,openssh-server --ssh-key id.pub
  subhostctl create web --image /disks/web.raw --size 2G --suite trixie
  subhostctl create web --image /disks/web.raw --size 2G --table gpt --tar rootfs.tar.zst
  subhostctl create web --oci ./debian                 a directory in OCI's image layout
  subhostctl create web2 --clone web                   a subhost that is stopped
A directory is /opt/subhost/NAME (or --subhost-dir), for start; with --image there is a
configuration in /opt/sub/NAME (or --root-dir), for boot. It gets its host name,
eth0 by DHCP, and no cable yet: that is a line in its configuration. All of it is there in the end,
or nothing: what a killed command leaves is removed by the next one. docs/create.md has the rest.")]
#[command(group = clap::ArgGroup::new("source").required(true).args(["suite", "tar", "oci", "clone"]))]
pub struct Create {
    /// Name of the new subhost
    pub name: Name,
    /// Make a disk image of it, for boot; without it, a directory for start
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub image: Option<PathBuf>,
    /// How large the image is: a number with M, G or T
    #[arg(long, requires = "image", value_parser = parse_size)]
    pub size: Option<u64>,
    /// The image's partition table
    #[arg(long, value_enum, default_value_t, requires = "image")]
    pub table: Table,
    /// The image's file system
    #[arg(long, value_enum, default_value_t, requires = "image")]
    pub filesystem: Filesystem,
    /// Debian, Ubuntu or what else mmdebstrap or debootstrap knows: its suite, as trixie
    #[arg(long, value_parser = parse_word)]
    pub suite: Option<String>,
    /// Where its packages come from
    #[arg(long, value_name = "URL", requires = "suite", value_parser = parse_word)]
    pub mirror: Option<String>,
    /// Packages that it gets beside those of every system
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',', requires = "suite", value_parser = parse_word)]
    pub include: Vec<String>,
    /// An archive of the system: tar, or tar in gzip, zstd or xz
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub tar: Option<PathBuf>,
    /// A directory in OCI's image layout, as `skopeo copy docker://debian oci:DIR` makes it
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub oci: Option<PathBuf>,
    /// A subhost that is stopped
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completion::trees))]
    pub clone: Option<Name>,
    /// Public keys that may log in as root
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub ssh_key: Option<PathBuf>,
}

/// A partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Table {
    /// That of the master boot record
    #[default]
    Mbr,
    /// GUID partition table
    Gpt,
    /// The file system is the whole image
    None,
}

/// A file system that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Filesystem {
    /// ext4
    #[default]
    Ext4,
    /// xfs
    Xfs,
    /// btrfs
    Btrfs,
}

/// Open a disk that does not boot
#[derive(Debug, Args)]
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
pub struct Rescue {
    /// Name of the subhost, or the path of an image, and the partition that holds its root
    #[arg(value_name = "NAME|IMAGE[:PART]", add = ArgValueCompleter::new(completion::subhost_or_file))]
    pub target: OsString,
    /// Change nothing on its disks
    #[arg(long)]
    pub read_only: bool,
    /// Repair its file systems before they are mounted
    #[arg(long, conflicts_with = "read_only")]
    pub fsck: bool,
    /// The host's own programs and files, with the disks at /run/rescue
    #[arg(long)]
    pub host_tools: bool,
    /// The command and its arguments; bash, or sh where there is none
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Make a disk image larger or smaller, with its last partition and the file system in that
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl resize /disks/web.raw 4G
  subhostctl resize web 4G                   the image of its first disk
Of ext4 and btrfs both ways, of xfs larger only. The subhost has to be stopped. e2fsck, resize2fs
and sfdisk run in a jail, as with check --fsck. When it is interrupted, the image boots, and the
same command goes on where it was.")]
pub struct Resize {
    /// The path of an image, or the name of the subhost whose first disk is meant
    #[arg(value_name = "NAME|IMAGE", add = ArgValueCompleter::new(completion::subhost_or_file))]
    pub target: OsString,
    /// How large the image is to be: a number with M, G or T
    #[arg(value_parser = parse_size)]
    pub size: u64,
    /// Make ext4 smaller without a copy of the image: a crash meanwhile may cost the file system
    #[arg(long)]
    pub in_place: bool,
}

/// Write the root of a subhost that is stopped, or paused, to an archive of tar
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl export web web.tar
  subhostctl export web | zstd > web.tar.zst     create --tar takes it back
  subhostctl pause web && subhostctl export web web.tar; subhostctl resume web
Of one that start starts it is the tree over its base; that one may linger or be paused, too. Of
others it is the first disk. Owners are numbers; extended attributes and file capabilities come
along.")]
pub struct Export {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::subhosts))]
    pub name: Name,
    /// The archive, or - for standard output
    #[arg(default_value = "-", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,
}

/// Keep what a subhost of start has changed, under a name, or tell and remove what is kept
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl snapshot web before-upgrade
  subhostctl reset web before-upgrade            back to it
  subhostctl snapshot --list web
  subhostctl snapshot --remove web before-upgrade     asks, on a terminal
It is in the subhost's directory, in snapshot/NAME, and shares its blocks with the original where
the file system can; SIZE counts these, too. To make one, the subhost has to be stopped. One that
is mounted, or in the BASE of a subhost, is not removed.")]
pub struct Snapshot {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::trees))]
    pub name: Name,
    /// Name of the snapshot
    #[arg(required_unless_present = "list")]
    pub snapshot: Option<Name>,
    /// Tell those that there are
    #[arg(long, conflicts_with = "snapshot")]
    pub list: bool,
    /// Remove it
    #[arg(long, conflicts_with = "list")]
    pub remove: bool,
    /// Do not ask
    #[arg(long, visible_alias = "force", requires = "remove")]
    pub yes: bool,
}

/// Discard what a subhost of start has changed of its base, or since a snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl reset web                           asks, on a terminal
  subhostctl reset --yes web before-upgrade
There is the old layer or the new one, at any moment. The subhost has to be stopped.")]
pub struct Reset {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::trees))]
    pub name: Name,
    /// Back to this snapshot, and not to the base
    pub snapshot: Option<Name>,
    /// Do not ask
    #[arg(long, visible_alias = "force")]
    pub yes: bool,
}

/// Show what a subhost of start has changed of its base
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl diff web                            A: added, M: changed, D: removed
  subhostctl --json diff web
What is below a directory that is added is listed too, below one that is removed it is not. Of a
subhost that runs, what it changes meanwhile may be missing, which is said.")]
pub struct Diff {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::trees))]
    pub name: Name,
}

/// Make a second subhost that is as one that is stopped
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl clone web web2
Its files share their blocks with the original where the file system can. It has a host name and MAC
addresses of its own; images of disks are copied to its directory.")]
pub struct Clone {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::trees))]
    pub name: Name,
    /// Name of the new one
    pub new: Name,
}

/// A size in bytes, of whole mebibytes.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text} is not a size: write a number with M, G or T");
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| (MIB..1 << 50).contains(bytes));
    bytes.ok_or_else(|| format!("{text} is not between 1M and 1023T"))
}

/// A word that no program takes for an option, or for several words.
fn parse_word(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.starts_with('-');
    let is_plain = is_plain && !text.is_empty() && !text.contains([',', '\'', '"', '\\']);
    is_plain.then(|| text.to_owned()).ok_or_else(|| "it is not a plain word".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_and_a_bound() {
        for (text, size) in [("1M", 1 << 20), ("2G", 2 << 30), ("3TiB", 3 << 40), ("010M", 10 << 20)] {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "1", "G", "-1G", "0M", "1.5G", "1024T", "99999999999999999999M", "1g", "1G "] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_no_options() {
        assert_eq!(parse_word("http://deb.debian.org/debian").as_deref(), Ok("http://deb.debian.org/debian"));
        for text in ["", "--setup-hook=x", "a b", "a\nb", "a,b", "a'b"] {
            assert!(parse_word(text).is_err(), "{text:?}");
        }
    }
}
