//! `go`: enters a subhost on whatever host it is.

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{Context, enter};
use crate::args;
use crate::error::{Complaint, Context as _, Error};
use crate::inventory::{Host, Inventory, MAX_BYTES, PATH};
use crate::layout::Name;
use crate::observe::{State, state_of};

/// What a person reads of so many hosts at most.
const SHOWN_HOSTS: usize = 10;

/// Enters one that is here directly, and another one by ssh.
pub(super) fn go(context: &Context, args: args::Go) -> Result<u8, Error> {
    let args::Go { name, inventory, command } = args;
    let runs_here = matches!(state_of(&context.layout, &name), Ok(State::Running(_)));
    // Why it cannot be entered then, is said as of any that is here.
    let is_known = runs_here
        || context.layout.is_known(&name)
        || matches!(state_of(&context.layout, &name), Ok(State::Lingering(_)));
    let inventory = read(inventory.as_deref(), is_known)?;
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let (here, elsewhere): (Vec<&Host>, Vec<&Host>) =
        inventory.hosts_of(&name).into_iter().partition(|host| host.is_called(&own));
    match (runs_here || !here.is_empty(), &elsewhere[..]) {
        (true, []) => enter::enter(context, args::Enter { name, command }),
        (false, []) if is_known => enter::enter(context, args::Enter { name, command }),
        (false, []) => Err(nowhere(&name, &inventory)),
        (false, [host]) => Err(by_ssh(host, &name, &command)),
        (here, hosts) => {
            let mut places: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
            if here {
                places.insert(0, "this host");
            }
            let message = format!("subhost {name}: is on more than one host: {}", places.join(", "));
            let hint = format!("subhostctl enter {name} enters the one here; ssh HOST first another one");
            Err(Error::refused(Complaint::new(message).hint(hint)))
        }
    }
}

/// The inventory. What is here can do without one, if none was asked for.
fn read(given: Option<&Path>, is_here: bool) -> Result<Inventory, Error> {
    let path = given.unwrap_or(Path::new(PATH));
    let step = || format!("read the inventory {}", path.display());
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && given.is_none() && is_here => {
            return Ok(Inventory::default());
        }
        Err(error) => {
            let complaint = Complaint::new(format!("{}: {error}", step()));
            return Err(Error::refused(complaint.hint("a line of it is HOST: NAME NAME")));
        }
        Ok(file) => file,
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).step(step())?;
    let parsed = match text.len() as u64 > MAX_BYTES {
        true => Err(format!("larger than {MAX_BYTES} bytes")),
        false => Inventory::parse(&text),
    };
    parsed.map_err(|reason| Error::refused(Complaint::new(format!("{}: {reason}", path.display()))))
}

fn nowhere(name: &Name, inventory: &Inventory) -> Error {
    let hosts: Vec<&str> = inventory.hosts.iter().map(|(host, _)| host.as_str()).collect();
    let mut looked = vec!["this host"];
    looked.extend(hosts.iter().take(SHOWN_HOSTS));
    let more = match hosts.len().saturating_sub(SHOWN_HOSTS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!("subhost {name}: is on none of these hosts: {}{more}", looked.join(", "));
    Error::refused(Complaint::new(message).hint("subhostctl list shows what is on a host"))
}

/// Becomes the ssh that enters it; comes back with an error only.
fn by_ssh(host: &Host, name: &Name, command: &[OsString]) -> Error {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut ssh = Command::new("ssh");
    ssh.arg(if is_terminal { "-t" } else { "-T" }).arg("--").arg(host.as_str()).arg(remote(name, command));
    let failed: Result<(), _> = Err(ssh.exec());
    match failed.step(format!("run ssh to {}", host.as_str())) {
        Err(error) => error,
        Ok(()) => unreachable!("it is an error"),
    }
}

/// What the shell on the other host shall read.
fn remote(name: &Name, command: &[OsString]) -> OsString {
    let mut line = format!("exec subhostctl enter {name}").into_bytes();
    if !command.is_empty() {
        line.extend_from_slice(b" --");
    }
    for word in command {
        line.push(b' ');
        line.extend(quote(word));
    }
    OsString::from_vec(line)
}

/// A word as every shell in the manner of sh takes it: in single quotes, in which nothing but their end is special.
fn quote(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_shell_reads_the_same_words() {
        let words = ["", "a b", "it's", "$(touch /x)", "-x", "*", "a\nb", "\\", "!!", "\u{e9}\"`"]
            .map(OsString::from);
        let mut words = words.to_vec();
        words.push(OsString::from_vec(b"\xff\x01'".to_vec()));
        let line = remote(&"web".parse().unwrap(), &words);
        let line = [
            b"set -f; subhostctl() { shift 3; printf '%s\\0' \"$@\"; }; ",
            &line.as_bytes()["exec ".len()..],
        ]
        .concat();
        for shell in ["sh", "bash"] {
            let out = Command::new(shell).arg("-c").arg(OsStr::from_bytes(&line)).output().unwrap();
            let expected: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
            assert_eq!(out.stdout, expected, "{shell}");
        }
    }

    #[test]
    fn without_a_command_it_is_the_shell() {
        assert_eq!(remote(&"web".parse().unwrap(), &[]), "exec subhostctl enter web");
    }
}
