//! The ephemeral layer of `run --overlay`: an upper layer on a tmpfs over a folder of the host.
//!
//! The folder is idmapped, so the guest's root is the owner of what the host's root owns in it. What only the
//! host's root may read is therefore taken out of view in the upper layer, where the guest cannot reach:
//! by a whiteout for a file, by an empty opaque folder for a folder (Linux, overlayfs.rst).

use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Gid, Mode, Uid, XattrFlags};
use subhost_mount::bind::bind;
use subhost_mount::filesystem::{FileSystem, Mount, MountAttributes};
use subhost_mount::overlay::Overlay;

use crate::error::{Context, Error};

/// Folders in which every entry that only its owner or group may read is taken out of view.
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

/// Folders that are always shown empty.
pub const EMPTIED: [&str; 1] = ["root"];

/// Mounts the overlay, detached. `layers` is a folder to be made in the staging namespace.
///
/// # Errors
/// The step that failed.
pub fn mount_ephemeral(
    lower: &Path,
    layers: &Path,
    user_namespace: BorrowedFd<'_>,
    first_id: u32,
    hidden: &[PathBuf],
) -> Result<Mount, Error> {
    let step = |what: &str| format!("overlay over {}: {what}", lower.display());
    std::fs::create_dir(layers).step(step("make the folder of layers"))?;
    let scratch = FileSystem::new("tmpfs")
        .source("subhost")
        .option("mode", "0755")
        .mount()
        .step(step("mount a tmpfs"))?;
    scratch.attach_at(layers).step(step("attach the tmpfs"))?;
    let at = |name: &str| layers.join(name);
    for name in ["lower", "upper", "work"] {
        std::fs::create_dir(at(name)).step(step("make the layers"))?;
    }
    screen(lower, &at("upper"), first_id, hidden).step(step("take what only root may read out of view"))?;
    let bound = bind(lower, false).step(step("bind"))?;
    bound.idmap(user_namespace).step(step("idmap"))?;
    bound.attach_at(&at("lower")).step(step("attach the lower layer"))?;
    Overlay { lower: vec![at("lower")], upper: at("upper"), work: at("work") }
        .mount("overlay", MountAttributes::NODEV)
        .step(step("mount"))
}

/// Fills the upper layer so that nothing that only root may read is seen.
fn screen(lower: &Path, upper: &Path, first_id: u32, hidden: &[PathBuf]) -> std::io::Result<()> {
    copy_owner(lower, upper, first_id)?;
    for folder in SCREENED {
        let Ok(entries) = std::fs::read_dir(lower.join(folder)) else { continue };
        if !is_real_folder(lower, folder) {
            continue;
        }
        for entry in entries {
            let entry = entry?;
            let meta = match entry.metadata() {
                // Gone meanwhile: the host lives on.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                meta => meta?,
            };
            let readable = if meta.is_dir() { 0o005 } else { 0o004 };
            if !meta.is_symlink() && meta.mode() & readable != readable {
                match cover(lower, upper, &Path::new(folder).join(entry.file_name()), first_id) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    covered => covered?,
                }
            }
        }
    }
    let always = EMPTIED.iter().map(PathBuf::from);
    let ours = hidden.iter().filter_map(|path| path.strip_prefix(lower).ok()).map(Path::to_path_buf);
    for path in always.chain(ours) {
        if is_real_folder(lower, &path) {
            cover(lower, upper, &path, first_id)?;
        }
    }
    Ok(())
}

/// True if the path is a folder, reached without a link.
fn is_real_folder(lower: &Path, path: impl AsRef<Path>) -> bool {
    let mut at = lower.to_path_buf();
    path.as_ref().components().all(|part| {
        at.push(part);
        std::fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_dir())
    })
}

/// Takes one path out of view.
fn cover(lower: &Path, upper: &Path, path: &Path, first_id: u32) -> std::io::Result<()> {
    let mut parent = PathBuf::new();
    for part in path.parent().into_iter().flat_map(Path::components) {
        parent.push(part);
        if !upper.join(&parent).exists() {
            std::fs::create_dir(upper.join(&parent))?;
            copy_owner(&lower.join(&parent), &upper.join(&parent), first_id)?;
        }
    }
    let place = upper.join(path);
    if std::fs::symlink_metadata(&place).is_ok() {
        return Ok(());
    }
    if std::fs::symlink_metadata(lower.join(path))?.is_dir() {
        std::fs::create_dir(&place)?;
        copy_owner(&lower.join(path), &place, first_id)?;
        rustix::fs::setxattr(&place, "trusted.overlay.opaque", b"y", XattrFlags::CREATE)?;
    } else {
        rustix::fs::mknodat(CWD, &place, FileType::CharacterDevice, Mode::empty(), 0)?;
    }
    Ok(())
}

/// Gives a folder of the upper layer the owner and mode that its lower one has when seen idmapped.
fn copy_owner(from: &Path, to: &Path, first_id: u32) -> std::io::Result<()> {
    let meta = std::fs::symlink_metadata(from)?;
    let mapped = |id: u32| first_id.saturating_add(id);
    rustix::fs::chown(to, Some(Uid::from_raw(mapped(meta.uid()))), Some(Gid::from_raw(mapped(meta.gid()))))?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(meta.mode() & 0o7777))
}
