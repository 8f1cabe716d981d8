//! `( … )` behind an assignment's `=`.

use super::Parser;
use crate::ast::Element;
use crate::code;
use crate::lex::{Frame, WordContext, is_blank, is_metacharacter, read_word, skip_nested};
use crate::span::Span;

impl Parser<'_> {
    /// An array literal, from its `(` to its `)`.
    pub(super) fn array(&mut self) -> Vec<Element> {
        let open = self.cursor.position();
        self.cursor.bump();
        let mut elements = Vec::new();
        while !self.complaints.is_full() {
            let at = self.cursor_at_next();
            match self.cursor.peek() {
                Some(b')') => {
                    self.cursor.bump();
                    return elements;
                }
                Some(byte) if is_blank(byte) || byte == b'\n' => drop(self.cursor.bump()),
                Some(b'#') => self.cursor.skip_comment(),
                Some(b'<' | b'>') if self.cursor.peek_second() == Some(b'(') => elements.push(self.element()),
                Some(b'(') => {
                    self.cursor.bump();
                    let message = "bash does not allow an unquoted `(` in an array";
                    let hint = "quote it; or is the `)` of the array before it missing?";
                    self.complaints.error(code::UNEXPECTED, Span::new(at, at + 1), message, hint);
                    if skip_nested(&mut self.cursor, Frame::Paren).is_err() {
                        self.cursor = self.cursor.at_end();
                    }
                }
                Some(byte) if is_metacharacter(byte) => {
                    let message =
                        format!("bash does not allow an unquoted `{}` in an array", char::from(byte));
                    self.complaints.error(code::UNEXPECTED, Span::new(at, at + 1), message, "quote it");
                    self.cursor.bump();
                }
                Some(_) => elements.push(self.element()),
                None if self.complaints.ran_to_end() => break,
                None => {
                    let span = Span::new(open, open + 1);
                    let message = "this array is never closed";
                    self.complaints.error(code::UNCLOSED_ARRAY, span, message, "the `)` is missing");
                    break;
                }
            }
        }
        elements
    }

    fn element(&mut self) -> Element {
        let before = self.cursor;
        let mark = self.complaints.mark();
        if self.cursor.peek() == Some(b'[') {
            let subscript = self.subscript();
            if let Some(append) = self.assignment_operator() {
                let value = read_word(&mut self.cursor, WordContext::Element, &mut self.complaints);
                return Element { subscript, append, value };
            }
            if self.cursor.peek().is_some() {
                // Not a subscript, but a word that begins with a bracket: a file name pattern.
                self.complaints.forget_after(mark);
                self.cursor = before;
            }
        }
        let value = read_word(&mut self.cursor, WordContext::Element, &mut self.complaints);
        Element { subscript: None, append: false, value }
    }

    fn cursor_at_next(&mut self) -> usize {
        self.cursor.peek(); // past continuation lines
        self.cursor.position()
    }
}
