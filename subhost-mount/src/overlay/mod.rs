//! Overlay mounts, safe against layers that others wrote.
//!
//! A base that only the host's ids own, shown to a guest whose ids are those of a user namespace, with a layer above it
//! that is thrown away:
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use std::path::Path;
//! use subhost_mount::MountAttributes;
//! use subhost_mount::idmap::{IdRange, user_namespace};
//! use subhost_mount::overlay::{Layer, Upper, merge};
//!
//! let range = [IdRange { inside: 0, outside: 524_288, count: 65_536 }];
//! let users = user_namespace(&range, &range)?;
//! let base = Layer::open(Path::new("/srv/base"))?.idmapped(users.as_fd())?;
//! let upper = Upper::Ephemeral { size_bytes: 64 << 20 };
//! merge(vec![base], upper, "guest", MountAttributes::NODEV)?.attach_at(Path::new("/mnt"))?;
//! # Ok::<(), subhost_mount::Error>(())
//! ```

mod kernel;
mod layer;
mod scratch;
mod written;

use std::io;
use std::path::PathBuf;

use crate::filesystem::{Mount, MountAttributes};
use crate::{Error, Result};

pub use layer::Layer;
pub use scratch::Scratch;

/// The most lower layers that Linux takes.
const MAX_LAYERS: usize = 500;

/// An overlay of directories that have names, as most are; [`merge`] does the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The layers that are only read, the topmost first.
    pub lower: Vec<PathBuf>,
    /// The layer that is written.
    pub upper: PathBuf,
    /// An empty directory on the file system of `upper`.
    pub work: PathBuf,
}

impl Overlay {
    /// Opens the layers and merges them.
    ///
    /// # Errors
    /// As [`Layer::open`] and [`merge`].
    pub fn mount(&self, source_name: &str, attributes: MountAttributes) -> Result<Mount> {
        let lower = self.lower.iter().map(|path| Layer::open(path)).collect::<Result<_>>()?;
        let upper = Upper::Kept { upper: Layer::open(&self.upper)?, work: Layer::open(&self.work)? };
        merge(lower, upper, source_name, attributes)
    }
}

/// What is written to in an overlay.
#[derive(Debug)]
pub enum Upper {
    /// Nothing: the overlay is read-only.
    Nothing,
    /// A directory that keeps what is written.
    Kept {
        /// The directory. If it is idmapped, its owner makes the overlay, and must be in the map.
        upper: Layer,
        /// An empty directory in the same mount, not inside of `upper` nor around it.
        work: Layer,
    },
    /// A tmpfs that goes with the overlay. Its root has the owner and mode of the topmost lower layer.
    Ephemeral {
        /// The most that it takes. A file counts as one page at least.
        size_bytes: u64,
    },
    /// The same with something in it.
    Prepared(Scratch),
}

/// Mounts an overlay of the layers `lower`, the topmost first, under the source name `source_name`, which `df` and
/// fstab see. It is detached.
///
/// The kernel gets the layers by fd where it takes them so. Where it does not, as Linux 6.12, they get names in a mount
/// namespace that is made for it and gone afterwards; the mount table then shows numbers for layers.
///
/// For a kept upper layer the kernel is asked first whether another overlay uses it, by two mounts that it refuses:
/// its log says for both that they must be separate subtrees.
///
/// # Errors
/// [`Error::ReadOnlyOverlay`] when the kernel made it read-only without a word, as it does when the caller's
/// ids are not in the map of an idmapped upper layer; [`Error::System`] and [`Error::Mount`] else.
pub fn merge(
    lower: Vec<Layer>,
    upper: Upper,
    source_name: &str,
    attributes: MountAttributes,
) -> Result<Mount> {
    let refused = |problem: &str| refusal(source_name, problem.to_owned());
    match (lower.len(), &upper) {
        (0, _) => return Err(refused("there is no lower layer")),
        (1, Upper::Nothing) => {
            return Err(refused("a single layer that is only read needs no overlay: bind it"));
        }
        (count, _) if count > MAX_LAYERS => {
            return Err(refused("Linux takes no more than 500 lower layers"));
        }
        _ => {}
    }
    let mut locks = Vec::new();
    let (written, is_fresh) = match upper {
        Upper::Nothing => (None, true),
        Upper::Kept { upper, work } => {
            written::check(&upper, &work, source_name)?;
            // Of two that come at once, the kernel would answer both that nobody uses it.
            locks = vec![written::lock(&upper, source_name)?, written::lock(&work, source_name)?];
            (Some((upper, work)), false)
        }
        Upper::Ephemeral { size_bytes } => (Some(Scratch::new(&lower[0], size_bytes)?.layers()?), true),
        Upper::Prepared(scratch) => (Some(scratch.layers()?), true),
    };
    let is_written = written.is_some();
    let merge = kernel::Merge { lower, written, is_fresh, source_name: source_name.to_owned(), attributes };
    let mount = match merge.by_fd() {
        Err(error) if kernel::may_be_the_fds(&error) => merge.by_name()?,
        other => other?,
    };
    drop(locks);
    if is_written && mount.is_read_only()? && !attributes.contains(MountAttributes::RDONLY) {
        return Err(Error::ReadOnlyOverlay { object: source_name.to_owned() });
    }
    Ok(mount)
}

fn refusal(source_name: &str, problem: String) -> Error {
    refusal_as(io::ErrorKind::InvalidInput, source_name, problem)
}

fn refusal_as(kind: io::ErrorKind, source_name: &str, problem: String) -> Error {
    Error::system("mount overlay", source_name, io::Error::new(kind, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_make_no_overlay_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let layer = Layer::open(directory.path()).unwrap();
        let refused = |lower: usize, upper| {
            let lower = vec![layer.clone(); lower];
            merge(lower, upper, "it", MountAttributes::empty()).unwrap_err().to_string()
        };
        assert_eq!(refused(0, Upper::Nothing), "mount overlay it: there is no lower layer");
        assert_eq!(
            refused(1, Upper::Nothing),
            "mount overlay it: a single layer that is only read needs no overlay: bind it"
        );
        assert_eq!(
            refused(501, Upper::Nothing),
            "mount overlay it: Linux takes no more than 500 lower layers"
        );
        let error = refused(1, Upper::Ephemeral { size_bytes: 0 });
        assert!(error.ends_with(": an ephemeral layer of no size"), "{error}");
    }
}
