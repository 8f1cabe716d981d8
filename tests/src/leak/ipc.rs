//! Objects of System V IPC and POSIX message queues, of the current IPC namespace.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::observe::{entries, text_of};
use super::{Kind, Thing};

pub(super) fn all(things: &mut BTreeSet<Thing>) -> io::Result<()> {
    for kind in ["msg", "sem", "shm"] {
        let Ok(table) = text_of(&Path::new("/proc/sysvipc").join(kind)) else { continue };
        for line in table.lines().skip(1) {
            // Key and id; what follows changes with its use.
            let words: Vec<&str> = line.split_whitespace().take(2).collect();
            things.insert((Kind::Ipc, format!("{kind} {}", words.join(" "))));
        }
    }
    // By a mount of one's own, as the place for it need not be there. A kernel that lacks them has none.
    let context = match fsopen("mqueue", FsOpenFlags::FSOPEN_CLOEXEC) {
        Err(Errno::NODEV) => return Ok(()),
        context => context?,
    };
    fsconfig_create(&context)?;
    let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    for queue in entries(&PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()))) {
        let name = queue.file_name().unwrap_or_default().to_string_lossy().into_owned();
        things.insert((Kind::Ipc, format!("queue {name}")));
    }
    Ok(())
}
