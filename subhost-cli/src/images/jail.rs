//! Programs of the host that change what is on a disk, in a jail as that of `check --fsck`.
//!
//! What is on the disk may be made to attack them. They see the host's files with a layer that is thrown away, have ids
//! that are nobody's on the host and no network, and of the host one device: that over the bytes they are to change.

use std::ffi::CString;
use std::path::Path;

use subhost_config::schema::DeviceSpec;

use crate::cgroup;
use crate::error::{Complaint, Context, Error};
use crate::fsck::{Ended, find, jail, run};
use crate::layout::Layout;
use crate::report;
use crate::request::Request;
use crate::supervise::Signals;

/// How many lines are told of a program that failed.
const LAST_LINES: usize = 8;

/// A program, and the Debian package that has it.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name and options.
    pub words: &'static [&'static str],
    /// The package.
    pub package: &'static str,
    /// The highest status that is a success.
    pub good: u8,
}

/// Runs it on a device, with more words behind that. The signals that end us are taken from it, and given back.
///
/// # Errors
/// It is not there, says that it failed, or we are told to end.
pub fn change(
    program: Program,
    device: &Path,
    more: &[&str],
    object: &str,
    layout: &Layout,
) -> Result<String, Error> {
    let Program { words, package, good } = program;
    let step = format!("{} of {object}", words[0]);
    let path = find(words[0]).ok_or_else(|| {
        let complaint = Complaint::new(format!("{step}: it is not installed on the host"));
        Error::refused(complaint.hint(format!("apt install {package} brings it")))
    })?;
    let (path, device_word) = (path.to_string_lossy(), device.to_string_lossy());
    let words = [&*path].into_iter().chain(words[1..].iter().copied());
    let words = words.chain([&*device_word]).chain(more.iter().copied());
    let command: Vec<CString> = words.map(CString::new).collect::<Result<_, _>>().step(step.as_str())?;
    let devices = vec![DeviceSpec { path: device.to_owned(), read_only: false }];
    let request = Request {
        cgroup: cgroup::Wanted { devices, ..cgroup::Wanted::default() },
        ..jail("tool", command, layout)?
    };
    match run(&request, &step, layout, Signals::block()?)? {
        (Ended::Exited { status, output }, _) if status <= good => Ok(output),
        (Ended::Exited { status, output }, _) => {
            let lines: Vec<&str> = output.lines().collect();
            let lines = &lines[lines.len().saturating_sub(LAST_LINES)..];
            Err(report::printable(&format!("status {status}: {}", lines.join("; ")))).step(step)
        }
        (Ended::Interrupted(signal), _) => Err(format!("ended by {signal}")).step(step),
    }
}
