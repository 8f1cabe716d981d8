//! `cargo xtask proof packages`: the settings files of real Debian packages, evaluated, and sourced by bash.
//!
//! The packages come from the mirrors that apt knows, and are only unpacked: the project has their names and nothing
//! else of them. Bash sources only what we accept, and in namespaces of its own.

#[path = "../../../subhost-config/tests/oracle/mod.rs"]
mod oracle;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use rustix::mount::{MountFlags, mount_remount};
use subhost_config::{Diagnostic, Evaluator, Source, parse, render};
use subhost_tests::isolate;

use crate::Outcome;
use crate::packages::{PROOF, apt_update, install};
use crate::progress::{Step, Steps};
use crate::workspace;

const PACKAGES: &str = include_str!("packages.txt");

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask proof packages                every file with what came of it
  cargo xtask proof packages --dir /tmp/it  packages are kept there
The files are those in /etc/default, and each *.conf in the syntax of the shell. Fails if one differs.")]
pub(crate) struct Options {
    /// Where packages are kept [default: `proof-packages` in the build directory]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Options {
    pub(crate) fn run(self) -> Outcome {
        if !rustix::process::geteuid().is_root() {
            return Err("bash gets namespaces of its own: run this task as root".into());
        }
        let steps = Steps::new();
        install(&[PROOF], &steps)?;
        let directory = self.dir.unwrap_or_else(|| workspace::target().join("proof-packages"));
        fs::create_dir_all(&directory)?;
        let directory = directory.canonicalize()?;
        let missing: Vec<&str> =
            PACKAGES.lines().filter(|package| !directory.join(package).is_dir()).collect();
        if !missing.is_empty() {
            steps.step(&format!("fetch {} packages", missing.len()), |step| {
                // The lists of packages may be missing, or too old to be fetched from.
                fetch(&missing, &directory, step).or_else(|_| {
                    apt_update(step)?;
                    fetch(&missing, &directory, step)
                })
            })?;
        }
        let mut inside = isolate::command(["proof", "packages-inside"])?;
        let status = inside.arg(&directory).env("TMPDIR", "/run").status()?;
        if status.success() { Ok(()) } else { Err("not every file is as bash has it".into()) }
    }
}

/// Downloads packages and unpacks each into a directory of its name. Nothing of them is executed.
fn fetch(packages: &[&str], directory: &Path, step: &Step) -> Outcome {
    // Beside and renamed, so that a name never stands for a part of it.
    let beside = tempfile::Builder::new().prefix(".fetch-").tempdir_in(directory)?;
    let archives = beside.path().join("archives");
    fs::create_dir(&archives)?;
    step.run(Command::new("apt-get").args(["download", "-q"]).args(packages).current_dir(&archives))?;
    for archive in fs::read_dir(&archives)? {
        let archive = archive?;
        let name = archive.file_name().to_string_lossy().into_owned();
        let package = name.split('_').next().unwrap_or_default();
        let tree = beside.path().join(package);
        step.run(Command::new("dpkg-deb").arg("-x").arg(archive.path()).arg(&tree))?;
        fs::rename(&tree, directory.join(package))?;
    }
    Ok(())
}

#[derive(Args)]
pub(crate) struct Inside {
    directory: PathBuf,
}

/// What came of one file.
enum Verdict {
    /// As bash has it, with so many variables.
    Equal(usize),
    /// The code of the first error, and the error.
    Refused(&'static str, String),
    Different(String),
}

impl Inside {
    pub(crate) fn run(self) -> Outcome {
        // There is no network already. The only place to write to is `/run`, a file system of this run.
        for mount in fs::read_to_string("/proc/self/mounts")?.lines() {
            let point = mount.split(' ').nth(1).unwrap_or_default();
            if !Path::new(point).starts_with("/run") {
                mount_remount(point, MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID, "")
                    .map_err(|error| format!("{point}: {error}"))?;
            }
        }

        let mut verdicts = BTreeMap::new();
        for package in PACKAGES.lines() {
            let before = verdicts.len();
            judge(&self.directory, package, &mut verdicts)?;
            if verdicts.len() == before {
                return Err(format!("{package} has no settings file").into());
            }
        }
        report(&verdicts)
    }
}

/// The verdicts on all files of one package, by their paths.
fn judge(directory: &Path, package: &str, verdicts: &mut BTreeMap<String, Verdict>) -> Outcome {
    let mut paths = Vec::new();
    files(&directory.join(package), &mut paths)?;
    let (mut accepted, mut expected) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.strip_prefix(directory)?.to_string_lossy().into_owned();
        let text = fs::read(&path)?;
        let is_settings =
            name.contains("/etc/default/") || (name.ends_with(".conf") && is_shell(&path, &text)?);
        if !is_settings {
            continue;
        }
        let source = Source::new(name.as_str(), text.as_slice());
        let (script, mut diagnostics) = parse(&source);
        let (variables, more) = Evaluator::new().run(&script);
        diagnostics.extend(more);
        match diagnostics.iter().find(|it: &&Diagnostic| it.is_error()) {
            Some(error) => {
                verdicts.insert(name, Verdict::Refused(error.code, render(error, &source.into(), false)));
            }
            None => {
                accepted.push(oracle::for_bash(&text, &diagnostics));
                expected.push((name, String::from_utf8_lossy(&variables.to_declare_p()).into_owned()));
            }
        }
    }
    for ((name, ours), bash) in expected.into_iter().zip(oracle::bash(&accepted)) {
        let verdict = match bash.difference(&ours) {
            Some(difference) => Verdict::Different(difference),
            None => Verdict::Equal(ours.lines().count()),
        };
        verdicts.insert(name, verdict);
    }
    Ok(())
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        // No links: they would lead out of the package.
        if kind.is_dir() {
            files(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// Many programs call their own format `.conf`. It is the shell's if bash can read it, if half of the lines that are no
/// comment are assignments, and none is the title of a section.
fn is_shell(path: &Path, text: &[u8]) -> Outcome<bool> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let assignments = lines.iter().filter(|line| is_assignment(line)).count();
    let has_section =
        lines.iter().any(|line| line.starts_with('[') && line.ends_with(']') && !line.contains(' '));
    if lines.is_empty() || assignments * 2 < lines.len() || has_section {
        return Ok(false);
    }
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-n"]).arg(path).stdin(Stdio::null()).stderr(Stdio::null());
    Ok(bash.env_clear().status()?.success())
}

fn is_assignment(line: &str) -> bool {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, _)) = line.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Prints every file with what came of it, and counts. A difference is an error.
fn report(verdicts: &BTreeMap<String, Verdict>) -> Outcome {
    let (mut equal, mut empty, mut variables, mut differences) = (0, 0, 0, 0);
    let mut refused = BTreeMap::<&str, Vec<&str>>::new();
    println!("\naccepted, with as many variables, all as bash has them:");
    for (name, verdict) in verdicts {
        match verdict {
            Verdict::Equal(count) => {
                println!("  {count:>4}  {name}");
                equal += 1;
                empty += usize::from(*count == 0);
                variables += count;
            }
            Verdict::Refused(code, error) => refused.entry(code).or_default().push(error),
            Verdict::Different(_) => differences += 1,
        }
    }
    for (code, errors) in &refused {
        println!("\nrefused with {code}, {} files:", errors.len());
        errors.iter().for_each(|error| print!("{error}"));
    }
    for (name, verdict) in verdicts {
        if let Verdict::Different(difference) = verdict {
            println!("\nDIFFERENT {name}\n{difference}");
        }
    }
    let all = verdicts.len();
    let codes: Vec<String> =
        refused.iter().map(|(code, errors)| format!("{code} × {}", errors.len())).collect();
    println!("\n{all} files of {} packages", PACKAGES.lines().count());
    println!("{equal:>6} accepted and equal to bash: {variables} variables; {empty} of the files set none");
    println!("{:>6} refused: {}", all - equal - differences, codes.join(", "));
    println!("{differences:>6} different");
    if differences == 0 { Ok(()) } else { Err(format!("{differences} files differ").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_sixty_packages_in_order() {
        let packages: Vec<&str> = PACKAGES.lines().collect();
        assert_eq!(packages.len(), 60);
        assert!(packages.is_sorted());
    }

    #[test]
    fn a_refusal_is_fine_and_a_difference_is_an_error() {
        let refused = || Verdict::Refused("E0201", "a:1:1: error\n".to_owned());
        let mut verdicts = BTreeMap::from([("a".to_owned(), refused()), ("b".to_owned(), Verdict::Equal(1))]);
        assert!(report(&verdicts).is_ok());
        verdicts.insert("c".to_owned(), Verdict::Different("  bash:\n".to_owned()));
        assert_eq!(report(&verdicts).unwrap_err().to_string(), "1 files differ");
    }

    #[test]
    fn an_own_format_is_not_the_shells() {
        let directory = tempfile::tempdir().unwrap();
        let is_shell_text = |text: &str| {
            let path = directory.path().join("some.conf");
            fs::write(&path, text).unwrap();
            is_shell(&path, text.as_bytes()).unwrap()
        };
        assert!(is_shell_text("# settings\nA=1\nexport B+='2 3'\nif true; then C=4; fi\n"));
        assert!(!is_shell_text("# nothing\n\n"));
        assert!(!is_shell_text("key value\nother value\nA=1\n"));
        assert!(!is_shell_text("[Unit]\nA=1\nB=2\n"));
        assert!(!is_shell_text("A=(\nB=2\n"));
    }
}
