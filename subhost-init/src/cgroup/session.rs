//! A group for one command of a caller, all of which ends when the caller is killed.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::event::{Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat};
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
    parent: OwnedFd,
    name: CString,
    directory: OwnedFd,
    watcher: OwnedFd,
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
        let name = make(&parent).map_err(|errno| failed("make", errno))?;
        let made = Session::watched(&parent, &name);
        if !matches!(made, Ok(Some(_))) {
            let _ = unlinkat(&parent, &name, AtFlags::REMOVEDIR);
        }
        made.map_err(|errno| failed("watch over", errno))
    }
}

/// Makes a directory that no other has.
fn make(parent: &OwnedFd) -> std::result::Result<CString, Errno> {
    let pid = std::process::id();
    for index in 0..NAMES {
        let name = CString::new(format!("exec-{pid}-{index}")).map_err(|_| Errno::INVAL)?;
        match mkdirat(parent, &name, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) => {}
            made => return made.map(|()| name),
        }
    }
    Err(Errno::EXIST)
}

impl Session {
    fn watched(parent: &OwnedFd, name: &CString) -> std::result::Result<Option<Session>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(parent, name, flags, Mode::empty())?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let kill = match openat(&directory, c"cgroup.kill", flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            kill => kill?,
        };
        let (caller, watcher) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut keep = [parent.as_raw_fd(), kill.as_raw_fd(), caller.as_raw_fd()];
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
            if retry_on_intr(|| read(&caller, &mut said[..])) == Ok(1) {
                return 0;
            }
            let _ = write(&kill, b"1");
            remove(parent, name);
            0
        };
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let forked = sys::clone::fork_with(0, None, &body);
        if let Ok(mask) = mask {
            let _ = mask.thread_set_mask();
        }
        forked.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        let parent = rustix::io::fcntl_dupfd_cloexec(parent, 0)?;
        Ok(Some(Session { parent, name: name.clone(), directory, watcher }))
    }

    /// The directory, for [`Enter::cgroup`](crate::enter::Enter::cgroup).
    ///
    /// # Errors
    /// [`Error::System`]: no descriptor is left.
    pub fn directory(&self) -> Result<OwnedFd> {
        self.directory.as_fd().try_clone_to_owned().map_err(|source| Error::System {
            operation: "duplicate the descriptor of",
            object: "a group for the command".to_owned(),
            source,
        })
    }

    /// The command has ended. What it has left in the background goes on, in this group, which then goes with the guest.
    pub fn end(self) {
        let _ = write(&self.watcher, DONE);
        let _ = unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
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
