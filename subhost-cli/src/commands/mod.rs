//! The commands, a file each.

mod autostart;
mod boot;
mod check;
#[cfg(feature = "images")]
mod clone;
#[cfg(feature = "accounting")]
mod collect;
mod config;
mod console;
mod cp;
#[cfg(feature = "images")]
mod create;
mod delete;
mod dhcp;
#[cfg(feature = "images")]
mod diff;
mod doctor;
mod enter;
mod events;
#[cfg(feature = "images")]
mod export;
mod go;
#[cfg(feature = "import")]
mod import;
mod inspect;
mod life;
mod list;
#[cfg(feature = "images")]
mod live;
mod logs;
mod man;
mod mounts;
mod partitions;
mod plan;
mod recover;
#[cfg(feature = "images")]
mod rescue;
#[cfg(feature = "images")]
mod reset;
#[cfg(feature = "images")]
mod resize;
mod run;
mod shown;
#[cfg(feature = "images")]
mod snapshot;
mod start;
mod stop;
mod table;
#[cfg(feature = "accounting")]
mod top;
#[cfg(feature = "images")]
mod tour;
#[cfg(feature = "accounting")]
mod usage;
#[cfg(feature = "accounting")]
mod usage_report;
mod wait;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::args::Cli;
use crate::completion;
use crate::config::How;
use crate::error::Error;
use crate::handover::SUPERVISE;
use crate::layout::{Layout, subhost_dir};
use crate::order::{self, Job};
use crate::report;
use crate::supervisor;

pub use table::described;

/// What every command gets.
pub struct Context {
    /// Where things are.
    pub layout: Layout,
    /// A configuration given by path.
    pub config: Option<std::path::PathBuf>,
    /// How configurations are read.
    pub how: How,
    /// JSON instead of text.
    pub json: bool,
    /// Errors only.
    pub quiet: bool,
    /// What is about to be done, too.
    pub verbose: bool,
    /// What is coloured.
    pub colour: report::Colour,
}

/// Status of `run`, `enter` and `exec` when it is not the payload's.
const OUR_FAILURE: u8 = 125;

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    completion::answer();
    let words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == SUPERVISE) {
        return finish(supervisor::main(), false);
    }
    let (entry, matches) = table::parse(&command_line(words));
    let cli: Cli = table::given(&matches);
    let context = Context {
        layout: Layout { subhost_dir: subhost_dir(cli.subhost_dir), ..Layout::new(cli.root_dir) },
        config: cli.config,
        how: if cli.config_exec { How::Execute } else { How::Evaluate },
        json: cli.json,
        quiet: cli.quiet,
        verbose: cli.verbose,
        colour: report::Colour::of(cli.color),
    };
    let (_, below) = matches.subcommand().expect("there is that command");
    finish((entry.run)(&context, below), entry.passes_status)
}

/// The exit status of a command, after its error is shown.
fn finish(result: Result<u8, Error>, passes_status: bool) -> ExitCode {
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            report::error(&error);
            ExitCode::from(if passes_status { OUR_FAILURE } else { error.exit_status() })
        }
    }
}

/// Called by a link of these names, the program is the script that it was.
pub(crate) fn command_line(mut words: Vec<OsString>) -> Vec<OsString> {
    let name = words.first().and_then(|word| Path::new(word).file_name());
    let is_called = |called: &str| name == Some(OsStr::new(called));
    let word_is = |n: usize, wanted: &str| words.get(n).is_some_and(|word| word == wanted);
    if is_called("pretend-boot") {
        words.insert(1, "boot".into());
    } else if is_called("control") && word_is(1, "start") && words.len() > 3 && !word_is(3, "--") {
        // All behind the name is the command.
        words.insert(3, "--".into());
    }
    words
}

/// A status as a shell has it: of a process that exited with `code`, or was ended by a signal.
fn shell_status(ended: subhost_init::launch::Ended) -> u8 {
    use subhost_init::launch::Ended;
    let number = match ended {
        Ended::Exited(code) => code,
        Ended::PowerOff | Ended::Reboot => 0,
        Ended::Killed(signal) => 128 + signal,
    };
    u8::try_from(number).unwrap_or(255)
}

/// What is said of a name that stands for nothing.
fn unknown(name: &crate::layout::Name) -> Error {
    Error::refused(
        crate::error::Complaint::new(format!("subhost {name}: is neither running nor configured"))
            .hint("subhostctl list shows those there"),
    )
}

/// Does it for each, tells what it did or why not at once, and goes on. The status is that of the worst failure.
fn each(
    context: &Context,
    names: &[crate::layout::Name],
    mut act: impl FnMut(&crate::layout::Name) -> Result<String, Error>,
) -> Result<u8, Error> {
    let mut status = 0;
    for name in names {
        match act(name) {
            Ok(text) => report::note(context.quiet, &format!("{name}: {text}")),
            Err(error) => {
                report::error(&error);
                status = status.max(error.exit_status());
            }
        }
    }
    Ok(status)
}

/// Does it for each job, as [`each`] does, as far as possible at the same time.
fn each_job(
    context: &Context,
    jobs: &[Job],
    at_once: usize,
    act: impl Fn(&crate::layout::Name) -> Result<String, Error> + Sync,
) -> u8 {
    let worst = AtomicU8::new(0);
    order::run(jobs, at_once, |job| match act(&job.name) {
        Ok(text) => report::note(context.quiet, &format!("{}: {text}", job.name)),
        Err(error) => {
            report::error(&error);
            worst.fetch_max(error.exit_status(), Ordering::Relaxed);
        }
    });
    worst.into_inner()
}

/// How many subhosts are started or stopped at the same time: they wait more than they work.
fn at_once() -> usize {
    2 * std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// Runs what has to be told that nothing was begun when the caller is not root.
fn need_root(what: &str) -> Result<(), Error> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::refused(crate::error::Complaint::new(format!("{what}: needs root")).hint("run it with sudo")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_named_as_a_script_is_that_script() {
        let line = |words: &[&str]| command_line(words.iter().map(OsString::from).collect());
        assert_eq!(line(&["/usr/sbin/pretend-boot", "web"]), ["/usr/sbin/pretend-boot", "boot", "web"]);
        assert_eq!(line(&["subhostctl", "list"]), ["subhostctl", "list"]);
        assert_eq!(line(&["/x/control", "stop", "web"]), ["/x/control", "stop", "web"]);
        assert_eq!(line(&["control", "start", "web"]), ["control", "start", "web"]);
        assert_eq!(
            line(&["control", "start", "web", "ls", "-l"]),
            ["control", "start", "web", "--", "ls", "-l"]
        );
        assert_eq!(line(&["control", "start", "web", "--", "ls"]), ["control", "start", "web", "--", "ls"]);
        assert_eq!(line(&["subhostctl", "start", "web", "ls"]), ["subhostctl", "start", "web", "ls"]);
        assert_eq!(line(&[]), Vec::<OsString>::new());
    }
}
