//! The identity of a process, so that no signal ever reaches a stranger, and what a process leaves to those it executes.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::child::{Status, wait};
use crate::launch::Ended;
use crate::{Error, Result, sys};

/// What identifies a process for ever: its pid alone is used again.
///
/// ```
/// use subhost_init::process::ProcessIdentity;
/// let me = ProcessIdentity::of(std::process::id())?;
/// assert!(me.open()?.is_some());
/// let stranger = ProcessIdentity { start_time_ticks: 1, ..me };
/// assert!(stranger.open()?.is_none());
/// # Ok::<(), subhost_init::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessIdentity {
    /// The pid in the caller's PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since the boot of the host (field 22 of `/proc/PID/stat`).
    pub start_time_ticks: u64,
    /// The host's boot, as in `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The inode of its PID namespace.
    pub pidns_inode: u64,
}

impl ProcessIdentity {
    /// The identity of the process that has this pid now.
    ///
    /// The pid has to be held, as by an unreaped child of the caller, or what is found may be of another process.
    ///
    /// # Errors
    /// When there is none, or `/proc` does not tell.
    pub fn of(pid: u32) -> Result<ProcessIdentity> {
        let boot_id = boot_id().map_err(|source| Error::System {
            operation: "read the boot id of",
            object: "this host".to_owned(),
            source,
        })?;
        let (start_time_ticks, pidns_inode) =
            observe(pid).map_err(|source| error("read the start time of", pid, source))?;
        Ok(ProcessIdentity { pid, start_time_ticks, boot_id, pidns_inode })
    }

    /// A handle of that very process, or `None` when it has ended (and whoever has its pid now is someone else).
    ///
    /// # Errors
    /// Of `pidfd_open` and of reading `/proc`.
    pub fn open(&self) -> Result<Option<ProcessHandle>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        // First the handle, then the look: a pid that is exchanged in between shows another start time.
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(None),
            // The number is now that of a thread.
            Err(Errno::INVAL | Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(error("open", self.pid, errno.into())),
        };
        let handle = ProcessHandle { pid: self.pid, pidfd };
        match ProcessIdentity::of(self.pid) {
            Ok(found) if found == *self && !handle.wait_gone(Instant::now())? => Ok(Some(handle)),
            Ok(_) => Ok(None),
            // What /proc says of one that ends in that moment is ENOENT, ESRCH or EACCES (proc_ns_readlink, proc_ns_get_link).
            Err(_) if handle.wait_gone(Instant::now())? => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A process held by pidfd.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: u32,
    pidfd: OwnedFd,
}

impl ProcessHandle {
    /// Sends a signal by its number (real-time signals too). `false` when the process has ended and was reaped already.
    ///
    /// # Errors
    /// Of `pidfd_send_signal`.
    pub fn signal(&self, number: i32) -> Result<bool> {
        match sys::signals::send(self.pidfd.as_fd(), number) {
            Ok(()) => Ok(true),
            Err(source) if is_gone(&source) => Ok(false),
            Err(source) => Err(error("signal", self.pid, source)),
        }
    }

    /// Waits until the process has ended, `false` when the deadline came first.
    ///
    /// # Errors
    /// Of `poll`.
    pub fn wait_gone(&self, deadline: Instant) -> Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(error("wait for", self.pid, errno.into())),
            }
        }
    }

    /// A process that the caller has a pidfd of, as of a child that it has started under this pid.
    #[must_use]
    pub fn from_pidfd(pid: u32, pidfd: OwnedFd) -> ProcessHandle {
        ProcessHandle { pid, pidfd }
    }

    /// Waits for the end of a child of the caller, and reaps it.
    ///
    /// # Errors
    /// Of `waitid`: `ECHILD` when it is no child of the caller.
    pub fn reap(&self) -> Result<Ended> {
        wait(self.pidfd.as_fd()).map(Ended::from).map_err(|source| error("wait for", self.pid, source))
    }

    /// How the process ended, of which the caller need not be the parent. The kernel tells from Linux 6.15 on, once somebody has
    /// reaped it, which is waited for until the deadline. Of a guest's init it does not tell `reboot(2)`: there it says
    /// [`Ended::Exited`] with 0 if init itself has called that, else [`Ended::Killed`] by SIGKILL.
    #[must_use]
    pub fn ended(&self, deadline: Instant) -> Option<Ended> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Hung up is a pidfd whose process was reaped; nothing else is asked for.
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::empty())];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) if left.is_zero() => break,
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) | Err(_) => break,
            }
        }
        sys::signals::wait_status(self.pidfd.as_fd()).ok()?.map(of_wait_status)
    }

    /// What `/proc` will tell of it between its end and its reaping.
    ///
    /// # Errors
    /// It has ended.
    pub fn epitaph(&self) -> Result<Epitaph> {
        let stat = fs::File::open(format!("/proc/{}/stat", self.pid))
            .map_err(|source| error("open the state of", self.pid, source))?;
        // Still the same process: what was opened is its own.
        match self.wait_gone(Instant::now())? {
            true => Err(error("open the state of", self.pid, io::ErrorKind::NotFound.into())),
            false => Ok(Epitaph(stat)),
        }
    }

    /// The pid that it was opened by.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The pidfd.
    #[must_use]
    pub fn into_pidfd(self) -> OwnedFd {
        self.pidfd
    }
}

/// How a process ended, read by another one than its parent: there from its end until its parent reaps it, which may be no time at
/// all. It tells of `reboot(2)` in a guest, as the parent is told.
#[derive(Debug)]
pub struct Epitaph(fs::File);

impl Epitaph {
    /// How it ended; `None` when it runs, or was reaped.
    #[must_use]
    pub fn read(&self) -> Option<Ended> {
        let mut stat = [0; 1024];
        let length = self.0.read_at(&mut stat, 0).ok()?;
        ended_in(&stat[..length])
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Lets no program that the calling process executes have a descriptor from this number on, also those that it inherited and
/// knows nothing of.
///
/// # Errors
/// Of `close_range`, before Linux 5.11.
pub fn close_on_exec_from(first: u32) -> Result<()> {
    sys::files::close_on_exec_from(first).map_err(|source| Error::System {
        operation: "mark as closed on exec",
        object: format!("descriptors from {first} on"),
        source,
    })
}

/// Lets the next program that the calling process executes have all its descriptors.
///
/// # Errors
/// `/proc` does not tell which there are.
pub fn keep_all_on_exec() -> Result<()> {
    let error = |source| Error::System {
        operation: "keep on exec",
        object: "the own descriptors".to_owned(),
        source,
    };
    let entries: io::Result<Vec<_>> = fs::read_dir("/proc/self/fd").and_then(Iterator::collect);
    for entry in entries.map_err(error)? {
        if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            // That of the listing is closed by now.
            let _ = sys::files::keep_on_exec(number);
        }
    }
    Ok(())
}

fn observe(pid: u32) -> io::Result<(u64, u64)> {
    // What is looked for is in front, and comes with the first read: the kernel makes all of it for each.
    let (file, mut stat) = (File::open(format!("/proc/{pid}/stat"))?, [0; 1024]);
    let length = retry_on_intr(|| rustix::io::read(&file, &mut stat))?;
    let start_time = start_time_ticks(&stat[..length]).ok_or(io::ErrorKind::InvalidData)?;
    let namespace = fs::metadata(format!("/proc/{pid}/ns/pid"))?.ino();
    Ok((start_time, namespace))
}

/// Fields 3 and 52 of `/proc/PID/stat`, of a process that has ended.
fn ended_in(stat: &[u8]) -> Option<Ended> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end_of_name + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let status = fields.nth(52 - 4)?.parse().ok()?;
    (state == "Z").then(|| of_wait_status(status))
}

fn of_wait_status(status: i32) -> Ended {
    Ended::from(match libc::WIFSIGNALED(status) {
        true => Status::Killed(libc::WTERMSIG(status)),
        false => Status::Exited(libc::WEXITSTATUS(status)),
    })
}

/// Field 22 of `/proc/PID/stat`. The second is the name in parentheses, which may hold anything, parentheses too.
fn start_time_ticks(stat: &[u8]) -> Option<u64> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end_of_name + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// It does not change in the life of a process, and is asked for with each identity.
fn boot_id() -> io::Result<String> {
    static READ: OnceLock<String> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read.clone());
    }
    let read = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned();
    Ok(READ.get_or_init(|| read).clone())
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

fn timespec(duration: Duration) -> Timespec {
    Timespec::try_from(duration).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 })
}

fn error(operation: &'static str, pid: u32, source: io::Error) -> Error {
    Error::System { operation, object: format!("process {pid}"), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn reads_the_start_time_behind_any_name() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(start_time_ticks(format!("17 (sh) {fields}").as_bytes()), Some(4242));
        assert_eq!(start_time_ticks(format!("17 (a) b) 9 (\n) {fields}").as_bytes()), Some(4242));
        assert_eq!(start_time_ticks(b"17 (sh) S 1"), None);
        assert_eq!(start_time_ticks(b""), None);
    }

    proptest::proptest! {
        #[test]
        fn no_name_hides_the_fields_behind_it(name: Vec<u8>, garbage: Vec<u8>) {
            let fields = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
            let stat = [b"17 (", &*name, b")", fields.as_bytes()].concat();
            proptest::prop_assert_eq!(start_time_ticks(&stat), Some(4242));
            let fields = format!(" Z{} 9", " 1".repeat(48));
            let stat = [b"17 (", &*name, b")", fields.as_bytes()].concat();
            proptest::prop_assert_eq!(ended_in(&stat), Some(Ended::Killed(9)));
            let _ = (start_time_ticks(&garbage), ended_in(&garbage));
        }
    }

    #[test]
    fn opens_signals_and_awaits_the_very_process() {
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        let handle = identity.open().unwrap().unwrap();
        assert!(!handle.wait_gone(Instant::now()).unwrap());
        assert!(handle.signal(libc::SIGKILL).unwrap());
        assert!(handle.wait_gone(Instant::now() + Duration::from_secs(60)).unwrap());
        // A zombie still has its pid and start time.
        assert!(identity.open().unwrap().is_none());
        child.wait().unwrap();
        assert!(identity.open().unwrap().is_none());
        assert!(!handle.signal(libc::SIGKILL).unwrap());
    }

    #[test]
    fn reads_how_it_ended_until_it_is_reaped() {
        for (command, ended) in
            [("exit 7", Ended::Exited(7)), ("kill -9 $$", Ended::Killed(9)), ("kill -2 $$", Ended::PowerOff)]
        {
            // What is run in the background ignores SIGINT, and so would the shell.
            let mut child = Command::new("env")
                .args(["--default-signal=INT", "sh", "-c", &format!("read x; {command}")])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let handle = ProcessIdentity::of(child.id()).unwrap().open().unwrap().unwrap();
            let epitaph = handle.epitaph().unwrap();
            assert_eq!(epitaph.read(), None, "it runs");
            drop(child.stdin.take());
            assert!(handle.wait_gone(Instant::now() + Duration::from_secs(60)).unwrap());
            assert_eq!(epitaph.read(), Some(ended));
            child.wait().unwrap();
            assert_eq!(epitaph.read(), None, "it was reaped");
            assert!(handle.epitaph().is_err());
        }
    }

    #[test]
    fn refuses_whoever_is_not_the_recorded_one() {
        let me = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(me.open().unwrap().is_some());
        let other_start = ProcessIdentity { start_time_ticks: me.start_time_ticks + 1, ..me.clone() };
        let other_boot =
            ProcessIdentity { boot_id: "00000000-0000-0000-0000-000000000000".into(), ..me.clone() };
        let other_namespace = ProcessIdentity { pidns_inode: me.pidns_inode + 1, ..me.clone() };
        let no_pid = ProcessIdentity { pid: 0, ..me.clone() };
        let huge_pid = ProcessIdentity { pid: u32::MAX, ..me };
        for forged in [other_start, other_boot, other_namespace, no_pid, huge_pid] {
            assert!(forged.open().unwrap().is_none(), "{forged:?}");
        }
    }
}
