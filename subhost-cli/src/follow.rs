//! Reading a file that others append to, and going on in the next one when it is replaced.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

/// A file by its name in a directory, whichever file that is.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    file: Option<File>,
    watch: OwnedFd,
}

impl Follower {
    /// Begins at the beginning of the file. The directory has to be there, the file need not.
    ///
    /// # Errors
    /// The directory cannot be watched.
    pub fn new(directory: &Path, file: &str) -> io::Result<Follower> {
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let events = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MODIFY;
        inotify::add_watch(&watch, directory, events)?;
        Ok(Follower { path: directory.join(file), file: None, watch })
    }

    /// What was appended since the last call; empty when there is nothing for now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            if let Some(file) = &mut self.file {
                file.read_to_end(&mut text)?;
            }
            let current = match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(text),
                other => other?,
            };
            let inode = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino()));
            match &self.file {
                Some(file) if inode(file)? == inode(&current)? => return Ok(text),
                _ => self.file = Some(current),
            }
        }
    }

    /// Waits until something may have been appended; false when nobody reads our standard output any more.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn wait(&self) -> io::Result<bool> {
        let stdout = io::stdout();
        let mut fds = [PollFd::new(&self.watch, PollFlags::IN), PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.watch, &mut buffer);
        while events.next().is_ok() {}
        Ok(fds[1].revents().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn nothing_is_lost_when_the_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut follower = Follower::new(dir.path(), "log").unwrap();
        assert_eq!(follower.read().unwrap(), b"");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one ").unwrap();
        assert_eq!(follower.read().unwrap(), b"one ");
        file.write_all(b"two ").unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        file.write_all(b"three ").unwrap();
        std::fs::write(&path, "four ").unwrap();
        assert_eq!(follower.read().unwrap(), b"two three four ");
        assert_eq!(follower.read().unwrap(), b"");
    }
}
