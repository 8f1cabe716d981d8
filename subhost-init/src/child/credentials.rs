//! Ids, groups, capabilities, keyring and system call filter of a child.

use libc::sock_filter;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet as Mask, CapabilitySets, capabilities, capabilities_secure_bits,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits, set_keep_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::limits;
use super::report::{Failure, at};
use crate::capability::CapabilitySet;
use crate::limits::ResourceLimits;
use crate::{Step, sys};

/// Who the program runs as, in numbers of its own user namespace.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<Gid>,
    pub(crate) dropped: CapabilitySet,
    pub(crate) limits: ResourceLimits,
    /// The system call filter, if there is one.
    pub(crate) filter: Option<&'static [sock_filter]>,
}

impl Credentials {
    /// In the child, which has all capabilities in its user namespace. The calls are those of a single thread: the
    /// ones of the C library would talk to threads that exist in the parent only.
    pub(crate) fn take(&self) -> Result<(), Failure> {
        limits::lower_open_files(&self.limits)?;
        self.drop_from_bounding_set()?;
        // A caller that keeps its capabilities across a change of ids must not hand that on.
        let bits = at(Step::ClearCapabilities, capabilities_secure_bits())?;
        if !bits.is_empty() {
            let none = CapabilitiesSecureBits::empty();
            at(Step::ClearCapabilities, set_capabilities_secure_bits(none))?;
        }
        at(Step::Groups, set_thread_groups(&self.groups))?;
        let is_root = self.uid == 0;
        if !is_root {
            at(Step::ClearCapabilities, set_keep_capabilities(true))?;
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        at(Step::Ids, set_thread_res_gid(gid, gid, gid))?;
        at(Step::Ids, set_thread_res_uid(uid, uid, uid))?;
        let held = at(Step::ClearCapabilities, capabilities(None))?;
        let kept = if is_root {
            CapabilitySets { inheritable: Mask::empty(), ..held }
        } else {
            only(Mask::SYS_ADMIN)
        };
        at(Step::ClearCapabilities, clear_ambient_capability_set())?;
        at(Step::ClearCapabilities, set_capabilities(None, kept))?;
        match sys::signals::new_session_keyring() {
            // A kernel without keyrings has nothing to leave.
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
            result => at(Step::Keyring, result),
        }
    }

    /// The last step before the program is executed: loads the filter. That takes the `CAP_SYS_ADMIN` which even a user
    /// without capabilities has been left until here; one that is only missing from the bounding set goes with the execution.
    pub(crate) fn confine(&self) -> Result<(), Failure> {
        if let Some(program) = &self.filter {
            at(Step::Filter, sys::seccomp::load(program))?;
        }
        if self.uid == 0 {
            Ok(())
        } else {
            at(Step::ClearCapabilities, set_capabilities(None, only(Mask::empty())))
        }
    }

    fn drop_from_bounding_set(&self) -> Result<(), Failure> {
        for number in 0..u64::BITS {
            let mask = 1 << number;
            if self.dropped.bits() & mask == 0 {
                continue;
            }
            match remove_capability_from_bounding_set(Mask::from_bits_retain(mask)) {
                // One that this kernel does not know.
                Err(Errno::INVAL) => {}
                result => at(Step::DropCapabilities, result)?,
            }
        }
        Ok(())
    }
}

/// These, effective and permitted.
fn only(mask: Mask) -> CapabilitySets {
    CapabilitySets { effective: mask, permitted: mask, inheritable: Mask::empty() }
}
