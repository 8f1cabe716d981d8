//! `( … )` behind an assignment's `=`.

use super::{Parsed, Parser};
use crate::ast::{Element, KeyedElement, Word, WordKind};
use crate::code;
use crate::lex::is_metacharacter;
use crate::span::Span;

impl Parser<'_> {
    /// An array literal, from its `(` to its `)`.
    pub(super) fn array(&mut self) -> Parsed<Vec<Element>> {
        let open = self.cursor.position();
        self.cursor.bump();
        let mut elements = Vec::new();
        loop {
            self.skip_to_command();
            let at = self.cursor.position();
            match self.cursor.peek() {
                Some(b')') => {
                    self.cursor.bump();
                    return Ok(elements);
                }
                Some(b'<' | b'>') if self.cursor.peek_second() == Some(b'(') => {
                    self.element(&mut elements)?
                }
                Some(b'(') => {
                    let message = "bash does not allow an unquoted `(` in an array";
                    let hint = "quote it; or is the `)` of the array before it missing?";
                    return Err(self.broken(code::UNEXPECTED, Span::new(at, at + 1), message, hint));
                }
                Some(byte) if is_metacharacter(byte) => {
                    let message =
                        format!("bash does not allow an unquoted `{}` in an array", char::from(byte));
                    return Err(self.broken(code::UNEXPECTED, Span::new(at, at + 1), &message, "quote it"));
                }
                Some(_) => self.element(&mut elements)?,
                None => {
                    if !self.complaints.ran_to_end() {
                        let span = Span::new(open, open + 1);
                        let message = "this array is never closed";
                        self.complaints.error(code::UNCLOSED_ARRAY, span, message, "the `)` is missing");
                    }
                    return Err(super::Broken);
                }
            }
        }
    }

    /// `word` or `[subscript]=value`.
    fn element(&mut self, elements: &mut Vec<Element>) -> Parsed<()> {
        if self.cursor.peek() != Some(b'[') {
            return self.listed_words(|word| elements.push(Element::Word(word)));
        }
        let before = self.cursor;
        let start = self.cursor.position();
        let point = self.point();
        let Some(subscript) = self.subscript()? else {
            return Err(self.unclosed(Span::new(start, start + 1)));
        };
        let brackets = self.cursor.span_since(start);
        if let Some(append) = self.assignment_operator() {
            let value = self.word()?;
            let span = self.cursor.span_since(start);
            let whole = Word { span, kind: WordKind::Parts(Box::default()) };
            let message = "bash would expand these braces to words that are no elements any more";
            self.refuse_braces(&whole, span, message);
            elements.push(Element::Keyed(Box::new(KeyedElement { subscript, append, value, span })));
            return Ok(());
        }
        // Not a subscript, but a word that begins with a bracket: a file name pattern.
        self.complaints.forget_after(point.mark);
        if self.text(brackets).iter().any(|&byte| is_metacharacter(byte)) {
            let message = "bash takes these brackets for a part of one word, with all that is in them";
            return Err(self.broken(code::FILE_PATTERN, brackets, message, "quote the bracket"));
        }
        self.cursor = before;
        self.listed_words(|word| elements.push(Element::Word(word)))
    }
}
