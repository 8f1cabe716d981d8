//! Our PID 1 as a file that can be executed and bound, and never be written by a guest.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, linkat, mkdirat, open, openat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use crate::{Error, Result, sys};

/// Where the program is kept by default.
pub const DEFAULT_PROGRAM_DIR: &str = "/run/subhost";

/// The mode of the file: nobody writes it, and a guest's root, who is nobody special to the host, executes it.
const FILE_MODE: u32 = 0o555;

/// The static PID 1 as a file in a directory that only root can enter.
///
/// One file serves all guests, so that they share its pages. It is executed through a detached read-only mount:
/// the guest, which can open `/proc/1/exe`, gets `EROFS` when it does so for writing.
#[derive(Debug)]
pub struct Pid1Program {
    path: PathBuf,
    file: OwnedFd,
    exec: OwnedFd,
}

impl Pid1Program {
    /// Finds the program in this directory, or writes it there; the directory is made (mode 0700) if its parent is there.
    /// It should be on a tmpfs: a new version of this crate writes another file beside the old one. Needs root, as for
    /// every mount, and `/proc`.
    ///
    /// # Errors
    /// [`Error::Refused`] when the directory is not the caller's alone, [`Error::System`] for what the kernel refuses.
    pub fn ensure(dir: &Path) -> Result<Pid1Program> {
        Pid1Program::ensure_bytes(dir, crate::pid1::IMAGE)
    }

    fn ensure_bytes(dir: &Path, bytes: &[u8]) -> Result<Pid1Program> {
        let directory = private_directory(dir)?;
        let name = format!("pid1-{:016x}", fnv1a(bytes));
        let path = dir.join(&name);
        let file = whole_file(&directory, &name, bytes).map_err(|e| on(&path, "write", e))?;
        let exec = read_only_mount(&path, &file)?;
        Ok(Pid1Program { path, file, exec })
    }

    /// The file through a read-only mount of its own, to be executed.
    #[must_use]
    pub fn exec_fd(&self) -> BorrowedFd<'_> {
        self.exec.as_fd()
    }

    /// A detached read-only mount of the file, to be attached over a script: executed as anything but PID 1 it does nothing,
    /// with success. The directory is looked up in the calling thread's mount namespace.
    ///
    /// # Errors
    /// [`Error::System`] for `open_tree` and `mount_setattr`; [`Error::Refused`] when another file is there by now.
    pub fn mount(&self) -> Result<OwnedFd> {
        read_only_mount(&self.path, &self.file)
    }
}

impl From<Pid1Program> for OwnedFd {
    fn from(program: Pid1Program) -> OwnedFd {
        program.exec
    }
}

/// Makes the directory, and opens it when nobody but the caller may enter it.
fn private_directory(dir: &Path) -> Result<OwnedFd> {
    match mkdirat(CWD, dir, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(on(dir, "create", errno.into())),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = open(dir, flags, Mode::empty()).map_err(|e| on(dir, "open", e.into()))?;
    let stat = fstat(&directory).map_err(|e| on(dir, "stat", e.into()))?;
    if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
        let object = dir.display().to_string();
        return Err(Error::Refused { object, reason: "is not the caller's alone (mode 0700)" });
    }
    Ok(directory)
}

/// Opens the file of this name if it holds these bytes, and else puts one there, at once and complete.
fn whole_file(directory: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    loop {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match openat(directory, name, flags, Mode::empty()) {
            Ok(file) if is_whole(&file, bytes)? => return Ok(file),
            Ok(_) | Err(Errno::LOOP | Errno::NXIO) => match unlinkat(directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            },
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let file = unnamed_file(directory, bytes)?;
        let own_name = format!("/proc/self/fd/{}", file.as_raw_fd());
        match linkat(CWD, own_name, directory, name, AtFlags::SYMLINK_FOLLOW) {
            // Another one was faster: look at what it made.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A file without a name, read-only in every respect: what is open for writing anywhere cannot be executed.
fn unnamed_file(directory: &OwnedFd, bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let writable = openat(directory, c".", flags, Mode::RUSR | Mode::WUSR)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&writable, rest))?;
        rest = &rest[written..];
    }
    rustix::fs::fchmod(&writable, Mode::from_raw_mode(FILE_MODE))?;
    let own_name = format!("/proc/self/fd/{}", writable.as_raw_fd());
    Ok(open(own_name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

fn is_whole(file: &OwnedFd, bytes: &[u8]) -> io::Result<bool> {
    let stat = fstat(file)?;
    let fits = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_mode & 0o7777 == FILE_MODE
        && u64::try_from(stat.st_size).is_ok_and(|size| size == bytes.len() as u64);
    if !fits {
        return Ok(false);
    }
    let mut found = vec![0; bytes.len()];
    let mut filled = 0;
    while filled < found.len() {
        let offset = filled as u64;
        match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut found[filled..], offset))? {
            0 => return Ok(false),
            count => filled += count,
        }
    }
    Ok(found == bytes)
}

/// A mount of this one file, read-only and executable whatever the mount is that it lies on (`/run` is often `noexec`).
fn read_only_mount(path: &Path, file: &OwnedFd) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let mount = open_tree(CWD, path, flags).map_err(|e| on(path, "clone the mount of", e.into()))?;
    let identity = |fd: &OwnedFd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    let same = identity(&mount).and_then(|found| Ok(found == identity(file)?));
    if !same.map_err(|e| on(path, "stat", e.into()))? {
        return Err(Error::Refused { object: path.display().to_string(), reason: "was exchanged" });
    }
    let set = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let clear = MountAttrFlags::MOUNT_ATTR_NOEXEC;
    sys::mount::set_mount_attributes(mount.as_fd(), set.bits(), clear.bits())
        .map_err(|e| on(path, "make read-only the mount of", e))?;
    Ok(mount)
}

/// Names the version of the program; that the bytes are the right ones is compared, not taken from the name.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn on(path: &Path, operation: &'static str, source: io::Error) -> Error {
    Error::System { operation, object: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn hashes_as_published() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn writes_once_and_finds_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("private");
        let directory = private_directory(&path).unwrap();
        let first = whole_file(&directory, "pid1", b"program").unwrap();
        let second = whole_file(&directory, "pid1", b"program").unwrap();
        assert_eq!(fstat(&first).unwrap().st_ino, fstat(&second).unwrap().st_ino);
        assert_eq!(std::fs::metadata(&path).unwrap().mode(), 0o40_700);
        assert_eq!(std::fs::metadata(path.join("pid1")).unwrap().mode(), 0o100_555);
        assert_eq!(std::fs::read(path.join("pid1")).unwrap(), b"program");
    }

    #[test]
    fn replaces_what_is_not_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let directory = private_directory(&dir.path().join("private")).unwrap();
        let path = dir.path().join("private/pid1");
        let canary = dir.path().join("canary");
        std::fs::write(&canary, "canary").unwrap();
        for make in [
            (|path, _| std::fs::write(path, "short").unwrap()) as fn(&Path, &Path),
            |path, _| {
                std::fs::write(path, "progrAm").unwrap();
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o555)).unwrap();
            },
            |path, _| {
                std::fs::write(path, "program").unwrap();
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
            },
            |path, canary| symlink(canary, path).unwrap(),
            |path, _| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        ] {
            let _ = std::fs::remove_file(&path);
            make(&path, &canary);
            whole_file(&directory, "pid1", b"program").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"program");
            assert_eq!(path.symlink_metadata().unwrap().mode(), 0o100_555);
        }
        assert_eq!(std::fs::read_to_string(&canary).unwrap(), "canary");
    }

    #[test]
    fn refuses_a_directory_that_others_can_enter() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = private_directory(dir.path()).unwrap_err();
        assert!(error.to_string().ends_with("is not the caller's alone (mode 0700)"), "{error}");
    }
}
