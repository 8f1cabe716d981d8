//! The system calls that rustix lacks or marks unsafe: one operation each, everything else is elsewhere.

mod lease;
mod loop_ioctl;
mod mount;
mod mount_query;
mod userns;

pub(crate) use lease::try_lease;
pub(crate) use loop_ioctl::{
    LoopConfig, LoopStatus, loop_configure, loop_get_free, loop_set_direct_io, loop_status,
};
pub(crate) use mount::{MountChange, mount_setattr, set_fs_ids, unshare_mount_namespace};
pub(crate) use mount_query::{MountStatus, list_mounts, stat_mount};
pub(crate) use userns::{clone_user_namespace, wait_for_clone};
