//! Debian's kernels, fetched by apt from suites that need not be this host's, and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::Outcome;
use crate::packages;
use crate::progress::{Step, Steps};
use crate::workspace;

/// Small, and with all that a virtual machine has. It depends on the newest one.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// A series of kernels.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Series {
    /// That of Debian 12
    #[value(name = "6.1")]
    V6_1,
    /// That of Debian 13
    #[value(name = "6.12")]
    V6_12,
}

impl Series {
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::V6_1 => ("6.1", "bookworm"),
            Self::V6_12 => ("6.12", "trixie"),
        }
    }

    /// Gives the directory with the kernel, as `vmlinuz`, and its modules, as `modules`.
    pub(crate) fn fetch(self, steps: &Steps) -> Outcome<PathBuf> {
        let (version, suite) = self.names();
        let all = workspace::target().join("vm");
        let directory = all.join(version);
        if directory.is_dir() {
            return Ok(directory);
        }
        fs::create_dir_all(&all)?;
        steps.step(&format!("fetch Debian's kernel {version}"), |step| {
            let work = tempfile::Builder::new().prefix("new-").tempdir_in(&all)?;
            let ready = Fetch { directory: work.path(), step }.run(suite)?;
            fs::rename(ready, &directory)?;
            Ok(())
        })?;
        Ok(directory)
    }
}

/// One download, in a directory that is removed afterwards.
struct Fetch<'a> {
    directory: &'a Path,
    step: &'a Step,
}

impl Fetch<'_> {
    fn run(&self, suite: &str) -> Outcome<PathBuf> {
        for directory in ["lists/partial", "archives/partial", "tree", "ready"] {
            fs::create_dir_all(self.directory.join(directory))?;
        }
        let signed = "[arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
        let (archive, security) = mirrors()?;
        let mut sources = format!("deb {signed} {archive} {suite} main\n");
        if let Some(security) = security {
            sources += &format!("deb {signed} {security} {suite}-security main\n");
        }
        fs::write(self.directory.join("sources.list"), sources)?;
        self.step.run(self.apt("apt-get").args(["-q", "update"]))?;
        let output = self.apt("apt-cache").args(["depends", PACKAGE]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let package = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: linux-image-"))
            .ok_or_else(|| format!("{suite} has no {PACKAGE}"))?;
        self.step.run(self.apt("apt-get").args(["-q", "download", &format!("linux-image-{package}")]))?;
        self.unpack(package)
    }

    /// Takes out of the package what is needed of it.
    fn unpack(&self, release: &str) -> Outcome<PathBuf> {
        let (tree, ready) = (self.directory.join("tree"), self.directory.join("ready"));
        let package = fs::read_dir(self.directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .ok_or("apt-get download left no package")?;
        self.step.run(Command::new("dpkg-deb").arg("-x").args([&package, &tree]))?;
        // Since Debian 13 the modules are where depmod does not look.
        if !tree.join("lib").exists() {
            std::os::unix::fs::symlink("usr/lib", tree.join("lib"))?;
        }
        let depmod = packages::find("depmod").unwrap_or_else(|| "depmod".into());
        self.step.run(Command::new(depmod).arg("-b").arg(&tree).arg(release))?;
        fs::rename(tree.join(format!("boot/vmlinuz-{release}")), ready.join("vmlinuz"))?;
        fs::rename(tree.join("lib/modules").join(release), ready.join("modules"))?;
        Ok(ready)
    }

    /// An apt that knows only our sources, and leaves the host's lists alone.
    fn apt(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        let at = |name: &str| self.directory.join(name).display().to_string();
        for option in [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::Cache={}", self.directory.display()),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ] {
            apt.args(["-o", &option]);
        }
        apt.current_dir(self.directory).env("LC_ALL", "C");
        apt
    }
}

/// Where this host's apt has Debian from, and its security updates if it has those.
fn mirrors() -> Outcome<(String, Option<String>)> {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]);
    let text = String::from_utf8_lossy(&apt.output()?.stdout).into_owned();
    let targets: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let find = |fits: fn(&str) -> bool| {
        targets.iter().find(|(_, release)| fits(release)).map(|(uri, _)| (*uri).to_owned())
    };
    let archive = find(|release| !release.contains('-')).ok_or("apt knows no archive of Debian")?;
    Ok((archive, find(|release| release.ends_with("-security"))))
}
