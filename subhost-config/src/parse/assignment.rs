//! `NAME=…`, `NAME+=…`, `NAME[n]=…`.

use super::{Parsed, Parser};
use crate::ast::{AssignedValue, Assignment};
use crate::code;
use crate::lex::is_metacharacter;
use crate::span::Span;

impl Parser<'_> {
    /// The assignment that begins here, if one does. As an operand of a declaration it may be expanded to
    /// several words by braces.
    pub(super) fn assignment(&mut self, operand: bool) -> Parsed<Option<Assignment>> {
        let before = self.cursor;
        let start = self.cursor.position();
        let name = self.cursor.take_name();
        if name.is_empty() {
            return Ok(None);
        }
        let point = self.point();
        let subscript = match self.cursor.peek() {
            Some(b'[') => {
                let subscript = self.subscript()?;
                if subscript.is_none() {
                    let at = self.cursor.position();
                    return Err(self.unclosed(Span::new(at, at + 1)));
                }
                subscript
            }
            _ => None,
        };
        let Some(append) = self.assignment_operator() else {
            self.complaints.forget_after(point.mark);
            self.cursor = before;
            return Ok(None);
        };
        let value = if self.cursor.peek() == Some(b'(') {
            let open = self.cursor.position();
            let elements = self.array()?;
            if subscript.is_some() {
                let span = self.cursor.span_since(start);
                let message = "bash cannot put an array into an element of an array";
                let hint = "write one value without parentheses";
                self.complaints.error(code::UNEXPECTED, span, message, hint);
            }
            self.check_after_array(open)?;
            AssignedValue::Array(elements)
        } else {
            let word = self.word()?;
            if operand {
                let span = self.cursor.span_since(start);
                let message = "bash would expand these braces to several assignments";
                self.refuse_braces(&word, span, message);
            }
            AssignedValue::Scalar(word)
        };
        Ok(Some(Assignment { name, subscript, append, value, span: self.cursor.span_since(start) }))
    }

    /// `=` gives false, `+=` true.
    pub(super) fn assignment_operator(&mut self) -> Option<bool> {
        if self.cursor.take(b'=') {
            return Some(false);
        }
        if self.cursor.peek() == Some(b'+') && self.cursor.peek_second() == Some(b'=') {
            self.cursor.bump();
            self.cursor.bump();
            return Some(true);
        }
        None
    }

    /// After an array literal the word must end.
    fn check_after_array(&mut self, open: usize) -> Parsed<()> {
        let Some(byte) = self.cursor.peek() else { return Ok(()) };
        if is_metacharacter(byte) && byte != b'(' {
            return Ok(());
        }
        let span = Span::new(open, self.cursor.position() + 1);
        let message = "something follows the `)` of this array without a blank";
        let hint = "put a blank or a new line behind the `)`";
        Err(self.broken(code::TEXT_AFTER_ARRAY, span, message, hint))
    }
}
