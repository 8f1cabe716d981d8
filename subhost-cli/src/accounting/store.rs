//! The store of samples: a directory with lines of JSON, to which lines are only added.
//!
//! They go to [`FILE`]; when that is large enough it becomes `usage-TIME.jsonl`, and stays.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::sample::Line;
use super::time::Time;
use crate::report::json_line;

/// The file that lines are added to.
pub const FILE: &str = "usage.jsonl";
/// How long somebody else may have the store locked.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How far back the last line of a host is looked for.
const TAIL_BYTES: u64 = 4 << 20;

/// A store, open.
#[derive(Debug)]
pub struct Store {
    directory: OwnedFd,
    path: PathBuf,
    /// How large the file becomes before there is a next one.
    pub max_bytes: u64,
    /// How many full files are kept; all, where there is no number.
    pub keep: Option<usize>,
}

/// What was seen while a store was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Places of lines that say nothing, as a crash may have torn them.
    pub over: Vec<String>,
}

impl Store {
    /// Opens a store, to add to it: its directory is made where it is not there.
    ///
    /// # Errors
    /// It cannot be made, or is not the caller's alone.
    pub fn create(path: &Path) -> io::Result<Store> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        Store::open(path)
    }

    /// Opens one that is there.
    ///
    /// # Errors
    /// It is not, or not the caller's alone.
    pub fn open(path: &Path) -> io::Result<Store> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        check(&directory.metadata()?)?;
        Ok(Store { directory: directory.into(), path: path.to_owned(), max_bytes: 64 << 20, keep: None })
    }

    /// Adds lines, all at once. True if the last line that was there was torn, which is ended then.
    ///
    /// # Errors
    /// They cannot be written, a file is not the caller's alone, or somebody else has the store locked for too long.
    pub fn append(&self, lines: &[Line]) -> io::Result<bool> {
        let mut text = String::new();
        for line in lines {
            text += &json_line(line)?;
        }
        let _lock = self.lock(FlockOperation::NonBlockingLockExclusive)?;
        let mut file = self.open_to_append()?;
        if file.metadata()?.len() >= self.max_bytes {
            self.rotate()?;
            file = self.open_to_append()?;
        }
        let mut last = [b'\n'];
        if let Some(end) = file.metadata()?.len().checked_sub(1) {
            file.read_exact_at(&mut last, end)?;
        }
        let is_torn = last != *b"\n";
        if is_torn {
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes())?;
        Ok(is_torn)
    }

    /// When a host was sampled last, as far as the newest lines tell.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn last_time(&self, host: &str) -> io::Result<Option<Time>> {
        let file = match self.open_file(OsStr::new(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
        let mut text = Vec::new();
        io::Seek::seek(&mut &file, io::SeekFrom::Start(start))?;
        (&file).take(TAIL_BYTES).read_to_end(&mut text)?;
        let lines = text.rsplit(|byte| *byte == b'\n');
        let mut lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        Ok(lines.find(|line| line.host == host).and_then(|line| Time::parse(&line.time)))
    }

    /// Reads all lines, the oldest first; of files that were full before a time, if one is given, only the last one. What is added
    /// meanwhile is not read.
    ///
    /// # Errors
    /// A file cannot be read, is not the caller's alone, or somebody else has the store locked for too long.
    pub fn read(&self, from: Option<Time>, mut take: impl FnMut(Line)) -> io::Result<Passed> {
        let files = {
            let _lock = self.lock(FlockOperation::NonBlockingLockShared)?;
            let open = |name: String| {
                let file = self.open_file(OsStr::new(&name))?;
                let length = file.metadata()?.len();
                Ok((name, file.take(length)))
            };
            let mut names = self.full()?;
            if let Some(from) = from.map(full_name) {
                let before = names.iter().take_while(|name| **name < from).count();
                names.drain(..before.saturating_sub(1));
            }
            if statat(&self.directory, FILE, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                names.push(FILE.to_owned());
            }
            names.into_iter().map(open).collect::<io::Result<Vec<_>>>()?
        };
        let mut passed = Passed::default();
        for (name, file) in files {
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            for number in 1.. {
                line.clear();
                if reader.read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                match serde_json::from_slice(&line) {
                    Ok(line) => take(line),
                    Err(_) => passed.over.push(format!("{} line {number}", self.path.join(&name).display())),
                }
            }
        }
        Ok(passed)
    }

    /// Locks it. Readers do so only while they open the files.
    fn lock(&self, how: FlockOperation) -> io::Result<impl Drop> {
        struct Locked<'a>(&'a OwnedFd);
        impl Drop for Locked<'_> {
            fn drop(&mut self) {
                let _ = flock(self.0, FlockOperation::Unlock);
            }
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match flock(&self.directory, how) {
                Ok(()) => return Ok(Locked(&self.directory)),
                Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => {
                    std::thread::sleep(LOOK_AGAIN)
                }
                Err(Errno::AGAIN) => {
                    return Err(io::Error::other("another process has it locked, for too long"));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn open_to_append(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        self.checked(
            openat(&self.directory, FILE, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600)),
            FILE.as_ref(),
        )
    }

    fn open_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        self.checked(openat(&self.directory, name, flags, Mode::empty()), name)
    }

    fn checked(&self, opened: rustix::io::Result<OwnedFd>, name: &OsStr) -> io::Result<File> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.join(name).display()))
        };
        let file = File::from(opened.map_err(|errno| named(errno.into()))?);
        let meta = file.metadata().map_err(named)?;
        if !meta.is_file() {
            return Err(named(io::Error::other("is not a file")));
        }
        check(&meta).map_err(named)?;
        Ok(file)
    }

    /// Names of the full files, the oldest first.
    fn full(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_string_lossy().into_owned();
            if name.starts_with("usage-") && name.ends_with(".jsonl") {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn rotate(&self) -> io::Result<()> {
        let full = self.full()?;
        let name = full_name(Time::now());
        // Sorted as they were made, also when a clock is set back.
        let name = match full.last() {
            Some(last) if *last >= name => format!("{}_.jsonl", last.trim_end_matches(".jsonl")),
            _ => name,
        };
        renameat(&self.directory, FILE, &self.directory, &*name)?;
        if let Some(keep) = self.keep {
            for old in full.iter().take((full.len() + 1).saturating_sub(keep)) {
                unlinkat(&self.directory, &**old, AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

/// The name of a file that became full at that time.
fn full_name(time: Time) -> String {
    let time: String = time.text().chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    format!("usage-{time}.jsonl")
}

/// Only who uses it may have written there.
fn check(meta: &std::fs::Metadata) -> io::Result<()> {
    let is_own = meta.uid() == rustix::process::geteuid().as_raw();
    if !is_own || meta.mode() & 0o022 != 0 || meta.is_file() && meta.nlink() > 1 {
        return Err(io::Error::other("is not of its user's alone, and is not used"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::sample::{Kind, Row};
    use std::os::unix::fs::PermissionsExt;

    fn line(host: &str, name: &str) -> Line {
        Line {
            time: "2026-11-26T00:00:00.000Z".to_owned(),
            host: host.to_owned(),
            boot_id: "b".to_owned(),
            processors: 1,
            row: Row::new(Kind::Vm, name, "b/1/1"),
        }
    }

    fn names(store: &Store) -> (Vec<String>, Passed) {
        let mut names = Vec::new();
        let passed = store.read(None, |line| names.push(line.row.name)).unwrap();
        (names, passed)
    }

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_torn_line_is_passed_over_and_told_and_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let store = Store::create(&path).unwrap();
        assert!(!store.append(&[line("a", "one"), line("b", "two")]).unwrap());
        let file = path.join(FILE);
        let text = std::fs::read(&file).unwrap();
        std::fs::write(&file, &text[..text.len() - 20]).unwrap();
        let place = format!("{} line 2", file.display());
        assert_eq!(names(&store), (texts(&["one"]), Passed { over: vec![place.clone()] }));
        assert!(store.append(&[line("a", "three\n")]).unwrap());
        assert_eq!(names(&store), (texts(&["one", "three\n"]), Passed { over: vec![place] }));
        assert!(!store.append(&[line("a", "four")]).unwrap());
    }

    #[test]
    fn full_files_stay_in_order_and_are_removed_when_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::create(&dir.path().join("store")).unwrap();
        store.max_bytes = 1;
        for name in ["1", "2", "3", "4"] {
            store.append(&[line("a", name)]).unwrap();
        }
        assert_eq!(names(&store).0, texts(&["1", "2", "3", "4"]));
        // What was full before counts no more, but for the last samples there.
        let mut later = Vec::new();
        store.read(Time::parse("2100-01-01"), |line| later.push(line.row.name)).unwrap();
        assert_eq!(later, texts(&["3", "4"]));
        store.keep = Some(2);
        store.append(&[line("a", "5")]).unwrap();
        assert_eq!(names(&store).0, texts(&["3", "4", "5"]));
    }

    #[test]
    fn the_last_time_is_that_of_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        assert_eq!(store.last_time("a").unwrap(), None);
        let later = Line { time: "2026-11-26T00:01:00.000Z".to_owned(), ..line("b", "x") };
        store.append(&[line("a", "x"), later]).unwrap();
        assert_eq!(store.last_time("a").unwrap(), Time::parse("2026-11-26"));
        assert_eq!(store.last_time("b").unwrap(), Time::parse("2026-11-26T00:01:00Z"));
        assert_eq!(store.last_time("c").unwrap(), None);
    }

    #[test]
    fn what_others_could_have_written_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let store = Store::create(&path).unwrap();
        let file = path.join(FILE);
        std::os::unix::fs::symlink("/dev/null", &file).unwrap();
        assert!(store.append(&[line("a", "x")]).is_err() && store.read(None, drop).is_err());
        std::fs::remove_file(&file).unwrap();
        store.append(&[line("a", "x")]).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o622)).unwrap();
        assert!(store.append(&[line("a", "x")]).is_err() && store.read(None, drop).is_err());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        assert!(Store::create(&path).is_err());
    }

    #[test]
    fn lines_of_many_writers_are_all_there_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        Store::create(&path).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    let mut store = Store::open(path).unwrap();
                    store.max_bytes = 2_000;
                    for number in 0..25 {
                        store.append(&[line("a", &format!("{writer} {number}"))]).unwrap();
                    }
                });
            }
        });
        let (mut names, passed) = names(&Store::open(&path).unwrap());
        names.sort();
        names.dedup();
        assert_eq!((names.len(), passed), (100, Passed::default()));
    }
}
