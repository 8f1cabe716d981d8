//! `cargo xtask dist`: a Debian package, an archive, the list of what is in them, and their checksums. The same source gives
//! the same bytes, wherever it is built.

mod archive;
mod sbom;
mod tree;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::Outcome;
use crate::compile;
use crate::packages;
use crate::progress::Steps;
use crate::workspace;

/// What all files are called by.
const NAME: &str = "subhost";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The most bytes that the program may have: 4 MiB.
const PROGRAM_BYTES: u64 = 4 << 20;

#[derive(Args)]
pub(crate) struct Options {
    /// Where to put them [default: `dist` in cargo's target directory]
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Options {
    pub(crate) fn run(&self) -> Outcome {
        let steps = Steps::new();
        packages::install(&[packages::DIST], &steps)?;
        let out = self.out.clone().unwrap_or_else(directory);
        make(&out, &steps)?;
        println!("{}", out.display());
        Ok(())
    }
}

/// Where they are usually put.
pub(crate) fn directory() -> PathBuf {
    workspace::target().join("dist")
}

/// Makes all of it in `out`, which has nothing else afterwards.
pub(crate) fn make(out: &Path, steps: &Steps) -> Outcome {
    let epoch = epoch()?;
    let program = steps.step("build subhostctl (release, static)", compile::release)?;
    let bytes = fs::metadata(&program)?.len();
    if bytes > PROGRAM_BYTES {
        return Err(format!("subhostctl has {bytes} bytes, {PROGRAM_BYTES} at most").into());
    }
    let work = tempfile::Builder::new().prefix("subhost-dist-").tempdir()?;
    steps.step("pack", |step| {
        let sbom = sbom::of_program()?;
        let tree = work.path().join("tree");
        tree::build(&tree, &program, &sbom, step)?;
        if out.exists() {
            fs::remove_dir_all(out)?;
        }
        fs::create_dir_all(out)?;
        fs::write(out.join(format!("{NAME}-{VERSION}.cdx.json")), &sbom)?;
        archive::tar(&tree, out, &epoch, step)?;
        archive::debian(&tree, out, &epoch, step)?;
        archive::checksums(out)
    })?;
    steps.step("lintian", |step| {
        let mut lintian = Command::new("lintian");
        lintian.args(["--fail-on", "error,warning", "--allow-root"]);
        for file in files(out)?.iter().filter(|file| file.extension().is_some_and(|it| it == "deb")) {
            lintian.arg(file);
        }
        step.run(&mut lintian)
    })
}

/// What all files are dated: `$SOURCE_DATE_EPOCH`, or the time of Debian's changelog, as Debian does it.
fn epoch() -> Outcome<String> {
    if let Ok(epoch) = env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let changelog = fs::read_to_string(workspace::root().join("packaging/debian/changelog"))?;
    let date = changelog.lines().find_map(|line| line.strip_prefix(" -- ")?.split_once("  "));
    let (_, date) = date.ok_or("packaging/debian/changelog: has no date")?;
    let output = Command::new("date").args(["-u", "+%s", "-d", date]).output()?;
    if !output.status.success() {
        return Err(format!("date -d {date}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The files in a directory, by name.
fn files(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}
