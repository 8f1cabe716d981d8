//! Disk images: a partition table by `sfdisk`, ext4 file systems filled by `mkfs.ext4 -d`. Nothing is mounted.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::packages;
use crate::progress::Step;

const MIB: u64 = 1 << 20;

/// One ext4 file system in an image, all sizes in MiB.
pub(crate) struct FileSystem<'a> {
    pub(crate) start: u64,
    pub(crate) size: u64,
    pub(crate) label: &'a str,
    pub(crate) content: &'a Path,
}

/// An image to be made.
pub(crate) struct Disk<'a> {
    /// The whole image, in MiB.
    pub(crate) size: u64,
    /// What `sfdisk` reads; without it the image has no partition table.
    pub(crate) table: Option<&'a str>,
    pub(crate) file_systems: &'a [FileSystem<'a>],
}

impl Disk<'_> {
    /// Writes the image to `path`, sparse.
    pub(crate) fn write(&self, path: &Path, step: &Step) -> Outcome {
        File::create(path)?.set_len(self.size * MIB)?;
        if let Some(table) = self.table {
            partition(path, table)?;
        }
        for fs in self.file_systems {
            let options = format!("offset={},root_owner=0:0,lazy_itable_init=0", fs.start * MIB);
            let mut mkfs = Command::new(tool("mkfs.ext4"));
            mkfs.args(["-q", "-F", "-L", fs.label, "-E", &options, "-d"]);
            step.run(mkfs.arg(fs.content).arg(path).arg(format!("{}k", fs.size * 1024)))?;
        }
        Ok(())
    }
}

fn partition(image: &Path, table: &str) -> Outcome {
    let mut sfdisk = Command::new(tool("sfdisk"));
    let mut child = sfdisk
        .arg("--quiet")
        .arg(image)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("sfdisk: {error}"))?;
    // Dropped at the end of the statement, which is the end of file for sfdisk.
    child.stdin.take().ok_or("sfdisk: no standard input")?.write_all(table.as_bytes())?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("sfdisk {}: {}\n{text}", image.display(), output.status).into())
}

/// The tools of the administrator are not in everybody's `PATH`.
fn tool(name: &str) -> std::path::PathBuf {
    packages::find(name).unwrap_or_else(|| name.into())
}
