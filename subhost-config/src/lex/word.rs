//! Reading one word, and refusing in it what bash would expand.

use super::ansi_c;
use super::skip::{Frame, SkipError, skip_nested};
use super::{Complaints, Cursor, is_metacharacter, is_name_start};
use crate::ast::{Word, WordPart};
use crate::code;
use crate::span::Span;

/// Longer words are refused: no path, name or list of names is.
const MAX_WORD_BYTES: usize = 1024 * 1024;

/// Where a word stands, which decides what bash does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WordContext {
    /// Behind `=`: no braces, no file names, no splitting.
    Scalar,
    /// An operand of a declaration: braces, but no file names.
    Operand,
    /// In an array literal: everything.
    Element,
}

/// Reads a word up to the next unquoted metacharacter. What is wrong in it goes to `complaints`.
pub(crate) fn read_word(cursor: &mut Cursor<'_>, context: WordContext, complaints: &mut Complaints) -> Word {
    cursor.peek(); // so that the span does not begin with a continuation line
    let start = cursor.position();
    let mut reader =
        Reader { cursor, context, complaints, parts: Vec::new(), previous: None, braces: Braces::None };
    reader.read();
    let parts = reader.parts;
    let span = Span::new(start, cursor.position());
    if cursor.position() - start > MAX_WORD_BYTES {
        let message = format!("a word of more than {MAX_WORD_BYTES} bytes");
        complaints.error(code::WORD_TOO_LONG, Span::new(start, start + 1), message, "");
    }
    Word { parts, span }
}

struct Reader<'a, 'text> {
    cursor: &'a mut Cursor<'text>,
    context: WordContext,
    complaints: &'a mut Complaints,
    parts: Vec<WordPart>,
    /// The last byte of the value so far, for `~`.
    previous: Option<u8>,
    braces: Braces,
}

/// How much of `{…,…}` or `{…..…}` was seen unquoted.
#[derive(Clone, Copy)]
enum Braces {
    None,
    Open(usize),
    Separated(usize),
}

impl Reader<'_, '_> {
    fn read(&mut self) {
        while let Some(byte) = self.cursor.peek() {
            let start = self.cursor.position();
            match byte {
                b'<' | b'>' if self.cursor.peek_second() == Some(b'(') => {
                    self.cursor.bump();
                    self.cursor.bump();
                    self.refuse_nested(
                        start,
                        Frame::Paren,
                        code::PROCESS_SUBSTITUTION,
                        "process substitution",
                    );
                }
                _ if is_metacharacter(byte) => break,
                b'\'' => self.single(start),
                b'"' => self.double(start),
                b'`' => self.backquote(start),
                b'$' => self.dollar(false),
                b'\\' => {
                    self.cursor.bump();
                    // Nothing behind it: the backslash stands for itself.
                    let escaped = self.cursor.bump_raw().unwrap_or(b'\\');
                    self.push(&[escaped], true);
                }
                _ => {
                    self.cursor.bump();
                    self.check_unquoted(byte, start);
                    self.push(&[byte], false);
                }
            }
        }
    }

    /// Refuses an unquoted byte that bash might expand. Rather once too often: the hint is to quote.
    fn check_unquoted(&mut self, byte: u8, start: usize) {
        let span = Span::new(start, start + 1);
        match byte {
            b'~' if self.parts.is_empty() || matches!(self.previous, Some(b':' | b'=')) => {
                let hint = "quote it, or write the folder in full";
                self.complaints.error(code::TILDE, span, "bash may expand this `~` to a home folder", hint);
            }
            b'*' | b'?' | b'[' if self.context == WordContext::Element => {
                let message = format!("bash would look for files that match this `{}`", char::from(byte));
                self.complaints.error(code::FILE_PATTERN, span, message, "quote the word");
            }
            b'{' if matches!(self.braces, Braces::None) => self.braces = Braces::Open(start),
            b',' => self.separate_braces(),
            // `..` only counts unquoted, and so does the dot before; a quoted one is refused too, to be simple.
            b'.' if self.previous == Some(b'.') => self.separate_braces(),
            b'}' => {
                if let (Braces::Separated(open), true) = (self.braces, self.context != WordContext::Scalar) {
                    let message = "bash would expand these braces to several words";
                    let hint = "write the words out, or quote the braces";
                    self.complaints.error(code::BRACES, Span::new(open, start + 1), message, hint);
                    self.braces = Braces::None;
                }
            }
            _ => {}
        }
    }

    fn separate_braces(&mut self) {
        if let Braces::Open(open) = self.braces {
            self.braces = Braces::Separated(open);
        }
    }

    fn single(&mut self, start: usize) {
        self.cursor.bump();
        let mut bytes = Vec::new();
        loop {
            match self.cursor.bump_raw() {
                Some(b'\'') => return self.push(&bytes, true),
                Some(byte) => bytes.push(byte),
                None => return self.unclosed_quote(start),
            }
        }
    }

    fn ansi_c(&mut self, start: usize) {
        self.cursor.bump();
        let mut raw = Vec::new();
        loop {
            match self.cursor.bump_raw() {
                Some(b'\'') => break,
                Some(byte) => {
                    raw.push(byte);
                    if byte == b'\\' {
                        raw.extend(self.cursor.bump_raw());
                    }
                }
                None => return self.unclosed_quote(start),
            }
        }
        match ansi_c::decode(&raw) {
            Ok(bytes) => self.push(&bytes, true),
            Err(ansi_c::BadEscape) => {
                let span = Span::new(start, self.cursor.position());
                let message = "an escape in `$'…'` names no Unicode character";
                let hint = "write the bytes as `\\xHH`";
                self.complaints.error(code::BAD_ESCAPE, span, message, hint);
            }
        }
    }

    fn double(&mut self, start: usize) {
        self.cursor.bump();
        self.push(b"", true);
        loop {
            let at = self.cursor.position();
            match self.cursor.peek() {
                Some(b'"') => {
                    self.cursor.bump();
                    return;
                }
                Some(b'$') => self.dollar(true),
                Some(b'`') => self.backquote(at),
                Some(b'\\') => {
                    self.cursor.bump();
                    match self.cursor.peek_raw() {
                        Some(escaped @ (b'$' | b'`' | b'"' | b'\\')) => {
                            self.cursor.bump_raw();
                            self.push(&[escaped], true);
                        }
                        _ => self.push(b"\\", true),
                    }
                }
                Some(byte) => {
                    self.cursor.bump();
                    self.push(&[byte], true);
                }
                None => return self.unclosed_quote(start),
            }
        }
    }

    fn dollar(&mut self, quoted: bool) {
        let start = self.cursor.position();
        self.cursor.bump();
        match self.cursor.peek() {
            Some(b'\'') if !quoted => self.ansi_c(start),
            // `$"…"` is translated by a message catalogue; without one it is `"…"`.
            Some(b'"') if !quoted => self.double(start),
            Some(b'{') => self.braced(start, quoted),
            Some(b'(') => {
                self.cursor.bump();
                let (code, what) = match self.cursor.peek() {
                    Some(b'(') => (code::ARITHMETIC, "arithmetic"),
                    _ => (code::COMMAND_SUBSTITUTION, "command substitution"),
                };
                self.refuse_nested(start, Frame::Paren, code, what);
            }
            Some(b'[') => {
                self.cursor.bump();
                self.refuse_nested(start, Frame::Bracket, code::ARITHMETIC, "arithmetic");
            }
            Some(byte) if is_name_start(byte) => {
                let name = self.cursor.take_name();
                self.push_variable(name, quoted, start);
            }
            Some(byte) if byte.is_ascii_digit() || b"@*#?-$!".contains(&byte) => {
                self.cursor.bump();
                let span = Span::new(start, self.cursor.position());
                let message = format!("`${}` is refused: it is no fact of the file", char::from(byte));
                let hint =
                    if quoted { "for a dollar sign write `\\$`" } else { "for a dollar sign write `'$'`" };
                self.complaints.error(code::SPECIAL_PARAMETER, span, message, hint);
            }
            _ => {
                // Behind a variable, a lone `$` turns off the splitting of the whole word in bash 5.2.
                let behind_variable = self.parts.iter().any(|part| matches!(part, WordPart::Variable { .. }));
                if !quoted && behind_variable && self.context == WordContext::Element {
                    let span = Span::new(start, start + 1);
                    let message = "a lone `$` behind a variable changes how bash splits the word";
                    self.complaints.error(
                        code::SPECIAL_PARAMETER,
                        span,
                        message,
                        "for a dollar sign write `'$'`",
                    );
                }
                self.push(b"$", quoted);
            }
        }
    }

    fn braced(&mut self, start: usize, quoted: bool) {
        self.cursor.bump();
        let mut ahead = *self.cursor;
        let name = ahead.take_name();
        if !name.is_empty() && ahead.take(b'}') {
            *self.cursor = ahead;
            return self.push_variable(name, quoted, start);
        }
        let frame = Frame::Brace { quoted };
        self.refuse_nested(start, frame, code::EXPANSION, "`${…}` with more than a name");
    }

    fn backquote(&mut self, start: usize) {
        self.cursor.bump();
        self.refuse_nested(start, Frame::Backquote, code::COMMAND_SUBSTITUTION, "command substitution");
    }

    /// Complains about a construct and skips it; its opening characters are taken already.
    fn refuse_nested(&mut self, start: usize, frame: Frame, code: &'static str, what: &str) {
        let opened = Span::new(start, self.cursor.position());
        match skip_nested(self.cursor, frame) {
            Ok(()) => {
                let span = Span::new(start, self.cursor.position());
                let message = format!("{what} is refused: the file is read, never executed");
                let hint = match code {
                    code::EXPANSION => "write `$NAME` or `${NAME}`, or the value itself",
                    _ => "write the result itself",
                };
                self.complaints.error(code, span, message, hint);
            }
            Err(SkipError::Unclosed) => {
                self.complaints.error(
                    code::UNCLOSED_CONSTRUCT,
                    opened,
                    format!("{what} is never closed"),
                    "",
                );
            }
            Err(SkipError::TooDeep) => {
                self.complaints.error(code::TOO_DEEP, opened, "nested too deeply", "");
                *self.cursor = self.cursor.at_end();
            }
        }
    }

    fn unclosed_quote(&mut self, start: usize) {
        if self.complaints.ran_to_end() {
            return;
        }
        let span = Span::new(start, start + 1);
        let hint = "everything from here to the end of the file is inside it";
        self.complaints.error(code::UNCLOSED_QUOTE, span, "this quote is never closed", hint);
    }

    fn push(&mut self, more: &[u8], more_quoted: bool) {
        if let Some(&last) = more.last() {
            self.previous = Some(last);
        }
        match self.parts.last_mut() {
            Some(WordPart::Text { bytes, quoted }) if *quoted == more_quoted => bytes.extend_from_slice(more),
            _ => self.parts.push(WordPart::Text { bytes: more.to_vec(), quoted: more_quoted }),
        }
    }

    fn push_variable(&mut self, name: String, quoted: bool, start: usize) {
        self.previous = None;
        let span = Span::new(start, self.cursor.position());
        self.parts.push(WordPart::Variable { name, quoted, span });
    }
}
