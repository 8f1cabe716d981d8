//! Opening a path one name at a time, and judging each directory and link on the way.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};

use super::{LoadError, Trust};

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;

/// Opens a regular file for reading. Users that are trusted: root and `owner`.
pub(super) fn open(path: &Path, owner: u32) -> Result<(OwnedFd, Trust), LoadError> {
    let absolute =
        std::path::absolute(path).map_err(|source| LoadError::Open { path: path.to_owned(), source })?;
    let mut walk = Walk { directory: root()?, place: PathBuf::from("/"), owner, reason: None };
    walk.judge_directory()?;
    let mut names = names_of(absolute.as_os_str().as_bytes());
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        let found = walk.stat(&name)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(walk.error(&name, rustix::io::Errno::LOOP));
                }
                walk.judge(&walk.place.join(&name), &found);
                let target = readlinkat(&walk.directory, &name, Vec::new())
                    .map_err(|errno| walk.error(&name, errno))?;
                if target.as_bytes().starts_with(b"/") {
                    walk.directory = root()?;
                    walk.place = PathBuf::from("/");
                }
                for name in names_of(target.as_bytes()).into_iter().rev() {
                    names.push_front(name);
                }
            }
            _ if !names.is_empty() => walk.enter(&name)?,
            FileType::RegularFile => return walk.open_file(&name),
            _ => return Err(LoadError::NotAFile { path: path.to_owned() }),
        }
    }
    Err(LoadError::NotAFile { path: path.to_owned() })
}

struct Walk {
    directory: OwnedFd,
    /// What `directory` is called, for messages.
    place: PathBuf,
    owner: u32,
    /// The first reason not to trust.
    reason: Option<String>,
}

impl Walk {
    fn stat(&self, name: &OsStr) -> Result<Stat, LoadError> {
        statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| self.error(name, errno))
    }

    fn enter(&mut self, name: &OsStr) -> Result<(), LoadError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.directory =
            openat(&self.directory, name, flags, Mode::empty()).map_err(|errno| self.error(name, errno))?;
        if name == ".." {
            self.place.pop();
        } else {
            self.place.push(name);
        }
        self.judge_directory()
    }

    fn open_file(mut self, name: &OsStr) -> Result<(OwnedFd, Trust), LoadError> {
        // Never wait for a writer, should it have become a FIFO since.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file =
            openat(&self.directory, name, flags, Mode::empty()).map_err(|errno| self.error(name, errno))?;
        let found = fstat(&file).map_err(|errno| self.error(name, errno))?;
        let path = self.place.join(name);
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(LoadError::NotAFile { path });
        }
        self.judge(&path, &found);
        self.judge_mode(&path, &found, false);
        if found.st_nlink != 1 {
            self.distrust(format!("{} has {} names (hard links)", path.display(), found.st_nlink));
        }
        let trust = self.reason.map_or(Trust::Trusted, Trust::Untrusted);
        Ok((file, trust))
    }

    fn judge_directory(&mut self) -> Result<(), LoadError> {
        let found = fstat(&self.directory).map_err(|errno| self.error(OsStr::new("."), errno))?;
        let place = self.place.clone();
        self.judge(&place, &found);
        // In a sticky directory others may add, but not exchange what is not theirs; each entry's owner is looked
        // at as well.
        let sticky = Mode::from_raw_mode(found.st_mode).contains(Mode::SVTX) && found.st_uid == 0;
        self.judge_mode(&place, &found, sticky);
        Ok(())
    }

    fn judge(&mut self, path: &Path, found: &Stat) {
        if found.st_uid != 0 && found.st_uid != self.owner {
            let expected = if self.owner == 0 { String::new() } else { format!(" or user {}", self.owner) };
            self.distrust(format!(
                "{} belongs to user {}, not to root{expected}",
                path.display(),
                found.st_uid
            ));
        }
    }

    fn judge_mode(&mut self, path: &Path, found: &Stat, sticky: bool) {
        let mode = Mode::from_raw_mode(found.st_mode);
        let writers = match (mode.contains(Mode::WGRP), mode.contains(Mode::WOTH)) {
            _ if sticky => return,
            (_, true) => "everybody",
            (true, false) => "its group",
            (false, false) => return,
        };
        self.distrust(format!("{} may be written by {writers}", path.display()));
    }

    fn distrust(&mut self, reason: String) {
        self.reason.get_or_insert(reason);
    }

    fn error(&self, name: &OsStr, errno: rustix::io::Errno) -> LoadError {
        LoadError::Open { path: self.place.join(name), source: io::Error::from(errno) }
    }
}

fn root() -> Result<OwnedFd, LoadError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, "/", flags, Mode::empty())
        .map_err(|errno| LoadError::Open { path: PathBuf::from("/"), source: io::Error::from(errno) })
}

/// The names of a path. `..` stays: it is resolved where it stands, behind links. A `.` at the end stays too, as
/// it asks for a directory.
fn names_of(path: &[u8]) -> VecDeque<OsString> {
    let names = Path::new(OsStr::from_bytes(path)).components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: VecDeque<OsString> = names.collect();
    if path.ends_with(b"/") || path.ends_with(b"/.") {
        names.push_back(OsString::from_vec(b".".to_vec()));
    }
    names
}
