//! At each system call of a command an error: it then fails cleanly and says of what, or has done its work all the same.

use std::error::Error;
use std::io;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::size::Size;
use subhost_tests::stepper::{Fault, Harm, Walk, name};

use crate::Torture;
use crate::acts::{Act, Count, Made, Scene, all_made, change};

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyTree)];

/// One of the errors at a tenth of the calls, or all at all.
const FAULTS: Size = Size { unit: "of 70 errors", short: 1, long: 70 };

const ERRORS: [(i32, &str); 7] = [
    (libc::ENOMEM, "ENOMEM"),
    (libc::EMFILE, "EMFILE"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::EIO, "EIO"),
    (libc::EBUSY, "EBUSY"),
    (libc::EINTR, "EINTR"),
    (libc::ENOSYS, "ENOSYS"),
];

/// They never fail, says their manual. By `futex` the threads of the libraries wait for each other: of a waking that fails they do
/// not hear.
const NEVER: &[&str] = &[
    "exit",
    "exit_group",
    "futex",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "gettid",
    "getuid",
    "rt_sigreturn",
    "sched_yield",
    "set_tid_address",
    "uname",
    "umask",
];

/// Those that wait, and that a signal may interrupt (signal(7)): to fail of that is a fault of the program. EINTR of any other is
/// an error like the rest.
const WAITING: &[&str] = &[
    "accept",
    "accept4",
    "clock_nanosleep",
    "connect",
    "epoll_pwait",
    "epoll_wait",
    "flock",
    "nanosleep",
    "poll",
    "ppoll",
    "pselect6",
    "read",
    "readv",
    "recvfrom",
    "recvmsg",
    "rt_sigtimedwait",
    "select",
    "sendmsg",
    "sendto",
    "wait4",
    "waitid",
    "write",
    "writev",
];

/// Errors that a library makes another one of.
const CHANGED: &[(&str, i32)] = &[
    // pthread_create(3) says EAGAIN then.
    ("clone3", libc::ENOMEM),
];

/// Where memory comes from: a program of Rust aborts without it, as does the C library.
const MEMORY: &[&str] = &["brk", "madvise", "mmap", "mprotect", "mremap", "munmap"];

/// Where libraries panic, as they take it that this never fails, and with which words.
const PANICS: &[(&str, &str)] = &[
    // The seed of the standard library's maps.
    ("getrandom", "failed to generate random data"),
    // The standard library, at the end of reading a directory.
    ("close", "unexpected error during closedir"),
    // rustix, which gives the limits and no error; what a child says then nobody hears.
    ("prlimit64", ""),
];

pub(crate) const CASES: &[Torture] = &[
    of("whichever_call_fails_a_boot_ends_cleanly", |host| failing(host, Act::Boot)),
    of("whichever_call_fails_a_start_ends_cleanly", |host| failing(host, Act::Start)),
    of("whichever_call_fails_a_stop_ends_cleanly", |host| failing(host, Act::StopBooted)),
    of("whichever_call_fails_a_stop_of_what_lingers_ends_cleanly", |host| failing(host, Act::StopLingering)),
    of("whichever_call_fails_an_exec_ends_cleanly", |host| failing(host, Act::Exec)),
    of("whichever_call_fails_a_recover_ends_cleanly", |host| failing(host, Act::Recover)),
];

const fn of(name: &'static str, body: fn(&Host) -> Verdict) -> Torture {
    Torture { case: Case { name, needs: NEEDS, body }, size: FAULTS }
}

fn failing(host: &Host, act: Act) -> Verdict {
    let scene = Scene::new(host, act)?;
    let all = all_made(&scene.calls()?);
    let size = usize::try_from(FAULTS.now())?;
    let first = change();
    let mut count = Count::default();
    let calls = all.iter().filter(|made| !NEVER.contains(&made.name.as_str()));
    for (index, made) in calls.enumerate() {
        for (nth, (errno, _)) in ERRORS.iter().enumerate() {
            // A tenth of the calls, each of which has another one of the errors.
            if ((index + first) % 10 + 10 * ((nth + index / 10 + first / 10) % 7)) >= size {
                continue;
            }
            scene.prepare()?;
            let walk =
                scene.walk(Some(Harm { spares: never_fails, ..Harm::at(made.at, Fault::Fail(*errno)) }))?;
            // Another call may stand at that place this time.
            let made = Made { name: walk.harmed.map_or_else(|| made.name.clone(), name), ..made.clone() };
            count.add(match (walk.harmed, walk.code) {
                (None, _) => "not reached",
                (_, 0) => "of no consequence",
                _ if is_excused(&made, &walk) => "of the runtime",
                _ => "told",
            });
            if walk.hung {
                // What is left of it may hold up all that comes.
                return Err(
                    format!("{act:?} with {errno} at {} ({}) hangs: {walk}", made.at, made.name).into()
                );
            }
            if let Err(error) = judge(&scene, &walk, &made, nth).and_then(|()| scene.end()) {
                count.add("failures");
                let Made { at, name, .. } = made;
                let text = io::Error::from_raw_os_error(*errno);
                scene.failed(format!(
                    "{act:?} with an error at {at} ({name}): {text}: {error}\n--- itself: {walk}"
                ))?;
            }
        }
    }
    count.show(act, 7 * all.len());
    scene.close()
}

fn never_fails(number: i64) -> bool {
    NEVER.contains(&name(number).as_str())
}

/// Whether it is not for this program to say what is wrong, or to go on: with these the C library and that of Rust end it, in their
/// own words. What is left has to be as clean as ever.
fn is_excused(made: &Made, walk: &Walk) -> bool {
    let panics = || PANICS.iter().any(|(call, text)| *call == made.name && walk.stderr.contains(text));
    made.starting || MEMORY.contains(&made.name.as_str()) || panics()
}

/// What has to hold of any error.
fn judge(scene: &Scene<'_>, walk: &Walk, made: &Made, nth: usize) -> Result<(), Box<dyn Error>> {
    if walk.code == 0 {
        return if scene.is_whole(walk)? { Ok(()) } else { Err("says that it is done, and is not".into()) };
    }
    if !is_excused(made, walk) {
        if walk.stderr.contains("panicked") || walk.code >= 128 {
            return Err("panics, or ends of a signal".into());
        }
        let (errno, symbol) = ERRORS[nth];
        if !CHANGED.contains(&(made.name.as_str(), errno)) && !tells(&walk.stderr, errno, symbol) {
            return Err("does not say of what it fails".into());
        }
        if errno == libc::EINTR && WAITING.contains(&made.name.as_str()) {
            return Err("fails of a signal".into());
        }
    }
    match scene.act {
        // As if it were killed.
        _ if walk.code >= 128 => scene.mend(),
        Act::Start if scene.lingers()? => Ok(()),
        // Undone.
        Act::Boot | Act::Start => scene.nothing_left(),
        // Can be done again.
        _ => scene.mend(),
    }
}

/// Whether a line has an operation or its object, and then the cause, in the words of the C library or by its name.
fn tells(text: &str, errno: i32, symbol: &str) -> bool {
    let cause = io::Error::from_raw_os_error(errno).to_string();
    let cause = cause.split(" (os error").next().unwrap_or_default();
    text.lines().filter_map(|line| line.split_once("error: ")).any(|(_, said)| {
        let at = said.find(&format!(": {cause}")).or_else(|| said.find(&format!(": {symbol}: ")));
        at.is_some_and(|at| at > 0)
    })
}
