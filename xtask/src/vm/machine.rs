//! The machine itself: qemu, and the program that shows it the host's files. Both end with the PID namespace that this
//! runs in, and all files are in its private `/run` or have no name, so nothing can be left behind.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Args;

use super::initramfs::{self, Archive};
use crate::Outcome;
use crate::packages;

const WORK: &str = "/run/vm";
/// Sparse.
const SCRATCH: u64 = 8 << 30;
/// What the machine needs before it sees the host's files, and with them the other modules.
const MODULES: &[&str] = &["virtio_pci", "virtio_console", "virtio_blk", "virtio_rng", "virtiofs", "overlay"];

#[derive(Args)]
pub(crate) struct Inside {
    kernel: PathBuf,
    directory: PathBuf,
    #[arg(long)]
    minutes: u64,
    #[arg(long)]
    memory: u64,
    #[arg(last = true)]
    command: Vec<OsString>,
}

impl Inside {
    /// Runs the command in the machine, and gives its status.
    pub(crate) fn run(self) -> Outcome<ExitCode> {
        fs::create_dir(WORK)?;
        let work = Path::new(WORK);
        fs::write(work.join("initrd"), self.initramfs()?)?;
        let scratch = scratch()?;
        share(work)?;
        let mut qemu = self.start(scratch)?;
        let copies = [
            copy(
                qemu.stdout.take().ok_or("qemu: no standard output")?,
                io::stdout().as_fd().try_clone_to_owned()?,
            ),
            copy(
                qemu.stderr.take().ok_or("qemu: no standard error")?,
                io::stderr().as_fd().try_clone_to_owned()?,
            ),
        ];
        let in_time = wait(&mut qemu, Duration::from_secs(self.minutes.saturating_mul(60)))?;
        for copy in copies {
            // What was not copied is lost with a terminal that is gone.
            let _ = copy.join();
        }
        let read = |name: &str| fs::read(work.join(name)).unwrap_or_default();
        if let Ok(status) = String::from_utf8_lossy(&read("status")).trim().parse::<u8>() {
            return Ok(ExitCode::from(status));
        }
        if !in_time {
            return Err(format!("the command did not end within {} min (--minutes)", self.minutes).into());
        }
        let console = read("console");
        Err(format!("the machine ended without a status\n{}", String::from_utf8_lossy(&console)).into())
    }

    fn initramfs(&self) -> Outcome<Vec<u8>> {
        let busybox = packages::find("busybox").ok_or("there is no busybox")?;
        let modules = self.kernel.join("modules");
        let mut archive = Archive::new();
        for directory in ["proc", "sys", "dev", "host", "layer", "root", "modules", "task"] {
            archive.directory(directory);
        }
        archive.program("busybox", &fs::read(busybox)?);
        archive.program("init", include_bytes!("init.sh"));
        for (number, (name, content)) in initramfs::modules(&modules, MODULES)?.into_iter().enumerate() {
            archive.file(&format!("modules/{number:02}-{name}.ko"), &content);
        }
        archive.file("task/guest.bash", include_bytes!("guest.bash"));
        archive.file("task/modules", fs::canonicalize(modules)?.as_os_str().as_bytes());
        archive.file("task/directory", self.directory.as_os_str().as_bytes());
        archive.file("task/command", &terminated(self.command.iter().cloned()));
        // How far this process has come in its namespaces is not to be taken over by one that makes its own.
        let environment =
            env::vars_os().filter(|(name, _)| !name.as_bytes().starts_with(b"SUBHOST_ISOLATE_"));
        let environment = environment.map(|(name, value)| [name, value].join("=".as_ref()));
        archive.file("task/environment", &terminated(environment));
        Ok(archive.finish())
    }

    fn start(&self, scratch: File) -> Outcome<Child> {
        let mut qemu = Command::new("qemu-system-x86_64");
        if !is_emulated() {
            qemu.args(["-accel", "kvm"]);
        }
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35", "-smp", "2"]);
        qemu.args(["-m", &self.memory.to_string(), "-numa", "node,memdev=memory"]);
        qemu.args(["-object", &format!("memory-backend-memfd,id=memory,size={}M,share=on", self.memory)]);
        qemu.args(["-display", "none", "-nodefaults", "-no-reboot", "-nic", "none"]);
        qemu.args(["-serial", &format!("file:{WORK}/console"), "-device", "virtio-serial-pci"]);
        let files = ["/proc/self/fd/1".to_owned(), "/proc/self/fd/2".to_owned(), format!("{WORK}/status")];
        for (number, file) in (1..).zip(files) {
            qemu.args(["-chardev", &format!("file,id=port{number},path={file}")]);
            qemu.args(["-device", &format!("virtserialport,chardev=port{number},nr={number}")]);
        }
        let drive = "file=/proc/self/fd/0,format=raw,if=none,id=scratch,cache=unsafe,file.locking=off";
        qemu.args(["-drive", drive, "-device", "virtio-blk-pci,drive=scratch", "-device", "virtio-rng-pci"]);
        qemu.args(["-chardev", &format!("socket,id=host,path={WORK}/host")]);
        qemu.args(["-device", "vhost-user-fs-pci,chardev=host,tag=host"]);
        qemu.arg("-kernel").arg(self.kernel.join("vmlinuz")).args(["-initrd", &format!("{WORK}/initrd")]);
        // Of an emulated processor that waits for its own, the kernel would say that it is stuck.
        let patience = if is_emulated() { " nowatchdog rcupdate.rcu_cpu_stall_suppress=1" } else { "" };
        qemu.args(["-append", &format!("console=ttyS0 panic=-1 quiet mitigations=off{patience}")]);
        let child = qemu.stdin(scratch).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        child.map_err(|error| format!("qemu-system-x86_64: {error}").into())
    }
}

/// Under the KVM of some virtual machines an ordinary kernel does not run.
pub(super) fn is_emulated() -> bool {
    !["kvm_intel", "kvm_amd"].iter().any(|name| Path::new("/sys/module").join(name).exists())
}

/// A file without a name, with an empty ext4 in it.
fn scratch() -> Outcome<File> {
    let file = tempfile::tempfile()?;
    file.set_len(SCRATCH)?;
    let mkfs = packages::find("mkfs.ext4").unwrap_or_else(|| "mkfs.ext4".into());
    let mut mkfs = Command::new(mkfs);
    mkfs.args(["-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", "/proc/self/fd/0"]);
    let output = mkfs.stdin(file.try_clone()?).output().map_err(|error| format!("mkfs.ext4: {error}"))?;
    if output.status.success() {
        return Ok(file);
    }
    Err(format!("mkfs.ext4: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// Starts what shows the machine the host's files, and waits until it can be called.
fn share(work: &Path) -> Outcome {
    let mut server = Command::new(packages::find("virtiofsd").ok_or("there is no virtiofsd")?);
    server.arg(format!("--socket-path={}", work.join("host").display()));
    server.args(["-o", "source=/,cache=always,xattr,sandbox=chroot", "-f"]);
    let log = File::create(work.join("virtiofsd.log"))?;
    let mut server = server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    while !work.join("host").exists() {
        if let Some(status) = server.try_wait()? {
            let log = fs::read(work.join("virtiofsd.log"))?;
            return Err(format!("virtiofsd: {status}\n{}", String::from_utf8_lossy(&log)).into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Passes on what comes, as it comes.
fn copy(mut from: impl Read + Send + 'static, to: OwnedFd) -> JoinHandle<io::Result<()>> {
    // Not `io::copy`: it splices, which takes the place in a file before it waits for what to write there, and output
    // and errors may well go to the same file.
    thread::spawn(move || {
        let mut written = Ok(());
        let (mut to, mut buffer) = (File::from(to), [0; 1 << 16]);
        loop {
            let length = from.read(&mut buffer)?;
            match buffer.get(..length) {
                None | Some([]) => return written,
                // Read on for nobody: the machine would wait for ever.
                Some(bytes) => written = written.and_then(|()| to.write_all(bytes)),
            }
        }
    })
}

/// Waits for the end, and makes it when the time is over; tells whether it came before.
fn wait(child: &mut Child, limit: Duration) -> Outcome<bool> {
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(true)
}

/// As programs pass lists to each other that may hold anything: each ended by a NUL.
fn terminated(texts: impl Iterator<Item = OsString>) -> Vec<u8> {
    texts.flat_map(|text| [text.into_vec(), vec![0]].concat()).collect()
}
