//! A group for one command of a caller, all of which ends when the caller is killed.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::event::{Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, statat, unlinkat};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::pipe::{PipeFlags, pipe_with};

use super::group::Cgroup;
use crate::{Error, Result, sys};

/// How many groups one caller may have at the same time.
const NAMES: u32 = 1_000;
/// How often it is tried to remove a group whose processes are just ending, and how long is waited in between.
const TRIES: u32 = 500;
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// What is said when all has gone as it should.
const DONE: &[u8] = b"D";

/// A group inside that of a guest (version 2), for a command and all that it starts. When the caller ends without
/// [`Session::end`], however that is, a process that waits for it kills all that is in there.
#[derive(Debug)]
pub struct Session {
    watcher: Watcher,
    directory: OwnedFd,
}

/// The process that waits for the caller's end.
#[derive(Debug)]
struct Watcher {
    parent: OwnedFd,
    name: CString,
    pipe: OwnedFd,
}

impl Cgroup {
    /// Makes one; `None` where there is no version 2 with `cgroup.kill` (Linux 5.14).
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn session(&self) -> Result<Option<Session>> {
        let Some(parent) = self.unified()? else { return Ok(None) };
        let failed = |operation, errno: Errno| Error::System {
            operation,
            object: "a group for the command".to_owned(),
            source: errno.into(),
        };
        // Who waits is there before the group is: killed at any moment, the caller leaves none.
        let watcher = Watcher::start(parent).map_err(|errno| failed("watch over", errno))?;
        match watcher.make() {
            Ok(Some(directory)) => Ok(Some(Session { watcher, directory })),
            other => {
                watcher.end();
                other.map(|_| None).map_err(|errno| failed("make", errno))
            }
        }
    }
}

/// A name that no group has.
fn free_name(parent: &OwnedFd) -> std::result::Result<CString, Errno> {
    let pid = std::process::id();
    for index in 0..NAMES {
        let name = CString::new(format!("exec-{pid}-{index}")).map_err(|_| Errno::INVAL)?;
        match statat(parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(name),
            found => drop(found?),
        }
    }
    Err(Errno::EXIST)
}

impl Watcher {
    fn start(parent: OwnedFd) -> std::result::Result<Watcher, Errno> {
        let name = free_name(&parent)?;
        let kill = CString::new([name.as_bytes(), b"/cgroup.kill"].concat()).map_err(|_| Errno::INVAL)?;
        let (caller, pipe) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut keep = [parent.as_raw_fd(), caller.as_raw_fd()];
        keep.sort_unstable();
        let body = || {
            // With what the caller has, it would wait for itself, and keep others waiting.
            if sys::files::close_all_but(&keep).is_err() {
                return 1;
            }
            // What is sent to the caller's group is not for us.
            let _ = rustix::process::setsid();
            let _ = rustix::process::chdir(c"/");
            let mut said = [0; 1];
            let mut hear = || retry_on_intr(|| read(&caller, &mut said[..]));
            // An error that passes does not mean that the caller has ended.
            if hear().or_else(|_| hear()) == Ok(1) {
                return 0;
            }
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(kill) = openat(&parent, &kill, flags, Mode::empty()) {
                let _ = write(&kill, b"1");
            }
            remove(&parent, &name);
            0
        };
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let forked = sys::clone::fork_with(0, None, &body);
        if let Ok(mask) = mask {
            let _ = mask.thread_set_mask();
        }
        forked.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        Ok(Watcher { parent, name, pipe })
    }

    /// Makes the group; `None` where none can be killed as a whole.
    fn make(&self) -> std::result::Result<Option<OwnedFd>, Errno> {
        mkdirat(&self.parent, &self.name, Mode::from_raw_mode(0o755))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(&self.parent, &self.name, flags, Mode::empty())?;
        match statat(&directory, c"cgroup.kill", AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => found.map(|_| Some(directory)),
        }
    }

    /// Nobody has to wait any more, once it is gone.
    fn end(self) {
        let remove = || unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
        // An error that passes is not to leave it, as nobody comes for it any more. Where there is a process in it, it stays.
        let _ = remove().or_else(|_| remove());
        let _ = write(&self.pipe, DONE);
    }
}

impl Session {
    /// The directory, for [`Enter::cgroup`](crate::enter::Enter::cgroup).
    ///
    /// # Errors
    /// [`Error::System`]: no descriptor is left.
    pub fn directory(&self) -> Result<OwnedFd> {
        self.directory.try_clone().map_err(|source| Error::System {
            operation: "duplicate the descriptor of",
            object: "a group for the command".to_owned(),
            source,
        })
    }

    /// The command has ended. What it has left in the background goes on, in this group, which then goes with the guest.
    pub fn end(self) {
        self.watcher.end();
    }
}

/// Removes the group when all in it has ended. Nothing here allocates.
fn remove(parent: &OwnedFd, name: &CString) {
    for _ in 0..TRIES {
        if unlinkat(parent, name.as_c_str(), AtFlags::REMOVEDIR) != Err(Errno::BUSY) {
            return;
        }
        if let Ok(time) = Timespec::try_from(LOOK_AGAIN) {
            let _ = poll(&mut [], Some(&time));
        }
    }
}
