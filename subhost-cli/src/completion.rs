//! What a shell offers for a word that is being typed: names, bridges and paths that are there. Who may not see them is
//! offered none.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap_complete::Shell;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{CompleteEnv, Shells};

use crate::commands::described;
use crate::error::{Complaint, Context, Error};
use crate::layout::{Layout, Name, subhost_dir};
use crate::state;

/// The variable by which the script asks. Not the usual one of clap: somebody may have set that for another program.
const VARIABLE: &str = "SUBHOSTCTL_COMPLETE";

/// The options that say where configurations and trees are.
const ROOT_DIR: &str = "--root-dir";
const SUBHOST_DIR: &str = "--subhost-dir";

/// Answers, and ends the program, if it was asked by a completion script.
pub fn answer() {
    CompleteEnv::with_factory(described).var(VARIABLE).complete();
}

/// The script that has a shell ask.
///
/// # Errors
/// There is none for this shell.
pub fn script(shell: Shell) -> Result<String, Error> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&shell.to_string())
        .ok_or_else(|| Error::refused(Complaint::new(format!("there are no completions for {shell}"))))?;
    let mut script = Vec::new();
    let name = "subhostctl";
    shell.write_registration(VARIABLE, name, name, name, &mut script).step("write the completion script")?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// All subhosts.
pub fn subhosts() -> Vec<CompletionCandidate> {
    let layout = layout();
    let mut names = layout.configured().unwrap_or_default();
    names.extend(layout.trees().unwrap_or_default());
    names.extend(state::recorded(&layout).unwrap_or_default());
    names.sort();
    names.dedup();
    names.iter().map(candidate).collect()
}

/// Those that can be started from a directory.
pub fn trees() -> Vec<CompletionCandidate> {
    layout().trees().unwrap_or_default().iter().map(candidate).collect()
}

/// Those that run, or of which something is left.
pub fn running() -> Vec<CompletionCandidate> {
    state::recorded(&layout()).unwrap_or_default().iter().map(candidate).collect()
}

/// A subhost, or the path of a file, which has a slash.
pub fn subhost_or_file(word: &OsStr) -> Vec<CompletionCandidate> {
    if word.as_encoded_bytes().contains(&b'/') {
        return PathCompleter::any().complete(word);
    }
    starting_with(word, subhosts())
}

/// `NAME:` of a subhost, or a path.
pub fn subhost_path_or_file(word: &OsStr) -> Vec<CompletionCandidate> {
    let mut offered = PathCompleter::any().complete(word);
    offered.extend(starting_with(word, subhosts()).into_iter().map(|name| with(&name, ":")));
    offered
}

/// `BRIDGE=`.
pub fn cable(word: &OsStr) -> Vec<CompletionCandidate> {
    let links = subhost_net::observe::Observed::read().unwrap_or_default().links;
    let bridges = links.into_iter().filter(|link| link.bridge.is_some());
    let bridges = bridges.map(|bridge| CompletionCandidate::new(format!("{}=", bridge.name)));
    starting_with(word, bridges.collect())
}

/// The image in `NODE:PART:IMG`.
pub fn disk(word: &OsStr) -> Vec<CompletionCandidate> {
    let Some(text) = word.to_str() else { return Vec::new() };
    let Some((colon, _)) = text.match_indices(':').nth(1) else { return Vec::new() };
    let (before, path) = text.split_at(colon + 1);
    let paths = PathCompleter::any().complete(OsStr::new(path));
    paths.into_iter().map(|path| path.add_prefix(before)).collect()
}

/// The layout of the command line that is being typed.
fn layout() -> Layout {
    let words: Vec<OsString> = std::env::args_os().collect();
    let root_dir = value_of(&words, ROOT_DIR).unwrap_or_else(|| "/opt/sub".into());
    let subhost_dir = subhost_dir(value_of(&words, SUBHOST_DIR).map(PathBuf::from));
    Layout { subhost_dir, ..Layout::new(root_dir) }
}

fn value_of(words: &[OsString], option: &str) -> Option<OsString> {
    words.iter().enumerate().find_map(|(at, word)| {
        if word == option {
            // Bash has `=` as a word of its own.
            let after = words.get(at + 1).filter(|word| *word != "=");
            return after.or_else(|| words.get(at + 2)).cloned();
        }
        word.to_str()?.strip_prefix(option)?.strip_prefix('=').map(OsString::from)
    })
}

fn candidate(name: &Name) -> CompletionCandidate {
    CompletionCandidate::new(name.as_str())
}

fn with(candidate: &CompletionCandidate, end: &str) -> CompletionCandidate {
    let mut value = candidate.get_value().to_owned();
    value.push(end);
    CompletionCandidate::new(value)
}

fn starting_with(word: &OsStr, candidates: Vec<CompletionCandidate>) -> Vec<CompletionCandidate> {
    let starts =
        |it: &CompletionCandidate| it.get_value().as_encoded_bytes().starts_with(word.as_encoded_bytes());
    candidates.into_iter().filter(starts).collect()
}
