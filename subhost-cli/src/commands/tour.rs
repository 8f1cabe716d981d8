//! `tour`: the program shows itself, on a tiny system of its own.

use std::fs::{self, File};
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use subhost_mount::rootdir::RootDir;

use super::stop::{How, stop_one};
use super::{Context, need_root};
use crate::console_log::{file_name, older_file_name};
use crate::error::{Complaint, Context as _, Error};
use crate::fsck::find;
use crate::images::tool::Heeding;
use crate::layout::{Layout, Name};
use crate::lock::make_private_dir;
use crate::observe::{State, state_of};
use crate::report;
use crate::shell::quote;
use crate::supervise::Signals;
use crate::tour::{ARCHIVE, STEPS, Tour, archive, is_static};

/// Shows each command, waits, and runs it. What was made is gone in the end.
pub(super) fn tour(context: &Context, args: &Tour) -> Result<u8, Error> {
    need_root("tour")?;
    let busybox = busybox(args.busybox.as_deref())?;
    let signals = Signals::block()?;
    let place = Place::take(&context.layout, &args.name)?;
    let outcome = place.fill(&busybox).and_then(|()| show(context, args, &place, &signals));
    if let Err(left) = place.clear() {
        if let Err(error) = &outcome {
            report::error(error);
        }
        return Err(Error::Left(left.into_complaints()));
    }
    outcome
}

/// The program that the tiny system is made of.
fn busybox(given: Option<&Path>) -> Result<Vec<u8>, Error> {
    let hint = "apt install busybox-static brings one; --busybox FILE names another";
    let path = match given {
        Some(path) => path.to_owned(),
        None => find("busybox").ok_or_else(|| {
            Error::refused(Complaint::new("busybox: is not installed on the host").hint(hint))
        })?,
    };
    let program = fs::read(&path).step(format!("read {}", path.display()))?;
    if is_static(&program) {
        return Ok(program);
    }
    let message = format!("busybox {}: is not static, and the tiny system has no libraries", path.display());
    Err(Error::refused(Complaint::new(message).hint(hint)))
}

/// The directory of a tour, and what else it leaves until it is cleared.
struct Place<'a> {
    layout: &'a Layout,
    name: &'a Name,
    directory: PathBuf,
    /// Logs of a subhost of that name that were there before.
    logs: Vec<PathBuf>,
    _lock: File,
}

impl<'a> Place<'a> {
    /// Takes the directory, also one that a killed tour has left.
    fn take(layout: &'a Layout, name: &'a Name) -> Result<Place<'a>, Error> {
        match state_of(layout, name).step(format!("read the record of {name}"))? {
            State::Stopped => {}
            _ => {
                let hint = format!("subhostctl stop {name}, or tour --name NAME");
                return Err(Error::refused(
                    Complaint::new(format!("subhost {name}: exists already")).hint(hint),
                ));
            }
        }
        let directory = layout.run_dir.join("tour");
        let step = || format!("make {}", directory.display());
        make_private_dir(&layout.run_dir).step(step())?;
        make_private_dir(&directory).step(step())?;
        let lock = File::open(&directory).step(step())?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Error::refused(Complaint::new(format!(
                "tour: another one goes on in {}",
                directory.display()
            ))));
        }
        let mut logs = logs(layout, name);
        logs.retain(|log| log.exists());
        Ok(Place { layout, name, directory, logs, _lock: lock })
    }

    /// Puts the archive there, and nothing else.
    fn fill(&self, busybox: &[u8]) -> Result<(), Error> {
        let step = || format!("write {ARCHIVE} in {}", self.directory.display());
        for entry in fs::read_dir(&self.directory).step(step())? {
            let left = entry.step(step())?.file_name();
            let directory = RootDir::open(&self.directory).step(step())?;
            directory.remove_tree(Path::new(&left)).step(format!("remove {}", Path::new(&left).display()))?;
        }
        let file = File::create_new(self.directory.join(ARCHIVE)).step(step())?;
        archive(busybox, file).step(step())
    }

    /// Ends the subhost, also one that is just being booted, and removes all else.
    fn clear(&self) -> Result<(), Error> {
        stop_one(self.layout, self.name, How::Force)?;
        for log in logs(self.layout, self.name) {
            if log.exists() && !self.logs.contains(&log) {
                fs::remove_file(&log).step(format!("remove {}", log.display()))?;
            }
        }
        let step = || format!("remove {}", self.directory.display());
        let above = RootDir::open(&self.layout.run_dir).step(step())?;
        above.remove_tree(Path::new("tour")).step(step())
    }
}

fn logs(layout: &Layout, name: &Name) -> Vec<PathBuf> {
    [file_name(name), older_file_name(name)].map(|file| layout.log_dir.join(file)).into()
}

/// The steps. Status 1 if it was ended before the last one.
fn show(context: &Context, args: &Tour, place: &Place<'_>, signals: &Signals) -> Result<u8, Error> {
    let waits = !args.yes && stdin().is_terminal();
    let (bold, plain) = if context.colour.out { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let program = std::env::current_exe().step("find the running program")?;
    let directory = place.directory.to_string_lossy();
    report::print(&format!("A tour of subhostctl, in {directory}, which --root-dir names below.\n"))?;
    if waits {
        report::print("Enter runs the command that is shown; Ctrl-C ends the tour, and nothing is left.\n")?;
    }
    for (number, step) in STEPS.iter().enumerate() {
        let words = step.words(&args.name, &directory);
        let line = words.iter().map(quote).fold("subhostctl".to_owned(), |line, word| line + " " + &word);
        report::print(&format!("\n{}/{}  {}\n{bold}$ {line}{plain}", number + 1, STEPS.len(), step.says))?;
        if !waits {
            report::print("\n")?;
        } else if !enter_was_typed(signals) {
            report::print("\n")?;
            return Ok(1);
        }
        let status =
            Command::new(&program).args(&words).stdin(Stdio::null()).status().step("run subhostctl")?;
        if signals.ask_to_end() {
            return Ok(1);
        }
        if !status.success() {
            let source = status.to_string().into();
            let hint = Some("subhostctl doctor tells whether this host can run subhosts".to_owned());
            return Err(Error::Step { step: line, source, hint });
        }
    }
    report::print(
        "\nThat was all: it is removed now. The same is done for real with /opt/sub/NAME/config.\n",
    )?;
    Ok(0)
}

/// Waits for Enter; false if the input or a signal ends the tour instead.
fn enter_was_typed(signals: &Signals) -> bool {
    // A terminal hands over whole lines.
    matches!(Heeding::new(stdin(), signals).read(&mut [0; 1024]), Ok(1..))
}
