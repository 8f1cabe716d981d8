//! What an enemy does that no shell can. The test program does it itself, in a guest into which it was copied, or for a
//! program that it becomes.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, ExitCode};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::host::Host;
use crate::sys;

/// The argument that makes the test program an enemy.
const ENEMY: &str = "--enemy";

/// Its name in a guest.
pub const PROGRAM: &str = "/enemy";

/// Call this first in `main`: gives a status where this process is an enemy, and has done its work.
pub fn main() -> Option<ExitCode> {
    let mut words = env::args_os().skip(1);
    if words.next()? != ENEMY {
        return None;
    }
    let what = words.next()?.into_string().ok()?;
    let done = match what.as_str() {
        "without" => take_away(words.next()?.to_str()?).and_then(|()| {
            let program = words.next().ok_or(io::ErrorKind::InvalidInput)?;
            Err(Command::new(program).args(words).exec())
        }),
        "push" => push(),
        "talk" => talk(),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{what}: {error}");
            ExitCode::FAILURE
        }
    })
}

/// System calls by their names, with commas between.
fn take_away(names: &str) -> io::Result<()> {
    for name in names.split(',') {
        let unknown = || io::Error::new(io::ErrorKind::InvalidInput, format!("{name}: no such system call"));
        sys::take_away(sys::system_call(name).ok_or_else(unknown)?)?;
    }
    Ok(())
}

/// The words before a command that run it while system calls fail as if the kernel did not have them. They hold as long as
/// this process lives.
pub fn runner(system_calls: &str) -> [String; 4] {
    // Not its path, where a build may have put another one meanwhile.
    let program = format!("/proc/{}/exe", process::id());
    [program, ENEMY.to_owned(), "without".to_owned(), system_calls.to_owned()]
}

/// A command that runs another one in that way.
pub fn without(system_calls: &str, command: &Command) -> Command {
    let [program, words @ ..] = runner(system_calls);
    let mut without = Command::new(program);
    without.args(words).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => without.env(name, value),
            None => without.env_remove(name),
        };
    }
    without
}

/// The words that run an enemy.
pub fn words<'a>(program: &'a str, what: &'a str) -> [&'a str; 3] {
    [program, ENEMY, what]
}

/// Copies this program into a tree, with all that it needs there.
pub fn copy_into(host: &Host, tree: &Path) -> io::Result<()> {
    let program = env::current_exe()?.to_string_lossy().into_owned();
    let target = |path: &str| tree.join(path.trim_start_matches('/')).to_string_lossy().into_owned();
    host.witness("strip", &["-o", &target(PROGRAM), &program])?;
    for word in host.witness("ldd", &[&program])?.split_whitespace().filter(|word| word.starts_with('/')) {
        host.witness("install", &["-D", word, &target(word)])?;
    }
    Ok(())
}

/// Types into every terminal that it has.
fn push() -> io::Result<()> {
    let mut pushed = 0;
    let controlling = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let mut terminals = vec![stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    terminals.extend(controlling.as_ref().ok().map(AsFd::as_fd));
    for terminal in terminals {
        for high in [0, 1, 0x8000_0000] {
            for byte in *b"pushed\n" {
                pushed += usize::from(sys::push_input(terminal, byte, high).is_ok());
            }
        }
    }
    println!("tried to push, {pushed} taken");
    Ok(())
}

/// Says what no PID 1 would say, over PID 1's own socket to the supervisor.
fn talk() -> io::Result<()> {
    let init = pidfd_open(Pid::INIT, PidfdFlags::empty())?;
    let socket = pidfd_getfd(&init, 3, PidfdGetfdFlags::empty())?;
    let mut sent = 0;
    for length in [1, 2, 3, 7, 8, 9, 15, 16, 17, 64, 4096, 100_000] {
        for byte in 0..=255_u8 {
            let packet = vec![byte; length];
            sent += usize::from(send(&socket, &packet, SendFlags::NOSIGNAL).is_ok());
        }
    }
    // Descriptors that nobody has asked for.
    for _ in 0..1000 {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [init.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&fds));
        sent += usize::from(
            sendmsg(&socket, &[io::IoSlice::new(b"gift")], &mut control, SendFlags::NOSIGNAL).is_ok(),
        );
    }
    // To a reader this looks like the end.
    send(&socket, &[], SendFlags::NOSIGNAL)?;
    writeln!(io::stdout(), "talked {sent}")
}
