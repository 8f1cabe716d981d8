//! What can go wrong, worded like a line of strace: operation, object, cause.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::image::Holder;
use crate::partition::Selector;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation that failed, with the object that it was about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a call.
    #[error("{operation} {object}: {source}")]
    System {
        /// What was being done, in the infinitive: `attach loop device to`.
        operation: &'static str,
        /// What it was done to, mostly a path; control characters are escaped.
        object: String,
        /// The errno.
        source: io::Error,
    },

    /// The kernel refused to make or mount a file system, perhaps with words of its own.
    #[error("mount {kind} from {object}: {source}{}", kernel_words(log))]
    Mount {
        /// The file system type, as in `/proc/filesystems`.
        kind: String,
        /// The source name.
        object: String,
        /// The errno.
        source: io::Error,
        /// The messages of the file system context (`fsopen(2)`), without their prefix.
        log: Vec<String>,
    },

    /// Neither the kernel nor its modules know this file system type.
    #[error("mount {kind} from {object}: the kernel does not know this file system; it knows {}", known.join(", "))]
    UnknownFileSystem {
        /// The type that was asked for.
        kind: String,
        /// The source name.
        object: String,
        /// The types in `/proc/filesystems` that need a block device.
        known: Vec<String>,
    },

    /// What is in an image must not be mounted, whatever is allowed.
    #[error("mount {kind}: {reason}")]
    FileSystemRefused {
        /// The type as blkid names it.
        kind: String,
        /// Why not: `its journal is on another device`.
        reason: String,
    },

    /// A file system of a type that is not among those allowed.
    #[error("mount {kind}: this type of file system is not allowed; {}", allowed_types(allowed))]
    FileSystemNotAllowed {
        /// The type as blkid names it.
        kind: String,
        /// Those that are.
        allowed: Vec<String>,
    },

    /// This mount cannot be given an id map on this kernel.
    #[error("map the ids of {object}: this file system cannot be idmapped on this kernel: {source}")]
    NotIdmappable {
        /// What was to be mapped.
        object: String,
        /// The errno.
        source: io::Error,
    },

    /// The overlay came up read-only though it was to be writable.
    #[error(
        "mount overlay {object}: the kernel made it read-only: upper and work directory must belong to ids that the caller's map holds"
    )]
    ReadOnlyOverlay {
        /// The source name.
        object: String,
    },

    /// There is no partition of that number.
    #[error("no partition {index}: {}", partitions_there(present))]
    NoSuchPartition {
        /// The number that was asked for.
        index: u32,
        /// Those that the table has.
        present: Vec<u32>,
    },

    /// The partition of that number only contains other partitions.
    #[error("partition {index} is an extended partition: it only contains the logical ones from 5 on")]
    ExtendedPartition {
        /// The number that was asked for.
        index: u32,
    },

    /// No partition has what it was to be chosen by.
    #[error("no partition has {selector}{}", values_there(present))]
    NotSelected {
        /// What it was to be chosen by.
        selector: Selector,
        /// What those there have instead.
        present: Vec<String>,
    },

    /// Several partitions have what one was to be chosen by, and which is meant is not for a guess.
    #[error("more than one partition has {selector}: {}", numbers(indexes))]
    SelectedTwice {
        /// What it was to be chosen by.
        selector: Selector,
        /// Which they are.
        indexes: Vec<u32>,
    },

    /// The partition table contradicts itself or the image.
    #[error("partition table: {0}")]
    BadTable(TableProblem),

    /// A byte range that no loop device can show.
    #[error("attach loop device to {object}: {problem}")]
    BadRange {
        /// The image.
        object: String,
        /// What is wrong with the range.
        problem: String,
    },

    /// Somebody else uses the image.
    #[error("{image} is in use{}", held_by(holders), image = shown(image))]
    ImageInUse {
        /// The image.
        image: PathBuf,
        /// Who holds it, as far as it can be seen; may be empty.
        holders: Vec<Holder>,
    },

    /// Neither a regular file nor a block device.
    #[error("{image} is {found}, not a disk image", image = shown(image))]
    NotAnImage {
        /// The path.
        image: PathBuf,
        /// What it is: `a directory`.
        found: &'static str,
    },

    /// A disk image, but not a raw one.
    #[error("{image} is a {format} image, not a raw one; convert it: {hint}", image = shown(image))]
    ForeignFormat {
        /// The image.
        image: PathBuf,
        /// The name of the format: `qcow2`.
        format: &'static str,
        /// The command that converts it.
        hint: String,
    },

    /// The image was opened for reading only or without a lock, and the operation needs more.
    #[error("attach loop device to {image}: the image was opened {opened}", image = shown(image))]
    NotOpenedFor {
        /// The image.
        image: PathBuf,
        /// How it was opened: `read-only`, `without a lock`.
        opened: &'static str,
    },

    /// Something in a guest's tree is not of the kind that the operation needs.
    #[error("{operation} {path}: it is {found}, not {wanted}", path = shown(path))]
    WrongKind {
        /// What was being done.
        operation: &'static str,
        /// The path inside the tree.
        path: PathBuf,
        /// What is there: `a symbolic link`.
        found: &'static str,
        /// What should be there: `a directory`.
        wanted: &'static str,
    },

    /// Something in a guest's tree is larger than the caller takes.
    #[error("{operation} {path}: more than {limit} {unit}", path = shown(path))]
    TooLarge {
        /// What was being done.
        operation: &'static str,
        /// The path inside the tree.
        path: PathBuf,
        /// The most that was to be read.
        limit: u64,
        /// Of what: `bytes`, `entries`.
        unit: &'static str,
    },
}

impl Error {
    pub(crate) fn system(
        operation: &'static str,
        object: impl AsRef<Path>,
        source: impl Into<io::Error>,
    ) -> Self {
        Error::System { operation, object: shown(object.as_ref()), source: source.into() }
    }

    /// The errno below this error, where the kernel gave one.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Error::System { source, .. }
            | Error::Mount { source, .. }
            | Error::NotIdmappable { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// How a partition table lies. Partitions are named by their number, places in bytes of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableProblem {
    /// A partition reaches beyond the end of the image.
    BeyondEnd {
        /// The partition.
        index: u32,
        /// One past its last byte; `u64::MAX` if that cannot even be counted.
        end: u64,
        /// The size of the image.
        len_bytes: u64,
    },
    /// Two partitions share bytes.
    Overlap {
        /// The one that starts first.
        first: u32,
        /// The other.
        second: u32,
    },
    /// A partition covers the table itself.
    CoversTable {
        /// The partition.
        index: u32,
        /// Where the part of the table is that it covers.
        at: u64,
    },
    /// A logical partition leaves its extended partition.
    OutsideExtended {
        /// The logical partition.
        index: u32,
    },
    /// More than one extended partition.
    TwoExtended,
    /// The chain of extended boot records comes back to where it has been.
    ChainLoops {
        /// The record that was met twice.
        at: u64,
    },
    /// The chain of extended boot records leaves the extended partition.
    ChainLeavesExtended {
        /// Where the link points.
        at: u64,
    },
    /// The chain of extended boot records is absurdly long.
    ChainTooLong {
        /// The most records that are followed.
        limit: usize,
    },
    /// More partitions than Linux numbers.
    TooManyPartitions {
        /// The most that are taken.
        limit: usize,
    },
    /// A partition ends before it starts.
    Reversed {
        /// The partition.
        index: u32,
    },
    /// There should be a GPT, and neither copy of it can be trusted.
    BadGpt {
        /// Why not the primary one.
        primary: String,
        /// Why not the backup.
        backup: String,
    },
}

impl fmt::Display for TableProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableProblem::BeyondEnd { index, end, len_bytes } => {
                write!(f, "partition {index} ends at byte {end}, beyond the end of the image at {len_bytes}")
            }
            TableProblem::Overlap { first, second } => write!(f, "partitions {first} and {second} overlap"),
            TableProblem::CoversTable { index, at } => {
                write!(f, "partition {index} covers the partition table at byte {at}")
            }
            TableProblem::OutsideExtended { index } => {
                write!(f, "logical partition {index} is not inside the extended partition")
            }
            TableProblem::TwoExtended => write!(f, "more than one extended partition"),
            TableProblem::ChainLoops { at } => {
                write!(f, "the chain of extended boot records loops at byte {at}")
            }
            TableProblem::ChainLeavesExtended { at } => {
                write!(f, "the chain of extended boot records leaves the extended partition, to byte {at}")
            }
            TableProblem::ChainTooLong { limit } => {
                write!(f, "the chain of extended boot records is longer than {limit}")
            }
            TableProblem::TooManyPartitions { limit } => write!(f, "more than {limit} partitions"),
            TableProblem::Reversed { index } => write!(f, "partition {index} ends before it starts"),
            TableProblem::BadGpt { primary, backup } => {
                write!(f, "no GPT to trust: primary: {primary}; backup: {backup}")
            }
        }
    }
}

/// A path for a message: lossy, with control characters escaped, so that a name cannot write to a terminal.
pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

fn kernel_words(log: &[String]) -> String {
    if log.is_empty() { String::new() } else { format!(": {}", log.join("; ")) }
}

fn allowed_types(allowed: &[String]) -> String {
    if allowed.is_empty() { "none is".to_owned() } else { format!("allowed are {}", allowed.join(", ")) }
}

fn partitions_there(present: &[u32]) -> String {
    if present.is_empty() {
        return "there is no partition; 0 means the whole image".to_owned();
    }
    format!("there are {}; 0 means the whole image", numbers(present))
}

/// The guest says them, so that there may be many, and anything in them.
fn values_there(present: &[String]) -> String {
    const MOST: usize = 16;
    if present.is_empty() {
        return String::new();
    }
    let mut values: Vec<String> = present.iter().take(MOST).map(|it| shown(Path::new(it))).collect();
    if present.len() > MOST {
        values.push(format!("{} more", present.len() - MOST));
    }
    format!("; there are {}", values.join(", "))
}

fn numbers(indexes: &[u32]) -> String {
    indexes.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

fn held_by(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return ", and who holds it cannot be seen from here".to_owned();
    }
    let names: Vec<String> = holders.iter().map(Holder::to_string).collect();
    format!(", held by {}", names.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_operation_object_and_cause() {
        let error = Error::system(
            "attach loop device to",
            "/disks/a.raw",
            io::Error::from_raw_os_error(libc::ENOENT),
        );
        assert_eq!(
            error.to_string(),
            "attach loop device to /disks/a.raw: No such file or directory (os error 2)"
        );
        assert_eq!(error.raw_os_error(), Some(2));
    }

    #[test]
    fn a_missing_partition_lists_those_there() {
        let error = Error::NoSuchPartition { index: 3, present: vec![1, 5] };
        assert_eq!(error.to_string(), "no partition 3: there are 1, 5; 0 means the whole image");
    }

    #[test]
    fn names_cannot_write_to_a_terminal() {
        assert_eq!(shown(Path::new("/a\u{1b}]52;\n")), "/a\\u{1b}]52;\\n");
    }
}
