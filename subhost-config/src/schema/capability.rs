//! Capabilities by name: `CAPS_ADD`, `CAPS_DROP`.

use std::fmt;

use super::spec_error::SpecError;
use crate::code;

/// By number, as in `linux/capability.h`.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// A Linux capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

impl Capability {
    /// Reads a name as in `capabilities(7)`, with or without `CAP_`, in any case.
    pub fn parse(text: &[u8]) -> Result<Self, SpecError> {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_prefix(b"cap_").unwrap_or(&lower);
        let number = NAMES.iter().position(|known| known.as_bytes() == name);
        number.and_then(|number| u8::try_from(number).ok()).map(Self).ok_or_else(|| {
            SpecError::about(code::SETTING_VALUE, text, "is not a capability")
                .with_hint("write the names of capabilities(7), as in `net_admin`")
        })
    }

    /// Its name in lower case without `CAP_`.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Its number in the kernel.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What is in both lists, by its position in the second.
pub(super) fn check_both(added: &[Capability], dropped: &[Capability]) -> Vec<(usize, SpecError)> {
    let both = dropped.iter().enumerate().filter(|(_, capability)| added.contains(capability));
    let message = |capability: &Capability| format!("{capability} is in CAPS_ADD as well");
    both.map(|(position, it)| (position, SpecError::new(code::SETTING_CONFLICT, message(it)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_kernel_s_names_and_numbers() {
        for (text, number) in [
            ("net_raw", 13),
            ("CAP_NET_RAW", 13),
            ("Cap_SYS_Admin", 21),
            ("chown", 0),
            ("checkpoint_restore", 40),
        ] {
            assert_eq!(Capability::parse(text.as_bytes()).map(Capability::number), Ok(number), "{text}");
        }
        for text in ["", "cap_", "all", "cap_cap_chown", "net raw", "41"] {
            assert!(Capability::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn finds_what_is_added_and_dropped() {
        let [chown, kill] = ["chown", "kill"].map(|name| Capability::parse(name.as_bytes()).unwrap());
        let errors = check_both(&[chown], &[kill, chown]);
        assert_eq!(errors.len(), 1);
        assert_eq!((errors[0].0, errors[0].1.to_string().as_str()), (1, "chown is in CAPS_ADD as well"));
    }
}
