//! An upper layer that is thrown away.

use std::io;
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid, XattrFlags};

use super::layer::Layer;
use crate::filesystem::{FileSystem, Mount};
use crate::rootdir::{Metadata, NodeKind, RootDir};
use crate::{Error, Result};

const UPPER: &str = "upper";
const WORK: &str = "work";

/// An upper layer on a tmpfs of its own, which goes with the overlay. Nobody can reach it but by this, until it is
/// merged; so what lower layers hold can be taken out of view before.
///
/// ```no_run
/// use std::path::Path;
/// use subhost_mount::MountAttributes;
/// use subhost_mount::overlay::{Layer, Scratch, Upper, merge};
///
/// let base = Layer::open(Path::new("/srv/base"))?;
/// let scratch = Scratch::new(&base, 64 << 20)?;
/// scratch.hide(Path::new("key"))?;
/// scratch.root().create_file(Path::new("motd"), 0o644, b"hello\n")?;
/// let mount = merge(vec![base], Upper::Prepared(scratch), "guest", MountAttributes::NODEV)?;
/// # Ok::<(), subhost_mount::Error>(())
/// ```
#[derive(Debug)]
pub struct Scratch {
    tmpfs: Mount,
    upper: RootDir,
}

impl Scratch {
    /// Makes one that takes `size_bytes` at most; a file counts as one page at least. Its root gets the owner and mode
    /// of `top`, the topmost lower layer.
    ///
    /// # Errors
    /// [`Error::System`] and [`Error::Mount`].
    pub fn new(top: &Layer, size_bytes: u64) -> Result<Scratch> {
        if size_bytes == 0 {
            let none = io::Error::new(io::ErrorKind::InvalidInput, "an ephemeral layer of no size");
            return Err(Error::system("merge over", &top.name, none));
        }
        // Empty files take memory as well, which the size does not limit.
        let inodes = (size_bytes / 4096).max(1024);
        let tmpfs = FileSystem::new("tmpfs")
            .source("overlay")
            .option("mode", "0700")
            .option("size", size_bytes.to_string())
            .option("nr_inodes", inodes.to_string())
            .mount()?;
        let tree = tmpfs.root()?;
        for name in [UPPER, WORK] {
            tree.create_dir(Path::new(name), 0o700)?;
        }
        let upper = RootDir::from_fd(tree.open_path(Path::new(UPPER))?);
        let scratch = Scratch { tmpfs, upper };
        scratch.own(Path::new("/"), &Metadata::of_fd(&top.directory)?, false)?;
        Ok(scratch)
    }

    /// The tree of the layer, to put something in.
    #[must_use]
    pub fn root(&self) -> &RootDir {
        &self.upper
    }

    /// Takes what lower layers have at `path` out of view, whatever it is, by a whiteout. The directory that it is in
    /// must be in this layer.
    ///
    /// # Errors
    /// [`Error::System`], with `EEXIST` when this layer has something there.
    pub fn hide(&self, path: &Path) -> Result<()> {
        self.upper.make_node(path, NodeKind::Char, 0, 0, 0)
    }

    /// Makes a directory, with the owner and mode of `like`, that what lower layers have in theirs is seen through. One
    /// that is there stays as it is.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn merged_dir(&self, path: &Path, like: &Metadata) -> Result<()> {
        if self.make_dir(path)? { self.own(path, like, false) } else { Ok(()) }
    }

    /// Makes a directory, with the owner and mode of `like`, in which nothing of lower layers is seen. Of one that is
    /// there it becomes true.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn opaque_dir(&self, path: &Path, like: &Metadata) -> Result<()> {
        self.make_dir(path)?;
        self.own(path, like, true)
    }

    /// Whether it was not there yet.
    fn make_dir(&self, path: &Path) -> Result<bool> {
        match self.upper.create_dir(path, 0o700) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
            made => made.map(|()| true),
        }
    }

    fn own(&self, path: &Path, like: &Metadata, is_opaque: bool) -> Result<()> {
        let directory = self.upper.open_path(path)?;
        let own = || -> rustix::io::Result<()> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(&directory, ".", flags, Mode::empty())?;
            let (owner, group) = (Uid::from_raw(like.uid), Gid::from_raw(like.gid));
            rustix::fs::fchown(&directory, Some(owner), Some(group))?;
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(like.mode))?;
            if is_opaque {
                rustix::fs::fsetxattr(&directory, "trusted.overlay.opaque", b"y", XattrFlags::empty())?;
            }
            Ok(())
        };
        own().map_err(|errno| Error::system("make ephemeral layer's", path, errno))
    }

    /// The upper layer and its work directory.
    pub(super) fn layers(self) -> Result<(Layer, Layer)> {
        let tmpfs = Layer::detached(self.tmpfs)?;
        Ok((tmpfs.below(Path::new(UPPER))?, tmpfs.below(Path::new(WORK))?))
    }
}
