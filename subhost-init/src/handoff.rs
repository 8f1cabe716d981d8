//! The contract between whoever starts the static PID 1 and PID 1 itself.
//!
//! **Words.** `argv[0]` is a name for `ps`; then come words `key=value` in any order, as [`Pid1Args`] writes them:
//!
//! | word | default | meaning |
//! | --- | --- | --- |
//! | `runlevel=N` | `2` | boot to this level, `1` to `5`, `7` to `9` |
//! | `stop-ms=N` | `30000` | how long `rc 0` or `rc 6` may take |
//! | `grace-ms=N` | `5000` | from SIGTERM to SIGKILL, to all that then still runs |
//! | `poweroff=graceful\|immediate` | `graceful` | `immediate`: any byte in `/run/initctl` ends the subhost without `rc 0` |
//! | `rcs=PATH` | `/etc/init.d/rcS` | the start script; empty for none |
//! | `rc=PATH` | `/etc/init.d/rc` | the runlevel script, called with the level; empty for none |
//! | `tty=0\|1` | `0` | whether descriptor 0 becomes the controlling terminal of each program |
//! | `umask=OCTAL` | `022` | of each program |
//! | `cwd=DIR` | | working directory of the payload |
//! | `-- CMD…` | | payload mode; what follows is the payload's command line |
//!
//! **Environment.** The payload gets PID 1's own unchanged; `CMD` without a slash is looked for in its `PATH`. Scripts get
//! it too, with `RUNLEVEL`, `PREVLEVEL`, `INIT_VERSION`, `CONSOLE`, the variables `INIT_…` that `/run/initctl` has set,
//! and `PATH`, `TERM`, `HOME` where it has none.
//!
//! **Descriptors**, open across the exec; PID 1 sets close-on-exec on 3 and 4 and closes all above:
//!
//! | number | what |
//! | --- | --- |
//! | 0, 1, 2 | the console, or the payload's pipes |
//! | [`HOST_FD`] | a `SOCK_SEQPACKET` socket to the supervisor; optional |
//! | [`CONSOLE_FD`] | the console's pty master, which PID 1 reads when the supervisor is gone; optional |
//!
//! **Place.** PID 1 of a PID namespace, in the guest's root, which it never leaves and where it mounts nothing; it wants
//! `/run` writable, for `initctl` (made, mode 0600, when it is not there; in payload mode it is only used when it is
//! there) and `utmp`. `CAP_SYS_BOOT` over the PID namespace's user namespace is for `reboot(2)`.
//! Under any other pid the program exits with 0 at once: bound over a start script, it is a script that does nothing.
//!
//! **Packets.** [`Message`] from PID 1, [`Request`] to it. When the supervisor's end is closed the guest goes on.
//!
//! **Signals**, from inside or outside: SIGINT (ctrl-alt-del) and SIGTERM (busybox's `reboot`) restart in order; SIGPWR
//! and SIGUSR2 (busybox's `poweroff`) power off in order. SIGUSR1 opens `/run/initctl` again, as in sysvinit; when what
//! is held stands at its place and no script of init runs, it is busybox's `halt` and powers off. Others do nothing.
//!
//! **End.** After a power-off the parent sees death by SIGINT, after a restart by SIGHUP (`reboot(2)` in a PID namespace);
//! where `reboot` is refused, exit with 130 or 129. After a payload, its status: 128 + n for signal n, 127 not found,
//! 126 not executable. 125 is a failure of PID 1 itself.
//!
//! ```
//! use std::time::Duration;
//! use subhost_init::handoff::Pid1Args;
//!
//! let args = Pid1Args { stop: Duration::from_secs(10), tty: true, ..Pid1Args::default() };
//! assert!(args.to_argv().contains(&c"stop-ms=10000".to_owned()));
//! ```

use std::ffi::{CStr, CString};
use std::os::fd::RawFd;
use std::time::Duration;

use crate::pid1::config;
pub use crate::pid1::message::{End, Message, PACKET, Program, Request, Step, Why};

/// The socket to the supervisor, in PID 1.
pub const HOST_FD: RawFd = 3;

/// The console's pty master, in PID 1.
pub const CONSOLE_FD: RawFd = 4;

/// What PID 1 is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pid1Args {
    /// The runlevel to boot to: an ASCII digit, but `0` and `6`.
    pub runlevel: u8,
    /// How long a power-off may take in order. Whole milliseconds, up to 49 days.
    pub stop: Duration,
    /// How long processes have between SIGTERM and SIGKILL; when the stop time is used up, a second at most.
    pub grace: Duration,
    /// Whether any byte in `/run/initctl` ends the subhost without `rc 0`.
    pub immediate: bool,
    /// The start script; `None` for none.
    pub rcs: Option<CString>,
    /// The runlevel script; `None` for none.
    pub rc: Option<CString>,
    /// Whether file descriptor 0 becomes the controlling terminal of each program.
    pub tty: bool,
    /// The file mode mask of each program.
    pub umask: u32,
    /// The working directory of the payload.
    pub cwd: Option<CString>,
    /// The payload's command line, of at least one word, in the place of the scripts.
    pub payload: Option<Vec<CString>>,
}

impl Default for Pid1Args {
    /// Boots to runlevel 2.
    fn default() -> Self {
        Self {
            runlevel: config::RUNLEVEL,
            stop: Duration::from_millis(config::STOP_MS),
            grace: Duration::from_millis(config::GRACE_MS),
            immediate: false,
            rcs: Some(config::RCS.to_owned()),
            rc: Some(config::RC.to_owned()),
            tty: false,
            umask: config::UMASK,
            cwd: None,
            payload: None,
        }
    }
}

impl Pid1Args {
    /// PID 1's whole command line, `argv[0]` included. An empty payload counts as none.
    #[must_use]
    pub fn to_argv(&self) -> Vec<CString> {
        let mut argv = vec![
            word("subhost-init", c""),
            word(&format!("runlevel={}", char::from(self.runlevel)), c""),
            word(&format!("stop-ms={}", milliseconds(self.stop)), c""),
            word(&format!("grace-ms={}", milliseconds(self.grace)), c""),
            word(if self.immediate { "poweroff=immediate" } else { "poweroff=graceful" }, c""),
            word("rcs=", self.rcs.as_deref().unwrap_or_default()),
            word("rc=", self.rc.as_deref().unwrap_or_default()),
            word(if self.tty { "tty=1" } else { "tty=0" }, c""),
            word(&format!("umask={:o}", self.umask), c""),
            word("cwd=", self.cwd.as_deref().unwrap_or_default()),
        ];
        if let Some(payload) = self.payload.as_ref().filter(|payload| !payload.is_empty()) {
            argv.push(c"--".to_owned());
            argv.extend_from_slice(payload);
        }
        argv
    }
}

fn word(key: &str, value: &CStr) -> CString {
    let bytes: Vec<u8> =
        key.bytes().chain(value.to_bytes().iter().copied()).filter(|byte| *byte != 0).collect();
    CString::new(bytes).expect("NULs are left out")
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pid1::config::Config;
    use proptest::prelude::*;

    fn read(argv: &[CString]) -> Config<'_> {
        Config::parse(argv[1..].iter().map(AsRef::as_ref)).unwrap()
    }

    #[test]
    fn words_are_these() {
        let args = Pid1Args {
            runlevel: b'3',
            stop: Duration::from_secs(2),
            grace: Duration::from_millis(5),
            immediate: true,
            rcs: Some(c"/a b".to_owned()),
            rc: None,
            tty: true,
            umask: 0o077,
            cwd: Some(c"/srv".to_owned()),
            payload: Some(vec![c"ls".to_owned(), c"--".to_owned()]),
        };
        let argv: Vec<_> = args.to_argv().into_iter().map(|word| word.into_string().unwrap()).collect();
        assert_eq!(
            argv,
            [
                "subhost-init",
                "runlevel=3",
                "stop-ms=2000",
                "grace-ms=5",
                "poweroff=immediate",
                "rcs=/a b",
                "rc=",
                "tty=1",
                "umask=77",
                "cwd=/srv",
                "--",
                "ls",
                "--",
            ]
        );
    }

    #[test]
    fn default_is_the_default_of_pid1() {
        assert_eq!(read(&Pid1Args::default().to_argv()), Config::default());
    }

    #[test]
    fn a_time_without_end_is_the_longest() {
        let args = Pid1Args { stop: Duration::MAX, ..Pid1Args::default() };
        assert_eq!(read(&args.to_argv()).stop_ms, 4_294_967_295);
    }

    prop_compose! {
        fn text()(bytes in prop::collection::vec(1_u8.., 1..20)) -> CString { CString::new(bytes).unwrap() }
    }

    proptest! {
        #[test]
        fn pid1_reads_what_was_written(
            runlevel in prop::sample::select(&b"12345789"[..]), stop in 0_u32.., grace in 0_u32.., umask in 0_u32..=0o777,
            immediate: bool, tty: bool, rcs in prop::option::of(text()), rc in prop::option::of(text()),
            cwd in prop::option::of(text()), payload in prop::option::of(prop::collection::vec(text(), 1..5)),
        ) {
            let (stop, grace) = (Duration::from_millis(stop.into()), Duration::from_millis(grace.into()));
            let args = Pid1Args { runlevel, stop, grace, immediate, rcs, rc, tty, umask, cwd, payload };
            let argv = args.to_argv();
            let config = read(&argv);
            prop_assert_eq!((config.runlevel, config.immediate, config.tty), (runlevel, immediate, tty));
            prop_assert_eq!(Duration::from_millis(config.stop_ms), stop);
            prop_assert_eq!(Duration::from_millis(config.grace_ms), grace);
            prop_assert_eq!(config.umask, umask);
            prop_assert_eq!((config.rcs, config.rc, config.cwd),
                (args.rcs.as_deref(), args.rc.as_deref(), args.cwd.as_deref()));
            prop_assert_eq!(config.payload.map(|start| argv[1 + start..].to_vec()), args.payload);
        }
    }
}
