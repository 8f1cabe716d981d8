//! A host to test on: directories of its own, bridges, copies of images, and the program run on it.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;

use crate::fixture::Fixture;
use crate::guest::Guest;
use crate::leak::Scope;
use crate::program::{self, Outcome, Running};

/// How long a command may take before it counts as hung.
const COMMAND: Duration = Duration::from_secs(60);

/// One host in namespaces of its own.
pub struct Host {
    directory: PathBuf,
    tag: String,
    program: PathBuf,
    bridges: RefCell<Vec<String>>,
}

impl Host {
    /// A host without bridges and subhosts, on which `program` is the `subhostctl`, and `directory` an empty directory.
    ///
    /// To be called in namespaces of one's own, as it changes the network; see [`crate::isolate`]. The directory is to
    /// be removed from outside, after those namespaces have ended: until then it may hold mounts.
    pub fn new(directory: &Path, program: PathBuf) -> io::Result<Self> {
        // Readable, so that a test may also run the program as another user.
        fs::set_permissions(directory, PermissionsExt::from_mode(0o755))?;
        fs::create_dir(directory.join("sub"))?;
        // Cgroups are the whole machine's, so every name of a subhost has something of this host in it.
        let text = directory.to_string_lossy();
        let tag = text.chars().rev().take(4).map(|c| c.to_ascii_lowercase()).collect();
        Ok(Self { directory: directory.to_owned(), tag, program, bridges: RefCell::default() })
    }

    /// The host's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the program gets as `--root-dir`.
    pub fn root_dir(&self) -> PathBuf {
        self.directory().join("sub")
    }

    /// What the program gets as `--subhost-dir`; not made.
    pub fn subhost_dir(&self) -> PathBuf {
        self.directory().join("subhost")
    }

    /// What the leak check looks at on this host.
    pub fn scope(&self) -> Scope {
        // The cgroups of subhosts without a name of their own have that of the PID namespace.
        let pids = fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino());
        Scope::of(self.directory()).word(&self.tag).word(format!(".{pids}"))
    }

    /// A name for a subhost that no other host has: `short` and four letters.
    pub fn name(&self, short: &str) -> String {
        format!("{short}{}", self.tag)
    }

    /// A copy of an image or tree that the test may change.
    pub fn copy_of(&self, fixture: Fixture) -> io::Result<PathBuf> {
        let source = fixture.path().map_err(io::Error::other)?;
        let target = self.directory().join(fixture.file_name());
        self.witness("cp", &["-a", "--sparse=always", &text(&source), &text(&target)])?;
        Ok(target)
    }

    /// An image without a table, whose ext4 holds what is in a directory.
    pub fn ext4_of(&self, tree: &Path, file: &str) -> io::Result<PathBuf> {
        let image = self.directory().join(file);
        // What is there already was another image.
        fs::remove_file(&image).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        self.witness("mkfs.ext4", &["-q", "-F", "-d", &text(tree), &text(&image), "24M"])?;
        Ok(image)
    }

    /// A bridge that is up, with an address like `10.80.0.1/16`. It is there until [`Host::take_down`].
    pub fn bridge(&self, name: &str, address: &str) -> io::Result<()> {
        self.witness("ip", &["link", "add", name, "type", "bridge"])?;
        self.bridges.borrow_mut().push(name.to_owned());
        self.witness("ip", &["addr", "add", address, "dev", name])?;
        self.witness("ip", &["link", "set", name, "up"])?;
        Ok(())
    }

    /// Removes the bridges.
    pub fn take_down(&self) -> io::Result<()> {
        for name in self.bridges.take() {
            self.witness("ip", &["link", "del", &name])?;
        }
        Ok(())
    }

    /// Writes the `config` of a subhost.
    pub fn config(&self, name: &str, text: &str) -> io::Result<()> {
        let directory = self.root_dir().join(name);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("config"), text)
    }

    /// Writes the two lines: one disk `vda` and one bridge.
    pub fn two_lines(&self, name: &str, part: u32, image: &Path, bridge: &str, mac: &str) -> io::Result<()> {
        let image = image.display();
        self.config(name, &format!("DISKS=( vda:{part}:{image} )\nBRIDGES=( {bridge}:{mac} )\n"))
    }

    /// The program with `--root-dir` and `--subhost-dir` and these arguments, not started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root-dir").arg(self.root_dir());
        command.arg("--subhost-dir").arg(self.subhost_dir()).args(args);
        // Only what the test says.
        command.env_remove("DISKS").env_remove("BRIDGES").env_remove("SUBHOST");
        command
    }

    /// Starts the program and lets it run.
    pub fn start(&self, args: &[&str]) -> io::Result<Running> {
        Running::start(self.command(args))
    }

    /// Runs the program to its end, whatever that is.
    pub fn subhostctl(&self, args: &[&str]) -> io::Result<Outcome> {
        program::run(self.command(args), COMMAND)
    }

    /// Runs the program, which must succeed. Gives its standard output.
    pub fn done(&self, args: &[&str]) -> io::Result<String> {
        let outcome = self.subhostctl(args)?;
        if outcome.code == 0 {
            return Ok(outcome.stdout);
        }
        Err(io::Error::other(format!("subhostctl {}: {outcome}", args.join(" "))))
    }

    /// What `list --json` says of a subhost; `None` when it is not in the list.
    pub fn guest(&self, name: &str) -> io::Result<Option<Guest>> {
        loop {
            let list: Vec<serde_json::Value> = serde_json::from_str(&self.done(&["list", "--json"])?)?;
            match list.into_iter().find(|row| row["name"] == name).map(Guest::from_json).transpose() {
                // It has ended since it was listed.
                Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
                found => return found,
            }
        }
    }

    /// What `list --json` says of a subhost that must be running.
    pub fn running(&self, name: &str) -> io::Result<Guest> {
        let guest =
            self.guest(name)?.ok_or_else(|| io::Error::other(format!("{name} is not in the list")))?;
        if guest.state() == "running" {
            return Ok(guest);
        }
        Err(io::Error::other(format!("{name} is {}", guest.state())))
    }

    /// Runs a tool of the system, which must succeed. Gives its standard output.
    pub fn witness(&self, tool: &str, args: &[&str]) -> io::Result<String> {
        let mut command = Command::new(tool);
        // script(1) runs this one, and it must not be another one on each machine.
        command.args(args).env("SHELL", "/bin/sh");
        let outcome = program::run(command, COMMAND)?;
        if outcome.code == 0 {
            return Ok(outcome.stdout);
        }
        Err(io::Error::other(format!("{tool} {}: {outcome}", args.join(" "))))
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
