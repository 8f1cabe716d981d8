//! A position in the text that hides CR LF and, where asked, continuation lines.

use crate::span::Span;

/// Where reading is. Copying it is how to look ahead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    /// Offset in the text.
    position: usize,
    /// Offset of the text among all texts of a run.
    base: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8], position: usize, base: usize) -> Self {
        Self { text, position, base }
    }

    /// Offset of the next byte, as spans count.
    pub(crate) fn position(&self) -> usize {
        self.base + self.position
    }

    /// Offset of the first byte of the text, as spans count.
    pub(crate) fn start(&self) -> usize {
        self.base
    }

    /// From an earlier position to here.
    pub(crate) fn span_since(&self, start: usize) -> Span {
        Span::new(start, self.position())
    }

    /// The text under a span, as it stands.
    pub(crate) fn text(&self, span: Span) -> &'a [u8] {
        &self.text[span.start() - self.base..span.end() - self.base]
    }

    /// What is left, as it stands.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.text[self.position..]
    }

    /// The byte before.
    pub(crate) fn previous(&self) -> Option<u8> {
        self.position.checked_sub(1).map(|before| self.text[before])
    }

    /// Takes that many bytes, whatever they are.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.position = (self.position + bytes).min(self.text.len());
    }

    /// The same text with nothing left to read.
    pub(crate) fn at_end(self) -> Self {
        Self { position: self.text.len(), ..self }
    }

    /// The same where the text ends at that offset.
    pub(crate) fn ending_at(self, end: usize) -> Self {
        Self { text: &self.text[..end - self.base], ..self }
    }

    /// The bytes from an earlier position to here, as they stand.
    pub(crate) fn text_since(&self, start: usize) -> impl Iterator<Item = u8> + use<'a> {
        self.text[start - self.base..self.position].iter().copied()
    }

    /// The next byte, with CR LF as one newline, continuation lines as they are.
    pub(crate) fn peek_raw(&self) -> Option<u8> {
        match self.text.get(self.position..)? {
            [b'\r', b'\n', ..] => Some(b'\n'),
            [byte, ..] => Some(*byte),
            [] => None,
        }
    }

    /// Takes what [`peek_raw`](Self::peek_raw) shows.
    pub(crate) fn bump_raw(&mut self) -> Option<u8> {
        let byte = self.peek_raw()?;
        let crlf = byte == b'\n' && self.text[self.position] == b'\r';
        self.position += if crlf { 2 } else { 1 };
        Some(byte)
    }

    /// The next byte after any continuation lines (a backslash at the end of a line), which are taken.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.peek_raw()?;
            let mut ahead = *self;
            ahead.position += 1;
            if byte != b'\\' || ahead.peek_raw() != Some(b'\n') {
                return Some(byte);
            }
            ahead.bump_raw();
            *self = ahead;
        }
    }

    /// Takes what [`peek`](Self::peek) shows.
    pub(crate) fn bump(&mut self) -> Option<u8> {
        self.peek()?;
        self.bump_raw()
    }

    /// The byte after the next one.
    pub(crate) fn peek_second(&self) -> Option<u8> {
        let mut ahead = *self;
        ahead.bump();
        ahead.peek()
    }

    /// Takes the next byte if it is this one.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.bump_raw();
        }
        found
    }

    /// Takes blanks.
    pub(crate) fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.bump_raw();
        }
    }

    /// Takes a comment up to, not including, its newline. A backslash does not continue a comment.
    pub(crate) fn skip_comment(&mut self) {
        while self.peek_raw().is_some_and(|byte| byte != b'\n') {
            self.bump_raw();
        }
    }

    /// Takes a variable name; empty if there is none.
    pub(crate) fn take_name(&mut self) -> String {
        let mut name = String::new();
        while let Some(byte) = self.peek() {
            if !(is_name_start(byte) || (!name.is_empty() && byte.is_ascii_digit())) {
                break;
            }
            name.push(char::from(byte));
            self.bump_raw();
        }
        name
    }
}

/// What separates words: space and tab, nothing else.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// What ends an unquoted word.
pub(crate) fn is_metacharacter(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
}

/// What a variable name begins with.
pub(crate) fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Whether these bytes are a variable name.
pub(crate) fn is_name(bytes: &[u8]) -> bool {
    bytes.first().copied().is_some_and(is_name_start)
        && bytes.iter().all(|&byte| is_name_start(byte) || byte.is_ascii_digit())
}
