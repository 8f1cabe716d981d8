//! A setting shown as it would be written.

use super::setting::{Origin, Setting};
use super::settings::{SETTINGS, SettingInfo};
use crate::quote::quote;

/// One setting of a [`SubhostConfig`](super::SubhostConfig): what it is, its value and where that came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// What is known about the setting.
    pub info: &'static SettingInfo,
    /// The value as the configuration would hold it.
    pub value: Written,
    /// Where it came from.
    pub origin: &'a Origin,
}

/// A value as words, which the configuration reads as the same value. Bytes, since paths are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Written {
    /// Nothing is set.
    Unset,
    /// One value.
    Word(Vec<u8>),
    /// A list.
    Words(Vec<Vec<u8>>),
}

impl<'a> Entry<'a> {
    pub(super) fn one<T>(name: &str, setting: &'a Setting<T>, write: fn(&T) -> Vec<u8>) -> Self {
        Self::new(name, Written::Word(write(&setting.value)), &setting.origin)
    }

    pub(super) fn maybe<T>(name: &str, setting: &'a Setting<Option<T>>, write: fn(&T) -> Vec<u8>) -> Self {
        let value = setting.value.as_ref().map_or(Written::Unset, |value| Written::Word(write(value)));
        Self::new(name, value, &setting.origin)
    }

    pub(super) fn list<T>(name: &str, setting: &'a Setting<Vec<T>>, write: fn(&T) -> Vec<u8>) -> Self {
        Self::new(name, Written::Words(setting.value.iter().map(write).collect()), &setting.origin)
    }

    fn new(name: &str, value: Written, origin: &'a Origin) -> Self {
        let info =
            SETTINGS.iter().find(|info| info.name == name).expect("the table has every setting (tested)");
        Self { info, value, origin }
    }

    /// What stands behind `NAME=` in bash: one line of printable text, whatever bytes the value has.
    ///
    /// ```
    /// use subhost_config::SubhostConfig;
    /// let config = SubhostConfig::default();
    /// let entry = &config.entries()[4];
    /// assert_eq!((entry.info.name, entry.to_bash().as_str()), ("RUNLEVEL", "2"));
    /// ```
    pub fn to_bash(&self) -> String {
        let word = |word: &Vec<u8>| String::from_utf8_lossy(&quote(word)).into_owned();
        match &self.value {
            Written::Unset => String::new(),
            Written::Word(value) => word(value),
            Written::Words(values) if values.is_empty() => "()".to_owned(),
            Written::Words(values) => {
                format!("( {} )", values.iter().map(word).collect::<Vec<_>>().join(" "))
            }
        }
    }
}
