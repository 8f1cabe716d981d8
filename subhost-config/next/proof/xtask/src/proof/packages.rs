//! `cargo xtask proof packages`: the settings files of real Debian packages, evaluated and sourced by bash.
//!
//! The packages are fetched from the mirrors that apt knows, and kept in the build folder: nothing of them is in the
//! project but their names. Bash reads only what we accept, and in namespaces of its own.

#[path = "../../../subhost-config/tests/oracle/mod.rs"]
mod oracle;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use rustix::mount::{MountFlags, mount_remount};
use subhost_tests::isolate;

use crate::Outcome;
use crate::progress::Steps;
use crate::workspace;

const PACKAGES: &str = include_str!("packages.txt");

#[derive(Args)]
pub(crate) struct Options {
    /// Where packages are kept [default: `proof-packages` in the build folder]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Options {
    pub(crate) fn run(self) -> Outcome {
        let folder = self.dir.unwrap_or_else(|| workspace::target().join("proof-packages"));
        fs::create_dir_all(&folder)?;
        let steps = Steps::new();
        for package in PACKAGES.lines() {
            let tree = folder.join(package);
            if tree.is_dir() {
                continue;
            }
            steps.step(&format!("fetch {package}"), |step| {
                // Unpacked beside and renamed, so that a name never stands for a part of it.
                let beside = tempfile::Builder::new().prefix(".fetch-").tempdir_in(&folder)?;
                step.run(
                    Command::new("apt-get").args(["download", "-q", package]).current_dir(beside.path()),
                )?;
                let archive = only_file_in(beside.path())?;
                let unpacked = beside.path().join("tree");
                step.run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))?;
                fs::rename(&unpacked, &tree)?;
                Ok(())
            })?;
        }
        let status =
            isolate::command(["proof", "packages-inside"])?.arg(&folder).env("TMPDIR", "/run").status()?;
        if status.success() { Ok(()) } else { Err("not as bash has it".into()) }
    }
}

fn only_file_in(folder: &Path) -> Outcome<PathBuf> {
    let first = fs::read_dir(folder)?.next().ok_or("apt-get downloaded nothing")?;
    Ok(first?.path())
}

#[derive(Args)]
pub(crate) struct Inside {
    folder: PathBuf,
}

/// What came of the files of one package, or of all.
#[derive(Default)]
struct Tally {
    files: usize,
    /// Equal, with settings in it.
    equal: usize,
    /// Equal, and nothing but comments.
    empty: usize,
    refused: usize,
    different: usize,
    /// The first error of each file that was refused.
    codes: BTreeMap<&'static str, Vec<PathBuf>>,
}

impl Inside {
    pub(crate) fn run(self) -> Outcome {
        // Without a network already; and nothing can be written but in `/run`, which is a file system of its own.
        mount_remount("/", MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID, "")?;

        println!(
            "\n{:<24} {:>5} {:>5} {:>8} {:>7} {:>9}",
            "package", "files", "equal", "comments", "refused", "different"
        );
        let mut total = Tally::default();
        let mut differences = String::new();
        for package in PACKAGES.lines() {
            let tally = of_package(&self.folder.join(package), &mut differences)?;
            print(package, &tally);
            total.files += tally.files;
            total.equal += tally.equal;
            total.empty += tally.empty;
            total.refused += tally.refused;
            total.different += tally.different;
            for (code, paths) in tally.codes {
                total.codes.entry(code).or_default().extend(paths);
            }
        }
        print("all", &total);
        println!("\nrefused, by the first error of each file:");
        for (code, paths) in &total.codes {
            let example = paths.first().and_then(|path| path.strip_prefix(&self.folder).ok());
            println!("{code} {:>4}  such as {}", paths.len(), example.unwrap_or(Path::new("")).display());
        }
        print!("{differences}");
        if total.files < 60 {
            return Err(format!("{} files only", total.files).into());
        }
        if total.different > 0 { Err(format!("{} files differ", total.different).into()) } else { Ok(()) }
    }
}

fn print(name: &str, tally: &Tally) {
    let Tally { files, equal, empty, refused, different, codes } = tally;
    let codes: Vec<String> = codes.iter().map(|(code, paths)| format!("{code} × {}", paths.len())).collect();
    println!("{name:<24} {files:>5} {equal:>5} {empty:>8} {refused:>7} {different:>9}  {}", codes.join(", "));
}

fn of_package(tree: &Path, differences: &mut String) -> Outcome<Tally> {
    let mut paths = Vec::new();
    settings_files(tree, tree, &mut paths)?;
    paths.sort();
    let mut tally = Tally::default();
    let (mut accepted, mut expected) = (Vec::new(), Vec::new());
    for path in paths {
        let text = fs::read(&path)?;
        if !is_shell(&path, &text)? {
            continue;
        }
        tally.files += 1;
        let (lines, diagnostics) = oracle::ours(&text);
        match diagnostics.iter().find(|diagnostic| diagnostic.is_error()) {
            Some(error) => {
                tally.refused += 1;
                tally.codes.entry(error.code).or_default().push(path);
            }
            None => {
                accepted.push(oracle::for_bash(&text, &diagnostics));
                expected.push((path, lines));
            }
        }
    }
    for ((path, lines), theirs) in expected.iter().zip(oracle::bash(&accepted)) {
        match theirs.difference(lines) {
            Some(difference) => {
                tally.different += 1;
                differences.push_str(&format!("---- {}\n{difference}", path.display()));
            }
            None if lines.is_empty() => tally.empty += 1,
            None => tally.equal += 1,
        }
    }
    Ok(tally)
}

/// Files that are sourced, by their place, and those that look so.
fn settings_files(tree: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            settings_files(tree, &path, found)?;
        } else if entry.file_type()?.is_file() {
            let place = path.strip_prefix(tree)?.to_string_lossy().into_owned();
            let is_sourced =
                ["etc/default/", "etc/conf.d/", "etc/sysconfig/"].iter().any(|it| place.starts_with(it));
            let is_named =
                [".conf", ".cfg", "rc", "vars", ".default", "conf"].iter().any(|it| place.ends_with(it));
            if is_sourced || is_named {
                found.push(path);
            }
        }
    }
    Ok(())
}

/// Bash can read it, and half of what is no comment is assignments; in a folder of sourced files, the first is enough.
fn is_shell(path: &Path, text: &[u8]) -> Outcome<bool> {
    let place = path.to_string_lossy();
    let is_sourced = ["/etc/default/", "/etc/conf.d/"].iter().any(|it| place.contains(it));
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let assignments = lines.iter().filter(|line| is_assignment(line)).count();
    if !is_sourced && (lines.is_empty() || assignments * 2 < lines.len()) {
        return Ok(false);
    }
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-n"]).arg(path).stdin(Stdio::null()).stderr(Stdio::null());
    Ok(bash.status()?.success())
}

fn is_assignment(line: &str) -> bool {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, _)) = line.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}
