//! What a pattern takes away (`#`, `%`) or replaces (`/`).

use super::Expansion;
use super::part::character_length;
use crate::ast::{Replace, Word};
use crate::code;
use crate::eval::{Run, Shell};
use crate::pattern::{Anchor, Pattern};
use crate::span::Span;

impl Shell<'_> {
    /// `${NAME#pattern}`, with `longest` `${NAME##pattern}`.
    pub(super) fn without_prefix(
        &mut self,
        base: Expansion,
        pattern: &Word,
        longest: bool,
        span: Span,
    ) -> Run<Expansion> {
        let pattern = self.pattern(pattern)?;
        self.map(base, span, |shell, value| {
            let length = shell.with_steps(span, |steps| pattern.prefix(value, longest, steps))?;
            Ok(value[length.unwrap_or(0)..].to_vec())
        })
    }

    /// `${NAME%pattern}`, with `longest` `${NAME%%pattern}`.
    pub(super) fn without_suffix(
        &mut self,
        base: Expansion,
        pattern: &Word,
        longest: bool,
        span: Span,
    ) -> Run<Expansion> {
        let pattern = self.pattern(pattern)?;
        self.map(base, span, |shell, value| {
            let start = shell.with_steps(span, |steps| pattern.suffix(value, longest, steps))?;
            Ok(value[..start.unwrap_or(value.len())].to_vec())
        })
    }

    /// `${NAME/pattern/replacement}` and its like.
    pub(super) fn replace(
        &mut self,
        base: Expansion,
        what: Replace,
        pattern: &Word,
        replacement: &Word,
        span: Span,
    ) -> Run<Expansion> {
        let marked = self.marked(pattern)?;
        let anchors = matches!(marked.bytes().first(), Some(b'#' | b'%')) && !marked.quoted()[0];
        if what == Replace::First && anchors {
            let message = "bash takes the first byte of this value for `/#` or `/%`";
            return self.refuse(code::BAD_PATTERN, span, message, "put the pattern in double quotes");
        }
        let matches_empty = marked.bytes().is_empty();
        let pattern = self.pattern_of(&marked, span)?;
        if let Some(reason) = pattern.refusal_of_find() {
            return self.refuse(code::BAD_PATTERN, span, reason, "");
        }
        let replacement = self.replacement(replacement)?;
        // Without an anchor, bash finds an empty pattern nowhere.
        let finds_nothing = matches_empty && !matches!(what, Replace::Prefix | Replace::Suffix);
        self.map(base, span, |shell, value| match finds_nothing {
            true => Ok(value.to_vec()),
            false => shell.replaced(value, what, &pattern, &replacement, span),
        })
    }

    /// The replacement as written.
    fn replacement(&mut self, word: &Word) -> Run<Vec<Option<Vec<u8>>>> {
        if word.quotes_list() {
            let message = "a quoted list in a replacement is refused: bash garbles it";
            return self.refuse(code::EXPANSION, word.span, message, "assign the joined value first");
        }
        let marked = self.marked(word)?;
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        let mut bytes = marked.bytes().iter().zip(marked.quoted()).peekable();
        while let Some((&byte, &quoted)) = bytes.next() {
            match (byte, quoted) {
                (b'&', false) => {
                    pieces.push(Some(std::mem::take(&mut text)));
                    pieces.push(None);
                }
                (b'\\', false) => match bytes.peek() {
                    Some((b'&', _)) => {
                        text.push(b'&');
                        bytes.next();
                    }
                    _ => {
                        let message = "a backslash in the value of this replacement is refused";
                        return self.refuse(code::EXPANSION, word.span, message, "put it in double quotes");
                    }
                },
                _ => text.push(byte),
            }
        }
        pieces.push(Some(text));
        Ok(pieces)
    }

    /// One value with what was found replaced.
    fn replaced(
        &mut self,
        value: &[u8],
        what: Replace,
        pattern: &Pattern,
        replacement: &[Option<Vec<u8>>],
        span: Span,
    ) -> Run<Vec<u8>> {
        let anchor = match what {
            Replace::Prefix => Anchor::Start,
            Replace::Suffix => Anchor::End,
            Replace::First | Replace::All => Anchor::None,
        };
        let mut result = Vec::new();
        let mut from = 0;
        loop {
            let found = self.with_steps(span, |steps| pattern.find(value, from, anchor, steps))?;
            let Some(found) = found else { break };
            self.step(1, span)?;
            result.extend_from_slice(&value[from..found.start]);
            for piece in replacement {
                result.extend_from_slice(piece.as_deref().unwrap_or(&value[found.clone()]));
            }
            self.spend(replacement.len(), span)?;
            from = found.end;
            if what == Replace::All && found.is_empty() && from < value.len() {
                // Past one character, or it would be found again.
                let next = from + character_length(&value[from..]);
                result.extend_from_slice(&value[from..next]);
                from = next;
            }
            if what != Replace::All || from >= value.len() {
                break;
            }
        }
        result.extend_from_slice(&value[from..]);
        self.spend(result.len(), span)?;
        Ok(result)
    }
}
