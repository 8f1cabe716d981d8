//! What must stay as it is, and unseen, while something hostile runs: files of the host, a listener and a process.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::case::Verdict;
use crate::host::Host;
use crate::program::Running;

/// Anybody may read the files: that a guest cannot is the work of nothing but its walls.
pub struct Canary {
    directory: PathBuf,
    secret: String,
    before: Facts,
    watch: OwnedFd,
    listener: TcpListener,
    sleeper: Running,
}

impl Canary {
    /// Makes the directory `canary` on this host, with a `secret` and a directory in it, and starts the two others.
    pub fn plant(host: &Host) -> io::Result<Self> {
        let directory = host.directory().join("canary");
        // Nobody has it by chance.
        let secret = format!("canary-{:016x}", RandomState::new().hash_one(&directory));
        fs::create_dir_all(directory.join("inner"))?;
        for file in ["secret", "inner/secret"] {
            fs::write(directory.join(file), format!("{secret}\n"))?;
            fs::set_permissions(directory.join(file), PermissionsExt::from_mode(0o644))?;
        }
        let before = facts(&directory)?;
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        for watched in [&directory, &directory.join("inner")] {
            inotify::add_watch(&watch, watched, WatchFlags::ALL_EVENTS)?;
        }
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let mut sleeper = Command::new("sleep");
        sleeper.arg("1000");
        Ok(Self { directory, secret, before, watch, listener, sleeper: Running::start(sleeper)? })
    }

    /// Its directory, for links that lead there.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The port of the host's loopback that it listens on.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Whether somebody who says this has read the secret.
    pub fn is_told_in(&self, text: &str) -> bool {
        text.contains(&self.secret)
    }

    /// Fails if anything was read, changed, made or mounted in the directory, or the two others were disturbed.
    pub fn unharmed(&self) -> Verdict {
        let events = self.events()?;
        if !events.is_empty() {
            return Err(format!("the canary was touched: {}", events.join(", ")).into());
        }
        let now = facts(&self.directory)?;
        // That was us.
        self.events()?;
        if now != self.before {
            return Err(
                format!("the canary has changed: {:?}, was {:?}", now.keys(), self.before.keys()).into()
            );
        }
        self.not_mounted()?;
        match self.listener.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return Err(format!("the listener was reached: {other:?}").into()),
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.sleeper.pid()))?;
        if stat.contains(") S ") { Ok(()) } else { Err(format!("the sleeper does not sleep: {stat}").into()) }
    }

    /// What happened in the directory since it was asked last.
    fn events(&self) -> io::Result<Vec<String>> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.watch, &mut buffer);
        let mut events = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => events.push(format!("{:?} {:?}", event.events(), event.file_name())),
                Err(rustix::io::Errno::AGAIN) => return Ok(events),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Neither on it nor of it, in no mount namespace.
    fn not_mounted(&self) -> Result<(), Box<dyn Error>> {
        let directory = self.directory.to_string_lossy();
        let tables =
            fs::read_dir("/proc")?.filter_map(Result::ok).map(|entry| entry.path().join("mountinfo"));
        // What is no process has no table, and what ends while it is read has no mounts.
        for table in tables.filter_map(|path| fs::read(path).ok()) {
            let table = String::from_utf8_lossy(&table);
            if let Some(line) = table.lines().find(|line| line.contains(&*directory)) {
                return Err(format!("a mount has to do with the canary: {line}").into());
            }
        }
        Ok(())
    }
}

/// Of each file below a directory, by path: all numbers but the time of access, the content, and extended attributes.
pub type Facts = BTreeMap<PathBuf, (Vec<i64>, Vec<u8>)>;

/// All that can be told of a directory without changing it. No link is followed.
pub fn facts(tree: &Path) -> io::Result<Facts> {
    let mut all = BTreeMap::new();
    let mut left = vec![tree.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        let numbers =
            [metadata.ino(), metadata.nlink(), metadata.len(), metadata.rdev()].map(u64::cast_signed);
        let owner = [metadata.mode(), metadata.uid(), metadata.gid()].map(i64::from);
        let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
        let mut content = Vec::new();
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        } else if metadata.is_symlink() {
            content = fs::read_link(&path)?.as_os_str().as_bytes().to_vec();
        } else if metadata.is_file() {
            content = fs::read(&path)?;
        }
        let mut buffer = [0; 4096];
        let len = rustix::fs::llistxattr(&path, &mut buffer)?;
        for name in buffer[..len].split_inclusive(|byte| *byte == 0) {
            let name = std::ffi::CStr::from_bytes_with_nul(name).map_err(io::Error::other)?;
            let mut value = [0; 4096];
            let len = rustix::fs::lgetxattr(&path, name, &mut value)?;
            content.extend([name.to_bytes(), &value[..len]].concat());
        }
        all.insert(path, ([&numbers[..], &owner, &times].concat(), content));
    }
    Ok(all)
}
