//! Asks a running subhost to end, in the language of its init, from outside.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use subhost_init::force;
use subhost_init::process::ProcessHandle;
use subhost_init::userns::IdMap;
use subhost_mount::rootdir::RootDir;

use crate::error::{Context, Error};
use crate::state::Record;

/// SIGKILL.
const SIGKILL: i32 = 9;
/// How soon one that did not read is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How long the end of one that is killed at once is waited for.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// How long it may take to end before what may keep it is looked for: most have ended in less.
const MOMENT: Duration = Duration::from_millis(20);
/// How soon one that has not ended is killed again: it may just have mounted what it waits for.
const KILL_AGAIN: Duration = Duration::from_millis(200);

/// How long the guest's files may take: what it has mounted over them may never answer.
const FILES: Duration = Duration::from_secs(2);

/// How an init is asked that reads no `/run/initctl`.
struct Language {
    /// The last part of what `INIT` names or links to.
    inits: &'static [&'static str],
    /// To power off.
    off: Told,
    /// To restart.
    again: Told,
    /// True if it only reads `/run/initctl` after the signal, or may not hear it yet.
    repeat: bool,
}

/// What it is told.
struct Told {
    /// The files that are marked for it, as its own tools do.
    marks: &'static [&'static str],
    /// Those from which such a mark is taken.
    cleared: &'static [&'static str],
    /// The signal that it knows.
    signal: i32,
    /// The same in words.
    words: &'static str,
}

const fn told(signal: i32, words: &'static str) -> Told {
    Told { marks: &[], cleared: &[], signal, words }
}

const STOPIT: &[&str] = &["/etc/runit/stopit", "/run/runit.stopit"];
const REBOOT: &[&str] = &["/etc/runit/reboot", "/run/runit.reboot"];

/// The first row that fits counts; the last one fits all.
const LANGUAGES: &[Language] = &[
    Language { inits: &["subhost-init"], off: told(12, "SIGUSR2"), again: told(2, "SIGINT"), repeat: true },
    Language { inits: &["busybox"], off: told(12, "SIGUSR2"), again: told(15, "SIGTERM"), repeat: false },
    // As glibc counts.
    Language {
        inits: &["systemd"],
        off: told(38, "SIGRTMIN+4"),
        again: told(39, "SIGRTMIN+5"),
        repeat: false,
    },
    Language { inits: &["openrc-init"], off: told(15, "SIGTERM"), again: told(2, "SIGINT"), repeat: false },
    Language {
        inits: &["runit-init", "runit"],
        off: Told { marks: STOPIT, cleared: REBOOT, ..told(18, "stopit and SIGCONT") },
        again: Told {
            marks: &["/etc/runit/stopit", "/run/runit.stopit", "/etc/runit/reboot", "/run/runit.reboot"],
            ..told(18, "stopit, reboot and SIGCONT")
        },
        repeat: false,
    },
    // sysvinit makes its FIFO again, if something has taken that away.
    Language { inits: &["init"], off: told(10, "SIGUSR1"), again: told(10, "SIGUSR1"), repeat: true },
    Language { inits: &[], off: told(30, "SIGPWR"), again: told(2, "SIGINT"), repeat: false },
];

/// What is asked of an init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To power off.
    PowerOff,
    /// To restart.
    Reboot,
}

impl Ask {
    fn words(self) -> &'static str {
        match self {
            Ask::PowerOff => "power off",
            Ask::Reboot => "restart",
        }
    }

    /// What `telinit 0` or `telinit 6` writes: a request of init(8) for the run level.
    fn request(self) -> [u8; 384] {
        let level = match self {
            Ask::PowerOff => b'0',
            Ask::Reboot => b'6',
        };
        let mut request = [0; 384];
        request[0..4].copy_from_slice(&0x0309_1969_u32.to_ne_bytes());
        request[4..8].copy_from_slice(&1_u32.to_ne_bytes());
        request[8..12].copy_from_slice(&u32::from(level).to_ne_bytes());
        request[12..16].copy_from_slice(&3_u32.to_ne_bytes());
        request
    }
}

/// How a subhost was asked to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The init's name, and what it was told.
    pub how: String,
    /// True if it may not have heard.
    pub again: bool,
}

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

/// Asks, waits until the timeout, kills, and waits until it is `given_up`, both counted from now. Gives how it was asked, too.
///
/// # Errors
/// Its init cannot be opened, asked or killed.
pub fn stop(
    record: &Record,
    timeout: Duration,
    given_up: Duration,
) -> Result<(Stopped, Option<Asked>), Error> {
    let step = || format!("stop {}", record.name);
    let Some(init) = record.init.identity().open().step(step())? else { return Ok((Stopped::Already, None)) };
    let begun = Instant::now();
    let deadline = begun + timeout;
    let mut last = None;
    // One that stands still does nothing in order. That it does not go on is seen at the deadline.
    let _ = record.cgroup.thaw();
    // A guest that cannot be asked is killed at once: waiting would change nothing.
    while let Ok(asked) = ask(record, Ask::PowerOff) {
        // PID 1 that is just being started does not read yet, and hears no signal: it is asked again.
        let next = if asked.again { deadline.min(Instant::now() + ASK_AGAIN) } else { deadline };
        last = Some(asked);
        if init.wait_gone(next).step(step())? {
            return Ok((Stopped::Orderly, last));
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    Ok((end(record, &init, begun + given_up)?, last))
}

/// Kills.
///
/// # Errors
/// Its init cannot be opened or killed.
pub fn kill(record: &Record) -> Result<Stopped, Error> {
    let init = record.init.identity().open().step(format!("kill {}", record.name))?;
    init.map_or(Ok(Stopped::Already), |init| end(record, &init, Instant::now() + AFTER_KILL))
}

fn end(record: &Record, init: &ProcessHandle, given_up: Instant) -> Result<Stopped, Error> {
    let step = || format!("kill {}", record.name);
    signal_all(record, init)?;
    let mut next = given_up.min(Instant::now() + MOMENT);
    while !init.wait_gone(next).step(step())? {
        if Instant::now() >= given_up {
            return Ok(Stopped::Stuck);
        }
        force(record, init)?;
        next = given_up.min(Instant::now() + KILL_AGAIN);
    }
    Ok(Stopped::Killed)
}

/// Kills, and does not wait for the end.
///
/// # Errors
/// Its init cannot be opened or killed.
pub fn kill_at_once(record: &Record) -> Result<(), Error> {
    let init = record.init.identity().open().step(format!("kill {}", record.name))?;
    init.map_or(Ok(()), |init| force(record, &init))
}

/// Kills all of it, and ends what keeps that from being killed.
fn force(record: &Record, init: &ProcessHandle) -> Result<(), Error> {
    signal_all(record, init)?;
    let _ = force::abort_fuse(IdMap { first: record.first_id, count: record.id_count });
    Ok(())
}

fn signal_all(record: &Record, init: &ProcessHandle) -> Result<(), Error> {
    // Also what is in its cgroup but not below its PID 1, and what that waits for itself.
    if !record.cgroup.open().and_then(|cgroup| cgroup.kill()).unwrap_or(false) {
        force::kill_namespace(record.init.pid_namespace);
    }
    init.signal(SIGKILL).step(format!("kill {}", record.name)).map(drop)
}

/// Asks for power-off or a restart: by a request in `/run/initctl` where init reads that, else in the language of its init.
///
/// # Errors
/// The guest's files do not answer, or the signal cannot be sent.
pub fn ask(record: &Record, what: Ask) -> Result<Asked, Error> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let step = || format!("ask {} to {}", record.name, what.words());
    let guest = record.clone();
    // Not waited for: it ends with the guest at the latest.
    let thread = std::thread::Builder::new().spawn(move || drop(sender.send(ask_now(&guest, what))));
    thread.step(step())?;
    receiver.recv_timeout(FILES).step(step())?
}

fn ask_now(record: &Record, what: Ask) -> Result<Asked, Error> {
    let step = || format!("ask {} to {}", record.name, what.words());
    let asked = |how: String, again| Ok(Asked { how, again });
    let Some(init) = record.init.identity().open().step(step())? else {
        return asked("it had ended".to_owned(), false);
    };
    let root = match RootDir::open(Path::new(&format!("/proc/{}/root", record.init.pid))) {
        Ok(root) => root,
        // One that is about to end has no root any more.
        Err(error) if is_gone(&error) => return asked("it was about to end".to_owned(), false),
        Err(error) => return Err(error).step(step()),
    };
    // The number is still the same process: what was opened is its root.
    if !record.init.is_alive() {
        return asked("it had ended".to_owned(), false);
    }
    let name = init_name(&root, &record.init_program);
    // Where any byte there powers it off, ours restarts by the signal alone.
    let by_fifo = what == Ask::PowerOff || record.init_program != "subhost-init";
    let written = by_fifo
        && root
            .open_fifo_for_write(Path::new("/run/initctl"))
            .is_ok_and(|mut fifo| fifo.write_all(&what.request()).is_ok());
    if written {
        return asked(format!("{name}, by /run/initctl"), false);
    }
    let language = language(&name);
    let told = match what {
        Ask::PowerOff => &language.off,
        Ask::Reboot => &language.again,
    };
    for path in told.marks {
        mark(&root, path);
    }
    for path in told.cleared {
        clear(&root, path);
    }
    init.signal(told.signal).step(step())?;
    asked(format!("{name}, by {}", told.words), language.repeat)
}

fn is_gone(error: &subhost_mount::Error) -> bool {
    [Errno::NOENT, Errno::SRCH].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn language(init: &str) -> &'static Language {
    let fits = |language: &&Language| language.inits.is_empty() || language.inits.contains(&init);
    LANGUAGES.iter().find(fits).expect("the last row fits all")
}

/// Makes a file of the guest, or what it links to, one that its owner may execute. Where it has no such directory nothing
/// is made.
fn mark(root: &RootDir, path: &str) {
    let path = Path::new(path);
    let target = root.read_link(path).unwrap_or_else(|_| path.to_path_buf());
    let _ = root.write_file(&target, 0o100, b"");
}

/// Takes the mark away, where it is.
fn clear(root: &RootDir, path: &str) {
    let path = Path::new(path);
    let target = root.read_link(path).unwrap_or_else(|_| path.to_path_buf());
    if root.metadata(&target).is_ok_and(|found| found.mode & 0o100 != 0) {
        let _ = root.write_file(&target, 0o000, b"");
    }
}

/// The last part of the name of the program that the guest's init is, or links to.
fn init_name(root: &RootDir, program: &str) -> String {
    let path = Path::new(program);
    let target = root.read_link(path).unwrap_or_else(|_| path.to_path_buf());
    target.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_init_has_its_language() {
        for (init, off, again) in [
            ("subhost-init", "SIGUSR2", "SIGINT"),
            ("busybox", "SIGUSR2", "SIGTERM"),
            ("systemd", "SIGRTMIN+4", "SIGRTMIN+5"),
            ("openrc-init", "SIGTERM", "SIGINT"),
            ("runit-init", "stopit and SIGCONT", "stopit, reboot and SIGCONT"),
            ("init", "SIGUSR1", "SIGUSR1"),
            ("my-own", "SIGPWR", "SIGINT"),
            ("", "SIGPWR", "SIGINT"),
        ] {
            assert_eq!((language(init).off.words, language(init).again.words), (off, again), "{init}");
        }
    }

    #[test]
    fn an_init_is_named_by_what_it_links_to() {
        let guest = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/lib/runit/runit-init", guest.path().join("init")).unwrap();
        let root = RootDir::open(guest.path()).unwrap();
        assert_eq!(init_name(&root, "/init"), "runit-init");
        assert_eq!(init_name(&root, "/sbin/init"), "init");
        assert_eq!(init_name(&root, "subhost-init"), "subhost-init");
    }

    #[test]
    fn a_mark_is_made_where_the_link_leads() {
        let guest = tempfile::tempdir().unwrap();
        std::fs::create_dir(guest.path().join("run")).unwrap();
        std::os::unix::fs::symlink("/run/stopit", guest.path().join("stopit")).unwrap();
        let root = RootDir::open(guest.path()).unwrap();
        mark(&root, "/stopit");
        mark(&root, "/no/such/directory");
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(guest.path().join("run/stopit")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o100);
    }
}
