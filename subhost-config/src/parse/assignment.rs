//! `NAME=…`, `NAME+=…`, `NAME[n]=…`.

use super::Parser;
use crate::arith;
use crate::ast::{AssignedValue, Assignment, Subscript};
use crate::code;
use crate::lex::{Frame, WordContext, is_metacharacter, read_word, skip_nested};
use crate::span::Span;

impl Parser<'_> {
    /// The assignment that begins here, if one does.
    pub(super) fn assignment(&mut self) -> Option<Assignment> {
        self.assignment_in(WordContext::Scalar)
    }

    /// The same where a scalar value stands in this context.
    pub(super) fn assignment_in(&mut self, context: WordContext) -> Option<Assignment> {
        let before = self.cursor;
        let start = self.cursor.position();
        let name = self.cursor.take_name();
        if name.is_empty() {
            return None;
        }
        let mark = self.complaints.mark();
        let errors = self.complaints.errors();
        let subscript = if self.cursor.peek() == Some(b'[') { self.subscript() } else { None };
        let refused_subscript = self.complaints.errors() != errors;
        let Some(append) = self.assignment_operator() else {
            // `A[x]` without `=` is a command; so is it when the text ended in the brackets.
            if refused_subscript && self.cursor.peek().is_none() {
                return None;
            }
            self.complaints.forget_after(mark);
            self.cursor = before;
            return None;
        };
        let value = if self.cursor.peek() == Some(b'(') {
            let open = self.cursor.position();
            let elements = self.array();
            if subscript.is_some() || refused_subscript {
                let span = Span::new(start, self.cursor.position());
                let message = "bash cannot put an array into an element of an array";
                self.complaints.error(code::UNEXPECTED, span, message, "write one value without parentheses");
            }
            self.check_after_array(open);
            AssignedValue::Array(elements)
        } else {
            AssignedValue::Scalar(read_word(&mut self.cursor, context, &mut self.complaints))
        };
        let span = Span::new(start, self.cursor.position());
        Some(Assignment { name, subscript, append, value, span })
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

    /// `[n]`. Complains about anything but a literal number, and skips it.
    pub(super) fn subscript(&mut self) -> Option<Subscript> {
        let start = self.cursor.position();
        self.cursor.bump();
        let mut text = Vec::new();
        let inside = self.cursor;
        while let Some(byte) = self.cursor.peek() {
            let may_be_number = byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'\t' | b'-');
            if !may_be_number {
                break;
            }
            text.push(byte);
            self.cursor.bump();
        }
        let index = if self.cursor.take(b']') { arith::literal(&text) } else { None };
        if let Some(index) = index {
            return Some(Subscript { index, span: Span::new(start, self.cursor.position()) });
        }
        self.cursor = inside;
        let closed = skip_nested(&mut self.cursor, Frame::Bracket);
        if closed.is_err() {
            self.cursor = self.cursor.at_end();
            let span = Span::new(start, start + 1);
            self.complaints.error(code::UNCLOSED_CONSTRUCT, span, "this bracket is never closed", "");
            return None;
        }
        let span = Span::new(start, self.cursor.position());
        let message = "this subscript is no literal number";
        self.complaints.error(code::SUBSCRIPT, span, message, "write the number itself, as in `[2]=`");
        None
    }

    /// After an array literal the word must end.
    fn check_after_array(&mut self, open: usize) {
        let Some(byte) = self.cursor.peek() else { return };
        if is_metacharacter(byte) && byte != b'(' {
            return;
        }
        let span = Span::new(open, self.cursor.position() + 1);
        let message = "something follows the `)` of this array without a blank";
        self.complaints.error(
            code::TEXT_AFTER_ARRAY,
            span,
            message,
            "put a blank or a new line behind the `)`",
        );
        self.skip_rest_of_word();
    }
}
