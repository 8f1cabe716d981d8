//! The variables that `/run/initctl` sets for the scripts, in a fixed space, as sysvinit keeps them.

use core::ffi::CStr;

/// As many as sysvinit keeps.
const SLOTS: usize = 16;
/// The data of one request, and a NUL.
const LENGTH: usize = 369;

/// Variables set through `/run/initctl`: only names that start with `INIT_`, sixteen at most.
#[derive(Debug)]
pub struct Kept {
    /// `NAME=VALUE` with a NUL behind; an empty slot starts with NUL.
    slots: [[u8; LENGTH]; SLOTS],
}

impl Kept {
    /// No variables.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: [[0; LENGTH]; SLOTS] }
    }

    /// Obeys the data of a setenv or unsetenv request: strings that end in NUL, up to an empty one. `NAME=VALUE` sets,
    /// `NAME` alone unsets. What is not terminated, is not named `INIT_…` or finds no room is passed over.
    pub fn apply(&mut self, mut data: &[u8]) {
        while let Some(end) = data.iter().position(|byte| *byte == 0) {
            let (entry, rest) = data.split_at(end);
            if entry.is_empty() {
                break;
            }
            data = rest.get(1..).unwrap_or_default();
            if entry.starts_with(b"INIT_") {
                self.set(entry);
            }
        }
    }

    /// The variables that are set, each `NAME=VALUE`.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.slots
            .iter()
            .filter_map(|slot| CStr::from_bytes_until_nul(slot).ok())
            .filter(|entry| !entry.is_empty())
    }

    fn set(&mut self, entry: &[u8]) {
        for slot in &mut self.slots {
            if name(slot) == name(entry) {
                *slot = [0; LENGTH];
            }
        }
        if !entry.contains(&b'=') || entry.len() >= LENGTH {
            return;
        }
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.first() == Some(&0)) {
            slot.iter_mut().zip(entry).for_each(|(to, from)| *to = *from);
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::new()
    }
}

/// The part before `=`, of a variable that may end in NULs.
#[must_use]
pub fn name(entry: &[u8]) -> &[u8] {
    entry.split(|byte| matches!(byte, b'=' | 0)).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(requests: &[&[u8]]) -> Vec<String> {
        let mut kept = Kept::new();
        for data in requests {
            let mut padded = data.to_vec();
            padded.resize(368, 0);
            kept.apply(&padded);
        }
        kept.iter().map(|entry| entry.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn sets_replaces_and_unsets() {
        assert_eq!(after(&[b"INIT_HALT=POWEROFF"]), ["INIT_HALT=POWEROFF"]);
        assert_eq!(after(&[b"INIT_HALT=POWEROFF", b"INIT_HALT=HALT"]), ["INIT_HALT=HALT"]);
        assert_eq!(after(&[b"INIT_HALT=POWEROFF", b"INIT_HALT"]), [""; 0]);
        assert_eq!(after(&[b"INIT_A=1\0INIT_AB=2\0INIT_A"]), ["INIT_AB=2"]);
        assert_eq!(after(&[b"INIT_EMPTY="]), ["INIT_EMPTY="]);
    }

    #[test]
    fn passes_over_other_names() {
        assert_eq!(after(&[b"LD_PRELOAD=/x\0PATH=/tmp\0init_x=1\0INIT_OK=1"]), ["INIT_OK=1"]);
    }

    #[test]
    fn keeps_sixteen() {
        let data: Vec<u8> = (0..20).flat_map(|n| format!("INIT_{n}=x\0").into_bytes()).collect();
        let kept = after(&[&data]);
        assert_eq!(kept.len(), 16);
        assert_eq!(kept[15], "INIT_15=x");
    }

    #[test]
    fn passes_over_what_is_not_terminated() {
        let mut kept = Kept::new();
        kept.apply(b"INIT_A=1\0INIT_B=2");
        assert_eq!(kept.iter().count(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_data_leaves_only_bounded_init_variables(data in proptest::collection::vec(proptest::num::u8::ANY, 0..1000)) {
            let mut kept = Kept::new();
            kept.apply(&data);
            proptest::prop_assert!(kept.iter().count() <= 16);
            proptest::prop_assert!(kept.iter().all(|entry| entry.to_bytes().starts_with(b"INIT_")));
        }
    }
}
