//! The contract between whoever starts the static PID 1 and PID 1 itself.
//!
//! **Words.** `argv[0]` is a name for `ps`; then come words `key=value` in any order, as [`Pid1Args`] writes them:
//!
//! | word | default | meaning |
//! | --- | --- | --- |
//! | `runlevel=N` | `2` | boot to this level, `1` to `5`, `7` to `9` |
//! | `boot-ms=N` | `300000` | how long it may take to the first runlevel before PID 1 tells of it; `0` for ever |
//! | `stop-ms=N` | `30000` | how long `rc 0` or `rc 6` may take |
//! | `grace-ms=N` | `5000` | from SIGTERM to SIGKILL, to all that then still runs |
//! | `poweroff=graceful\|immediate` | `graceful` | `immediate`: any byte in `/run/initctl` ends the subhost without `rc 0` |
//! | `rcs=LINE` | `/etc/init.d/rcS` | the start script; empty for none |
//! | `boot=LINE` | | what is run behind it |
//! | `rc=LINE` | `/etc/init.d/rc %` | the runlevel's script; empty for none |
//! | `rc0=LINE`, `rc1=LINE`, `rc6=LINE` | `/etc/init.d/rc %` | those of these levels |
//! | `stays=0\|1` | `0` | whether the runlevel's program runs as long as the guest |
//! | `tty=0\|1` | `0` | whether descriptor 0 becomes the controlling terminal of each program |
//! | `umask=OCTAL` | `022` | of each program |
//! | `cwd=DIR` | | working directory of the payload |
//! | `-- CMD…` | | payload mode; what follows is the payload's command line |
//!
//! A `LINE` is words with a blank between them; a `%` alone is the level. [`crate::layout`] has those of the usual systems.
//!
//! **Environment.** The payload gets PID 1's own unchanged; `CMD` without a slash is looked for in its `PATH`. Scripts get
//! it too, with `RUNLEVEL`, `PREVLEVEL`, `INIT_VERSION`, `CONSOLE`, the variables `INIT_…` that `/run/initctl` has set,
//! and `PATH`, `TERM`, `HOME` where it has none.
//!
//! **Descriptors**, open across the exec; PID 1 sets close-on-exec on 3 and 4, closes all above, and keeps these numbers:
//!
//! | number | what |
//! | --- | --- |
//! | 0, 1, 2 | the console, or the payload's pipes |
//! | [`HOST_FD`] | a `SOCK_SEQPACKET` socket to the supervisor; optional |
//! | [`CONSOLE_FD`] | the console's pty master, which PID 1 reads when the supervisor is gone; optional |
//! | [`ADOPT_FD`] | PID 1 makes it when the supervisor is gone: the other end of a new socket at [`HOST_FD`] |
//!
//! **Place.** PID 1 of a PID namespace, in the guest's root, which it never leaves and where it mounts nothing; it wants
//! `/run` writable, for `initctl` (made, mode 0600, when it is not there; in payload mode it is only used when it is
//! there) and `utmp`. `CAP_SYS_BOOT` over the PID namespace's user namespace is for `reboot(2)`.
//! Under any other pid the program exits with 0 at once: bound over a start script, it is a script that does nothing.
//!
//! **Packets.** [`Message`] from PID 1, [`Request`] to it. When the supervisor's end is closed the guest goes on. A new
//! supervisor then takes [`CONSOLE_FD`] and [`ADOPT_FD`] out of PID 1 (`pidfd_getfd`) and sends [`Request::Adopt`], which
//! [`Message::Adopted`] answers; [`crate::adopt`] does so. What it takes is whatever the guest has put there.
//!
//! **Signals**, from inside or outside: SIGINT (ctrl-alt-del) and SIGTERM (busybox's `reboot`) restart in order; SIGPWR
//! and SIGUSR2 (busybox's `poweroff`) power off in order. SIGUSR1 opens `/run/initctl` again, as in sysvinit; when what
//! is held stands at its place and no script of init runs, it is busybox's `halt` and powers off. With `stays=1`, SIGCONT
//! is runit's `init`: when the owner may execute `/etc/runit/stopit`, it powers off in order, or restarts when that is so of
//! `/etc/runit/reboot`, too. Others do nothing.
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

use crate::layout::Scripts;
use crate::pid1::config;
pub use crate::pid1::message::{End, Message, PACKET, Program, Request, Step, Why};

/// The socket to the supervisor, in PID 1.
pub const HOST_FD: RawFd = 3;

/// The console's pty master, in PID 1.
pub const CONSOLE_FD: RawFd = 4;

/// The other end of the socket to the supervisor, in PID 1, while there is no supervisor.
pub const ADOPT_FD: RawFd = 5;

/// What PID 1 is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pid1Args {
    /// The runlevel to boot to: an ASCII digit, but `0` and `6`.
    pub runlevel: u8,
    /// How long it may take to the first runlevel before PID 1 tells of what is [`Message::Late`]; zero for ever.
    pub boot: Duration,
    /// How long a power-off may take in order. Whole milliseconds, up to 49 days.
    pub stop: Duration,
    /// How long processes have between SIGTERM and SIGKILL; when the stop time is used up, a second at most.
    pub grace: Duration,
    /// Whether any byte in `/run/initctl` ends the subhost without `rc 0`.
    pub immediate: bool,
    /// What is run.
    pub scripts: Scripts,
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
            boot: Duration::from_millis(config::BOOT_MS),
            stop: Duration::from_millis(config::STOP_MS),
            grace: Duration::from_millis(config::GRACE_MS),
            immediate: false,
            scripts: Scripts::default(),
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
        let line = |line: &Option<CString>| line.clone().unwrap_or_default();
        let scripts = &self.scripts;
        let mut argv = vec![
            word("subhost-init", c""),
            word(&format!("runlevel={}", char::from(self.runlevel)), c""),
            word(&format!("boot-ms={}", milliseconds(self.boot)), c""),
            word(&format!("stop-ms={}", milliseconds(self.stop)), c""),
            word(&format!("grace-ms={}", milliseconds(self.grace)), c""),
            word(if self.immediate { "poweroff=immediate" } else { "poweroff=graceful" }, c""),
            word("rcs=", &line(&scripts.start)),
            word("boot=", &line(&scripts.boot)),
            word("rc=", &line(&scripts.level)),
            word("rc0=", &line(&scripts.power_off)),
            word("rc1=", &line(&scripts.single)),
            word("rc6=", &line(&scripts.reboot)),
            word(if scripts.stays { "stays=1" } else { "stays=0" }, c""),
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
            boot: Duration::from_secs(3),
            stop: Duration::from_secs(2),
            grace: Duration::from_millis(5),
            immediate: true,
            scripts: Scripts {
                start: Some(c"/a b".to_owned()),
                boot: Some(c"/b".to_owned()),
                level: None,
                single: Some(c"/one".to_owned()),
                power_off: Some(c"/zero".to_owned()),
                reboot: Some(c"/six %".to_owned()),
                stays: true,
            },
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
                "boot-ms=3000",
                "stop-ms=2000",
                "grace-ms=5",
                "poweroff=immediate",
                "rcs=/a b",
                "boot=/b",
                "rc=",
                "rc0=/zero",
                "rc1=/one",
                "rc6=/six %",
                "stays=1",
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
            boot in 0_u32.., immediate: bool, tty: bool, stays: bool, lines in prop::array::uniform6(prop::option::of(text())),
            cwd in prop::option::of(text()), payload in prop::option::of(prop::collection::vec(text(), 1..5)),
        ) {
            let (stop, grace) = (Duration::from_millis(stop.into()), Duration::from_millis(grace.into()));
            let boot = Duration::from_millis(boot.into());
            let [start, second, level, single, power_off, reboot] = lines.clone();
            let scripts = Scripts { start, boot: second, level, single, power_off, reboot, stays };
            let args = Pid1Args { runlevel, boot, stop, grace, immediate, scripts, tty, umask, cwd, payload };
            let argv = args.to_argv();
            let config = read(&argv);
            prop_assert_eq!((config.runlevel, config.immediate, config.tty), (runlevel, immediate, tty));
            prop_assert_eq!(Duration::from_millis(config.stop_ms), stop);
            prop_assert_eq!(Duration::from_millis(config.grace_ms), grace);
            prop_assert_eq!(config.umask, umask);
            prop_assert_eq!(Duration::from_millis(config.boot_ms), boot);
            prop_assert_eq!((config.cwd, config.stays), (args.cwd.as_deref(), stays));
            let lines = lines.each_ref().map(Option::as_deref);
            prop_assert_eq!([config.rcs, config.boot, config.rc, config.rc1, config.rc0, config.rc6], lines);
            prop_assert_eq!(config.payload.map(|start| argv[1 + start..].to_vec()), args.payload);
        }
    }
}
