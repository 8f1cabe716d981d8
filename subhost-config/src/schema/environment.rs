//! Environment variables that count as settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// What of the environment is for us: `DISKS` and `BRIDGES` by name, as ever, and every other setting as
/// `SUBHOST_NAME`, since plain `HOSTNAME` or `RUNLEVEL` are set in many shells for other reasons.
/// An empty variable counts as not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    by_name: BTreeMap<String, Vec<u8>>,
}

/// What comes before a setting's name.
pub(crate) const PREFIX: &str = "SUBHOST_";

impl Environment {
    /// No environment at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The environment of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// Whether a variable of this name counts as a setting.
    pub fn is_setting(variable: &str) -> bool {
        is_plain(variable) || variable.starts_with(PREFIX)
    }

    /// The variable's name in the environment, and its value, for a setting's name.
    pub(crate) fn get(&self, setting: &str) -> Option<(String, &[u8])> {
        let name = if is_plain(setting) { setting.to_owned() } else { format!("{PREFIX}{setting}") };
        let value = self.by_name.get(&name)?;
        Some((name, value))
    }

    /// The names behind `SUBHOST_`.
    pub(crate) fn prefixed_names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().filter_map(|name| name.strip_prefix(PREFIX))
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            (Self::is_setting(&name) && !value.is_empty()).then(|| (name, value.into_vec()))
        });
        Self { by_name: ours.collect() }
    }
}

/// Settings that the environment gives without prefix.
fn is_plain(setting: &str) -> bool {
    matches!(setting, "DISKS" | "BRIDGES")
}
