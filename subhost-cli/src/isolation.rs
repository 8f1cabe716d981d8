//! How far a subhost is kept apart from the host, as its settings say: closed, but for what they open.

use serde::{Deserialize, Serialize};
use subhost_config::SubhostConfig;
use subhost_config::schema::{ProcSys, Seccomp};
use subhost_init::capability::CapabilitySet;
use subhost_init::seccomp::Filter;

/// What its processes may do, whoever in it they run as. The record keeps it for those that `enter` later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Capabilities that nothing in it can have, by name.
    pub dropped_capabilities: Vec<String>,
    /// True if a system call filter is loaded.
    pub seccomp: bool,
    /// True if containers may run inside: that filter leaves out mounts and user namespaces.
    pub nesting: bool,
    /// True if its `/sys` is mounted writable.
    pub writable_sys: bool,
}

impl Default for Isolation {
    fn default() -> Isolation {
        Isolation {
            dropped_capabilities: CapabilitySet::dropped_by_default().names(),
            seccomp: true,
            nesting: false,
            writable_sys: false,
        }
    }
}

impl Isolation {
    /// What the settings of a configuration make of it.
    pub fn from_config(config: &SubhostConfig) -> Isolation {
        let Isolation { mut dropped_capabilities, .. } = Isolation::default();
        dropped_capabilities.retain(|name| config.caps_add.value.iter().all(|added| added.name() != name));
        for dropped in config.caps_drop.value.iter().map(|capability| capability.name()) {
            if dropped_capabilities.iter().all(|name| name != dropped) {
                dropped_capabilities.push(dropped.to_owned());
            }
        }
        Isolation {
            dropped_capabilities,
            seccomp: config.seccomp.value == Seccomp::Default,
            nesting: config.nesting.value,
            writable_sys: config.proc_sys.value == ProcSys::Writable,
        }
    }

    /// The capabilities to drop.
    ///
    /// # Errors
    /// A name is not known to this program.
    pub fn dropped(&self) -> Result<CapabilitySet, subhost_init::Error> {
        CapabilitySet::from_names(self.dropped_capabilities.iter().map(String::as_str))
    }

    /// The system call filter to load.
    pub fn filter(&self) -> Option<Filter> {
        self.seccomp.then(|| Filter::default().nesting(self.nesting))
    }

    /// What is open that would be closed by default, a line each.
    pub fn open(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.seccomp {
            lines.push("every system call (SECCOMP=no)".to_owned());
        } else if self.nesting {
            lines.push("mounts and user namespaces inside (NESTING=yes)".to_owned());
        }
        let mut kept = CapabilitySet::dropped_by_default().names();
        kept.retain(|name| !self.dropped_capabilities.contains(name));
        if !kept.is_empty() {
            lines.push(format!("capabilities of its user namespace: {} (CAPS_ADD)", kept.join(" ")));
        }
        if self.writable_sys {
            lines.push("/sys for writing (PROC_SYS=rw)".to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use subhost_config::schema::{Capability, Setting};

    #[test]
    fn nothing_is_open_by_default() {
        let isolation = Isolation::from_config(&SubhostConfig::default());
        assert_eq!(isolation, Isolation::default());
        assert_eq!(isolation.open(), [""; 0]);
        assert_eq!(isolation.dropped().unwrap(), CapabilitySet::dropped_by_default());
        assert_eq!(isolation.filter(), Some(Filter::default()));
    }

    #[test]
    fn settings_open_and_close_what_they_name() {
        let capability = |name: &str| Capability::parse(name.as_bytes()).unwrap();
        let mut config = SubhostConfig::default();
        config.caps_add = Setting::default(vec![capability("mknod"), capability("chown")]);
        config.caps_drop = Setting::default(vec![capability("net_raw"), capability("syslog")]);
        config.nesting = Setting::default(true);
        config.proc_sys = Setting::default(ProcSys::Writable);
        let mut isolation = Isolation::from_config(&config);
        let bits = isolation.dropped().unwrap().bits();
        // mknod, net_raw and syslog by the kernel's numbers.
        assert_eq!((bits >> 27 & 1, bits >> 13 & 1, bits >> 34 & 1), (0, 1, 1));
        assert_eq!(isolation.filter(), Some(Filter::default().nesting(true)));
        assert_eq!(
            isolation.open(),
            [
                "mounts and user namespaces inside (NESTING=yes)",
                "capabilities of its user namespace: mknod (CAPS_ADD)",
                "/sys for writing (PROC_SYS=rw)",
            ]
        );
        isolation.seccomp = false;
        assert_eq!((isolation.filter(), isolation.open().len()), (None, 3));
    }
}
