//! The system calls that rustix lacks or marks unsafe: one operation each, everything else is elsewhere.

mod loop_ioctl;
mod mount;

pub(crate) use loop_ioctl::{LoopConfig, loop_configure, loop_get_free, loop_status};
pub(crate) use mount::{MountChange, mount_setattr, unshare_mount_namespace};
