//! `~`, which stands for a home directory where bash looks for one.

use std::borrow::Cow;

use super::{Run, Shell};
use crate::ast::Part;
use crate::code;
use crate::span::Span;

impl Shell<'_> {
    /// Puts the home directory in for an unquoted `~` where bash does: at the beginning, and in an assignment behind each
    /// colon too.
    pub(super) fn tilde<'p>(
        &mut self,
        parts: &'p [Part],
        assignment: bool,
        span: Span,
    ) -> Run<Cow<'p, [Part]>> {
        let has = |part: &Part| matches!(part, Part::Literal(bytes) if bytes.contains(&b'~'));
        if !parts.iter().any(has) {
            return Ok(Cow::Borrowed(parts));
        }
        let mut expanded = Vec::new();
        for (position, part) in parts.iter().enumerate() {
            let Part::Literal(bytes) = part else {
                expanded.push(part.clone());
                continue;
            };
            let mut literal = Vec::new();
            for (at, &byte) in bytes.iter().enumerate() {
                let begins = match at {
                    0 => position == 0 || assignment && ends_in_colon(&parts[..position]),
                    _ => assignment && bytes[at - 1] == b':',
                };
                if byte != b'~' || !begins {
                    literal.push(byte);
                    continue;
                }
                let ends = |byte: &u8| *byte == b'/' || (assignment && *byte == b':');
                let behind = &bytes[at + 1..];
                let length = behind.iter().position(ends);
                let runs_on = length.is_none() && position + 1 < parts.len();
                if runs_on || length.unwrap_or(behind.len()) > 0 {
                    let hint = "quote it, or write the directory in full";
                    return self.refuse(code::TILDE, span, "this `~` may mean the home of a user", hint);
                }
                if !literal.is_empty() {
                    expanded.push(Part::Literal(std::mem::take(&mut literal)));
                }
                expanded.push(Part::Quoted(self.home(span)?));
            }
            if !literal.is_empty() {
                expanded.push(Part::Literal(literal));
            }
        }
        Ok(Cow::Owned(expanded))
    }

    /// What `~` stands for.
    fn home(&mut self, span: Span) -> Run<Vec<u8>> {
        match self.variables.get("HOME").and_then(|home| home.value.first()) {
            Some(home) => Ok(home.to_vec()),
            None => {
                let message = "`~` means $HOME, which is not set in the file";
                self.refuse(code::TILDE, span, message, "quote it, or write the directory in full")
            }
        }
    }

    /// Bash expands a tilde in `x=~` and behind a colon in it even where no assignment is.
    pub(super) fn refuse_hidden_tilde(&mut self, parts: &[Part], span: Span) -> Run {
        let hidden = |part: &Part| match part {
            Part::Literal(bytes) => bytes.windows(2).any(|pair| pair == b"=~" || pair == b":~"),
            _ => false,
        };
        if parts.iter().any(hidden) {
            let hint = "quote it, or write the directory in full";
            return self.refuse(code::TILDE, span, "bash may expand this `~` to a home directory", hint);
        }
        Ok(())
    }
}

/// Whether a colon of the text itself comes last.
fn ends_in_colon(before: &[Part]) -> bool {
    matches!(before.last(), Some(Part::Literal(bytes)) if bytes.last() == Some(&b':'))
}
