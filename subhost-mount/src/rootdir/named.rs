//! New files where every file has a name.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, unlinkat};
use rustix::io::Errno;

/// How often others may be in our way.
const ATTEMPTS: u32 = 100;

/// Makes a file that has the name `beside` from the first, and is locked as long as it is open: one that is there without
/// a lock was left by somebody who was killed.
pub(super) fn create(directory: impl AsFd, beside: &OsStr, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..ATTEMPTS {
        match openat(&directory, beside, flags, Mode::from_raw_mode(mode)) {
            // Another may take it for one that was left, before it is locked.
            Ok(file) if lock(&file)? => return Ok(file.into()),
            Ok(_) => {}
            Err(Errno::EXIST) => remove_left(directory.as_fd(), beside)?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::BUSY.into())
}

/// Whether the lock could be had while the file still has a name. Who has it alone may take the name away.
fn lock(file: &OwnedFd) -> Result<bool, Errno> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(fstat(file)?.st_nlink > 0),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove_left(directory: BorrowedFd<'_>, beside: &OsStr) -> Result<(), Errno> {
    let there =
        match openat(directory, beside, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            there => there?,
        };
    let status = fstat(&there)?;
    if FileType::from_raw_mode(status.st_mode) == FileType::RegularFile {
        // Opened by what was looked at: to open a device may do anything.
        let reopened = format!("/proc/self/fd/{}", there.as_raw_fd());
        let left = openat(CWD, reopened, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        if !lock(&left)? {
            return if fstat(&left)?.st_nlink > 0 { Err(Errno::BUSY) } else { Ok(()) };
        }
        return unlink(directory, beside);
    }
    // No kind that is made here.
    unlink(directory, beside)
}

fn unlink(directory: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_was_left_is_removed_and_what_is_being_written_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let beside = OsStr::new("x");
        let directory = OwnedFd::from(File::open(dir.path()).unwrap());
        let ours = create(&directory, beside, 0o600).unwrap();
        fs::write(&path, "ours").unwrap();
        assert_eq!(create(&directory, beside, 0o600).unwrap_err().raw_os_error(), Some(libc::EBUSY));
        assert_eq!(fs::read(&path).unwrap(), b"ours");
        // As if its process had been killed.
        drop(ours);
        drop(create(&directory, beside, 0o600).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"");

        fs::remove_file(&path).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, "kept").unwrap();
        symlink(&elsewhere, &path).unwrap();
        drop(create(&directory, beside, 0o600).unwrap());
        assert!(path.symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read(&elsewhere).unwrap(), b"kept");

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(create(&directory, beside, 0o600).unwrap_err().raw_os_error(), Some(libc::EISDIR));
    }

    #[test]
    fn of_many_who_write_no_two_have_it_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let directory = OwnedFd::from(File::open(dir.path()).unwrap());
        let made = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(file) = create(&directory, OsStr::new("x"), 0o600) else { continue };
                        made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        // It is still ours: nobody has taken the name away, or put another one there.
                        assert!(fstat(&file).unwrap().st_nlink == 1);
                        unlink(&directory, OsStr::new("x")).unwrap();
                    }
                });
            }
        });
        assert!(made.into_inner() > 0);
    }
}
