//! Where a new root comes from: always a stream of tar, whatever made it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{ChildStdout, Stdio};

use super::progress::{Done, Progress};
use super::tool::{INPUT, Rights, Running, await_readable, command, with_input};
use crate::error::{Complaint, Context, Error};
use crate::supervise::Signals;

/// How archives begin that are packed, what unpacks them, and the Debian package that has that.
const PACKED: [(&[u8], &str, &str); 3] =
    [(b"\x1f\x8b", "gzip", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd", "zstd"), (b"\xfd7zXZ\0", "xz", "xz-utils")];

/// What may follow the end of an archive.
const MAX_REST_BYTES: u64 = 1 << 30;

/// What a Debian guest needs to boot here; `--include` adds to it.
const PACKAGES: [&str; 5] = ["ifupdown", "dhcpcd-base", "iproute2", "netbase", "procps"];
const INIT: &str = "sysvinit-core";
const SYSTEMD: &str = "systemd-sysv";

/// Binds a directory of ours over `/tmp`, where the program keeps what it works with, in a mount namespace of its own.
const IN_OUR_TMP: &str = "mount --bind \"$0\" /tmp && exec \"$@\"";
const DEBOOTSTRAP: &str = "mount --bind \"$0\" /tmp && \"$@\" >&2 && exec tar --numeric-owner --xattrs \
                           --xattrs-include=security.capability -C /tmp/root -c .";

/// How the host's tar writes a tree: what it keeps is what [`super::unpack`] takes.
const ARCHIVE: [&str; 8] = [
    "--create",
    "--format=posix",
    "--pax-option=delete=atime,delete=ctime",
    "--numeric-owner",
    "--one-file-system",
    "--xattrs",
    "--xattrs-include=user.*",
    "--xattrs-include=security.capability",
];

/// A stream of tar.
pub struct Stream<'a> {
    reader: Bytes,
    program: Option<Running<'a>>,
    signals: &'a Signals,
    progress: &'a Progress,
    /// Bytes that were read.
    bytes: u64,
    /// What it is unpacked from, and how long that is: the program that does that moves its position.
    archive: Option<(File, u64)>,
}

/// What a stream is read from.
enum Bytes {
    File(File),
    Program(ChildStdout),
}

impl AsFd for Bytes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Bytes::File(file) => file.as_fd(),
            Bytes::Program(pipe) => pipe.as_fd(),
        }
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Bytes::File(file) => file.read(buffer),
            Bytes::Program(pipe) => pipe.read(buffer),
        }
    }
}

impl Read for Stream<'_> {
    /// The end is one only where the program says so.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.program {
            Some(program) => program.hear(&self.reader, self.signals)?,
            None => await_readable(&self.reader, self.signals)?,
        }
        let read = self.reader.read(buffer)?;
        self.bytes += read as u64;
        self.progress.at(|| match &mut self.archive {
            Some((file, len)) => Done { bytes: file.stream_position().unwrap_or(0), of: Some(*len) },
            None => Done { bytes: self.bytes, of: None },
        });
        if read == 0
            && !buffer.is_empty()
            && let Some(program) = self.program.take()
        {
            program.finish(self.signals).map_err(io::Error::other)?;
        }
        Ok(read)
    }
}

impl<'a> Stream<'a> {
    /// An archive, packed or not.
    ///
    /// # Errors
    /// It cannot be read, or what unpacks it is not there.
    pub fn of_file(
        mut file: File,
        signals: &'a Signals,
        progress: &'a Progress,
    ) -> Result<Stream<'a>, Error> {
        let step = "look at the archive";
        let mut start = Vec::new();
        file.by_ref().take(6).read_to_end(&mut start).step(step)?;
        file.seek(SeekFrom::Start(0)).step(step)?;
        let archive = Some((file.try_clone().step(step)?, file.metadata().step(step)?.len()));
        let Some((_, program, package)) = PACKED.iter().find(|(magic, ..)| start.starts_with(magic)) else {
            let reader = Bytes::File(file);
            return Ok(Stream { reader, program: None, signals, progress, bytes: 0, archive });
        };
        let mut command = command(program, package, Rights::Nobody)?;
        command.arg("-dc").stdin(Stdio::from(file)).stdout(Stdio::piped());
        Ok(Stream { archive, ..Stream::of_program(Running::start(command, program)?, signals, progress)? })
    }

    /// A new system, as mmdebstrap or debootstrap makes it. Both work in the directory `tmp`.
    ///
    /// # Errors
    /// Neither is there.
    pub fn of_suite(
        suite: &str,
        mirror: Option<&str>,
        include: &[String],
        tmp: &Path,
        signals: &'a Signals,
        progress: &'a Progress,
    ) -> Result<Stream<'a>, Error> {
        let packages = packages(include);
        let mut mirror = mirror.map(str::to_owned);
        let (script, words): (_, Vec<String>) = if crate::fsck::find("mmdebstrap").is_some() {
            // What apt has by `file:` stays where it is, where dpkg in the new root does not find it.
            mirror = mirror.map(|mirror| match mirror.strip_prefix("file:") {
                Some(path) => format!("copy:{path}"),
                None => mirror,
            });
            let options = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar"];
            let words = options.map(str::to_owned).into_iter().chain([format!("--include={packages}")]);
            (IN_OUR_TMP, words.chain([suite.to_owned(), "-".to_owned()]).collect())
        } else if crate::fsck::find("debootstrap").is_some() {
            let words = ["debootstrap", "--variant=minbase"].map(str::to_owned).into_iter();
            let words = words.chain([format!("--include={packages}"), suite.to_owned()]);
            (DEBOOTSTRAP, words.chain(["/tmp/root".to_owned()]).collect())
        } else {
            return Err(Error::refused(
                Complaint::new("mmdebstrap: neither it nor debootstrap is installed on the host")
                    .hint("apt install mmdebstrap brings it"),
            ));
        };
        let mut command = command("sh", "dash", Rights::Root)?;
        command.args(["-c", script]).arg(tmp).args(&words).args(mirror);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in ["http_proxy", "https_proxy", "no_proxy"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        Stream::of_program(Running::start(command, &words[0])?.telling(progress), signals, progress)
    }

    /// What is in a tree, as the host's tar tells it, with the numbers of owners.
    ///
    /// # Errors
    /// There is no tar.
    pub fn of_tree(root: OwnedFd, signals: &'a Signals, progress: &'a Progress) -> Result<Stream<'a>, Error> {
        let mut command = command("tar", "tar", Rights::Root)?;
        command.args(ARCHIVE).args(["--directory", INPUT, "."]).stdout(Stdio::piped());
        with_input(&mut command, root);
        Stream::of_program(Running::start(command, "tar")?, signals, progress)
    }

    fn of_program(
        mut program: Running<'a>,
        signals: &'a Signals,
        progress: &'a Progress,
    ) -> Result<Stream<'a>, Error> {
        let output = program.output().ok_or("it has no output").step("read from a program")?;
        let (reader, program) = (Bytes::Program(output), Some(program));
        Ok(Stream { reader, program, signals, progress, bytes: 0, archive: None })
    }

    /// Demands that all is well behind the end of the archive.
    ///
    /// # Errors
    /// There is too much, or the program that made it failed.
    pub fn finish(mut self) -> Result<(), Error> {
        read_rest(&mut self)
    }
}

/// Reads what follows an archive.
///
/// # Errors
/// It cannot be read, or is too much.
pub fn read_rest(stream: &mut dyn Read) -> Result<(), Error> {
    let step = "read behind the end of the archive";
    let rest = io::copy(&mut stream.take(MAX_REST_BYTES), &mut io::sink()).step(step)?;
    if rest == MAX_REST_BYTES { Err("there is more than 1 GiB").step(step) } else { Ok(()) }
}

/// The packages of a new system.
fn packages(include: &[String]) -> String {
    let has_init = include.iter().any(|package| [INIT, SYSTEMD].contains(&package.as_str()));
    let init = (!has_init).then_some(INIT);
    let words = PACKAGES.into_iter().chain(init).chain(include.iter().map(String::as_str));
    words.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_one_init() {
        let with =
            |include: &[&str]| packages(&include.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert!(with(&["nano"]).ends_with("procps,sysvinit-core,nano"));
        assert!(!with(&["systemd-sysv"]).contains("sysvinit"));
    }
}
