//! `logs`: what the console of a subhost has said.

use std::io::{self, Write};

use super::{Context, need_root, unknown};
use crate::args;
use crate::console_log::{file_name, last_lines, older_file_name, open_folder, read_all, read_older};
use crate::error::{Context as _, Error};
use crate::follow::Follower;
use crate::report::is_unsafe;

/// Shows the log of a console.
pub(super) fn logs(context: &Context, args: &args::Logs) -> Result<u8, Error> {
    need_root("logs")?;
    let (layout, name) = (&context.layout, &args.name);
    let step = || format!("read the log of {name}");
    let is_there = |file: String| layout.log_dir.join(file).exists();
    if !is_there(file_name(name)) && !is_there(older_file_name(name)) && !layout.config(name).is_file() {
        return Err(unknown(name));
    }
    let mut follower = None;
    let text = if args.follow {
        open_folder(layout).step(step())?;
        let file = follower.insert(Follower::new(&layout.log_dir, &file_name(name)).step(step())?);
        let mut text = read_older(layout, name).step(step())?;
        text.extend(file.read().step(step())?);
        text
    } else {
        read_all(layout, name).step(step())?
    };
    let mut shown = Shown { raw: args.raw, pending: Vec::new() };
    let mut more = shown.write(last_lines(&text, args.lines.unwrap_or(usize::MAX))).step(step())?;
    drop(text);
    while let Some(file) = follower.as_mut().filter(|_| more) {
        more = file.wait().step(step())? && shown.write(&file.read().step(step())?).step(step())?;
    }
    Ok(0)
}

/// What is shown of a console: all of it, or without what a terminal acts on.
struct Shown {
    raw: bool,
    /// The beginning of a character, or what depends on the next one.
    pending: Vec<u8>,
}

impl Shown {
    /// False when nobody reads it any more.
    fn write(&mut self, said: &[u8]) -> io::Result<bool> {
        let mut out = io::stdout().lock();
        let text = if self.raw { said.to_vec() } else { self.safe(said).into_bytes() };
        match out.write_all(&text).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_shown_and_characters_stay_whole() {
        let mut shown = Shown { raw: false, pending: Vec::new() };
        let parts: [&[u8]; 6] =
            [b"a\tb\r", b"\n\x1b[2J\xc3", b"\xa9\xff\r", b"x\xe2\x82", b"\xac\x9b", b"\xc2\x9b\n"];
        let text: String = parts.iter().map(|part| shown.safe(part)).collect();
        assert_eq!(text, "a\tb\n\u{fffd}[2J\u{e9}\u{fffd}\u{fffd}x\u{20ac}\u{fffd}\u{fffd}\n");
    }
}
