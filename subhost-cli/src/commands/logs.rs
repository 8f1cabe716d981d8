//! `logs`: what the console of a subhost has said.

use std::io::{self, Write};

use serde::Serialize;

use super::{Context, need_root, unknown};
use crate::args;
use crate::console_log::{file_name, last_lines, older_file_name, open_directory, read_all, read_older};
use crate::error::{Complaint, Context as _, Error};
use crate::follow::Follower;
use crate::report::{is_unsafe, json_line};

/// A longer line is shown in parts of that many bytes: a guest may never end one.
const LINE_BYTES: usize = 64 << 10;

/// Shows the log of a console.
pub(super) fn logs(context: &Context, args: &args::Logs) -> Result<u8, Error> {
    need_root("logs")?;
    let (layout, name) = (&context.layout, &args.name);
    let step = || format!("read the log of {name}");
    let form = match (context.json, args.raw) {
        (true, true) => {
            return Err(Error::refused(Complaint::new("logs: --json and --raw exclude each other")));
        }
        (true, false) => Form::Json,
        (false, true) => Form::Raw,
        (false, false) => Form::Safe,
    };
    let is_there = |file: String| layout.log_dir.join(file).exists();
    if !is_there(file_name(name)) && !is_there(older_file_name(name)) && !layout.config(name).is_file() {
        return Err(unknown(name));
    }
    let mut follower = None;
    let text = if args.follow {
        open_directory(layout).step(step())?;
        let file = follower.insert(Follower::new(&layout.log_dir, &file_name(name)).step(step())?);
        let mut text = read_older(layout, name).step(step())?;
        text.extend(file.read().step(step())?);
        text
    } else {
        read_all(layout, name).step(step())?
    };
    let mut shown = Shown { form, pending: Vec::new() };
    let mut more = shown.write(last_lines(&text, args.lines.unwrap_or(usize::MAX))).step(step())?;
    drop(text);
    while let Some(file) = follower.as_mut().filter(|_| more) {
        more = file.wait().step(step())? && shown.write(&file.read().step(step())?).step(step())?;
    }
    if more {
        shown.finish().step(step())?;
    }
    Ok(0)
}

/// How it is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Without what a terminal acts on.
    Safe,
    /// As it was said.
    Raw,
    /// An object for each line.
    Json,
}

/// A line of the console, in JSON.
#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
    /// False for the parts of a long line but the last, and for what is at the end of the log without the end of its line.
    complete: bool,
}

/// What is shown of a console.
struct Shown {
    form: Form,
    /// The beginning of a character, or what depends on the next one; in JSON, the beginning of a line.
    pending: Vec<u8>,
}

impl Shown {
    /// False when nobody reads it any more.
    fn write(&mut self, said: &[u8]) -> io::Result<bool> {
        let text = match self.form {
            Form::Raw => return put(said),
            Form::Safe => self.safe(said),
            Form::Json => self.lines(said)?,
        };
        put(text.as_bytes())
    }

    /// What is left when nothing more comes.
    fn finish(self) -> io::Result<bool> {
        if self.form == Form::Json && !self.pending.is_empty() {
            put(line(&self.pending, false)?.as_bytes())
        } else {
            Ok(true)
        }
    }

    fn lines(&mut self, said: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        for part in said.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend(part);
            while self.pending.len() > LINE_BYTES {
                let part: Vec<u8> = self.pending.drain(..whole(&self.pending, LINE_BYTES)).collect();
                text.push_str(&line(&part, false)?);
            }
            if self.pending.pop_if(|byte| *byte == b'\n').is_some() {
                // A terminal's lines end in both.
                self.pending.pop_if(|byte| *byte == b'\r');
                text.push_str(&line(&std::mem::take(&mut self.pending), true)?);
            }
        }
        Ok(text)
    }

    fn safe(&mut self, said: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.extend(said);
        let mut text = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            // Of a character that is not complete the rest may come.
            let is_cut = chunks.peek().is_none()
                && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if is_cut {
                self.pending = invalid.to_vec();
            } else if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        if text.ends_with('\r') && self.pending.is_empty() {
            text.pop();
            self.pending.push(b'\r');
        }
        // A terminal's lines end in both.
        let text = text.replace("\r\n", "\n");
        let shown = |c| if is_unsafe(c) && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
        text.chars().map(shown).collect()
    }
}

/// The number of bytes up to `limit` that cut no character.
fn whole(bytes: &[u8], limit: usize) -> usize {
    let is_first = |at: &usize| bytes[*at] & 0b1100_0000 != 0b1000_0000;
    // What is longer is no character.
    (limit.saturating_sub(3)..=limit).rev().find(is_first).unwrap_or(limit)
}

fn line(text: &[u8], complete: bool) -> io::Result<String> {
    Ok(json_line(&Line { text: &String::from_utf8_lossy(text), complete })?)
}

/// False when nobody reads it any more.
fn put(text: &[u8]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_shown_and_characters_stay_whole() {
        let mut shown = Shown { form: Form::Safe, pending: Vec::new() };
        let parts: [&[u8]; 6] =
            [b"a\tb\r", b"\n\x1b[2J\xc3", b"\xa9\xff\r", b"x\xe2\x82", b"\xac\x9b", b"\xc2\x9b\n"];
        let text: String = parts.iter().map(|part| shown.safe(part)).collect();
        assert_eq!(text, "a\tb\n\u{fffd}[2J\u{e9}\u{fffd}\u{fffd}x\u{20ac}\u{fffd}\u{fffd}\n");
    }

    #[test]
    fn json_has_a_line_each_and_long_ones_in_parts_of_whole_characters() {
        let mut shown = Shown { form: Form::Json, pending: Vec::new() };
        let parts: [&[u8]; 3] = [b"a\x1b[2J\r\n\nb\xc3", b"\xa9\xff", b"\n"];
        let text: String = parts.iter().map(|part| shown.lines(part).unwrap()).collect();
        let object =
            |text: &str, complete| format!("{{\"version\":1,\"text\":\"{text}\",\"complete\":{complete}}}\n");
        let lines = [object("a\\u001b[2J", true), object("", true), object("b\u{e9}\u{fffd}", true)];
        assert_eq!(text, lines.concat());

        let long = "\u{20ac}".repeat(LINE_BYTES / 3 + 1);
        let said = shown.lines(long.as_bytes()).unwrap();
        assert_eq!(said, object(&"\u{20ac}".repeat(LINE_BYTES / 3), false));
        assert_eq!(shown.pending, "\u{20ac}".as_bytes());
        assert_eq!(whole(&[0x80; 9], 8), 8);
    }
}
