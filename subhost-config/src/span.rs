//! A source text, and places in it.

use std::sync::{Arc, OnceLock};

/// A configuration text and the name it is shown under.
///
/// The text is bytes: it need not be UTF-8.
///
/// Cheap to clone: the text is shared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    name: Arc<str>,
    text: Arc<[u8]>,
    line_starts: Arc<OnceLock<Vec<usize>>>,
    /// What the offsets of its first byte is: texts of one run follow each other.
    base: usize,
}

impl Source {
    /// A source of these bytes; `name` is what diagnostics print before the line, usually a path.
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into().into(), text: text.into().into(), line_starts: Arc::default(), base: 0 }
    }

    /// The offset of its first byte in spans: 0, but for what an include brings.
    pub(crate) fn base(&self) -> usize {
        self.base
    }

    /// The bytes under a span.
    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        &self.text[span.start() - self.base..span.end() - self.base]
    }

    /// Offsets at which lines start, counted when first asked for: most texts have nothing wrong.
    fn line_starts(&self) -> &[usize] {
        self.line_starts.get_or_init(|| {
            let after_newlines =
                self.text.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(after_newlines).collect()
        })
    }

    /// The name given to [`Source::new`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All bytes of the text, as they were given.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Line and column of an offset as spans have it; one before the text is its start, one past it its end.
    pub fn location(&self, offset: usize) -> Location {
        let offset = self.offset(offset);
        let line = self.line_starts().partition_point(|&start| start <= offset);
        let start = self.line_starts()[line - 1];
        let before = String::from_utf8_lossy(&self.text[start..offset]);
        Location { line, column: before.chars().count() + 1 }
    }

    /// An offset as spans have it, counted from this text's first byte, and within the text.
    pub(crate) fn offset(&self, offset: usize) -> usize {
        offset.saturating_sub(self.base).min(self.text.len())
    }

    /// The bytes of a line (counted from one) without its line end; empty if there is no such line.
    pub fn line(&self, line: usize) -> &[u8] {
        let Some(&start) = line.checked_sub(1).and_then(|index| self.line_starts().get(index)) else {
            return &[];
        };
        let end = self.line_starts().get(line).map_or(self.text.len(), |next| next - 1);
        let text = &self.text[start..end];
        text.strip_suffix(b"\r").unwrap_or(text)
    }

    /// Offset from the text's first byte at which a line (counted from one) starts.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        self.line_starts()[line - 1]
    }
}

/// The texts of one run: the file itself, and what it includes. A span belongs to exactly one of them.
///
/// A text alone is one too: `Sources::from(source)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// In the order of their bases; never empty.
    list: Vec<Source>,
}

impl Default for Sources {
    /// One empty text without a name.
    fn default() -> Self {
        Source::default().into()
    }
}

impl From<Source> for Sources {
    fn from(source: Source) -> Self {
        Self { list: vec![source] }
    }
}

impl From<&Source> for Sources {
    fn from(source: &Source) -> Self {
        source.clone().into()
    }
}

impl Sources {
    /// The text that a span lies in; the file itself if there is none.
    pub fn of(&self, span: Span) -> &Source {
        let behind = self.list.partition_point(|source| source.base <= span.start());
        &self.list[behind.saturating_sub(1)]
    }

    /// All of them, the file itself first.
    pub fn iter(&self) -> std::slice::Iter<'_, Source> {
        self.list.iter()
    }

    /// The text of an include. One that is there already is the same one, so that a statement of it keeps its place
    /// when evaluation begins anew.
    pub(crate) fn include(&mut self, name: &str, text: Vec<u8>) -> Source {
        let known = self.list[1..].iter().find(|source| &*source.name == name && *source.text == *text);
        if let Some(known) = known {
            return known.clone();
        }
        let base = self.list.last().map_or(0, |last| last.base + last.text.len() + 1);
        let source = Source { base, ..Source::new(name, text) };
        self.list.push(source.clone());
        source
    }
}

/// A place as people count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Location {
    /// Line, from one.
    pub line: usize,
    /// Column in characters, from one.
    pub column: usize,
}

/// A range of byte offsets into a text: from `start` up to, not including, `end`.
///
/// Where a script includes others, their texts count on behind it: [`Sources::of`] gives the one that is meant.
///
/// Kept in eight bytes, since every array element has one. Offsets past 4 GiB, far above what
/// [`parse`](fn@crate::parse) takes, stay at the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The range from `start` up to, not including, `end`.
    pub fn new(start: usize, end: usize) -> Self {
        let narrow = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end.max(start)) }
    }

    /// The first byte.
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// The byte after the last.
    pub fn end(self) -> usize {
        self.end as usize
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let source = Source::new("x", "é=1\nab\r\n");
        let at = |offset| {
            let place = source.location(offset);
            (place.line, place.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(2), (1, 2), "é is one column and two bytes");
        assert_eq!(at(5), (2, 1));
        assert_eq!(at(9), (3, 1));
        assert_eq!(at(1000), (3, 1));
    }

    #[test]
    fn gives_lines_without_their_ends() {
        let source = Source::new("x", "one\ntwo\r\nthree");
        assert_eq!(source.line(1), b"one");
        assert_eq!(source.line(2), b"two");
        assert_eq!(source.line(3), b"three");
        assert_eq!(source.line(4), b"");
        assert_eq!(source.line(0), b"");
    }
}
