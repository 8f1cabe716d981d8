//! Mounts that are attached: told apart from others, and taken off.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{AtFlags, StatxFlags};
use rustix::mount::UnmountFlags;

use crate::{Error, Result};

/// `STATX_MNT_ID_UNIQUE` (Linux 6.8), which rustix does not name.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The identity of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MountId {
    /// Its id, which another mount may get after it has gone.
    pub id: u32,
    /// The id that no other mount ever gets, from Linux 6.8 on.
    pub unique_id: Option<u64>,
}

impl MountId {
    /// The mount that `fd` is open in; a detached one keeps its id when it is attached.
    ///
    /// # Errors
    /// [`Error::System`] when the kernel refuses.
    pub fn of(fd: impl AsFd) -> Result<MountId> {
        let fd = fd.as_fd();
        let ask = |flags| {
            rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, flags)
                .map_err(|errno| Error::system("find the mount of", format!("fd {}", fd.as_raw_fd()), errno))
        };
        let stat = ask(StatxFlags::MNT_ID)?;
        let unique = ask(MNT_ID_UNIQUE)?;
        let is_told = unique.stx_mask & MNT_ID_UNIQUE.bits() != 0;
        Ok(MountId {
            // The kernel numbers them from an allocator of 32 bits.
            id: u32::try_from(stat.stx_mnt_id).unwrap_or(0),
            unique_id: is_told.then_some(unique.stx_mnt_id),
        })
    }
}

/// Takes off the very mount that `fd` is open in, with all that is mounted on it, whatever its path is by now. Who has
/// something of it open keeps that, and the file system with it.
///
/// # Errors
/// [`Error::System`] when the kernel refuses: `fd` is not the root of a mount, or that is in another mount namespace.
pub fn unmount(fd: impl AsFd) -> Result<()> {
    let path = format!("/proc/thread-self/fd/{}", fd.as_fd().as_raw_fd());
    rustix::mount::unmount(&path, UnmountFlags::DETACH).map_err(|errno| Error::system("unmount", path, errno))
}
