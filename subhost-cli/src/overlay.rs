//! The ephemeral layer of `run --overlay`: an upper layer on a tmpfs over a directory of the host.
//!
//! The directory is idmapped, so the guest's root is the owner of what the host's root owns in it. What only the
//! host's root may read is therefore taken out of view in the upper layer, where the guest cannot reach:
//! by a whiteout for a file, by an empty opaque directory for a directory (Linux, overlayfs.rst).

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::io::Errno;
use subhost_mount::bind::bind;
use subhost_mount::filesystem::{Mount, MountAttributes};
use subhost_mount::overlay::{Layer, Scratch, Upper, merge};
use subhost_mount::rootdir::{FileKind, Metadata, RootDir};

use crate::error::{Context, Error};

/// Directories in which every entry that only its owner or group may read is taken out of view.
pub const SCREENED: [&str; 13] = [
    "",
    "etc",
    "etc/ssh",
    "etc/ssl",
    "home",
    "opt",
    "opt/sub",
    "opt/subhost",
    "srv",
    "var",
    "var/lib",
    "var/log",
    "var/spool",
];

/// Directories that are always shown empty.
pub const EMPTIED: [&str; 1] = ["root"];

/// Files in `etc` that are taken out of view also when they are not there: a new password is first written to one of
/// these, while the command may already run.
pub const AWAITED: [&str; 7] = ["shadow", "shadow-", "shadow+", "nshadow", "gshadow", "gshadow-", "gshadow+"];

/// Directories that hold what is executed, from the top down: a file system that the host has mounted there is shown too.
const PROGRAMS: [&str; 2] = ["usr", "usr/local"];

/// The overlays over what the host has mounted at directories of programs below `lower`, detached, each with its
/// directory.
///
/// # Errors
/// The step that failed.
pub fn mount_programs(
    lower: &Path,
    user_namespace: BorrowedFd<'_>,
    hidden: &[PathBuf],
) -> Result<Vec<(&'static str, Mount)>, Error> {
    let is_mounted = |directory: &&str| {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let found = statx(CWD, lower.join(directory), flags, StatxFlags::TYPE);
        found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    };
    let overlay =
        |directory| Ok((directory, mount_ephemeral(&lower.join(directory), user_namespace, hidden)?));
    PROGRAMS.into_iter().filter(is_mounted).map(overlay).collect()
}

/// Mounts the overlay, detached. `hidden` are directories of the host.
///
/// # Errors
/// The step that failed.
pub fn mount_ephemeral(
    lower: &Path,
    user_namespace: BorrowedFd<'_>,
    hidden: &[PathBuf],
) -> Result<Mount, Error> {
    let step = |what: &str| format!("overlay over {}: {what}", lower.display());
    let below = bind(lower, false).step(step("bind"))?;
    below.idmap(user_namespace).step(step("idmap"))?;
    // Looked at as it will be seen: with mapped ids, and without what is mounted below it.
    let tree = below.root().step(step("open"))?;
    let layer = Layer::detached(below).step(step("open"))?;
    let upper = Scratch::new(&layer, half_of_memory()).step(step("make the layer in memory"))?;
    let ours: Vec<&Path> = hidden.iter().filter_map(|path| path.strip_prefix(lower).ok()).collect();
    Screen { lower: &tree, upper: &upper }
        .fill(&ours)
        .step(step("take what only root may read out of view"))?;
    merge(vec![layer], Upper::Prepared(upper), "overlay", MountAttributes::NODEV).step(step("mount"))
}

/// As a tmpfs has it by default.
pub fn half_of_memory() -> u64 {
    let memory = rustix::system::sysinfo();
    memory.totalram.saturating_mul(memory.mem_unit.into()) / 2
}

type Screened<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Fills the upper layer so that nothing that only root may read is seen. The host lives on meanwhile: each thing is
/// opened once, and what was opened is looked at, and taken out of view where it then is.
struct Screen<'a> {
    /// In a mount that is attached nowhere.
    lower: &'a RootDir,
    upper: &'a Scratch,
}

impl Screen<'_> {
    fn fill(&self, hidden: &[&Path]) -> Screened {
        for directory in SCREENED.map(Path::new) {
            for name in found(self.lower.list_dir(directory))?.into_iter().flatten() {
                let Some(fd) = self.open(&directory.join(name))? else { continue };
                let meta = Metadata::of_fd(&fd)?;
                let readable = if meta.kind == FileKind::Directory { 0o005 } else { 0o004 };
                if meta.mode & readable != readable {
                    self.cover(&fd, &meta)?;
                }
            }
        }
        for path in EMPTIED.iter().map(Path::new).chain(hidden.iter().copied()) {
            if let Some(fd) = self.open(path)? {
                self.cover(&fd, &Metadata::of_fd(&fd)?)?;
            }
        }
        if let Some(etc) = self.open(Path::new("etc"))?
            && Metadata::of_fd(&etc)?.kind == FileKind::Directory
        {
            for name in AWAITED {
                self.hide(&place(&etc)?.join(name))?;
            }
        }
        Ok(())
    }

    /// Opens what a path leads to, also by links: what they lead to is as secret.
    fn open(&self, path: &Path) -> Screened<Option<OwnedFd>> {
        found(self.lower.open_path(path))
    }

    /// Takes what is open out of view.
    fn cover(&self, fd: &OwnedFd, meta: &Metadata) -> Screened {
        let place = place(fd)?;
        if meta.kind != FileKind::Directory {
            return self.hide(&place);
        }
        // It may be a link that leads back to what is to be seen.
        if place == Path::new("") {
            return Ok(());
        }
        self.make_directories_above(&place)?;
        Ok(self.upper.opaque_dir(&place, meta)?)
    }

    fn hide(&self, place: &Path) -> Screened {
        self.make_directories_above(place)?;
        match self.upper.hide(place) {
            Err(error) if errno(&error) == Some(Errno::EXIST) => Ok(()),
            hidden => Ok(hidden?),
        }
    }

    fn make_directories_above(&self, place: &Path) -> Screened {
        let mut above: Vec<&Path> = place.ancestors().skip(1).collect();
        // The last is the root.
        above.pop();
        for directory in above.into_iter().rev() {
            match found(self.lower.symlink_metadata(directory))? {
                Some(meta) if meta.kind == FileKind::Directory => self.upper.merged_dir(directory, &meta)?,
                _ => return Err(moved(place)),
            }
        }
        Ok(())
    }
}

/// Where that which is open really is. Its mount is attached nowhere, so the path begins at the root of that.
fn place(fd: &OwnedFd) -> Screened<PathBuf> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    match path.strip_prefix("/") {
        Ok(place) => Ok(place.to_owned()),
        Err(_) => Err(moved(&path)),
    }
}

fn moved(path: &Path) -> Box<dyn std::error::Error + Send + Sync> {
    format!("what led to {} has changed meanwhile", path.display()).into()
}

/// `None` for what is not there, or behind a link that leads nowhere.
fn found<T>(result: subhost_mount::Result<T>) -> Screened<Option<T>> {
    match result {
        Err(error) if matches!(errno(&error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => Ok(None),
        other => Ok(Some(other?)),
    }
}

fn errno(error: &subhost_mount::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}
