//! A host of one's own: network, mount, PID and IPC namespaces, with a private `/run` and
//! `/var/log`, that end with their first process.
//!
//! A program that wants one calls [`stage`] first thing in `main`, and runs itself again through [`command`]. What
//! it starts in there is seen by nobody else, and dies with it, whatever happens.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command, ExitStatus};

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::process::{WaitOptions, wait};

/// The environment variable that tells a process how far it has come.
const STAGE: &str = "SUBHOST_ISOLATE_STAGE";
/// Where `ip netns` pins its namespaces.
const NETNS: &str = "/run/netns";
const FIRST: &str = "first";
const INSIDE: &str = "inside";

/// Where the current process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// On the host that it was started on.
    Outside,
    /// In namespaces of its own.
    Inside,
}

/// Tells where this process runs. As the first process of new namespaces it does not return: it prepares them, runs
/// this program again in them, reaps what is left there, and exits with its status.
pub fn stage() -> io::Result<Stage> {
    match env::var(STAGE).as_deref() {
        Ok(INSIDE) => Ok(Stage::Inside),
        Ok(FIRST) => {
            prepare()?;
            let child =
                Command::new(env::current_exe()?).args(env::args_os().skip(1)).env(STAGE, INSIDE).spawn()?;
            process::exit(reap_until_end_of(child.id())?)
        }
        _ => Ok(Stage::Outside),
    }
}

/// This program with `args`, to be started in new namespaces. Needs root and util-linux.
///
/// When the command ends or is killed, or the thread that has started it ends, everything in its namespaces is killed.
pub fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> io::Result<Command> {
    let mut command = Command::new("setpriv");
    command
        // By itself it lets SIGTERM pass.
        .args(["--pdeathsig", "KILL", "--", "unshare"])
        .args(["--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"])
        .args(["--propagation", "private", "--"])
        .arg(env::current_exe()?)
        .args(args)
        .env(STAGE, FIRST);
    Ok(command)
}

/// The exit status as a shell gives it: 128 + n for a signal.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn prepare() -> io::Result<()> {
    mount("tmpfs", "/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755")?;
    mount("tmpfs", "/var/log", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755")?;
    // As any host has it where `ip netns add` was ever called: the directory of named netns is a shared mount of itself.
    std::fs::create_dir(NETNS)?;
    mount_bind(NETNS, NETNS)?;
    mount_change(NETNS, MountPropagationFlags::SHARED)?;
    let lo = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    if lo.success() { Ok(()) } else { Err(io::Error::other(format!("ip link set lo up: {lo}"))) }
}

/// Waits for every child, also the orphans that PID 1 gets, until the one with this pid has ended.
fn reap_until_end_of(pid: u32) -> io::Result<i32> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended.as_raw_pid().unsigned_abs() == pid => {
                return Ok(status
                    .exit_status()
                    .unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0)));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
