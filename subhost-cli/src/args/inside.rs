//! What is done inside of a subhost, and with its files.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

use crate::completion;
use crate::layout::Name;

/// Run a command inside a running subhost as its root, a shell by default
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl enter web                       the shell of its root
  subhostctl enter web -- ps ax
It is in all namespaces of the subhost, with its restrictions. On a terminal it gets one of its
own, else pipes, with output and errors apart. Returns the command's status, 128 + n if signal n
ended it, 126 or 127 if it could not be executed, 125 if the subhost could not be entered.")]
pub struct Enter {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::running))]
    pub name: Name,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Run a command inside a running subhost, as a user of it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl exec web -- tail -f /var/log/syslog
  subhostctl exec web -u www-data -w /var/www -- git pull
  subhostctl exec web -u 1000:1000 -e LANG=C -- make
  subhostctl exec web --detach -- /usr/local/bin/rotate-logs
USER is a name or a number, and so is GROUP. Names are looked up in the subhost's own /etc/passwd
and /etc/group, which are read as data; the user has its groups there, unless GROUP is given.
Returns as enter does; with --detach 0 as soon as the command is executed. Signals are passed on.
When subhostctl is killed, so is the command and all that it has started; what it has put into the
background goes on when it ends by itself.")]
pub struct Exec {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::running))]
    pub name: Name,
    /// User to run as; root by default
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Directory of the subhost to start in; / by default
    #[arg(long = "workdir", short = 'w', value_name = "DIR",
          value_parser = OsStringValueParser::new().try_map(parse_directory))]
    pub directory: Option<CString>,
    /// A variable for its environment
    #[arg(long = "env", short = 'e', value_name = "NAME=VALUE",
          value_parser = OsStringValueParser::new().try_map(parse_variable))]
    pub variables: Vec<CString>,
    /// Return when it is executed, and leave it running without input and output
    #[arg(long)]
    pub detach: bool,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Enter a subhost on whatever host it is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl go web                          the shell of its root
  subhostctl go web ps ax
  subhostctl go --inventory ./hosts web
One that is here is entered as `enter` does, another one by ssh: `ssh -t HOST subhostctl enter web`.
Which host has it stands in /etc/subhost/inventory, a host each line:
  host-a.example.com: web db
  root@192.0.2.2: mail
  {\"host\": \"host-c\", \"names\": [\"dns\"]}
Returns what enter does, or 255 if ssh fails.")]
pub struct Go {
    /// The hosts with their subhosts [default: /etc/subhost/inventory]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub inventory: Option<PathBuf>,
    /// Name of the subhost
    pub name: Name,
    /// The command and its arguments; a shell without one
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Copy a file out of, or into, a subhost that is stopped
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl cp web:/etc/network/interfaces .    out of its first disk
  subhostctl cp ./interfaces web:/etc/network/   into it, as a file of its root's
  subhostctl cp web:/var/log/syslog - | less     to standard output; - reads standard input, too
What start would start has its directory, over its BASE, in the place of a disk.
Links are followed inside the subhost, but a link at the end of a target is replaced. A file
appears whole or not at all. Set-user-id bits do not go along. Of a running one, use subhostctl
enter NAME -- cat PATH.")]
pub struct Cp {
    /// The file: NAME:PATH in a subhost, a path, or - for standard input
    #[arg(value_name = "FROM", add = ArgValueCompleter::new(completion::subhost_path_or_file))]
    pub from: OsString,
    /// Where to: NAME:PATH in a subhost, a path, or - for standard output; a directory takes the file's name
    #[arg(value_name = "TO", add = ArgValueCompleter::new(completion::subhost_path_or_file))]
    pub to: OsString,
}

/// Delete the directory of a subhost that neither runs nor lingers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  subhostctl delete web                      asks, on a terminal
  subhostctl delete --yes web                /opt/subhost/web, or /opt/sub/web, with all in it
Disks that lie elsewhere, and a base, stay. Links are deleted and not followed; with anything
mounted in the directory, or its image in use, nothing is deleted.")]
pub struct Delete {
    /// Name of the subhost
    #[arg(add = ArgValueCandidates::new(completion::subhosts))]
    pub name: Name,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

fn parse_directory(path: OsString) -> Result<CString, String> {
    if !path.as_bytes().starts_with(b"/") {
        return Err("it has to begin with /".to_owned());
    }
    CString::new(path.into_vec()).map_err(|_| "it holds a NUL byte".to_owned())
}

fn parse_variable(text: OsString) -> Result<CString, String> {
    let name = text.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
    let is_name = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if !is_name || name.len() == text.len() {
        return Err("it has to be NAME=VALUE, with a NAME of letters, digits and _".to_owned());
    }
    CString::new(text.into_vec()).map_err(|_| "it holds a NUL byte".to_owned())
}
