//! What a console has said, on disk: bounded, and never a reason for the guest to wait.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat, renameat};

use crate::layout::{Layout, Name};
use crate::lock::make_private_dir;

/// The newer half of what is kept.
pub fn file_name(name: &Name) -> String {
    format!("{name}.log")
}

/// The older half.
pub fn older_file_name(name: &Name) -> String {
    format!("{name}.log.1")
}

/// A log of two files, each up to half of its size.
#[derive(Debug)]
pub struct ConsoleLog {
    directory: OwnedFd,
    file: String,
    older: String,
    open: Option<Open>,
    half_bytes: u64,
    /// What could not be written, in bytes, since something was.
    lost: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

/// Opens the directory of logs, in which only root may write.
///
/// # Errors
/// It cannot be made, or somebody else may write there.
pub fn open_directory(layout: &Layout) -> io::Result<OwnedFd> {
    make_private_dir(&layout.log_dir)?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(&layout.log_dir, flags, Mode::empty())?)
}

/// Opens a file of root's alone in there, to be appended to.
///
/// # Errors
/// It cannot be made, or is something else than a file of one name.
pub fn open_to_append(directory: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(openat(directory, name, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))?);
    let meta = file.metadata()?;
    if !meta.is_file() || meta.uid() != 0 || meta.nlink() > 1 {
        return Err(io::Error::other("is not a file of root's alone"));
    }
    Ok(file)
}

impl ConsoleLog {
    /// Goes on with the log of a name.
    ///
    /// # Errors
    /// There is no directory for it.
    pub fn open(layout: &Layout, name: &Name, max_bytes: u64) -> io::Result<ConsoleLog> {
        let directory = open_directory(layout)?;
        let half_bytes = (max_bytes / 2).max(1);
        let mut log = ConsoleLog {
            directory,
            file: file_name(name),
            older: older_file_name(name),
            open: None,
            half_bytes,
            lost: 0,
        };
        log.reopen()?;
        Ok(log)
    }

    /// Keeps what was said. What cannot be written is lost, and counted in the log as soon as that can be.
    pub fn append(&mut self, said: &[u8]) {
        if self.lost > 0 {
            let gap = format!("\r\n[{} bytes could not be written here]\r\n", self.lost);
            if self.write(gap.as_bytes()).is_err() {
                self.lost += said.len() as u64;
                return;
            }
            self.lost = 0;
        }
        let mut rest = said;
        while !rest.is_empty() {
            match self.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(_) => {
                    self.lost += rest.len() as u64;
                    return;
                }
            }
        }
    }

    /// Writes as much as fits into the newer file.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_full = self.open.as_ref().is_some_and(|open| open.bytes >= self.half_bytes);
        if is_full {
            renameat(&self.directory, &*self.file, &self.directory, &*self.older)?;
            self.open = None;
        }
        if self.open.is_none() {
            self.reopen()?;
        }
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let room = usize::try_from(self.half_bytes.saturating_sub(open.bytes)).unwrap_or(usize::MAX);
        let count = loop {
            match open.file.write(&bytes[..bytes.len().min(room)]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) if room > 0 => return Err(io::ErrorKind::WriteZero.into()),
                written => break written?,
            }
        };
        open.bytes += count as u64;
        Ok(count)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = open_to_append(&self.directory, &self.file)?;
        let bytes = file.metadata()?.len();
        self.open = Some(Open { file, bytes });
        Ok(())
    }
}

/// All of a log that is kept, as bytes.
///
/// # Errors
/// A file of it cannot be read; that there is none is an empty log.
pub fn read_all(layout: &Layout, name: &Name) -> io::Result<Vec<u8>> {
    let mut text = read_older(layout, name)?;
    text.extend(read(&layout.log_dir.join(file_name(name)))?);
    Ok(text)
}

/// The older half of it.
///
/// # Errors
/// As [`read_all`].
pub fn read_older(layout: &Layout, name: &Name) -> io::Result<Vec<u8>> {
    read(&layout.log_dir.join(older_file_name(name)))
}

/// The last lines of a text; all of it if it has no more.
pub fn last_lines(text: &[u8], count: usize) -> &[u8] {
    // A line that is not ended yet is one, too.
    let end = text.len() - usize::from(text.last() == Some(&b'\n'));
    let mut breaks = text[..end].iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let start = match count {
        0 => text.len(),
        _ => breaks.nth(count - 1).map_or(0, |(at, _)| at + 1),
    };
    &text[start..]
}

/// What is in a file; nothing if there is none.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(dir: &Path) -> Layout {
        Layout { log_dir: dir.join("log"), ..Layout::new("/nowhere") }
    }

    fn is_root(dir: &Path) -> bool {
        std::fs::metadata(dir).unwrap().uid() == 0
    }

    #[test]
    fn both_files_together_stay_below_the_size() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, name) = (layout(dir.path()), "web".parse::<Name>().unwrap());
        if !is_root(dir.path()) {
            // Only root may hold logs; the refusal is what another user sees.
            assert!(ConsoleLog::open(&layout, &name, 4096).is_err());
            return;
        }
        let mut expected = Vec::new();
        for round in 0..5 {
            // Opened again each time, as by one boot after the other.
            let mut log = ConsoleLog::open(&layout, &name, 4096).unwrap();
            for line in 0..100 {
                let said = format!("round {round} line {line} {}\r\n", "x".repeat(line));
                log.append(said.as_bytes());
                expected.extend(said.into_bytes());
                let sizes = [file_name(&name), older_file_name(&name)]
                    .map(|file| std::fs::metadata(layout.log_dir.join(file)).map_or(0, |meta| meta.len()));
                assert!(sizes.iter().all(|size| *size <= 2048), "{sizes:?}");
            }
        }
        let all = read_all(&layout, &name).unwrap();
        assert!(all.len() > 2048 && expected.ends_with(&all), "{}", all.len());
        let last = last_lines(&all, 2);
        assert_eq!((last_lines(&all, 0), last_lines(&all, usize::MAX)), (&b""[..], &*all));
        assert!(last.starts_with(b"round 4 line 98 ") && last.ends_with(b"x\r\n"), "{}", last.escape_ascii());
    }

    #[test]
    fn a_link_or_a_second_name_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, name) = (layout(dir.path()), "web".parse::<Name>().unwrap());
        if !is_root(dir.path()) {
            assert!(open_directory(&layout).is_err());
            return;
        }
        open_directory(&layout).unwrap();
        let (target, path) = (dir.path().join("target"), layout.log_dir.join("web.log"));
        std::fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(ConsoleLog::open(&layout, &name, 4096).is_err());
        std::fs::remove_file(&path).unwrap();
        std::fs::hard_link(&target, &path).unwrap();
        assert!(ConsoleLog::open(&layout, &name, 4096).is_err());
    }
}
