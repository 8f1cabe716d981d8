//! What an overlay writes to: an upper layer and its work directory.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, StatVfsMountFlags, StatxFlags};
use rustix::io::Errno;

use super::layer::{FUSE, Layer, NFS, OVERLAY};
use super::{refusal, refusal_as};
use crate::error::shown;
use crate::{Error, Result};

/// Refuses what the kernel would refuse as an invalid argument, whatever it is.
pub(super) fn check(upper: &Layer, work: &Layer, source_name: &str) -> Result<()> {
    let pair = format!("upper layer {} and work directory {}", shown(&upper.name), shown(&work.name));
    let refused = |problem: &str| Err(refusal(source_name, format!("{pair} {problem}")));
    let (above, beside) = (place_of(upper)?, place_of(work)?);
    // The kernel would name them by numbers of ours.
    if upper.is_on(&[OVERLAY, FUSE, NFS]) {
        return refused("are on an overlay, FUSE or NFS, which can be no upper layer");
    }
    if above.device != beside.device {
        return refused("are on different file systems");
    }
    if above.mount != beside.mount {
        return refused("are in different mounts of one file system");
    }
    if is_inside(upper, beside)? || is_inside(work, above)? {
        return refused("must not be the same, nor one inside the other");
    }
    let flags = rustix::fs::fstatvfs(&upper.directory)
        .map_err(|errno| Error::system("statfs", &upper.name, errno))?
        .f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return refused("are on a read-only file system");
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    device: (u32, u32),
    inode: u64,
    mount: u64,
}

fn place_of(layer: &Layer) -> Result<Place> {
    place(layer.directory.as_fd()).map_err(|errno| Error::system("stat", &layer.name, errno))
}

fn place(fd: BorrowedFd<'_>) -> rustix::io::Result<Place> {
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID)?;
    Ok(Place {
        device: (stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        mount: stat.stx_mnt_id,
    })
}

/// Whether `layer` is the directory at `outer`, or below it in the same mount.
fn is_inside(layer: &Layer, outer: Place) -> Result<bool> {
    let walk = || -> rustix::io::Result<bool> {
        let mut at = place(layer.directory.as_fd())?;
        let mut directory = rustix::io::dup(&layer.directory)?;
        loop {
            if at == outer {
                return Ok(true);
            }
            directory = rustix::fs::openat(
                &directory,
                "..",
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            let parent = place(directory.as_fd())?;
            if parent == at || parent.mount != outer.mount {
                return Ok(false);
            }
            at = parent;
        }
    };
    walk().map_err(|errno| Error::system("go up from", &layer.name, errno))
}

/// A lock on a directory, for the moment in which it becomes part of an overlay.
pub(super) struct Lock(OwnedFd);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would leave it to a process that is just being started, and has a copy of the fd.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

pub(super) fn lock(layer: &Layer, source_name: &str) -> Result<Lock> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let locked = rustix::fs::openat(&layer.directory, ".", flags, Mode::empty()).and_then(|fd| {
        rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Lock(fd))
    });
    locked.map_err(|errno| match errno {
        Errno::WOULDBLOCK => in_use(layer, source_name),
        _ => Error::system("lock overlay layer", &layer.name, errno),
    })
}

pub(super) fn in_use(layer: &Layer, source_name: &str) -> Error {
    let problem = format!("{} is in use by another overlay", shown(&layer.name));
    refusal_as(io::ErrorKind::ResourceBusy, source_name, problem)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn layers(directory: &Path, upper: &str, work: &str) -> (Layer, Layer) {
        for name in [upper, work] {
            std::fs::create_dir_all(directory.join(name)).unwrap();
        }
        (Layer::open(&directory.join(upper)).unwrap(), Layer::open(&directory.join(work)).unwrap())
    }

    #[test]
    fn what_is_written_is_two_directories_that_are_apart() {
        let directory = tempfile::tempdir().unwrap();
        for (upper, work, is_good) in [
            ("up", "work", true),
            ("a/up", "b/c/work", true),
            ("same", "same", false),
            ("outer", "outer/deep/work", false),
            ("around/deep/up", "around", false),
        ] {
            let (upper, work) = layers(directory.path(), upper, work);
            let checked = check(&upper, &work, "it");
            assert_eq!(checked.is_ok(), is_good, "{upper:?} {work:?}");
            if let Err(error) = checked {
                assert_eq!(
                    error.to_string(),
                    format!(
                        "mount overlay it: upper layer {} and work directory {} must not be the same, nor one \
                         inside the other",
                        upper.name.display(),
                        work.name.display()
                    )
                );
            }
        }
    }

    #[test]
    fn what_is_written_is_on_one_file_system() {
        let directory = tempfile::tempdir().unwrap();
        let (upper, _) = layers(directory.path(), "up", "work");
        let error = check(&upper, &Layer::open(Path::new("/proc")).unwrap(), "it").unwrap_err();
        assert!(error.to_string().ends_with("/proc are on different file systems"), "{error}");
    }
}
