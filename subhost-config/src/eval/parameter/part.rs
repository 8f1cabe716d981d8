//! A part of a parameter: `:offset:length`; and its length, `${#NAME}`.

use super::{Expansion, OfUnset};
use crate::ast::{Subject, Word};
use crate::code;
use crate::eval::{Run, Shell};
use crate::span::Span;
use crate::value::Value;

impl Shell<'_> {
    /// `:offset:length`
    pub(super) fn substring(
        &mut self,
        subject: &Subject,
        base: Expansion,
        offset: &Word,
        length: Option<&Word>,
        span: Span,
    ) -> Run<Expansion> {
        let offset = self.arithmetic(offset)?;
        let length = match length {
            Some(length) => Some(self.arithmetic(length)?),
            None => None,
        };
        let was_list = matches!(base, Expansion::Many { .. });
        // Of a list, bash takes what is there after the numbers were computed.
        let base = match subject {
            Subject::Variable { .. } if was_list && !self.is_scalar(subject, span)? => {
                self.subject(subject, OfUnset::Nothing, span)?
            }
            _ => base,
        };
        match self.scalar_as_one(subject, base, span)? {
            Expansion::Unset => Ok(Expansion::Unset),
            Expansion::One(value) => {
                let characters = Characters::of(&value);
                let Some((from, to)) = self.range(offset, length, characters.len(), span)? else {
                    if was_list {
                        let message = "a part beyond the end of a text that is used as a list is refused";
                        return self.refuse(code::EXPANSION, span, message, "leave the `[@]` out");
                    }
                    return Ok(Expansion::One(Vec::new()));
                };
                Ok(Expansion::One(value[characters.offset(from)..characters.offset(to)].to_vec()))
            }
            Expansion::Many { values, star } => {
                let values = self.slice(subject, values, offset, length, span)?;
                Ok(Expansion::Many { values, star })
            }
        }
    }

    /// `${NAME[@]:…}` of what is no array cuts its text.
    pub(super) fn scalar_as_one(&mut self, subject: &Subject, base: Expansion, span: Span) -> Run<Expansion> {
        let (Expansion::Many { values, .. }, Subject::Variable { name, .. }) = (&base, subject) else {
            return Ok(base);
        };
        let name = self.referenced(name, span)?;
        match self.variables.get(&name).map(|variable| &variable.value) {
            Some(Value::Scalar(_)) => Ok(values.first().cloned().map_or(Expansion::Unset, Expansion::One)),
            _ => Ok(base),
        }
    }

    /// Elements of an array by index, or of `$@` by position.
    fn slice(
        &mut self,
        subject: &Subject,
        values: Vec<Vec<u8>>,
        offset: i64,
        length: Option<i64>,
        span: Span,
    ) -> Run<Vec<Vec<u8>>> {
        if length.is_some_and(i64::is_negative) {
            let message = "a negative length of a list is refused by bash too";
            return self.refuse(code::EXPANSION, span, message, "");
        }
        let count = length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(usize::MAX));
        let skipped = match subject {
            Subject::Variable { name, .. } => self.elements_before(name, offset, span)?,
            _ => self.arguments_before(values.len(), offset, span)?,
        };
        Ok(match skipped {
            Some(skipped) => values.into_iter().skip(skipped).take(count).collect(),
            None => Vec::new(),
        })
    }

    /// How many elements of an array have a lower index; none if the offset is before the array.
    fn elements_before(&mut self, name: &str, offset: i64, span: Span) -> Run<Option<usize>> {
        let name = self.referenced(name, span)?;
        let elements = match self.variables.get(&name).map(|variable| &variable.value) {
            Some(Value::Associative(_)) => {
                let message = "a part of an associative array has no defined meaning";
                return self.refuse(code::EXPANSION, span, message, "name the keys");
            }
            Some(Value::Indexed(elements)) => elements,
            Some(Value::Scalar(_)) | None => return Ok(None),
        };
        let wide = |index: u64| i64::try_from(index).unwrap_or(i64::MAX);
        let last = elements.last_key_value().map_or(0, |(&last, _)| wide(last));
        let start = from_start(offset, last.saturating_add(1));
        Ok(start.map(|start| elements.keys().take_while(|&&index| wide(index) < start).count()))
    }

    /// The same of `$@`, whose positions begin with that of `$0`.
    fn arguments_before(&mut self, arguments: usize, offset: i64, span: Span) -> Run<Option<usize>> {
        let end = i64::try_from(arguments).unwrap_or(i64::MAX).saturating_add(1);
        match from_start(offset, end) {
            Some(0) => {
                let message = "this part of `$@` holds `$0`, which is not a fact of the file";
                self.refuse(code::SPECIAL_PARAMETER, span, message, "")
            }
            start => Ok(start.map(|start| usize::try_from(start - 1).unwrap_or(usize::MAX))),
        }
    }

    /// From and to, in characters of so many; none if it is outside.
    fn range(
        &mut self,
        offset: i64,
        length: Option<i64>,
        size: usize,
        span: Span,
    ) -> Run<Option<(usize, usize)>> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let Some(from) = from_start(offset, size).filter(|&from| from <= size) else { return Ok(None) };
        let to = match length {
            None => size,
            Some(length) if length < 0 => size.saturating_add(length),
            Some(length) => from.saturating_add(length).min(size),
        };
        if to < from {
            let message = "the end of this substring comes before its beginning";
            return self.refuse(code::EXPANSION, span, message, "");
        }
        let narrow = |number| usize::try_from(number).unwrap_or(0);
        Ok(Some((narrow(from), narrow(to))))
    }
}

/// An offset that counts from the start; a negative one counts from the end, and may be before the start.
fn from_start(offset: i64, end: i64) -> Option<i64> {
    let start = if offset < 0 { end.saturating_add(offset) } else { offset };
    (start >= 0).then_some(start)
}

/// What `${#…}` gives.
pub(super) fn length(base: &Expansion, subject: &Subject) -> usize {
    match base {
        Expansion::Unset => 0,
        Expansion::One(value) => match subject {
            Subject::Count | Subject::Status => value.len(),
            _ => Characters::of(value).len(),
        },
        Expansion::Many { values, .. } => values.len(),
    }
}

/// Where the characters of a text begin; a byte that is no UTF-8 is one by itself.
struct Characters {
    starts: Vec<usize>,
    end: usize,
}

impl Characters {
    /// Those of a text.
    fn of(text: &[u8]) -> Self {
        let mut starts = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            starts.push(at);
            at += character_length(&text[at..]);
        }
        Self { starts, end: text.len() }
    }

    /// How many there are.
    fn len(&self) -> usize {
        self.starts.len()
    }

    /// Where a character begins, in bytes; behind the last one, where the text ends.
    fn offset(&self, character: usize) -> usize {
        self.starts.get(character).copied().unwrap_or(self.end)
    }
}

/// Bytes of the first character.
pub(super) fn character_length(text: &[u8]) -> usize {
    let length = match text.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => return 1,
    };
    let is_character = text.get(..length).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok());
    if is_character { length } else { 1 }
}
