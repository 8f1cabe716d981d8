//! What the running kernel has.

use crate::sys;

/// The system calls that starting, entering and ending a guest needs and that fail with `ENOSYS`: the kernel is too old, or a seccomp
/// filter hides them. To be asked after something has failed so.
///
/// ```
/// assert_eq!(subhost_init::kernel::missing_system_calls(), [""; 0]);
/// ```
#[must_use]
pub fn missing_system_calls() -> Vec<&'static str> {
    sys::probe::SYSTEM_CALLS
        .iter()
        .filter(|(_, number)| sys::probe::is_missing(*number))
        .map(|(name, _)| *name)
        .collect()
}
