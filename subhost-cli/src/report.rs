//! What people read: lines on standard error, tables and JSON on standard output, safe on a terminal.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::args::When;
use crate::error::{Context, Error};
use crate::json::VERSION;

/// What words in a column of this name are coloured as: green, yellow, red.
const COLOURED: [&str; 2] = ["", "STATE"];
const COLOURS: [(&str, &[&str]); 3] = [
    ("\x1b[32m", &["ok", "running"]),
    ("\x1b[33m", &["note", "starting"]),
    ("\x1b[31m", &["BAD", "ended", "unreadable"]),
];
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// Whether standard output and standard error are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Colour {
    /// Standard output.
    pub out: bool,
    /// Standard error.
    pub err: bool,
}

impl Colour {
    /// What was asked for; where nothing was, a terminal that can, unless the environment says no.
    pub fn of(when: When) -> Colour {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let refused = || is_set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match when {
            When::Always => Colour { out: true, err: true },
            When::Never => Colour::default(),
            When::Auto if refused() => Colour::default(),
            When::Auto => {
                Colour { out: std::io::stdout().is_terminal(), err: std::io::stderr().is_terminal() }
            }
        }
    }
}

/// A text from outside, such as a host name or a label, without anything that a terminal acts on.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect()
}

/// True for what a terminal acts on, or what makes a text look like another one.
pub fn is_unsafe(c: char) -> bool {
    let hides = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    c.is_control() || hides
}

/// Shows an error with its hints.
pub fn error(error: &Error) {
    if let Error::Configuration(text) = error {
        // Rendered already, with the file's name in front.
        return say(text);
    }
    for line in error.lines() {
        say(&format!("subhostctl: {}\n", printable(&line)));
    }
}

/// Shows a line that is no error; `--quiet` takes it away.
pub fn note(quiet: bool, line: &str) {
    if !quiet {
        say(&format!("subhostctl: {}\n", printable(line)));
    }
}

/// Writes to standard error. Where that does not take it there is nobody to tell, and a supervisor must not end of it.
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes lines to standard output; a reader that went away is no error.
///
/// # Errors
/// They cannot be written, as on a full disk.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.step("write to standard output"),
    }
}

/// Writes an object as JSON, with its version and with all that a terminal acts on escaped: JSON itself does not ask for that above U+007E.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &impl Serialize) -> Result<(), Error> {
    print_any_json(&Versioned::of(value))
}

/// Writes a JSON array, each of whose elements is as [`print_json`] would write it.
///
/// # Errors
/// As [`print()`].
pub fn print_json_array<T: Serialize>(values: &[T]) -> Result<(), Error> {
    print_any_json(&values.iter().map(Versioned::of).collect::<Vec<_>>())
}

/// An object that says first of which version of `docs/json.md` it is.
#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    value: &'a T,
}

impl<'a, T> Versioned<'a, T> {
    fn of(value: &'a T) -> Versioned<'a, T> {
        Versioned { version: VERSION, value }
    }
}

fn print_any_json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).step("write JSON")?;
    print(&format!("{}\n", escape_json(&text)))
}

/// The same in one line.
///
/// # Errors
/// As [`print()`].
pub fn print_json_line(value: &impl Serialize) -> Result<(), Error> {
    print(&json_line(value).step("write JSON")?)
}

/// The same, to be written by the caller.
///
/// # Errors
/// Those of the serializer.
pub fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(&Versioned::of(value))?;
    Ok(format!("{}\n", escape_json(&text)))
}

/// Such characters stand in strings only, and none is above U+FFFF.
fn escape_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_unsafe(c) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// A table with a header, its columns as wide as they need; in colour, the header and words for how something is stand out.
pub fn table(colour: Colour, header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.len()).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[&str], style: &dyn Fn(usize, &str) -> Option<&'static str>| {
        let mut text = String::new();
        for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            // Nothing is padded at the end of a line.
            let width = if at + 1 < cells.len() { width + 2 } else { 0 };
            let spaces = " ".repeat(width.saturating_sub(cell.chars().count()));
            match style(at, cell).filter(|_| colour.out && !cell.is_empty()) {
                Some(style) => text += &format!("{style}{cell}{PLAIN}{spaces}"),
                None => text += &format!("{cell}{spaces}"),
            }
        }
        format!("{}\n", text.trim_end())
    };
    let style_of = |at: usize, cell: &str| {
        COLOURED.contains(header.get(at)?).then_some(())?;
        COLOURS.iter().find(|(_, words)| words.contains(&cell)).map(|(style, _)| *style)
    };
    let mut text = line(header, &|_, _| Some(BOLD));
    for row in &rows {
        text += &line(&row.iter().map(String::as_str).collect::<Vec<_>>(), &style_of);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_shown() {
        assert_eq!(printable("a\x1b]52;c;x\x07\rb\u{202e}c"), "a\u{fffd}]52;c;x\u{fffd}\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn json_means_the_same_and_shows_nothing_that_a_terminal_acts_on() {
        let text = "a\u{9b}2J\u{7f}\u{202e}\u{e9}\x1b\n\u{feff}";
        let escaped = escape_json(&serde_json::to_string_pretty(&[text]).unwrap());
        assert!(!escaped.replace('\n', "").contains(is_unsafe), "{escaped}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&escaped).unwrap(), [text]);
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = vec![vec!["web".into(), "running".into()], vec!["database".into(), "stopped".into()]];
        assert_eq!(
            table(Colour::default(), &["NAME", "STATE"], &rows),
            "NAME      STATE\nweb       running\ndatabase  stopped\n"
        );
        assert_eq!(
            table(Colour { out: true, err: false }, &["NAME", "STATE"], &rows),
            "\x1b[1mNAME\x1b[0m      \x1b[1mSTATE\x1b[0m\nweb       \x1b[32mrunning\x1b[0m\ndatabase  stopped\n"
        );
    }
}
