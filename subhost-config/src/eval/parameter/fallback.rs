//! `${NAME-word}` and its like: what to do about a parameter that is missing.

use super::{Expansion, OfUnset};
use crate::ast::{Fallback, Subject, Subscript, Word, WordKind};
use crate::code;
use crate::eval::expand::Mode;
use crate::eval::fields::Fields;
use crate::eval::{Run, Shell};
use crate::span::Span;

impl Expansion {
    /// Whether it is unset, or with `colon` unset or empty.
    fn is_missing(&self, colon: bool) -> bool {
        match self {
            Self::Unset => true,
            Self::One(value) => colon && value.is_empty(),
            Self::Many { values, .. } => values.is_empty(),
        }
    }
}

impl Shell<'_> {
    /// Whether `${…-word}`, with `colon` `${…:-word}`, gives the word.
    pub(in crate::eval) fn is_missing(&mut self, subject: &Subject, colon: bool, span: Span) -> Run<bool> {
        Ok(self.subject(subject, OfUnset::Nothing, span)?.is_missing(colon))
    }

    /// What the parameter gives if its operand does not matter; none if the operand does.
    pub(super) fn without_fallback(
        &mut self,
        subject: &Subject,
        kind: Fallback,
        colon: bool,
        span: Span,
    ) -> Run<Option<Expansion>> {
        let base = self.subject(subject, OfUnset::Nothing, span)?;
        if let (true, Expansion::Many { values, .. }) = (colon, &base)
            && !values.is_empty()
            && values.iter().all(Vec::is_empty)
        {
            // Bash decides it by the words around.
            let message = "whether a list of empty elements counts as empty is not determined";
            return self.refuse(code::EXPANSION, span, message, "leave the colon out");
        }
        let is_missing = base.is_missing(colon);
        Ok(match kind {
            Fallback::Instead => is_missing.then_some(Expansion::Unset),
            Fallback::Use | Fallback::Assign | Fallback::Fail => (!is_missing).then_some(base),
        })
    }

    /// Does with the operand what its operator asks for.
    pub(super) fn fall_back(
        &mut self,
        subject: &Subject,
        kind: Fallback,
        word: &Word,
        quoted: bool,
        out: &mut Fields,
        span: Span,
    ) -> Run {
        match kind {
            Fallback::Use | Fallback::Instead => {
                let WordKind::Parts(parts) = &word.kind else {
                    return self.emit(Expansion::Unset, quoted, out, span);
                };
                if quoted && parts.is_empty() {
                    out.literal(b"", true);
                }
                let parts = self.operand_parts(parts, quoted, word.span)?;
                self.parts(&parts, Mode { quoted, operand: true }, out, word.span)
            }
            Fallback::Assign => {
                let value = self.operand_value(word, quoted)?;
                self.assign_fallback(subject, value, span)?;
                let value = self.subject(subject, OfUnset::Nothing, span)?;
                self.emit(value, quoted, out, span)
            }
            Fallback::Fail => {
                let text = self.operand_value(word, quoted)?;
                let text = String::from_utf8_lossy(&text).into_owned();
                let message = match text.is_empty() {
                    true => "the file demands a value that is not there".to_owned(),
                    false => format!("the file demands a value that is not there: {text}"),
                };
                self.refuse(code::DEMANDED, span, message, "set the variable above")
            }
        }
    }

    /// `${NAME=word}`
    fn assign_fallback(&mut self, subject: &Subject, value: Vec<u8>, span: Span) -> Run {
        match subject {
            Subject::Variable { name, subscript: None } => self.set_scalar(name, value, span),
            Subject::Variable { name, subscript: Some(Subscript::One(key)) } => {
                self.set_element(name, key, value, span)
            }
            _ => {
                let message = "bash cannot assign to this parameter";
                self.refuse(code::EXPANSION, span, message, "")
            }
        }
    }
}
