//! `check --fsck`: the host's own fsck reads a disk, in a jail, and changes nothing.
//!
//! What is in an image may be made to attack the program that checks it. So that runs as the one command of a fresh
//! subhost over the host's own files, as `run --overlay /` makes it: with ids that are nobody's on the host, in
//! namespaces of its own, with no network, and with a layer that is thrown away. Of the image it gets a loop device
//! that cannot be written, and that nothing is mounted from.

use std::ffi::CString;
use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde::Serialize;
use subhost_config::schema::DiskSpec;
use subhost_init::console::Relay;
use subhost_init::handoff::Message;

use crate::boot::{How, Streams, boot};
use crate::error::{Complaint, Context as _, Error};
use crate::layout::{Layout, NameError};
use crate::observe::Observed;
use crate::request::{Request, Root};
use crate::supervise::{Event, Signals, Watch};

/// What is kept of what a program says.
const MAX_OUTPUT_BYTES: u64 = 1024 * 1024;

/// Where the programs are.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Types of file system, the command that checks them and changes nothing, and the Debian package that has it.
type Program = (&'static [&'static str], &'static [&'static str], &'static str);

const PROGRAMS: [Program; 7] = [
    (&["ext2", "ext3", "ext4"], &["e2fsck", "-f", "-n"], "e2fsprogs"),
    (&["xfs"], &["xfs_repair", "-n"], "xfsprogs"),
    (&["btrfs"], &["btrfs", "check", "--readonly"], "btrfs-progs"),
    (&["erofs"], &["fsck.erofs"], "erofs-utils"),
    (&["f2fs"], &["fsck.f2fs", "--dry-run"], "f2fs-tools"),
    (&["vfat"], &["fsck.vfat", "-n"], "dosfstools"),
    (&["exfat"], &["fsck.exfat", "-n"], "exfatprogs"),
];

/// A disk to be checked.
pub struct Disk {
    spec: DiskSpec,
    /// Its device name in the guest.
    node: String,
    /// The type of its file system, if one is known.
    kind: Option<String>,
}

/// What the fsck of a disk's file system found.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Device name in the guest.
    pub disk: String,
    /// Type of file system; none where none is known.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The command, without the device; none where there is none for this type.
    pub program: Option<String>,
    /// Its exit status, 128 + n if signal n ended it.
    pub status: Option<u8>,
    /// Whether it found nothing wrong.
    pub clean: Option<bool>,
    /// All that it said.
    pub output: String,
}

/// What came of it.
pub enum Outcome {
    /// It was done, but for disks that could not be checked.
    Done(Vec<Checked>, Vec<Complaint>),
    /// A signal asked for its end.
    Interrupted(Signal),
}

/// The disks among those of a request that were found.
pub fn disks(request: &Request, observed: &Observed) -> Vec<Disk> {
    let found = request.disks.iter().zip(&observed.disks);
    let disk = |(spec, found): (&DiskSpec, &Option<crate::observe::ObservedDisk>)| {
        let found = found.as_ref()?;
        let kind = found.superblock.as_ref().map(|superblock| superblock.kind.clone());
        Some(Disk { spec: spec.clone(), node: spec.node_name_of(found.partition), kind })
    };
    found.filter_map(disk).collect()
}

/// Checks the disks, one after the other.
///
/// # Errors
/// A jail cannot be made.
pub fn check(disks: Vec<Disk>, layout: &Layout) -> Result<Outcome, Error> {
    let mut signals = Signals::block()?;
    let (mut checked, mut complaints) = (Vec::new(), Vec::new());
    for Disk { spec, node: disk, kind } in disks {
        let kind_is = |(types, ..): &&Program| kind.as_deref().is_some_and(|kind| types.contains(&kind));
        let Some((_, words, package)) = PROGRAMS.iter().find(kind_is) else {
            let output = String::new();
            checked.push(Checked { disk, kind, program: None, status: None, clean: None, output });
            continue;
        };
        let Some(program) = find(words[0]) else {
            let message = format!("disk {disk}: {} is not installed on the host", words[0]);
            complaints.push(Complaint::new(message).hint(format!("apt install {package} brings it")));
            continue;
        };
        let command = command(&program, &words[1..], &disk)?;
        match jailed(spec, command, layout, signals) {
            Ok((Ended::Exited { status, output }, free)) => {
                signals = free;
                let (program, clean) = (Some(words.join(" ")), Some(status == 0));
                checked.push(Checked { disk, kind, program, status: Some(status), clean, output });
            }
            Ok((Ended::Interrupted(signal), _)) => return Ok(Outcome::Interrupted(signal)),
            // Such as an image that somebody uses.
            Err(Error::Refused(refused)) => {
                complaints.extend(refused);
                signals = Signals::block()?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome::Done(checked, complaints))
}

/// How a jail came to its end.
pub enum Ended {
    /// By itself.
    Exited {
        /// Status of the command.
        status: u8,
        /// What it said.
        output: String,
    },
    /// By a signal that we were sent.
    Interrupted(Signal),
}

/// Runs the command in a jail, with the disk to be read.
fn jailed(
    spec: DiskSpec,
    command: Vec<CString>,
    layout: &Layout,
    signals: Signals,
) -> Result<(Ended, Signals), Error> {
    let step = format!("fsck of {}", spec.image.display());
    let request = Request { disks: vec![spec], reads_disks: true, ..jail("fsck", command, layout)? };
    run(&request, &step, layout, signals)
}

/// A command over the host's own files, that keeps no change.
///
/// # Errors
/// None that is to be expected.
pub fn jail(what: &str, command: Vec<CString>, layout: &Layout) -> Result<Request, Error> {
    let name = format!("{what}-{}", std::process::id());
    let name = name.parse().map_err(|error: NameError| Error::refused(Complaint::new(error.to_string())))?;
    Ok(Request::from_command(name, Root::Overlay("/".into()), command, layout))
}

/// Runs the command of a request to its end, and keeps what it says.
///
/// # Errors
/// The jail cannot be made, or the command not be executed in it.
pub fn run(
    request: &Request,
    step: &str,
    layout: &Layout,
    signals: Signals,
) -> Result<(Ended, Signals), Error> {
    let (reader, writer) = std::io::pipe().step("make a pipe")?;
    let null = File::open("/dev/null").step("open /dev/null")?;
    let streams = [null.into(), writer.try_clone().step("duplicate a pipe")?.into(), writer.into()];
    let how = How { command: "check", origin: None, streams: Streams::Given(streams), verbose: false };
    let mut booted = boot(request, layout, how, None)?;
    let output = std::thread::spawn(move || read(reader));
    let mut watch = Watch::new(Relay::new(), signals);
    let (mut exited, mut interrupted) = (None, None);
    let running = &mut booted.running;
    while let Some(event) = watch.next(running.pidfd(), Some(running.socket()))? {
        match event {
            Event::Signal(Signal::SIGWINCH) | Event::Deadline => {}
            // It has nothing to lose.
            Event::Signal(signal) => {
                interrupted.get_or_insert(signal);
                running.kill().step("kill PID 1")?;
            }
            Event::Message(Message::PayloadExited { status }) => exited = Some(status),
            Event::Message(_) => {}
        }
    }
    running.wait().step("wait for PID 1")?;
    booted.clean_up()?;
    if let Some(signal) = interrupted {
        return Ok((Ended::Interrupted(signal), watch.signals));
    }
    let output = output.join().unwrap_or_default();
    let status = match exited {
        // What PID 1 says of a command that it cannot execute.
        Some(126 | 127) => return Err("it cannot be executed in its jail").step(step),
        Some(status) => status,
        None => return Err("its jail ended before it").step(step),
    };
    Ok((Ended::Exited { status, output }, watch.signals))
}

/// Reads a pipe to its end, and keeps the beginning.
fn read(mut pipe: PipeReader) -> String {
    let mut kept = Vec::new();
    // What was read before an error is still worth showing.
    let _ = pipe.by_ref().take(MAX_OUTPUT_BYTES).read_to_end(&mut kept);
    let left_out = std::io::copy(&mut pipe, &mut std::io::sink()).unwrap_or_default();
    let mut text = String::from_utf8_lossy(&kept).into_owned();
    if left_out > 0 {
        text.push_str(&format!("\n({left_out} more bytes are left out)\n"));
    }
    text
}

/// Where a program of the host is.
pub fn find(program: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

fn command(program: &Path, options: &[&str], disk: &str) -> Result<Vec<CString>, Error> {
    let device = format!("/dev/{disk}");
    let words = std::iter::once(program.as_os_str().as_bytes())
        .chain(options.iter().map(|option| option.as_bytes()))
        .chain([device.as_bytes()]);
    words.map(CString::new).collect::<Result<_, _>>().step("name the device")
}

impl Checked {
    /// What people read: a line, and what the program said.
    pub fn text(&self) -> String {
        let kind = self.kind.as_deref().unwrap_or("no file system is known in it");
        let Some(program) = &self.program else {
            let reason = if self.kind.is_some() { ": there is no fsck for it" } else { "" };
            return format!("{}: {kind}{reason}\n", self.disk);
        };
        let verdict = match self.status {
            Some(0) => "clean".to_owned(),
            status => format!("not clean, status {}", status.unwrap_or_default()),
        };
        let mut text = format!("{}: {kind}: {verdict} ({program})\n", self.disk);
        for line in self.output.lines() {
            text.push_str(&format!("    {}\n", crate::report::printable(line)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_nothing_that_a_terminal_acts_on() {
        let checked = Checked {
            disk: "vda1".to_owned(),
            kind: Some("ext4".to_owned()),
            program: Some("e2fsck -f -n".to_owned()),
            status: Some(4),
            clean: Some(false),
            output: "Pass 1\n\x1b]52;c;x\x07\n".to_owned(),
        };
        assert_eq!(
            checked.text(),
            "vda1: ext4: not clean, status 4 (e2fsck -f -n)\n    Pass 1\n    \u{fffd}]52;c;x\u{fffd}\n"
        );
    }
}
