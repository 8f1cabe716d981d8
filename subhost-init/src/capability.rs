//! Sets of capabilities: names outside, a mask inside.

use caps::Capability;

use crate::{Error, Result};

/// What a guest loses by default. Tried with Debian guests: their boot has not one message more without these. `SYS_BOOT`
/// stays, as `reboot(2)` ends only the PID namespace, and an init without it hangs at "Will now halt".
const DROPPED_BY_DEFAULT: [Capability; 13] = [
    Capability::CAP_SYS_MODULE,
    Capability::CAP_SYS_RAWIO,
    Capability::CAP_SYS_TIME,
    Capability::CAP_SYSLOG,
    Capability::CAP_MAC_ADMIN,
    Capability::CAP_MAC_OVERRIDE,
    Capability::CAP_AUDIT_CONTROL,
    Capability::CAP_AUDIT_READ,
    Capability::CAP_WAKE_ALARM,
    Capability::CAP_BLOCK_SUSPEND,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_MKNOD,
];

/// A set of Linux capabilities.
///
/// ```
/// use subhost_init::capability::CapabilitySet;
/// let set = CapabilitySet::from_names(["net_raw", "CAP_CHOWN"])?;
/// assert_eq!(set.names(), ["chown", "net_raw"]);
/// # Ok::<(), subhost_init::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// No capability at all.
    pub const EMPTY: CapabilitySet = CapabilitySet(0);

    /// What a guest loses by default: whatever reaches the shared kernel, and nothing that a boot needs.
    #[must_use]
    pub fn dropped_by_default() -> CapabilitySet {
        CapabilitySet(DROPPED_BY_DEFAULT.iter().fold(0, |bits, capability| bits | capability.bitmask()))
    }

    /// The set of these names, each with or without `CAP_`, in any case.
    ///
    /// # Errors
    /// [`Error::Refused`] names the first one that is no capability.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<CapabilitySet> {
        let mut bits = 0;
        for name in names {
            match caps::to_canonical(name).parse::<Capability>() {
                Ok(capability) => bits |= capability.bitmask(),
                Err(_) => {
                    return Err(Error::Refused {
                        object: name.escape_default().to_string(),
                        reason: "is not a capability",
                    });
                }
            }
        }
        Ok(CapabilitySet(bits))
    }

    /// The names in lower case without `cap_`, by number.
    #[must_use]
    pub fn names(self) -> Vec<String> {
        let mut members: Vec<Capability> =
            caps::all().into_iter().filter(|capability| self.0 & capability.bitmask() != 0).collect();
        members.sort_by_key(Capability::index);
        members.iter().map(|member| member.to_string().trim_start_matches("CAP_").to_lowercase()).collect()
    }

    /// The mask as the kernel shows it in `/proc/PID/status`.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_drops_what_reaches_the_kernel_and_keeps_what_boots() {
        // Numbers of linux/capability.h.
        for dropped in [16, 17, 25, 27, 30, 32, 33, 34, 35, 36, 37, 38, 39] {
            assert_ne!(CapabilitySet::dropped_by_default().bits() & 1 << dropped, 0, "{dropped}");
        }
        for kept in [0, 12, 21, 22] {
            assert_eq!(CapabilitySet::dropped_by_default().bits() & 1 << kept, 0, "{kept}");
        }
    }

    #[test]
    fn takes_names_in_either_spelling() {
        let set = CapabilitySet::from_names(["CAP_SYS_ADMIN", "mknod", "Cap_Bpf"]).unwrap();
        assert_eq!(set.bits(), 1 << 21 | 1 << 27 | 1 << 39);
        assert_eq!(set.names(), ["sys_admin", "mknod", "bpf"]);
    }

    #[test]
    fn names_what_is_no_capability() {
        let error = CapabilitySet::from_names(["chown", "sys_magic\n"]).unwrap_err();
        assert_eq!(error.to_string(), r"sys_magic\n: is not a capability");
    }
}
