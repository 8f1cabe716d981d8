//! `[[ … ]]`.

use super::{Parsed, Parser};
use crate::ast::{Condition, Word};
use crate::span::Span;

/// Operators with one operand behind them.
const UNARY: &[&str] = &[
    "-a", "-b", "-c", "-d", "-e", "-f", "-g", "-h", "-k", "-n", "-o", "-p", "-r", "-s", "-t", "-u", "-v",
    "-w", "-x", "-z", "-G", "-L", "-N", "-O", "-R", "-S",
];

/// Operators between two operands.
const BINARY: &[&str] =
    &["=", "==", "!=", "=~", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"];

impl Parser<'_> {
    /// From behind `[[` to behind `]]`.
    pub(super) fn conditional(&mut self, opened: Span) -> Parsed<Condition> {
        let condition = self.condition_or(opened)?;
        if !self.take_reserved("]]") {
            return Err(self.not_closed(opened));
        }
        Ok(condition)
    }

    /// Terms with `||` between them, which binds less than `&&`.
    fn condition_or(&mut self, opened: Span) -> Parsed<Condition> {
        let left = self.condition_and(opened)?;
        self.skip_to_command();
        if !self.take_operator(b"||") {
            return Ok(left);
        }
        let right = self.nested(|parser| parser.condition_or(opened))?;
        Ok(Condition::Or(Box::new(left), Box::new(right)))
    }

    /// Terms with `&&` between them.
    fn condition_and(&mut self, opened: Span) -> Parsed<Condition> {
        let left = self.condition_term(opened)?;
        self.skip_to_command();
        if !self.take_operator(b"&&") {
            return Ok(left);
        }
        let right = self.nested(|parser| parser.condition_and(opened))?;
        Ok(Condition::And(Box::new(left), Box::new(right)))
    }

    /// Takes `&&` or `||` if it follows.
    fn take_operator(&mut self, operator: &[u8]) -> bool {
        let found = self.cursor.rest().starts_with(operator);
        if found {
            self.cursor.advance(operator.len());
        }
        found
    }

    /// One term: `! …`, `( … )`, a word, or an operator with its operands.
    fn condition_term(&mut self, opened: Span) -> Parsed<Condition> {
        self.skip_to_command();
        if self.take_reserved("!") {
            let inner = self.nested(|parser| parser.condition_term(opened))?;
            return Ok(Condition::Not(Box::new(inner)));
        }
        if self.cursor.take(b'(') {
            let inner = self.nested(|parser| parser.condition_or(opened))?;
            self.skip_to_command();
            if !self.cursor.take(b')') {
                return Err(self.unexpected());
            }
            return Ok(inner);
        }
        let start = self.cursor.position();
        if let Some(operator) = self.plain_operator(UNARY) {
            // It takes the next word for its operand, whatever that is.
            self.cursor.advance(operator.len());
            self.cursor.skip_blanks();
            return Ok(Condition::Unary { operator, operand: self.condition_word()? });
        }
        let left = self.condition_word()?;
        self.cursor.skip_blanks();
        let Some(operator) = self.plain_operator(BINARY) else {
            return Ok(Condition::Word(left));
        };
        self.cursor.advance(operator.len());
        self.cursor.skip_blanks();
        // Behind these, a parenthesis may begin the word.
        let begins = operator == "=~" && self.cursor.peek() == Some(b'(');
        let is_angle = operator == "=~" && matches!(self.cursor.peek(), Some(b'<' | b'>'));
        if is_angle || self.at_condition_end() && !begins {
            return Err(self.unexpected());
        }
        let right = match operator.as_str() {
            "=~" => self.regex_word()?,
            "=" | "==" | "!=" => self.pattern_word()?,
            _ => self.condition_word()?,
        };
        Ok(Condition::Binary { operator, left, right, span: self.cursor.span_since(start) })
    }

    /// The operator that follows, if one of these does.
    fn plain_operator(&mut self, operators: &[&str]) -> Option<String> {
        let rest = self.cursor.rest();
        let is_angle = matches!(rest.first(), Some(b'<' | b'>'));
        let word = if is_angle { &rest[..1] } else { self.peek_plain_word() };
        let operator = *operators.iter().find(|operator| operator.as_bytes() == word)?;
        (is_angle || self.word_length() == operator.len()).then(|| operator.to_owned())
    }

    /// Whether no further operand follows.
    fn at_condition_end(&mut self) -> bool {
        self.at_command_end() || self.peek_plain_word() == b"]]"
    }

    /// An operand.
    fn condition_word(&mut self) -> Parsed<Word> {
        if self.at_condition_end() || matches!(self.cursor.peek(), Some(b'<' | b'>')) {
            return Err(self.unexpected());
        }
        self.word()
    }
}
