//! A mount namespace of its own with a small busybox guest in it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{PipeWriter, Read};
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use subhost_init::launch::{Ended, Launch, Program, Running};
use subhost_init::seccomp::Filter;
use subhost_init::userns::{IdMap, UserNamespace};

/// The host id of the guest's root.
pub(crate) const FIRST_ID: u32 = 7_340_032;

/// What `chown` and the like print for an id that is not mapped.
pub(crate) const UNMAPPED: &str = "65534";

const APPLETS: [&str; 20] = [
    "cat", "chmod", "chroot", "echo", "grep", "hostname", "id", "ip", "kill", "ls", "mkdir", "mknod",
    "mount", "readlink", "sh", "sleep", "stat", "tty", "umount", "test",
];

/// A tree at [`Stage::live`], seen only by the thread that the test runs on.
pub(crate) struct Stage {
    pub(crate) live: PathBuf,
    pub(crate) user_namespace: UserNamespace,
}

/// Runs the test on a fresh thread with a mount namespace of its own. With it, everything goes that was mounted.
pub(crate) fn on_stage(test: impl FnOnce(&Stage) + Send) {
    let directory = tempfile::tempdir().unwrap();
    let live = directory.path().join("live");
    fs::create_dir(&live).unwrap();
    let result = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
                mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
                mount("tmpfs", &live, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, c"mode=755").unwrap();
                make_tree(&live);
                let map = IdMap { first: FIRST_ID, count: 65_536 };
                test(&Stage { live: live.clone(), user_namespace: UserNamespace::create(map).unwrap() });
            })
            .join()
    });
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
    // Nothing of the guest is in the host's own tree: what is left are mount points.
    for place in fs::read_dir(directory.path()).unwrap() {
        fs::remove_dir(place.unwrap().path()).unwrap();
    }
    directory.close().unwrap();
}

fn make_tree(live: &Path) {
    for directory in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir(live.join(directory)).unwrap();
    }
    let busybox = live.join("bin/busybox");
    // By another process: a descriptor of ours that is open for writing may be copied to a child of another test, and as
    // long as that has it the program cannot be executed (ETXTBSY).
    assert!(Command::new("cp").args(["-p", "/bin/busybox"]).arg(&busybox).status().unwrap().success());
    for applet in APPLETS {
        symlink("busybox", live.join("bin").join(applet)).unwrap();
    }
    chown(live, Some(FIRST_ID), Some(FIRST_ID)).unwrap();
    for entry in fs::read_dir(live).unwrap() {
        chown(entry.unwrap().path(), Some(FIRST_ID), Some(FIRST_ID)).unwrap();
    }
}

impl Stage {
    /// A launch of a shell with this script as the guest's PID 1.
    pub(crate) fn script(&self, script: &str) -> Launch<'_> {
        self.launch(Program::Guest { path: c"/bin/busybox".to_owned(), argv: strings(&["sh", "-c", script]) })
    }

    /// Nesting, as guests here attack by mounting.
    pub(crate) fn launch(&self, program: Program) -> Launch<'_> {
        Launch::new(&self.live)
            .user_namespace(self.user_namespace.as_fd())
            .program(program)
            .filter(Some(Filter::default().nesting(true)))
            .environment(strings(&["PATH=/bin"]))
    }

    /// Runs a script as PID 1 to its end, and returns what it said on standard output and error.
    pub(crate) fn say(&self, script: &str) -> String {
        let (launch, mut output) = with_output(self.script(script));
        let mut running = launch.start().unwrap().go().unwrap();
        let text = read_all(&mut output);
        assert_eq!(running.wait().unwrap(), Ended::Exited(0), "{text}");
        text
    }
}

/// A guest that does nothing, until it is finished or its input ends, as when the test fails.
pub(crate) struct IdleGuest {
    running: Running,
    _input: PipeWriter,
}

impl IdleGuest {
    pub(crate) fn of(launch: Launch<'_>) -> IdleGuest {
        let (stdio, mut output) = output_pipe();
        let (input, writer) = std::io::pipe().unwrap();
        let [_, out, err] = stdio;
        let running = launch.stdio([input.into(), out, err]).start().unwrap().go().unwrap();
        let mut word = [0; 3];
        output.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"up\n");
        IdleGuest { running, _input: writer }
    }

    pub(crate) fn finish(self) {
        finish(self.running);
    }
}

impl Deref for IdleGuest {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

/// The script of an idle guest.
pub(crate) const IDLE: &str = "echo up; read forever";

/// Gives the launch an empty input, and a pipe for both outputs, of which the reading end is returned.
pub(crate) fn with_output(launch: Launch<'_>) -> (Launch<'_>, File) {
    let (stdio, output) = output_pipe();
    (launch.stdio(stdio), output)
}

pub(crate) fn output_pipe() -> ([OwnedFd; 3], File) {
    let null = OwnedFd::from(File::open("/dev/null").unwrap());
    let (reader, writer) = std::io::pipe().unwrap();
    ([null, writer.try_clone().unwrap().into(), writer.into()], OwnedFd::from(reader).into())
}

pub(crate) fn read_all(file: &mut File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn strings(words: &[&str]) -> Vec<CString> {
    words.iter().map(|word| CString::new(*word).unwrap()).collect()
}

/// Ends a guest and makes sure that it has ended.
pub(crate) fn finish(mut running: Running) {
    running.kill().unwrap();
    assert_eq!(running.wait().unwrap(), Ended::Killed(9));
}
