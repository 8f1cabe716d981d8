//! `$name` and `${name…}`.

use super::word::Until;
use super::{Parsed, Parser};
use crate::ast::{Fallback, Operator, Parameter, Part, Replace, Subject, Subscript, Word, WordKind};
use crate::code;
use crate::letters::CaseChange;
use crate::lex::{Frame, is_name_start, skip_nested};
use crate::span::Span;

impl Parser<'_> {
    /// `$name`, `$1`, `$@` and the like, from behind the `$`.
    pub(super) fn plain_parameter(&mut self, start: usize, quoted: bool) -> Option<Parameter> {
        let subject = match self.cursor.peek()? {
            byte if is_name_start(byte) => {
                Subject::Variable { name: self.cursor.take_name(), subscript: None }
            }
            byte => {
                self.cursor.bump();
                match special(byte) {
                    Some(subject) => subject,
                    None => {
                        self.refuse_special(byte, start, quoted);
                        return None;
                    }
                }
            }
        };
        let span = self.cursor.span_since(start);
        Some(Parameter { subject, indirect: false, operator: Operator::None, span })
    }

    /// Complains of `$0`, `$$` and the like.
    fn refuse_special(&mut self, byte: u8, start: usize, quoted: bool) {
        let span = self.cursor.span_since(start);
        let message = format!("`${}` is refused: it is not a fact of the file", char::from(byte));
        let hint = if quoted { "for a dollar sign write `\\$`" } else { "for a dollar sign write `'$'`" };
        self.complaints.error(code::SPECIAL_PARAMETER, span, message, hint);
    }

    /// `${…}` from behind the brace; none if it is refused.
    pub(super) fn braced_parameter(&mut self, start: usize, quoted: bool) -> Parsed<Option<Parameter>> {
        let inside = self.cursor;
        let errors = self.complaints.errors();
        let parameter = self.parameter(start, quoted)?;
        if let Some(parameter) = parameter
            && self.cursor.take(b'}')
        {
            return Ok(Some(Parameter { span: self.cursor.span_since(start), ..parameter }));
        }
        // Not understood: the whole of it is refused.
        self.cursor = inside;
        let closed = skip_nested(&mut self.cursor, Frame::Brace { quoted });
        if closed.is_err() {
            self.cursor = inside;
            return Err(self.unclosed(Span::new(start, start + 2)));
        }
        if self.complaints.errors() == errors {
            let span = self.cursor.span_since(start);
            let message = "this form of `${…}` is refused: bash gives it no plain value";
            self.complaints.error(code::EXPANSION, span, message, "write the value itself");
        }
        Ok(None)
    }

    /// What stands between the braces; none for a form that is refused. Its span is still to be set.
    fn parameter(&mut self, start: usize, quoted: bool) -> Parsed<Option<Parameter>> {
        let done = |subject, indirect, operator| {
            Some(Parameter { subject, indirect, operator, span: Span::new(start, start) })
        };
        let (first, second) = (self.cursor.peek(), self.cursor.peek_second());
        if first == Some(b'#') && second != Some(b'}') {
            self.cursor.bump();
            let subject = self.subject(quoted)?;
            return Ok(subject.and_then(|subject| done(subject, false, Operator::Length)));
        }
        let indirect = first == Some(b'!') && second != Some(b'}');
        if indirect {
            self.cursor.bump();
        }
        let Some(subject) = self.subject(quoted)? else { return Ok(None) };
        let (next, behind) = (self.cursor.peek(), self.cursor.peek_second());
        match (&subject, next) {
            (Subject::Variable { subscript: Some(Subscript::All { .. }), .. }, Some(b'}')) if indirect => {
                return Ok(done(subject, false, Operator::Keys));
            }
            (Subject::Variable { subscript: None, .. }, Some(byte @ (b'@' | b'*')))
                if indirect && behind == Some(b'}') =>
            {
                self.cursor.bump();
                return Ok(done(subject, false, Operator::Names { star: byte == b'*' }));
            }
            _ => {}
        }
        let operator = self.operator(quoted)?;
        Ok(operator.and_then(|operator| done(subject, indirect, operator)))
    }

    /// A name, perhaps with a subscript, a number, or a special parameter; none if it is refused or nothing of it.
    fn subject(&mut self, quoted: bool) -> Parsed<Option<Subject>> {
        let Some(byte) = self.cursor.peek() else { return Ok(None) };
        let at = self.cursor.position();
        if is_name_start(byte) {
            let name = self.cursor.take_name();
            if self.cursor.peek() != Some(b'[') {
                return Ok(Some(Subject::Variable { name, subscript: None }));
            }
            for star in [false, true] {
                if self.cursor.rest().starts_with(if star { b"[*]" } else { b"[@]" }) {
                    self.cursor.advance(3);
                    return Ok(Some(Subject::Variable { name, subscript: Some(Subscript::All { star }) }));
                }
            }
            let subscript = self.subscript()?;
            return Ok(
                subscript.map(|word| Subject::Variable { name, subscript: Some(Subscript::One(word)) })
            );
        }
        self.cursor.bump();
        if byte.is_ascii_digit() {
            let mut number = usize::from(byte - b'0');
            while let Some(digit @ b'0'..=b'9') = self.cursor.peek() {
                self.cursor.bump();
                number = number.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
            }
            if number > 0 {
                return Ok(Some(Subject::Positional(number)));
            }
        }
        if let Some(subject) = special(byte) {
            return Ok(Some(subject));
        }
        if b"0-$!".contains(&byte) {
            self.refuse_special(byte, at, quoted);
        }
        Ok(None)
    }

    /// What stands behind the subject; none for a form that is refused.
    fn operator(&mut self, quoted: bool) -> Parsed<Option<Operator>> {
        let Some(byte) = self.cursor.peek() else { return Ok(None) };
        if let Some((kind, colon)) = self.take_fallback(byte) {
            let word = self.word_until(Until::Brace, quoted)?;
            return Ok(Some(Operator::Fallback { kind, colon, word }));
        }
        if byte == b'}' {
            return Ok(Some(Operator::None));
        }
        self.cursor.bump();
        match byte {
            b':' => self.substring(),
            b'#' | b'%' => {
                let longest = self.cursor.take(byte);
                let pattern = self.word_until(Until::Brace, false)?;
                Ok(Some(match byte {
                    b'#' => Operator::RemovePrefix { longest, pattern },
                    _ => Operator::RemoveSuffix { longest, pattern },
                }))
            }
            b'/' => Ok(Some(self.replacing()?)),
            b'^' | b',' | b'~' => Ok(Some(self.changing_case(byte)?)),
            b'@' => Ok(match self.cursor.bump() {
                Some(letter @ (b'Q' | b'U' | b'L' | b'u' | b'E' | b'a' | b'A' | b'k' | b'K')) => {
                    Some(Operator::Transform(letter))
                }
                _ => None,
            }),
            _ => Ok(None),
        }
    }

    /// Takes `-`, `:-` and the like; the colon is told apart.
    fn take_fallback(&mut self, byte: u8) -> Option<(Fallback, bool)> {
        let colon = byte == b':';
        let kind = match if colon { self.cursor.peek_second()? } else { byte } {
            b'-' => Fallback::Use,
            b'=' => Fallback::Assign,
            b'?' => Fallback::Fail,
            b'+' => Fallback::Instead,
            _ => return None,
        };
        self.cursor.bump();
        if colon {
            self.cursor.bump();
        }
        Some((kind, colon))
    }

    /// `:offset:length`, from behind the first colon; none without any number.
    fn substring(&mut self) -> Parsed<Option<Operator>> {
        let offset = self.word_until(Until::Colon, true)?;
        let length = match self.cursor.take(b':') {
            true => Some(self.word_until(Until::Colon, true)?),
            false => None,
        };
        let blank = self.text(offset.span).iter().all(u8::is_ascii_whitespace);
        Ok((!blank || length.is_some()).then_some(Operator::Substring { offset, length }))
    }

    /// `/pattern/replacement` and its like, from behind the first slash.
    fn replacing(&mut self) -> Parsed<Operator> {
        let what = match self.cursor.peek() {
            Some(b'/') => Replace::All,
            Some(b'#') => Replace::Prefix,
            Some(b'%') => Replace::Suffix,
            _ => Replace::First,
        };
        if what != Replace::First {
            self.cursor.bump();
        }
        let pattern = self.replaced_pattern(what)?;
        let replacement = match self.cursor.take(b'/') {
            // Quotes and backslashes mean the same here inside double quotes.
            true => self.word_until(Until::Brace, false)?,
            false => Word::empty_at(self.cursor.position()),
        };
        Ok(Operator::Replace { what, pattern, replacement })
    }

    /// `^pattern` and its like, from behind its first byte.
    fn changing_case(&mut self, byte: u8) -> Parsed<Operator> {
        let all = self.cursor.take(byte);
        let change = match (byte, all) {
            (b'^', false) => CaseChange::UpperFirst,
            (b'^', true) => CaseChange::UpperAll,
            (b',', false) => CaseChange::LowerFirst,
            (b',', true) => CaseChange::LowerAll,
            (_, false) => CaseChange::ToggleFirst,
            (_, true) => CaseChange::ToggleAll,
        };
        let pattern = match self.cursor.peek() {
            Some(b'}') => None,
            _ => Some(self.word_until(Until::Brace, false)?),
        };
        Ok(Operator::Case { change, pattern })
    }

    /// The pattern of `${NAME/pattern/…}`. Behind `//`, a slash that comes first belongs to it.
    fn replaced_pattern(&mut self, what: Replace) -> Parsed<Word> {
        let start = self.cursor.position();
        if what != Replace::All || !self.cursor.take(b'/') {
            return self.word_until(Until::Slash, false);
        }
        let rest = self.word_until(Until::Slash, false)?;
        let parts = std::iter::once(Part::Literal(b"/".to_vec())).chain(rest.into_parts()).collect();
        Ok(Word { span: self.cursor.span_since(start), kind: WordKind::Parts(parts) })
    }
}

/// What `$` and this byte mean.
fn special(byte: u8) -> Option<Subject> {
    match byte {
        b'1'..=b'9' => Some(Subject::Positional(usize::from(byte - b'0'))),
        b'@' => Some(Subject::Arguments { star: false }),
        b'*' => Some(Subject::Arguments { star: true }),
        b'#' => Some(Subject::Count),
        b'?' => Some(Subject::Status),
        _ => None,
    }
}
