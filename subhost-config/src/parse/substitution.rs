//! `$(( … ))`, `$( … )` and backquotes.

use super::{Parsed, Parser, Point};
use crate::ast::{Call, Command, List, Part, Substitution};
use crate::code;
use crate::lex::{Frame, skip_nested};
use crate::span::Span;

/// Commands whose output is computed, never run.
pub(crate) const COMPUTED: &[&str] =
    &["basename", "cat", "dirname", "echo", "hostname", "nproc", "printf", "uname"];

impl Parser<'_> {
    /// From behind `$(`; none if it is refused.
    pub(super) fn substitution(&mut self, start: usize) -> Parsed<Option<Part>> {
        if self.cursor.peek() == Some(b'(') {
            return self.arithmetic_substitution(start);
        }
        let point = self.point();
        self.substitutions += 1;
        let content = self.substituted();
        self.substitutions -= 1;
        let content = content?;
        if !self.cursor.take(b')') {
            let opened = Span::new(start, start + 2);
            self.forget_refusals(point);
            return Err(self.not_closed(opened));
        }
        let span = self.cursor.span_since(start);
        Ok(self.computed(content, span, point))
    }

    /// `$(( … ))`, from its second parenthesis.
    fn arithmetic_substitution(&mut self, start: usize) -> Parsed<Option<Part>> {
        self.cursor.bump();
        let opened = self.cursor.span_since(start);
        let before = self.cursor;
        let point = self.point();
        if let Ok(text) = self.arithmetic(opened) {
            return Ok(Some(Part::Arithmetic(Box::new(text))));
        }
        // Bash would take it for a subshell in a substitution now.
        self.complaints.forget_after(point.mark);
        self.cursor = before;
        for _ in 0..2 {
            if skip_nested(&mut self.cursor, Frame::Paren).is_err() {
                self.cursor = before;
                return Err(self.unclosed(opened));
            }
        }
        let span = self.cursor.span_since(start);
        self.complaints.error(code::ARITHMETIC, span, "this arithmetic does not end in `))`", "");
        Ok(None)
    }

    /// What stands between the parentheses.
    fn substituted(&mut self) -> Parsed<Content> {
        self.skip_to_command();
        if matches!(self.cursor.rest(), [b'<', next, ..] if !b"<(&>".contains(next)) {
            let before = self.cursor;
            let start = self.cursor.position();
            self.cursor.bump();
            self.cursor.skip_blanks();
            let path = self.needed_word()?;
            self.skip_to_command();
            if matches!(self.cursor.peek(), Some(b')') | None) {
                return Ok(Content::File(Substitution::File { path, span: self.cursor.span_since(start) }));
            }
            self.cursor = before;
        }
        Ok(Content::Commands(self.list()?))
    }

    /// The substitution if it only computes; else complains.
    fn computed(&mut self, content: Content, span: Span, point: Point) -> Option<Part> {
        let substitution = match content {
            Content::File(file) => Some(file),
            Content::Commands(list) => single_call(list)
                .filter(|call| COMPUTED.contains(&call.name.as_str()))
                .map(Substitution::Command),
        };
        // `hostname` and the like are unknown commands anywhere else.
        let understood = substitution.is_some() && self.only_complains_of_the_command(point);
        self.forget_refusals(point);
        if understood {
            return substitution.map(|substitution| Part::Substitution(Box::new(substitution)));
        }
        let message = "command substitution is refused: the file is read, never executed";
        let hint = "write the result itself; what is computed: `hostname`, `uname -m`, `nproc`, `basename`, \
                    `dirname`, `cat FILE`, `printf`, `echo`, one at a time";
        self.complaints.error(code::COMMAND_SUBSTITUTION, span, message, hint);
        None
    }

    /// Whether nothing else was wrong since.
    fn only_complains_of_the_command(&self, point: Point) -> bool {
        self.complaints.after(point.mark).iter().all(|complaint| complaint.code == code::COMMAND)
    }

    /// `` `…` ``, from its first backquote; none if it is refused.
    pub(super) fn backquoted(&mut self, start: usize) -> Parsed<Option<Part>> {
        self.cursor.bump();
        let inside = self.cursor;
        if skip_nested(&mut self.cursor, Frame::Backquote).is_err() {
            return Err(self.unclosed(Span::new(start, start + 1)));
        }
        let span = self.cursor.span_since(start);
        let behind = self.cursor;
        let text = inside.text(Span::new(inside.position(), span.end() - 1));
        let point = self.point();
        // With backslashes in it, the text to be read is another one, which is not understood here.
        let mut content = Content::Commands(List::new());
        if !text.contains(&b'\\') {
            self.cursor = inside.ending_at(span.end() - 1);
            let read = self.nested(|parser| parser.substituted());
            let at_end = self.cursor.peek().is_none();
            self.cursor = behind;
            let read = read?;
            if at_end {
                content = read;
            }
        }
        Ok(self.computed(content, span, point))
    }

    /// Reads the commands of something that is refused whatever they are, to behind its `)`.
    pub(super) fn refused_list(&mut self, start: usize, code: &'static str, what: &str) -> Parsed<()> {
        let opened = self.cursor.span_since(start);
        let point = self.point();
        self.nested(|parser| parser.list())?;
        if !self.cursor.take(b')') {
            return Err(self.unclosed(opened));
        }
        self.forget_refusals(point);
        let message = format!("{what} is refused: the file is read, never executed");
        let span = self.cursor.span_since(start);
        self.complaints.error(code, span, message, "write the result itself");
        Ok(())
    }
}

/// What a substitution holds.
enum Content {
    File(Substitution),
    Commands(List),
}

/// The one command of a list that is nothing else.
fn single_call(list: List) -> Option<Call> {
    let [statement] = <[_; 1]>::try_from(list).ok()?;
    match *statement.first.command {
        Command::Call(call) if statement.rest.is_empty() && !statement.first.negated => Some(call),
        _ => None,
    }
}
