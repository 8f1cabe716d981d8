//! Asks a running subhost to end, in the language of its init, from outside.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use subhost_mount::rootdir::RootDir;

use crate::error::{Context, Error};
use crate::state::Record;

/// SIGUSR2: power-off for busybox init.
const SIGUSR2: i32 = 12;
/// SIGTERM.
const SIGTERM: i32 = 15;
/// SIGKILL.
const SIGKILL: i32 = 9;
/// SIGRTMIN+4 as glibc and systemd count: power-off for systemd.
const SIGRTMIN_4: i32 = 38;
/// How soon one that did not read is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How long the end after SIGKILL is waited for.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// How a subhost was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It had ended already.
    Already,
    /// It did what it was asked for.
    Orderly,
    /// It did not in time, and was killed.
    Killed,
    /// It does not even end when killed (a process in uninterruptible sleep).
    Stuck,
}

/// Asks, waits until the timeout, kills.
///
/// # Errors
/// Its init cannot be opened, asked or killed.
pub fn stop(record: &Record, timeout: Duration) -> Result<Stopped, Error> {
    let step = || format!("stop {}", record.name);
    let Some(init) = record.init.identity().open().step(step())? else { return Ok(Stopped::Already) };
    let deadline = Instant::now() + timeout;
    // A guest that cannot be asked is killed at once: waiting would change nothing.
    while let Ok(written) = ask(record) {
        // PID 1 that is just being started does not read yet, and hears no signal: it is asked again.
        let heard = written || record.init_program != "subhost-init";
        let next = if heard { deadline } else { deadline.min(Instant::now() + ASK_AGAIN) };
        if init.wait_gone(next).step(step())? {
            return Ok(Stopped::Orderly);
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    // Also what is in its cgroup but not below its PID 1; where the kernel cannot, the rest ends with PID 1.
    let _ = record.cgroup.open().and_then(|cgroup| cgroup.kill());
    init.signal(SIGKILL).step(step())?;
    Ok(if init.wait_gone(Instant::now() + AFTER_KILL).step(step())? {
        Stopped::Killed
    } else {
        Stopped::Stuck
    })
}

/// Asks for power-off; true if it was written where init reads, false if only a signal was sent: a request in `/run/initctl` where init reads that, else the signal its init knows.
///
/// # Errors
/// The guest has neither, or does not read.
pub fn ask(record: &Record) -> Result<bool, Error> {
    let step = || format!("ask {} to power off", record.name);
    let init = record.init.identity().open().step(step())?;
    let Some(init) = init else { return Ok(true) };
    let root = RootDir::open(Path::new(&format!("/proc/{}/root", record.init.pid))).step(step())?;
    // The number is still the same process: what was opened is its root.
    if !record.init.is_alive() {
        return Ok(true);
    }
    let written = root
        .open_fifo_for_write(Path::new("/run/initctl"))
        .map_err(|error| error.to_string())
        .and_then(|mut fifo| fifo.write_all(&power_off_request()).map_err(|error| error.to_string()));
    if written.is_ok() {
        return Ok(true);
    }
    let signal = match init_kind(&root, record).as_str() {
        "busybox" => SIGUSR2,
        "systemd" => SIGRTMIN_4,
        _ if record.init_program == "subhost-init" => SIGUSR2,
        _ => SIGTERM,
    };
    init.signal(signal).step(step())?;
    Ok(false)
}

/// What `telinit 0` writes: a request of init(8) for run level 0.
fn power_off_request() -> [u8; 384] {
    let mut request = [0; 384];
    request[0..4].copy_from_slice(&0x0309_1969_u32.to_ne_bytes());
    request[4..8].copy_from_slice(&1_u32.to_ne_bytes());
    request[8..12].copy_from_slice(&u32::from(b'0').to_ne_bytes());
    request[12..16].copy_from_slice(&3_u32.to_ne_bytes());
    request
}

/// The program that the guest's init is, by the name that it links to.
fn init_kind(root: &RootDir, record: &Record) -> String {
    let path = Path::new(&record.init_program);
    let target = root.read_link(path).unwrap_or_else(|_| path.to_path_buf());
    target.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
