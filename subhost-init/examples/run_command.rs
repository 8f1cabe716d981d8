//! Runs a command in fresh namespaces, as the child of the static PID 1, over a tree that it cannot write to.
//!
//! ```text
//! run_command [--root DIR] CMD [ARG]...
//! ```
//!
//! Needs root. Without `--root` the tree is `/`: the command sees the host's files, as a user who owns none of them.

use std::error::Error;
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;

use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change, mount_remount};
use subhost_init::console::{Pipes, Pty, RawMode, relay_pipes, relay_terminal};
use subhost_init::handoff::Pid1Args;
use subhost_init::launch::{Ended, Launch, Program};
use subhost_init::userns::{IdMap, UserNamespace};

/// Host ids that nothing else uses.
const IDS: IdMap = IdMap { first: 524_288, count: 65_536 };

fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut root = OsString::from("/");
    if words.first().is_some_and(|word| word == "--root") && words.len() > 1 {
        root = words.remove(1);
        words.remove(0);
    }
    if words.is_empty() {
        eprintln!("usage: run_command [--root DIR] CMD [ARG]...");
        return ExitCode::from(2);
    }
    // A thread of its own, as its mounts are to be its own too.
    let run = std::thread::spawn(move || run(Path::new(&root), words).map_err(|error| error.to_string()));
    match run.join() {
        Ok(Ok(status)) => ExitCode::from(status),
        Ok(Err(error)) => {
            eprintln!("run_command: {error}");
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(root: &Path, command: Vec<OsString>) -> Result<u8, Box<dyn Error>> {
    let live = prepare(root)?;
    let command: Vec<CString> =
        command.into_iter().map(|word| CString::new(word.into_vec())).collect::<Result<_, _>>()?;
    let ids = UserNamespace::create(IDS)?;
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let on_terminal = rustix::termios::isatty(&stdin) && rustix::termios::isatty(&stdout);
    let args = Pid1Args { payload: Some(command), tty: on_terminal, ..Pid1Args::default() };
    let launch = Launch::new(&live)
        .user_namespace(ids.as_fd())
        .hostname("run-command")
        .program(Program::Subhost(args.to_argv()))
        .environment(vec![c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned(), c"TERM=linux".to_owned()]);

    // Never the caller's own terminal: whoever holds it can type into it.
    let mut guest = if on_terminal {
        let pty = Pty::open()?;
        pty.set_owner(IDS.first, IDS.first)?;
        let guest = launch.stdio(three(pty.slave)?).start()?.go()?;
        let _raw = RawMode::enter(stdin.as_fd())?;
        relay_terminal(pty.master.as_fd(), stdin.as_fd(), stdout.as_fd(), guest.pidfd())?;
        guest
    } else {
        let (pipes, theirs) = Pipes::open()?;
        let guest = launch.stdio(theirs).start()?.go()?;
        relay_pipes(pipes, stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), guest.pidfd())?;
        guest
    };
    Ok(match guest.wait()? {
        Ended::Exited(status) => u8::try_from(status).unwrap_or(u8::MAX),
        Ended::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        Ended::PowerOff | Ended::Reboot => 0,
    })
}

/// Mounts the tree read-only, where only this thread sees it: `/proc` and `/sys` of the guest are put on it later.
fn prepare(root: &Path) -> Result<std::path::PathBuf, Box<dyn Error>> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let live = std::path::PathBuf::from("/mnt");
    mount_bind(root, &live)?;
    mount_remount(
        &live,
        MountFlags::BIND | MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID,
        c"",
    )?;
    Ok(live)
}

fn three(fd: OwnedFd) -> std::io::Result<[OwnedFd; 3]> {
    Ok([fd.try_clone()?, fd.try_clone()?, fd])
}
