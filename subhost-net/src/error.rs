//! The one error type: operation, object and errno, with the kernel's own words where it gave any.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a network operation did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call or a netlink request was refused.
    #[error("{operation} {object}: {source}{}", note(.kernel_text))]
    Os {
        /// What was tried, as a verb with its kind of object: `create cable`.
        operation: &'static str,
        /// What it was tried on: a name, a path.
        object: String,
        /// The errno.
        source: io::Error,
        /// The kernel's extended-ack text, when it gave one: `mtu less than device minimum`.
        kernel_text: Option<String>,
    },

    /// A name that the kernel would not take for a link, or that is not usable as a file name.
    #[error("name `{}`: {why}", .name.escape_debug())]
    InvalidName {
        /// The name as it was given.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },

    /// Not a hardware address, or not one that a cable's end can have.
    #[error("hardware address `{}`: {why}", .text.escape_debug())]
    InvalidMac {
        /// The address as it was given.
        text: String,
        /// The rule that it breaks.
        why: &'static str,
    },

    /// Not an IP address, or not one for its purpose.
    #[error("address `{}`: {why}", .text.escape_debug())]
    InvalidAddress {
        /// The address as it was given.
        text: String,
        /// The rule that it breaks.
        why: &'static str,
    },

    /// There is no link of that name to plug a cable into.
    #[error("no bridge `{name}`; {}", bridge_list(.there))]
    BridgeMissing {
        /// The name that was looked for.
        name: String,
        /// The bridges that do exist, by name.
        there: Vec<String>,
    },

    /// There is a link of that name, and it is of another kind.
    #[error("link `{name}` is not a bridge but {}", kind_words(.kind))]
    NotABridge {
        /// The link's name.
        name: String,
        /// Its kind, as in `ip -d link`; none for physical interfaces.
        kind: Option<String>,
    },

    /// A rate that cannot be kept.
    #[error("rate of {} bit/s: is {why}", .rate.bits_per_second)]
    InvalidRate {
        /// The rate.
        rate: crate::limit::Rate,
        /// What is wrong with it.
        why: &'static str,
    },

    /// No number that a VLAN can have.
    #[error("vlan {id}: is not 1 to 4094")]
    InvalidVlan {
        /// The number.
        id: u16,
    },

    /// A VLAN was asked for on a bridge that passes them all.
    #[error(
        "bridge `{bridge}` does not filter vlans; ip link set {bridge} type bridge vlan_filtering 1 makes it"
    )]
    NoVlanFiltering {
        /// The bridge's name.
        bridge: String,
    },

    /// A link that has to stay in its network namespace.
    #[error("link `{name}` cannot be moved: it {why}")]
    NotMovable {
        /// The link's name.
        name: String,
        /// Why.
        why: &'static str,
    },

    /// A link (or an altname) of that name exists already.
    #[error("link `{name}` exists already")]
    LinkExists {
        /// The name that is taken.
        name: String,
    },

    /// A link is not the one that was to be changed or deleted.
    #[error("link {index} is not `{expected}` but {found}")]
    NotThatLink {
        /// The ifindex that was given.
        index: u32,
        /// The name or altname that it should have.
        expected: String,
        /// What is there instead.
        found: String,
    },

    /// A file descriptor or a pinned file is not a network namespace.
    #[error("{object} is not a network namespace")]
    NotANetns {
        /// The path, or the file descriptor in words.
        object: String,
    },

    /// There is a pin of that name already.
    #[error("netns name {} is taken already", .path.display())]
    PinExists {
        /// Where the pin was to be.
        path: PathBuf,
    },

    /// Another network namespace than the expected one is pinned there; it was left alone.
    #[error("{} pins netns inode {found}, not {expected}", .path.display())]
    PinMismatch {
        /// The pin.
        path: PathBuf,
        /// The inode that should be there.
        expected: u64,
        /// The inode that is there.
        found: u64,
    },

    /// An answer of the kernel that makes no sense.
    #[error("{operation} {object}: {what}")]
    Reply {
        /// What was tried.
        operation: &'static str,
        /// What it was tried on.
        object: String,
        /// What is wrong with the answer.
        what: &'static str,
    },

    /// What was made before the first error could not be undone either.
    #[error("{first}; and then {cleanup}")]
    WithCleanup {
        /// The error that counts.
        #[source]
        first: Box<Error>,
        /// What went wrong while undoing.
        cleanup: Box<Error>,
    },

    /// Waiting ended before the event came.
    #[error("wait for {what} {object}: nothing within {} ms", .waited.as_millis())]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// On what.
        object: String,
        /// How long.
        waited: Duration,
    },
}

impl Error {
    /// The errno behind this error, if the kernel gave one.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Os { source, .. } => source.raw_os_error(),
            Self::WithCleanup { first, .. } => first.raw_os_error(),
            _ => None,
        }
    }

    pub(crate) fn os(
        operation: &'static str,
        object: impl Into<String>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Os { operation, object: object.into(), source: source.into(), kernel_text: None }
    }
}

fn note(kernel_text: &Option<String>) -> String {
    kernel_text.as_ref().map(|text| format!(": {text}")).unwrap_or_default()
}

fn bridge_list(bridges: &[String]) -> String {
    if bridges.is_empty() {
        "there are no bridges".into()
    } else {
        format!("there are: {}", bridges.join(", "))
    }
}

fn kind_words(kind: &Option<String>) -> String {
    kind.as_ref().map_or_else(|| "a physical interface".into(), |kind| format!("a link of kind {kind}"))
}
