//! The real PID 1 in namespaces of its own, on the host's own root with a fresh `/run` and `/proc`.

use std::ffi::CString;
use std::fs;
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use subhost_init::adopt::{Adopted, adopt};
use subhost_init::handoff::{Message, Pid1Args, Program, Request};
use subhost_init::layout::Scripts;
use subhost_init::pid1::IMAGE;
use subhost_init::process::ProcessIdentity;
use tempfile::TempDir;

/// No test needs as long; what has not happened by then has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the mounts, then becomes PID 1: the socket comes as standard input, a console's other end as standard error.
const BEFORE: &str = "mount -t tmpfs tmpfs /run && mount -t proc proc /proc || exit 99
[ -n \"$ALONE\" ] || exec 3<&0
if [ -n \"$CONSOLE\" ]; then exec 4<&2 0<&1 2>&1; else exec 0</dev/null; fi
unset CONSOLE ALONE
exec \"$@\"";

/// What a guest is made of.
pub(crate) struct Guest {
    dir: TempDir,
}

/// A guest that runs.
pub(crate) struct Running {
    child: Child,
    socket: Option<OwnedFd>,
    seen: Vec<Message>,
    started: Instant,
}

/// How a guest ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) seen: Vec<Message>,
    pub(crate) output: String,
    pub(crate) took: Duration,
}

impl Guest {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        install(&dir.path().join("init"), IMAGE);
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What is written to a file of the guest.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Waits until a script has made this file.
    pub(crate) fn wait_for_file(&self, name: &str) {
        let begun = Instant::now();
        while !self.path(name).exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} was never made");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Writes a shell script, in whose text `$D` is the guest's directory.
    pub(crate) fn script(&self, name: &str, text: &str) -> CString {
        self.executable(name, &format!("#!/bin/sh\nD={}\n{text}\n", self.dir.path().display()))
    }

    /// Writes an executable file of this text alone.
    pub(crate) fn executable(&self, name: &str, text: &str) -> CString {
        let path = self.path(name);
        install(&path, text.as_bytes());
        CString::new(path.into_os_string().into_encoded_bytes()).unwrap()
    }

    /// Arguments to boot with these scripts; both also note `name level` in the file `log`.
    pub(crate) fn boot(&self, rcs: &str, rc: &str) -> Pid1Args {
        Pid1Args {
            scripts: scripts(
                self.script("rcS", &format!("echo rcS >> $D/log\n{rcs}")),
                &self.script("rc", &format!("echo rc $1 >> $D/log\n{rc}")),
            ),
            stop: Duration::from_secs(10),
            grace: Duration::from_secs(5),
            ..Pid1Args::default()
        }
    }

    /// Arguments to run a shell command as the payload.
    pub(crate) fn payload(command: &str) -> Pid1Args {
        let payload = ["/bin/sh", "-c", command].map(|word| CString::new(word).unwrap());
        Pid1Args { payload: Some(payload.to_vec()), ..Pid1Args::default() }
    }

    pub(crate) fn start(&self, args: &Pid1Args) -> Running {
        self.spawn(args, Stdio::piped(), Stdio::piped(), ("ALONE", ""))
    }

    /// Starts without a socket to the supervisor.
    pub(crate) fn start_alone(&self, args: &Pid1Args) -> Running {
        let mut running = self.spawn(args, Stdio::piped(), Stdio::piped(), ("ALONE", "yes"));
        running.abandon();
        running
    }

    /// Starts with a pty as the console: its slave, and its master for PID 1.
    pub(crate) fn start_on_console(&self, args: &Pid1Args, slave: OwnedFd, master: OwnedFd) -> Running {
        self.spawn(args, slave.into(), master.into(), ("CONSOLE", "yes"))
    }

    fn spawn(&self, args: &Pid1Args, stdout: Stdio, stderr: Stdio, variable: (&str, &str)) -> Running {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let words = args.to_argv();
        let child = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount", "--", "/bin/sh", "-c", BEFORE, "sh"])
            .arg(self.path("init"))
            .args(words[1..].iter().map(|word| word.to_str().unwrap()))
            .env(variable.0, variable.1)
            .stdin(theirs)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        Running { child, socket: Some(ours), seen: Vec::new(), started: Instant::now() }
    }
}

impl Running {
    /// Waits for this message.
    pub(crate) fn wait_for(&mut self, wanted: Message) -> &mut Self {
        while self.seen.last() != Some(&wanted) {
            let message =
                self.receive().unwrap_or_else(|| panic!("ended before {wanted:?}: {:?}", self.seen));
            self.seen.push(message);
        }
        self
    }

    pub(crate) fn ready(&mut self) -> &mut Self {
        self.wait_for(Message::Ready { status: 0 })
    }

    pub(crate) fn ask(&mut self, request: Request) -> &mut Self {
        let socket = self.socket.as_ref().unwrap();
        rustix::net::sendmsg(
            socket,
            &[IoSlice::new(&request.encode())],
            &mut Default::default(),
            SendFlags::NOSIGNAL,
        )
        .unwrap();
        self
    }

    /// Becomes its next supervisor, and gives what was taken over.
    pub(crate) fn adopt(&mut self) -> Adopted {
        let init = ProcessIdentity::of(self.pid()).unwrap().open().unwrap().unwrap();
        adopt(&init, Instant::now() + PATIENCE).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Talks over this socket from now on.
    pub(crate) fn talk(&mut self, socket: OwnedFd) -> &mut Self {
        self.socket = Some(socket);
        self
    }

    /// Closes the supervisor's end of the socket.
    pub(crate) fn abandon(&mut self) -> &mut Self {
        self.socket = None;
        self
    }

    /// PID 1, as the host sees it.
    pub(crate) fn pid(&self) -> u32 {
        let unshare = self.child.id();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
        children.trim().parse().unwrap()
    }

    /// Sends PID 1 a signal, by name, from outside.
    pub(crate) fn signal(&mut self, name: &str) -> &mut Self {
        let sent = Command::new("/bin/kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
        self
    }

    /// A path of the guest, from outside.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.pid())).join(path.trim_start_matches('/'))
    }

    pub(crate) fn write_initctl(&mut self, bytes: &[u8]) -> &mut Self {
        let mut options = fs::OpenOptions::new();
        let mut fifo = options.write(true).open(self.inside("/run/initctl")).unwrap();
        fifo.write_all(bytes).unwrap();
        self
    }

    /// Whether the guest still runs after this time, in which nothing disturbs it.
    pub(crate) fn stays(&self, time: Duration) -> bool {
        !wait_until_ended(&self.child, time)
    }

    /// How often PID 1 went to sleep, and how many clock ticks it ran, in this time in which nothing disturbs it.
    pub(crate) fn activity(&self, time: Duration) -> [u64; 2] {
        let look = || {
            let switches = self.figure("voluntary_ctxt_switches", "status");
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
            let ticks = stat.split_whitespace().skip(13).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
            [switches, ticks.sum()]
        };
        // What still goes on from before has its time too.
        assert!(self.stays(Duration::from_millis(200)));
        let before = look();
        assert!(self.stays(time));
        let after = look();
        [after[0] - before[0], after[1] - before[1]]
    }

    /// Waits until this script is told to be late, and gives its pid in the guest.
    pub(crate) fn wait_for_late(&mut self, wanted: Program) -> i32 {
        loop {
            let message = self.receive().expect("it has ended");
            self.seen.push(message);
            if let Message::Late { program, pid } = message
                && program == wanted
            {
                return pid;
            }
        }
    }

    /// The command line of a process of the guest.
    pub(crate) fn command_line(&self, pid: i32) -> Vec<String> {
        let text = fs::read_to_string(self.inside(&format!("/proc/{pid}/cmdline"))).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// How many children PID 1 has, and how many of them have ended and are not reaped yet.
    pub(crate) fn children(&self) -> [usize; 2] {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let is_zombie = |pid: &&&str| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"))
        };
        let children: Vec<_> = children.split_whitespace().collect();
        [children.len(), children.iter().filter(is_zombie).count()]
    }

    /// A figure of PID 1 in `/proc`.
    pub(crate) fn figure(&self, name: &str, file: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        while let Some(message) = self.socket.is_some().then(|| self.receive()).flatten() {
            self.seen.push(message);
        }
        assert!(wait_until_ended(&self.child, PATIENCE), "still running; seen {:?}", self.seen);
        let took = self.started.elapsed();
        let status = self.child.wait().unwrap();
        let mut output = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut output).unwrap();
        }
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut output).unwrap();
        }
        Ended { status, seen: std::mem::take(&mut self.seen), output, took }
    }

    /// The next message; `None` at the end.
    fn receive(&mut self) -> Option<Message> {
        let socket = self.socket.as_ref().unwrap();
        let mut polls = [PollFd::new(socket, PollFlags::IN)];
        let ready = rustix::event::poll(&mut polls, Some(&timespec(PATIENCE))).unwrap();
        assert_eq!(ready, 1, "nothing came any more; seen {:?}", self.seen);
        let mut buffer = [0; 64];
        // A guest that ends with a request unread resets the socket.
        let n = match rustix::net::recv(socket.as_fd(), &mut buffer, RecvFlags::empty()) {
            Ok((n, _)) => n,
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(error) => panic!("receive: {error}"),
        };
        (n > 0).then(|| Message::decode(&buffer[..n]).unwrap_or_else(|| panic!("{:?}", &buffer[..n])))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // unshare takes PID 1 with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{self:?}"))
    }

    pub(crate) fn signal(&self) -> i32 {
        self.status.signal().unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// Those of sysvinit, at these paths.
fn scripts(start: CString, rc: &CString) -> Scripts {
    let line = Some(CString::new([rc.to_bytes(), b" %"].concat()).unwrap());
    Scripts {
        start: Some(start),
        level: line.clone(),
        single: line.clone(),
        power_off: line.clone(),
        reboot: line,
        ..Scripts::default()
    }
}

/// The bytes of a request in `/run/initctl`.
pub(crate) fn request(cmd: u32, level: u8, data: &[u8]) -> Vec<u8> {
    let words = [0x0309_1969, cmd, u32::from(level), 3];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
    bytes.extend_from_slice(data);
    bytes.resize(384, 0);
    bytes
}

/// Writes an executable file. A process of its own does: a descriptor of ours, inherited for a moment by what another
/// thread starts, would make its execution fail with ETXTBSY.
fn install(path: &Path, bytes: &[u8]) {
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    install.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(install.wait().unwrap().success());
}

fn wait_until_ended(child: &Child, time: Duration) -> bool {
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    let mut polls = [PollFd::new(&pidfd, PollFlags::IN)];
    rustix::event::poll(&mut polls, Some(&timespec(time))).unwrap() == 1
}

fn timespec(time: Duration) -> Timespec {
    Timespec::try_from(time).unwrap()
}
