//! A directory that takes part in an overlay.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags};

use crate::bind::open_tree;
use crate::error::shown;
use crate::filesystem::Mount;
use crate::{Error, Result};

pub(super) const OVERLAY: u64 = 0x794c_7630;
pub(super) const FUSE: u64 = 0x6573_5546;
pub(super) const NFS: u64 = 0x6969;

/// A directory that takes part in an overlay.
#[derive(Debug, Clone)]
pub struct Layer {
    pub(super) directory: Arc<OwnedFd>,
    pub(super) name: PathBuf,
    /// The detached mount that the directory is in, which goes when it is dropped.
    pub(super) detached: Option<Arc<Mount>>,
    pub(super) is_mapped: bool,
}

impl Layer {
    /// The directory at `path`, in the calling thread's mount namespace. Any name will do.
    ///
    /// # Errors
    /// [`Error::System`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<Layer> {
        let directory = Arc::new(open_directory(CWD, path, path)?);
        Ok(Layer { directory, name: path.to_owned(), detached: None, is_mapped: false })
    }

    /// What is in a mount that was never attached.
    ///
    /// # Errors
    /// [`Error::System`] when it is not a directory.
    pub fn detached(mount: Mount) -> Result<Layer> {
        let name = PathBuf::from(mount.name());
        let directory = Arc::new(open_directory(mount.as_fd(), Path::new("."), &name)?);
        Ok(Layer { directory, name, detached: Some(Arc::new(mount)), is_mapped: false })
    }

    /// The same with its ids mapped through the user namespace `userns`, as [`Mount::idmap`] does it. The mount that
    /// [`Layer::open`] found stays as it is.
    ///
    /// An upper layer and its work directory must be in one mount: map the directory that they are in, and take both
    /// from there with [`Layer::below`].
    ///
    /// # Errors
    /// As [`Mount::idmap`].
    pub fn idmapped(self, userns: BorrowedFd<'_>) -> Result<Layer> {
        let layer = match self.detached {
            Some(_) => self,
            None => {
                let mount = open_tree(self.directory.as_fd(), Path::new(""), &shown(&self.name), false)?;
                Layer { name: self.name, ..Layer::detached(mount)? }
            }
        };
        if let Some(mount) = &layer.detached {
            mount.idmap(userns)?;
        }
        Ok(Layer { is_mapped: true, ..layer })
    }

    /// A directory in this one: not for names that another chooses, as links are followed.
    ///
    /// # Errors
    /// [`Error::System`] when it cannot be opened.
    pub fn below(&self, path: &Path) -> Result<Layer> {
        let name = self.name.join(path);
        let directory = Arc::new(open_directory(self.directory.as_fd(), path, &name)?);
        Ok(Layer { directory, name, ..self.clone() })
    }

    /// Whether it is on a file system of these kinds, as `statfs(2)` numbers them.
    pub(super) fn is_on(&self, kinds: &[u64]) -> bool {
        let kind = rustix::fs::fstatfs(&self.directory).ok().and_then(|stat| u64::try_from(stat.f_type).ok());
        kind.is_some_and(|kind| kinds.contains(&kind))
    }

    pub(super) fn stat(&self) -> Result<rustix::fs::Stat> {
        rustix::fs::fstat(&self.directory).map_err(|errno| Error::system("stat", &self.name, errno))
    }
}

pub(super) fn open_directory(base: BorrowedFd<'_>, path: &Path, name: &Path) -> Result<OwnedFd> {
    // The kernel would not say which one is missing.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(base, path, flags, Mode::empty())
        .map_err(|errno| Error::system("open overlay layer", name, errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_is_missing_is_named() {
        let error = Layer::open(Path::new("/no:such")).unwrap_err();
        assert_eq!(error.to_string(), "open overlay layer /no:such: No such file or directory (os error 2)");
    }
}
