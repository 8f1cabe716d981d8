//! Chooses a partition by what it is called rather than by its number.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::{ByteRange, Partition, PartitionTable, Scheme, discoverable};
use crate::error::shown;
use crate::fstype::Superblock;
use crate::{Error, Result};

/// What a partition is chosen by. As text it is a number, or one of these words and a value, as in `fstab(5)`:
///
/// ```
/// use subhost_mount::partition::Selector;
///
/// assert_eq!("2".parse(), Ok(Selector::Index(2)));
/// assert_eq!("LABEL=data".parse(), Ok(Selector::Label("data".to_owned())));
/// assert_eq!("PARTTYPE=root".parse(), Ok(Selector::PartType("root".to_owned())));
/// assert!("data".parse::<Selector>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selector {
    /// Its number; 0 is the whole image.
    Index(u32),
    /// `LABEL=`: the label of the file system in it.
    Label(String),
    /// `UUID=`: the UUID of the file system in it, in letters of either size.
    Uuid(String),
    /// `PARTLABEL=`: its name in a GPT.
    PartLabel(String),
    /// `PARTUUID=`: its own UUID, in letters of either size.
    PartUuid(String),
    /// `PARTTYPE=`: its type, as the table has it (`83`, a GUID) or by a name of the Discoverable Partitions
    /// Specification: `root-arm64`, `home`, `esp`. `root` and `usr` alone are those of this machine's architecture.
    PartType(String),
}

/// A text that is no [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}: neither a number nor LABEL=, UUID=, PARTLABEL=, PARTUUID= or PARTTYPE= and a value")]
pub struct NoSelector(String);

impl FromStr for Selector {
    type Err = NoSelector;

    fn from_str(text: &str) -> std::result::Result<Selector, NoSelector> {
        let refused = || NoSelector(shown(Path::new(text)));
        let Some((key, value)) = text.split_once('=') else {
            // Not `+1`, which is no number to anybody else.
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            return text.parse().ok().filter(|_| is_number).map(Selector::Index).ok_or_else(refused);
        };
        let make = match key {
            "LABEL" => Selector::Label,
            "UUID" => Selector::Uuid,
            "PARTLABEL" => Selector::PartLabel,
            "PARTUUID" => Selector::PartUuid,
            "PARTTYPE" => Selector::PartType,
            _ => return Err(refused()),
        };
        if value.is_empty() { Err(refused()) } else { Ok(make(value.to_owned())) }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = match self {
            Selector::Index(index) => return write!(f, "{index}"),
            Selector::Label(value) => ("LABEL", value),
            Selector::Uuid(value) => ("UUID", value),
            Selector::PartLabel(value) => ("PARTLABEL", value),
            Selector::PartUuid(value) => ("PARTUUID", value),
            Selector::PartType(value) => ("PARTTYPE", value),
        };
        write!(f, "{key}={}", shown(Path::new(value)))
    }
}

/// A partition that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// Its number; 0 is the whole image.
    pub index: u32,
    /// Where it is.
    pub range: ByteRange,
}

impl PartitionTable {
    /// Chooses a partition. `probe` tells which file system is in a range, and is asked for labels and UUIDs only;
    /// without a table the whole image is asked about. An extended partition is never chosen.
    ///
    /// # Errors
    /// [`Error::NotSelected`], [`Error::SelectedTwice`], what `probe` gives, and for a number as [`PartitionTable::find`].
    pub fn select(
        &self,
        selector: &Selector,
        mut probe: impl FnMut(ByteRange) -> Result<Option<Superblock>>,
    ) -> Result<Selected> {
        if let Selector::Index(index) = *selector {
            return Ok(Selected { index, range: self.find(index)? });
        }
        let whole = (self.scheme == Scheme::None).then(|| (0, ByteRange::whole(self.len_bytes), None));
        let parts = self.partitions.iter().filter(|partition| !self.is_extended(partition));
        let (mut matching, mut present) = (Vec::new(), Vec::new());
        for (index, range, partition) in
            whole.into_iter().chain(parts.map(|it| (it.index, it.range(), Some(it))))
        {
            let Some(value) = selector.value_of(partition, || probe(range))? else { continue };
            if selector.is(&value) {
                matching.push(Selected { index, range });
            } else {
                present.push(value);
            }
        }
        match matching.as_slice() {
            [one] => Ok(*one),
            [] => Err(Error::NotSelected { selector: selector.clone(), present }),
            several => Err(Error::SelectedTwice {
                selector: selector.clone(),
                indexes: several.iter().map(|it| it.index).collect(),
            }),
        }
    }
}

impl Selector {
    /// What a partition has of the kind that is asked for.
    fn value_of(
        &self,
        partition: Option<&Partition>,
        probe: impl FnOnce() -> Result<Option<Superblock>>,
    ) -> Result<Option<String>> {
        Ok(match self {
            Selector::Index(_) => partition.map(|it| it.index.to_string()),
            Selector::Label(_) => probe()?.and_then(|it| it.label),
            Selector::Uuid(_) => probe()?.and_then(|it| it.uuid),
            Selector::PartLabel(_) => partition.and_then(|it| it.name.clone()),
            Selector::PartUuid(_) => partition.and_then(|it| it.uuid.clone()),
            Selector::PartType(_) => partition.map(|it| it.type_code.clone()),
        })
    }

    fn is(&self, value: &str) -> bool {
        match self {
            Selector::Index(index) => value == index.to_string(),
            Selector::Label(wanted) | Selector::PartLabel(wanted) => value == wanted,
            Selector::Uuid(wanted) | Selector::PartUuid(wanted) => value.eq_ignore_ascii_case(wanted),
            Selector::PartType(wanted) => {
                value.eq_ignore_ascii_case(discoverable::code_of(wanted).unwrap_or(wanted))
            }
        }
    }
}
