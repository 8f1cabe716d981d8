//! `listmount(2)` and `statmount(2)`, which neither libc nor rustix have.

use std::io;
use std::mem::{offset_of, size_of};

use linux_raw_sys::general::{
    __NR_listmount, __NR_statmount, MNT_ID_REQ_SIZE_VER0, STATMOUNT_FS_SUBTYPE, STATMOUNT_FS_TYPE,
    STATMOUNT_MNT_BASIC, STATMOUNT_MNT_OPTS, STATMOUNT_MNT_POINT, STATMOUNT_MNT_ROOT,
    STATMOUNT_PROPAGATE_FROM, STATMOUNT_SB_BASIC, STATMOUNT_SB_SOURCE, mnt_id_req, statmount,
};

/// All that is asked for.
const MASK: u32 = STATMOUNT_SB_BASIC
    | STATMOUNT_MNT_BASIC
    | STATMOUNT_PROPAGATE_FROM
    | STATMOUNT_MNT_ROOT
    | STATMOUNT_MNT_POINT
    | STATMOUNT_FS_TYPE
    | STATMOUNT_FS_SUBTYPE
    | STATMOUNT_MNT_OPTS
    | STATMOUNT_SB_SOURCE;

/// What the answer about one mount is first given, and the most that it may take.
const FIRST_BYTES: usize = 8 << 10;
const MAX_BYTES: usize = 1 << 20;

/// What the kernel tells about a mount. A text that it does not tell, as it is empty or the kernel is too old, is `None`.
pub(crate) struct MountStatus {
    pub(crate) id: u64,
    pub(crate) old_id: u32,
    pub(crate) old_parent: u32,
    pub(crate) device: (u32, u32),
    /// `MOUNT_ATTR_` constants.
    pub(crate) attributes: u64,
    /// `MS_` constants.
    pub(crate) propagation: u64,
    pub(crate) super_flags: u32,
    pub(crate) peer_group: u64,
    pub(crate) master: u64,
    pub(crate) propagate_from: u64,
    pub(crate) root: Option<Vec<u8>>,
    /// `None` where it is not below the caller's root.
    pub(crate) mount_point: Option<Vec<u8>>,
    pub(crate) kind: Option<Vec<u8>>,
    pub(crate) subtype: Option<Vec<u8>>,
    /// Escaped, as in mountinfo.
    pub(crate) super_options: Option<Vec<u8>>,
    pub(crate) source: Option<Vec<u8>>,
}

fn request(id: u64, param: u64) -> mnt_id_req {
    mnt_id_req { size: MNT_ID_REQ_SIZE_VER0, spare: 0, mnt_id: id, param, mnt_ns_id: 0 }
}

/// The next ids of mounts in the calling thread's namespace and below its root, after `last`, in order.
pub(crate) fn list_mounts(last: u64, ids: &mut [u64]) -> io::Result<usize> {
    // LSMT_ROOT
    let request = request(u64::MAX, last);
    // SAFETY: the request lives across the call and is only read, as much of it as its size says; the kernel writes
    // at most `ids.len()` integers into `ids`.
    let result = unsafe {
        libc::syscall(
            libc::c_long::from(__NR_listmount),
            &raw const request,
            ids.as_mut_ptr(),
            ids.len(),
            0_u32,
        )
    };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// What there is to know about a mount, by its unique id; `ENOENT` when it is gone.
pub(crate) fn stat_mount(id: u64) -> io::Result<MountStatus> {
    let request = request(id, u64::from(MASK));
    let mut answer = vec![0; FIRST_BYTES];
    loop {
        // SAFETY: the request lives across the call and is only read, as much of it as its size says; the kernel
        // writes at most `answer.len()` bytes into `answer`.
        let result = unsafe {
            libc::syscall(
                libc::c_long::from(__NR_statmount),
                &raw const request,
                answer.as_mut_ptr(),
                answer.len(),
                0_u32,
            )
        };
        if result == 0 {
            return Ok(parse(&answer));
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EOVERFLOW) || answer.len() >= MAX_BYTES {
            return Err(error);
        }
        answer = vec![0; answer.len() * 2];
    }
}

/// Takes the answer apart; what it has no room for is 0 or `None`.
fn parse(answer: &[u8]) -> MountStatus {
    let mask = long(answer, offset_of!(statmount, mask));
    let text = |flag: u32, field: usize| {
        if mask & u64::from(flag) == 0 {
            return None;
        }
        let start = size_of::<statmount>().checked_add(usize::try_from(int(answer, field)).ok()?)?;
        let rest = answer.get(start..)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        Some(rest[..end].to_vec())
    };
    MountStatus {
        id: long(answer, offset_of!(statmount, mnt_id)),
        old_id: int(answer, offset_of!(statmount, mnt_id_old)),
        old_parent: int(answer, offset_of!(statmount, mnt_parent_id_old)),
        device: (
            int(answer, offset_of!(statmount, sb_dev_major)),
            int(answer, offset_of!(statmount, sb_dev_minor)),
        ),
        attributes: long(answer, offset_of!(statmount, mnt_attr)),
        propagation: long(answer, offset_of!(statmount, mnt_propagation)),
        super_flags: int(answer, offset_of!(statmount, sb_flags)),
        peer_group: long(answer, offset_of!(statmount, mnt_peer_group)),
        master: long(answer, offset_of!(statmount, mnt_master)),
        propagate_from: long(answer, offset_of!(statmount, propagate_from)),
        root: text(STATMOUNT_MNT_ROOT, offset_of!(statmount, mnt_root)),
        mount_point: text(STATMOUNT_MNT_POINT, offset_of!(statmount, mnt_point)),
        kind: text(STATMOUNT_FS_TYPE, offset_of!(statmount, fs_type)),
        subtype: text(STATMOUNT_FS_SUBTYPE, offset_of!(statmount, fs_subtype)),
        super_options: text(STATMOUNT_MNT_OPTS, offset_of!(statmount, mnt_opts)),
        source: text(STATMOUNT_SB_SOURCE, offset_of!(statmount, sb_source)),
    }
}

fn int(answer: &[u8], at: usize) -> u32 {
    answer.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn long(answer: &[u8], at: usize) -> u64 {
    answer.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_answer_is_taken_apart(answer in prop::collection::vec(any::<u8>(), 0..1024)) {
            parse(&answer);
        }
    }
}
