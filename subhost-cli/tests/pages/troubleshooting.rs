//! What `docs/troubleshooting.md` has from the code: what an error's cause leads to, and each complaint with its hint.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use subhost_cli::advice::{advice, user_namespace};
use subhost_cli::error::{Complaint, Error};

/// What is above this line is written by hand.
pub(crate) const FROM_HERE: &str = "<!-- made by `cargo xtask pages` from here -->\n";

pub(crate) fn page() -> String {
    format!("\n{}\n{}\n{}\n{}", statuses(), causes(), complaints(), codes())
}

fn statuses() -> String {
    let complaint = || vec![Complaint::new("")];
    let step = Error::Step { step: String::new(), source: "".into(), hint: None };
    let [failed, refused, left] =
        [step, Error::Refused(complaint()), Error::Left(complaint())].map(|it| it.exit_status());
    format!(
        "## Exit statuses\n\n\
         | status | what it says |\n| --- | --- |\n\
         | {failed} | a step failed; what was made before it is undone |\n\
         | {refused} | the request or the configuration cannot be done; nothing was begun |\n\
         | {left} | something is left that should have been removed |\n"
    )
}

/// What the kernel says, and what is to be done about it.
fn causes() -> String {
    let system = |errno: i32| subhost_init::Error::System {
        operation: "",
        object: String::new(),
        source: io::Error::from_raw_os_error(errno),
    };
    let mut table = "## What the kernel may say\n\n| error | what to do |\n| --- | --- |\n".to_owned();
    for (name, errno) in [("ENOSPC", 28), ("EMFILE", 24), ("ENFILE", 23), ("EAGAIN", 11)] {
        let told = io::Error::from_raw_os_error(errno).to_string();
        let advice = advice(&system(errno)).unwrap_or_else(|| panic!("no advice for {name}"));
        let _ = writeln!(table, "| {told} ({name}) | {} |", cell(&advice));
    }
    let no_users = [("EPERM", 1), ("EINVAL", 22)];
    for (name, errno) in no_users {
        let advice = user_namespace(&system(errno)).unwrap_or_else(|| panic!("no advice for {name}"));
        let _ = writeln!(table, "| a user namespace cannot be made ({name}) | {} |", cell(&advice));
    }
    table
}

/// Each complaint of the program that has a hint, as it stands in the source.
fn complaints() -> String {
    let mut found = BTreeMap::new();
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        // What is below are tests.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (start, _) in code.match_indices("Complaint::new(") {
            let rest = &code[start + "Complaint::new".len()..];
            let (Some(argument), Some(hint)) = (inside(rest), hint_after(rest)) else { continue };
            if let (Some(message), Some(hint)) = (literal(argument), literal(hint)) {
                found.insert(message, hint);
            }
        }
    }
    assert!(found.len() > 30, "{found:#?}");
    let mut table = "## What the program may say\n\n`…` is a name or a value.\n\n\
                     | error | what to do |\n| --- | --- |\n"
        .to_owned();
    for (message, hint) in &found {
        let _ = writeln!(table, "| {} | {} |", cell(message), cell(hint));
    }
    table
}

/// The codes of diagnostics, with their comments.
fn codes() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../subhost-config/src/code.rs");
    let text = std::fs::read_to_string(path).unwrap();
    let mut table =
        "## Codes of the configuration\n\n[The language](config-language.md) has what to write instead.\n\n\
                     | code | what is wrong |\n| --- | --- |\n"
            .to_owned();
    let mut comment = String::new();
    for line in text.lines() {
        if let Some(more) = line.strip_prefix("/// ") {
            comment = format!("{comment} {more}");
        } else if line.starts_with("pub const ") {
            let code = line.split('"').nth(1).unwrap();
            let _ = writeln!(table, "| {code} | {} |", comment.trim().replace('|', "\\|"));
            comment.clear();
        }
    }
    table
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            files.push(path);
        }
    }
    files
}

/// The argument of `.hint(…)` that follows the closing parenthesis, maybe behind others.
fn hint_after(code: &str) -> Option<&str> {
    let after = code.get(inside(code)?.len() + 2..)?.trim_start();
    inside(after.strip_prefix(".hint")?)
}

/// What is between the parenthesis that `code` begins with and its fellow.
fn inside(code: &str) -> Option<&str> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return code.get(1..at);
        }
    }
    None
}

/// A text or a format, with `…` for what is filled in.
fn literal(code: &str) -> Option<String> {
    let code = code.trim().strip_prefix("format!(").unwrap_or(code).trim();
    let rest = code.strip_prefix('"')?;
    let (mut text, mut rest) = (String::new(), rest.chars());
    let mut depth = 0;
    while let Some(char) = rest.next() {
        match char {
            '"' => return Some(text),
            '\\' => match rest.next()? {
                // The line goes on, without its indentation.
                '\n' => rest = rest.as_str().trim_start().chars(),
                'n' => text.push(' '),
                other => text.push(other),
            },
            '{' if rest.as_str().starts_with('{') => text.extend(rest.next()),
            '}' if depth == 0 => text.extend(rest.next()),
            '{' => {
                depth = 1;
                text.push('…');
            }
            '}' => depth = 0,
            other if depth == 0 => text.push(other),
            _ => {}
        }
    }
    None
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}
