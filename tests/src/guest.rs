//! Witnesses of one running guest: its first process, its supervisor and its files, seen from the host.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::host::Host;
use crate::program::{readable, slowness};

/// How long a guest may take to come again.
const PATIENCE: Duration = Duration::from_secs(45);

/// One guest, as `list --json` described it, held by its first process.
pub struct Guest {
    row: Value,
    init: u32,
    pidfd: Option<OwnedFd>,
    supervisor: Option<Process>,
}

/// A process, held so that it is that one for ever.
pub struct Process(OwnedFd);

impl Process {
    /// The process that has this pid now.
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.0, signal)?)
    }

    /// Whether it ends in that time.
    pub fn ends(&self, within: Duration) -> io::Result<bool> {
        readable(&self.0, within)
    }
}

/// The next life of a guest, with its network up.
pub fn booted_again(host: &Host, name: &str, before: &Guest) -> Result<Guest, Box<dyn Error>> {
    if !before.ends(PATIENCE * slowness())? {
        return Err("still there after a reboot".into());
    }
    let deadline = Instant::now() + PATIENCE * slowness();
    loop {
        if let Some(guest) = host.guest(name)?
            && guest.state() == "running"
            && guest.init_pid() != before.init_pid()
        {
            return Ok(guest);
        }
        let state = host.guest(name)?.map(|guest| guest.state().to_owned());
        if state.as_deref() == Some("stopped") {
            return Err("shown as stopped while it reboots".into());
        }
        // Each look is a run of the program, so this is no busy loop.
        if Instant::now() > deadline {
            return Err(format!("{name} did not come again").into());
        }
    }
}

impl Guest {
    /// Takes a row of `list --json`. A row without `init_pid` is a guest that does not run.
    pub fn from_json(row: Value) -> io::Result<Self> {
        let init = row["init_pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        let pid = i32::try_from(init).ok().and_then(Pid::from_raw);
        let pidfd = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())).transpose()?;
        let supervisor = row["supervisor_pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let supervisor = supervisor.map(Process::open).transpose()?;
        Ok(Self { row, init, pidfd, supervisor })
    }

    /// What the row says under `key`.
    pub fn field(&self, key: &str) -> &Value {
        &self.row[key]
    }

    /// `running`, or what else the program says.
    pub fn state(&self) -> &str {
        self.row["state"].as_str().unwrap_or_default()
    }

    /// The host's pid of the guest's first process.
    pub fn init_pid(&self) -> u32 {
        self.init
    }

    /// Its supervisor when it was listed.
    pub fn supervisor(&self) -> io::Result<&Process> {
        self.supervisor.as_ref().ok_or_else(|| io::Error::other("it was listed without a supervisor"))
    }

    /// Sends its first process a signal; that of a later run is another one.
    pub fn signal_init(&self, signal: Signal) -> io::Result<()> {
        let pidfd = self.pidfd.as_ref().ok_or_else(|| io::Error::other("it was listed without a process"))?;
        Ok(pidfd_send_signal(pidfd, signal)?)
    }

    /// A file of the guest as the host reaches it. The guests of these tests set no traps with links.
    pub fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/{}", self.init, path.trim_start_matches('/')))
    }

    /// Writes to the guest's `/run/initctl`, as a tool in the guest would.
    pub fn write_initctl(&self, bytes: &[u8]) -> io::Result<()> {
        let path = self.file("/run/initctl");
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("write {}: {error}", path.display()));
        // Not created: if the pipe is missing, that must show.
        let mut pipe = fs::OpenOptions::new().write(true).open(&path).map_err(named)?;
        pipe.write_all(bytes).map_err(named)
    }

    /// Waits for the end of the first process, and with it of the guest.
    pub fn ends(&self, within: Duration) -> io::Result<bool> {
        self.pidfd.as_ref().map_or(Ok(true), |pidfd| readable(pidfd, within))
    }

    /// Waits until a file of the guest has this line.
    pub fn wait_for_line(&self, path: &str, line: &str, within: Duration) -> io::Result<()> {
        let file = self.file(path);
        let directory = file.parent().unwrap_or(&file);
        let deadline = Instant::now() + within;
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let events = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE;
        inotify::add_watch(&watch, directory, events)
            .map_err(|error| io::Error::other(format!("watch {}: {error}", directory.display())))?;
        loop {
            // Watched before it is read, so that no change is missed.
            let text = fs::read_to_string(&file).unwrap_or_default();
            if text.lines().any(|found| found == line) {
                return Ok(());
            }
            if !readable(&watch, deadline.saturating_duration_since(Instant::now()))? {
                let path = file.display();
                return Err(io::Error::other(format!(
                    "no line {line:?} in {path} after {within:?}, but: {text}"
                )));
            }
            let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(&watch, &mut buffer);
            while reader.next().is_ok() {}
        }
    }
}
