//! Starts the scripts and the payload: a session of its own, default signals, the console as its input and output.

use core::ffi::CStr;

use super::command::Command;
use super::config::Config;
use super::environment::{Kept, name};
use super::message::{Message, Program, Step};
use super::sys::{self, Args, Errno, List, Pointers, Result};

/// The descriptor of the socket to the supervisor.
pub(crate) const HOST: i32 = 3;

const PATH: &CStr = c"PATH=/sbin:/usr/sbin:/bin:/usr/bin";
const PAYLOAD_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SULOGIN: &CStr = c"/sbin/sulogin";

/// What a program is started with.
pub(crate) struct Spawn<'a> {
    pub(crate) args: Args,
    pub(crate) config: &'a Config<'a>,
    pub(crate) kept: &'a Kept,
    pub(crate) program: Program,
    /// For `RUNLEVEL` and `PREVLEVEL`, ASCII.
    pub(crate) level: u8,
    pub(crate) previous: u8,
}

impl Spawn<'_> {
    /// Starts the program and returns its pid. A script that is not there is not forked for.
    pub(crate) fn start(&self) -> Result<i32> {
        match self.script() {
            Some(script) => drop(sys::identify_target(script.path())?),
            None if self.program == Program::Payload => {}
            None => return Err(Errno(sys::ENOENT)),
        }
        match sys::fork() {
            Ok(0) => self.child(),
            Err(Errno(errno)) => {
                report(Step::Fork, errno);
                Err(Errno(errno))
            }
            Ok(pid) => Ok(pid),
        }
    }

    fn script(&self) -> Option<Command> {
        let line = match self.program {
            Program::SystemInit => self.config.rcs,
            Program::Boot => self.config.boot,
            Program::Runlevel(b'0') => self.config.rc0,
            Program::Runlevel(b'1') => self.config.rc1,
            Program::Runlevel(b'6') => self.config.rc6,
            Program::Runlevel(_) => self.config.rc,
            Program::Single => Some(SULOGIN),
            Program::Payload => None,
        };
        Command::new(line?, self.level)
    }

    fn child(&self) -> ! {
        sys::setsid();
        if (self.config.tty || self.program == Program::Single)
            && let Err(Errno(errno)) = sys::take_terminal(0)
        {
            report(Step::Terminal, errno);
        }
        sys::umask(self.config.umask);
        let cwd = self.config.cwd.filter(|_| self.program == Program::Payload);
        if let Some(cwd) = cwd
            && let Err(Errno(errno)) = sys::chdir(cwd)
        {
            report(Step::Directory, errno);
            sys::exit(126);
        }
        sys::block_signals(0);
        let Errno(errno) = match self.script() {
            Some(script) => self.execute_script(&script),
            None => self.execute_payload(),
        };
        report(Step::Execute, errno);
        sys::exit(if matches!(errno, sys::ENOENT | sys::ENOTDIR) { 127 } else { 126 })
    }

    fn execute_script(&self, script: &Command) -> Errno {
        let runlevel = [b'R', b'U', b'N', b'L', b'E', b'V', b'E', b'L', b'=', self.level, 0];
        let prevlevel = [b'P', b'R', b'E', b'V', b'L', b'E', b'V', b'E', b'L', b'=', self.previous, 0];
        let mut argv = List::<16>::new();
        for word in script.words() {
            argv.push(word);
        }
        let mut environment = List::<128>::new();
        environment.push(c"INIT_VERSION=sysvinit-2.96");
        environment.push(c"CONSOLE=/dev/console");
        for variable in [&runlevel[..], &prevlevel[..]] {
            if let Ok(variable) = CStr::from_bytes_with_nul(variable) {
                environment.push(variable);
            }
        }
        for variable in self.kept.iter() {
            environment.push(variable);
        }
        let inherited = self.args.environment;
        for variable in [PATH, c"TERM=linux", c"HOME=/"] {
            if find(inherited, name(variable.to_bytes())).is_none() {
                environment.push(variable);
            }
        }
        for variable in inherited {
            let name = name(variable.to_bytes());
            if !name.starts_with(b"INIT_") && !matches!(name, b"CONSOLE" | b"RUNLEVEL" | b"PREVLEVEL") {
                environment.push(variable);
            }
        }
        execute(script.path(), argv.pointers(), environment.pointers())
    }

    fn execute_payload(&self) -> Errno {
        let argv = self.args.words.behind(1 + self.config.payload.unwrap_or(0));
        let environment = self.args.environment;
        let Some(command) = argv.first() else { return Errno(sys::ENOENT) };
        if command.to_bytes().contains(&b'/') {
            return execute(command, argv, environment);
        }
        let path = find(environment, b"PATH").unwrap_or(PAYLOAD_PATH);
        let mut error = Errno(sys::ENOENT);
        for directory in path.split(|byte| *byte == b':') {
            let mut buffer = [0; 4096];
            let found = match join(&mut buffer, directory, command) {
                Some(candidate) => execute(candidate, argv, environment),
                None => Errno(sys::ENAMETOOLONG),
            };
            // As execvp: one that may not be executed is told only when there is no other.
            match found.0 {
                sys::ENOENT | sys::ENOTDIR | sys::ENAMETOOLONG => {}
                sys::EACCES => error = found,
                _ => return found,
            }
        }
        error
    }
}

/// Tells the supervisor that a step failed.
pub(crate) fn report(step: Step, errno: i32) {
    let _ = sys::send(HOST, &Message::Failed { step, errno }.encode());
}

/// The value of a variable.
fn find(environment: Pointers<'static>, wanted: &[u8]) -> Option<&'static [u8]> {
    let mut environment = environment;
    environment.find(|entry| name(entry.to_bytes()) == wanted)?.to_bytes().get(wanted.len() + 1..)
}

/// Executes a file; one that is no program is given to the shell, as execvp does.
fn execute(path: &CStr, argv: Pointers<'_>, environment: Pointers<'_>) -> Errno {
    let error = sys::execve(path, &argv, &environment);
    if error.0 != sys::ENOEXEC {
        return error;
    }
    let mut shell = List::<512>::new();
    shell.push(c"/bin/sh");
    shell.push(path);
    for word in argv.behind(1) {
        if !shell.push(word) {
            return error;
        }
    }
    sys::execve(c"/bin/sh", &shell.pointers(), &environment)
}

/// `directory/command`; an empty directory is the current one.
fn join<'a>(buffer: &'a mut [u8; 4096], directory: &[u8], command: &CStr) -> Option<&'a CStr> {
    let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
    let parts = directory.iter().chain(slash).chain(command.to_bytes_with_nul());
    let length = directory.len() + slash.len() + command.count_bytes() + 1;
    buffer.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    CStr::from_bytes_with_nul(buffer.get(..length)?).ok()
}
