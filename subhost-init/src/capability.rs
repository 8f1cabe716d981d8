//! Sets of capabilities, by name outside and by number inside.

use crate::{Error, Result};

/// A set of Linux capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// No capability at all.
    pub const EMPTY: CapabilitySet = CapabilitySet(0);

    /// What a guest loses by default: whatever reaches the shared kernel, and nothing that a boot needs.
    #[must_use]
    pub fn dropped_by_default() -> CapabilitySet {
        todo!()
    }

    /// The set of these names, each with or without `CAP_`, in any case.
    ///
    /// # Errors
    /// [`Error::Refused`] names the first one that is no capability.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<CapabilitySet> {
        let _ = names;
        Err(Error::Refused { object: String::new(), reason: "is no capability" })
    }

    /// The names in lower case without `cap_`, by number.
    #[must_use]
    pub fn names(self) -> Vec<String> {
        todo!()
    }

    /// The mask as the kernel shows it in `/proc/PID/status`.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }
}
