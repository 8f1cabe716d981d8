//! Names of subhosts, and the paths that follow from them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Longest name of a subhost, in bytes.
pub const NAME_MAX_BYTES: usize = 63;

/// A subhost's name: letters, digits, `_`, `-` and `.`, 1 to 63 bytes, not starting with `-` or `.`.
///
/// It becomes a file name, a netns name and the front of interface names, so nothing else may be in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("subhost name {text:?}: {reason}")]
pub struct NameError {
    pub(crate) text: String,
    reason: &'static str,
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        let reason = if text.is_empty() {
            "is empty"
        } else if text.contains('/') {
            "is a path; give the name of a directory below the root directory"
        } else if text.len() > NAME_MAX_BYTES {
            "is longer than 63 bytes"
        } else if text.starts_with(['-', '.']) {
            "starts with '-' or '.'"
        } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) {
            "holds something else than letters, digits, '_', '-' and '.'"
        } else {
            return Ok(Name(text.to_owned()));
        };
        Err(NameError { text: text.to_owned(), reason })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where things are: the directory of configurations, and the run-time state.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Directory that holds one for each subhost (`/opt/sub`).
    pub root_dir: PathBuf,
    /// Directory that holds the tree of each subhost that `start` starts (`/opt/subhost`).
    pub subhost_dir: PathBuf,
    /// Directory of the run-time state (`/run/subhost`).
    pub run_dir: PathBuf,
    /// Directory of named network namespaces (`/run/netns`), the one that `ip netns` uses.
    pub netns_dir: PathBuf,
    /// Directory of what consoles have said, and of events (`/var/log/subhost`).
    pub log_dir: PathBuf,
}

impl Layout {
    /// The usual paths, with the directory of configurations given.
    pub fn new(root_dir: impl Into<PathBuf>) -> Layout {
        Layout {
            root_dir: root_dir.into(),
            subhost_dir: "/opt/subhost".into(),
            run_dir: "/run/subhost".into(),
            netns_dir: "/run/netns".into(),
            log_dir: "/var/log/subhost".into(),
        }
    }

    /// The configuration of a subhost.
    pub fn config(&self, name: &Name) -> PathBuf {
        self.root_dir.join(name.as_str()).join("config")
    }

    /// The directory of a subhost that `start` starts.
    pub fn tree(&self, name: &Name) -> PathBuf {
        self.subhost_dir.join(name.as_str())
    }

    /// Directory of the records of running subhosts, a file each.
    pub fn records(&self) -> PathBuf {
        self.run_dir.join("record")
    }

    /// The record of one running subhost.
    pub fn record(&self, name: &Name) -> PathBuf {
        self.records().join(name.as_str())
    }

    /// Directory of the records of those that have ended, and linger.
    pub fn lingering_records(&self) -> PathBuf {
        self.run_dir.join("lingering")
    }

    /// The record of one that lingers.
    pub fn lingering_record(&self, name: &Name) -> PathBuf {
        self.lingering_records().join(name.as_str())
    }

    /// Directory of the records by their ids.
    pub fn ids(&self) -> PathBuf {
        self.run_dir.join("ids")
    }

    /// Directory of the control sockets of supervisors.
    pub fn controls(&self) -> PathBuf {
        self.run_dir.join("control")
    }

    /// The control socket of one supervisor.
    pub fn control(&self, name: &Name) -> PathBuf {
        self.controls().join(name.as_str())
    }

    /// The file whose byte ranges are the locks of names and id ranges.
    pub fn lock(&self) -> PathBuf {
        self.run_dir.join("lock")
    }

    /// Where cgroups of version 2 are mounted on a host that has them nowhere else.
    pub fn cgroups(&self) -> PathBuf {
        self.run_dir.join("cgroup")
    }

    /// Subhosts that have a configuration, in order.
    ///
    /// # Errors
    /// The root directory cannot be read. That it is missing is an empty list.
    pub fn configured(&self) -> std::io::Result<Vec<Name>> {
        names_in(&self.root_dir, |name| self.config(name).is_file())
    }

    /// Subhosts that have a directory to start from, in order.
    ///
    /// # Errors
    /// The directory of such subhosts cannot be read. That it is missing is an empty list.
    pub fn trees(&self) -> std::io::Result<Vec<Name>> {
        names_in(&self.subhost_dir, |name| self.is_tree(name))
    }

    /// True if there is something to boot or start it from.
    pub fn is_known(&self, name: &Name) -> bool {
        self.config(name).is_file() || self.is_tree(name)
    }

    /// True if there is something that `start` could start from.
    pub fn is_tree(&self, name: &Name) -> bool {
        let directory = self.tree(name);
        ["config", "root", &format!("{name}.img")].iter().any(|file| directory.join(file).exists())
    }

    /// True if that is all that there is of this name: nothing to `boot`.
    pub fn is_tree_alone(&self, name: &Name) -> bool {
        !self.config(name).is_file() && self.is_tree(name)
    }
}

/// The directory of trees: as given, or as the environment has it.
pub fn subhost_dir(given: Option<PathBuf>) -> PathBuf {
    let own = std::env::var_os("SUBHOST").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    given.or(own).unwrap_or_else(|| "/opt/subhost".into())
}

/// The names of subhosts in a directory for which `is_one` holds, in order.
fn names_in(directory: &Path, is_one: impl Fn(&Name) -> bool) -> std::io::Result<Vec<Name>> {
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
        other => other?,
    };
    for entry in entries {
        let file_name = entry?.file_name();
        let Some(name) = file_name.to_str().and_then(|text| text.parse::<Name>().ok()) else { continue };
        if is_one(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// True for a path that cannot leave the directory it is joined to.
pub fn is_plain_absolute(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| matches!(part, std::path::Component::ParentDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_plain_names_only() {
        for good in ["web1", "a", "_x", "a.b-c_d", &"n".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-rf", ".", "..", "../x", "a/b", "a b", "a\nb", "ä", &"n".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }
}
