//! The same table, asked from the kernel mount by mount.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;

use linux_raw_sys::general::{
    MOUNT_ATTR_IDMAP, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME,
};

use super::{MountEntry, text};
use crate::sys::{self, MountStatus};

const BATCH: usize = 512;

/// What mountinfo says, in its order.
const ATTRIBUTES: [(u32, &str); 5] = [
    (MOUNT_ATTR_NOSUID, "nosuid"),
    (MOUNT_ATTR_NODEV, "nodev"),
    (MOUNT_ATTR_NOEXEC, "noexec"),
    (MOUNT_ATTR_NOATIME, "noatime"),
    (MOUNT_ATTR_NODIRATIME, "nodiratime"),
];

/// The mounts of the calling thread; `None` where the kernel does not tell all that mountinfo does.
pub(super) fn read() -> io::Result<Option<Vec<MountEntry>>> {
    let ids = match list() {
        // Not there, or taken away by a seccomp filter.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => return Ok(None),
        other => other?,
    };
    let mut entries = Vec::with_capacity(ids.len());
    let mut tells_sources = false;
    for id in ids {
        let status = match sys::stat_mount(id) {
            // Unmounted meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                return Ok(None);
            }
            other => other?,
        };
        tells_sources |= status.source.is_some();
        entries.extend(entry(status));
    }
    // Sources and subtypes came with Linux 6.13, the system calls with 6.8.
    Ok(tells_sources.then_some(entries))
}

fn list() -> io::Result<Vec<u64>> {
    let mut ids = Vec::new();
    loop {
        let mut batch = [0; BATCH];
        let last = ids.last().copied().unwrap_or(0);
        let count = sys::list_mounts(last, &mut batch)?;
        // They ascend, so that this ends.
        ids.extend(batch[..count.min(BATCH)].iter().filter(|&&id| id > last));
        if count < BATCH {
            return Ok(ids);
        }
    }
}

/// `None` for a mount that is not below our root.
fn entry(status: MountStatus) -> Option<MountEntry> {
    let path = |bytes: Option<Vec<u8>>| OsString::from_vec(bytes.unwrap_or_default()).into();
    let mount_point = path(Some(status.mount_point.as_ref()?.clone()));
    let options = options(status.attributes);
    let tags = tags(&status);
    let mut super_options = super_flags(status.super_flags).into_bytes();
    if let Some(more) = &status.super_options {
        super_options.push(b',');
        super_options.extend_from_slice(more);
    }
    let mut kind = status.kind.unwrap_or_default();
    if let Some(subtype) = status.subtype {
        kind.push(b'.');
        kind.extend_from_slice(&subtype);
    }
    Some(MountEntry {
        id: status.old_id,
        unique_id: Some(status.id),
        parent: status.old_parent,
        device: status.device,
        root: path(status.root),
        mount_point,
        options,
        tags,
        kind: String::from_utf8_lossy(&kind).into_owned(),
        source: OsString::from_vec(status.source.unwrap_or_default()),
        super_options: text::unescape(&super_options),
        super_option_list: text::split_options(&super_options),
    })
}

fn options(attributes: u64) -> String {
    let has = |flag: u32| attributes & u64::from(flag) != 0;
    let mut words = vec![if has(MOUNT_ATTR_RDONLY) { "ro" } else { "rw" }];
    words.extend(ATTRIBUTES.iter().filter(|(flag, _)| has(*flag)).map(|(_, word)| *word));
    if !has(MOUNT_ATTR_NOATIME) && !has(MOUNT_ATTR_STRICTATIME) {
        words.push("relatime");
    }
    if has(MOUNT_ATTR_NOSYMFOLLOW) {
        words.push("nosymfollow");
    }
    if has(MOUNT_ATTR_IDMAP) {
        words.push("idmapped");
    }
    words.join(",")
}

fn super_flags(flags: u32) -> String {
    let has = |flag: libc::c_ulong| libc::c_ulong::from(flags) & flag != 0;
    let mut words = vec![if has(libc::MS_RDONLY) { "ro" } else { "rw" }];
    let named =
        [(libc::MS_SYNCHRONOUS, "sync"), (libc::MS_DIRSYNC, "dirsync"), (libc::MS_LAZYTIME, "lazytime")];
    words.extend(named.iter().filter(|(flag, _)| has(*flag)).map(|(_, word)| *word));
    words.join(",")
}

fn tags(status: &MountStatus) -> Vec<String> {
    let mut tags = Vec::new();
    if status.peer_group != 0 {
        tags.push(format!("shared:{}", status.peer_group));
    }
    if status.master != 0 {
        tags.push(format!("master:{}", status.master));
        if status.propagate_from != 0 && status.propagate_from != status.master {
            tags.push(format!("propagate_from:{}", status.propagate_from));
        }
    }
    if status.propagation & libc::MS_UNBINDABLE != 0 {
        tags.push("unbindable".to_owned());
    }
    tags
}
