//! The commands: what each is called, what it is given, and what it does.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches};

use super::*;
use crate::args::{self, Cli, ConfigCommand};

/// A command.
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// Adds what it is given, and its help.
    describe: fn(clap::Command) -> clap::Command,
    /// Does it.
    pub(super) run: fn(&Context, &ArgMatches) -> Result<u8, Error>,
    /// Whether it ends with the status of what it runs.
    pub(super) passes_status: bool,
}

/// A row: a name, the type of what is given, and what is done with that.
macro_rules! command {
    ($name:literal, $given:ty, $run:expr) => {
        Entry {
            name: $name,
            describe: <$given as Args>::augment_args,
            run: |context, matches| {
                let run: fn(&Context, $given) -> Result<u8, Error> = $run;
                run(context, given(matches))
            },
            passes_status: false,
        }
    };
    ($name:literal, $given:ty, $run:expr, passes_status) => {
        Entry { passes_status: true, ..command!($name, $given, $run) }
    };
}

/// In the order in which help has them.
const COMMANDS: &[Entry] = &[
    command!("boot", args::Boot, boot::boot),
    command!("run", args::Run, run::run, passes_status),
    command!("start", args::Start, start::start, passes_status),
    command!("stop", args::Stop, |context, args| stop::stop(context, &args)),
    command!("kill", args::Kill, |context, args| stop::kill(context, &args)),
    command!("autostart", args::Autostart, |context, args| autostart::autostart(context, &args)),
    command!("restart", args::Restart, |context, args| life::restart(context, &args)),
    command!("reboot", args::Reboot, |context, args| life::reboot(context, &args.names)),
    command!("pause", args::Pause, |context, args| life::pause(context, &args.names)),
    command!("resume", args::Resume, |context, args| life::resume(context, &args.names)),
    command!("wait", args::Wait, |context, args| wait::wait(context, &args)),
    command!("console", args::Console, |context, args| console::console(context, &args)),
    command!("logs", args::Logs, |context, args| logs::logs(context, &args)),
    command!("events", args::Events, |context, args| events::events(context, &args)),
    #[cfg(feature = "accounting")]
    command!("usage", args::Usage, |context, args| usage::usage(context, &args)),
    #[cfg(feature = "accounting")]
    command!("collect", args::Collect, |context, args| collect::collect(context, &args)),
    #[cfg(feature = "accounting")]
    command!("report", args::Report, |context, args| usage_report::report(context, &args)),
    #[cfg(feature = "accounting")]
    command!("top", args::Top, |context, args| top::top(context, &args)),
    command!("recover", args::Recover, |context, args| recover::recover(context, &args)),
    command!("enter", args::Enter, enter::enter, passes_status),
    command!("exec", args::Exec, enter::exec, passes_status),
    command!("list", args::List, |context, args| list::list(context, &args.names)),
    command!("status", args::Status, |context, args| list::status(context, &args.names)),
    command!("inspect", args::Inspect, |context, args| inspect::inspect(context, args.name)),
    command!("check", args::Check, |context, args| check::check(context, &args)),
    command!("config", args::Config, |context, args| match args.command {
        ConfigCommand::Show(args) => config::show(context, args),
        ConfigCommand::Eval(args) => config::eval(context, &args),
    }),
    command!("plan", args::Plan, plan::plan),
    command!("partitions", args::Partitions, |context, args| partitions::partitions(context, &args.image)),
    command!("mounts", args::Mounts, |context, args| mounts::mounts(context, args.path.as_deref())),
    command!("cp", args::Cp, |context, args| cp::cp(context, &args)),
    command!("delete", args::Delete, |context, args| delete::delete(context, &args)),
    #[cfg(feature = "images")]
    command!("create", args::Create, |context, args| create::create(context, &args)),
    #[cfg(feature = "images")]
    command!("export", args::Export, |context, args| export::export(context, &args)),
    #[cfg(feature = "images")]
    command!("snapshot", args::Snapshot, |context, args| snapshot::snapshot(context, &args)),
    #[cfg(feature = "images")]
    command!("reset", args::Reset, |context, args| reset::reset(context, &args)),
    #[cfg(feature = "images")]
    command!("diff", args::Diff, |context, args| diff::diff(context, &args)),
    #[cfg(feature = "images")]
    command!("clone", args::Clone, |context, args| clone::clone(context, &args)),
    #[cfg(feature = "images")]
    command!("rescue", args::Rescue, rescue::rescue, passes_status),
    #[cfg(feature = "images")]
    command!("resize", args::Resize, |context, args| resize::resize(context, &args)),
    command!("doctor", args::Doctor, |context, _| doctor::doctor(context)),
    #[cfg(feature = "images")]
    command!("tour", crate::tour::Tour, |context, args| tour::tour(context, &args)),
    command!("dhcp", args::Dhcp, |context, args| dhcp::dhcp(context, &args)),
    #[cfg(feature = "import")]
    command!("import", args::Import, |context, args| import::import(context, &args)),
    command!("go", args::Go, go::go, passes_status),
    command!("completions", args::Completions, |_, args| {
        completion::script(args.shell).and_then(|script| report::print(&script)).map(|()| 0)
    }),
    command!("man", args::Man, |_, args| man::man(&args.command)),
];

/// The whole command line.
pub fn described() -> clap::Command {
    describe(COMMANDS.iter())
}

/// The command line with some of its commands.
fn describe<'a>(commands: impl Iterator<Item = &'a Entry>) -> clap::Command {
    let cli = Cli::command().subcommand_required(true).arg_required_else_help(true);
    cli.subcommands(commands.map(|it| (it.describe)(clap::Command::new(it.name))))
}

/// What the words say: the command, and how they were understood. Otherwise the program ends.
///
/// Most commands take less time than it takes to describe all. So only those are described that a word may mean, and what
/// is more than to do one of them, as help or a mistake, is left to the whole.
pub(super) fn parse(words: &[OsString]) -> (&'static Entry, ArgMatches) {
    let meant = COMMANDS.iter().filter(|it| words.iter().skip(1).any(|word| word == it.name));
    let matches = describe(meant).try_get_matches_from(words).unwrap_or_else(|error| match error.kind() {
        // No command has a part in that.
        ErrorKind::DisplayVersion => error.exit(),
        _ => described().get_matches_from(words),
    });
    let entry = COMMANDS.iter().find(|it| matches.subcommand_name() == Some(it.name));
    (entry.expect("clap requires one of them"), matches)
}

/// What is given, as clap has found it good.
pub(super) fn given<T: FromArgMatches>(matches: &ArgMatches) -> T {
    T::from_arg_matches(matches).unwrap_or_else(|error| error.exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is longer is broken anew, in the middle of what stands there line by line.
    #[test]
    fn no_line_of_help_is_longer_than_what_is_shown() {
        fn look(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(look);
        }
        look(&described());
    }

    #[test]
    fn the_description_is_sound() {
        described().debug_assert();
    }

    /// A value that is called as a command is none, and a command below such a value is.
    #[test]
    fn only_what_a_word_may_mean_is_described_and_that_is_enough() {
        let parse = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let (entry, matches) = parse(&words);
            let cli: Cli = given(&matches);
            (entry.name, cli.root_dir.display().to_string(), cli.json)
        };
        assert_eq!(parse(&["x", "--root-dir", "boot", "list"]), ("list", "boot".to_owned(), false));
        assert_eq!(parse(&["x", "kill", "stop", "--json"]), ("kill", "/opt/sub".to_owned(), true));
        assert_eq!(parse(&["boot", "config", "show", "list"]), ("config", "/opt/sub".to_owned(), false));
    }
}
