//! From a text to statements. Every refusal of the text is found in one go.

mod array;
mod assignment;
mod command;
mod recover;

use crate::ast::{Script, Statement};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::lex::{Complaints, Cursor, is_metacharacter};
use crate::span::{Source, Span};

/// Larger texts are refused. Larger than [`load`](fn@crate::load) reads, for those who bring their own.
pub const MAX_SOURCE_BYTES: usize = 64 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a text. The script holds what was understood, the list all that was not.
///
/// With an [error](Diagnostic::is_error) in the list, the script is only good for finding further errors.
pub fn parse(source: &Source) -> (Script, Vec<Diagnostic>) {
    let text = source.text();
    let mut complaints = Complaints::default();
    if text.len() > MAX_SOURCE_BYTES {
        let message = format!("{} bytes; {MAX_SOURCE_BYTES} is the limit", text.len());
        complaints.error(code::SOURCE_TOO_LARGE, Span::new(0, 0), message, "");
        return (Script::default(), complaints.into_list());
    }
    let start = check_bytes(text, &mut complaints);
    let mut parser = Parser { cursor: Cursor::new(text, start), complaints };
    let statements = parser.statements();
    (Script { statements }, parser.complaints.into_list())
}

/// Complains about what is wrong with the text before any syntax; gives the offset to begin at.
fn check_bytes(text: &[u8], complaints: &mut Complaints) -> usize {
    let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    if start > 0 {
        let message = "the text begins with a byte order mark, which is skipped; bash would stumble over it";
        complaints.push(Diagnostic::warning(code::BYTE_ORDER_MARK, message).at(Span::new(0, start)));
    }
    if let Some(at) = text.windows(2).position(|pair| pair == b"\r\n") {
        let message = "lines end in CR LF, read as LF; bash would keep the CR as part of the values";
        let warning = Diagnostic::warning(code::CRLF, message).at(Span::new(at, at + 2));
        complaints.push(warning.hint("convert the file with `dos2unix`"));
    }
    if let Some(at) = text.iter().position(|&byte| byte == 0) {
        complaints.error(code::NUL_BYTE, Span::new(at, at + 1), "a NUL byte: this is no text", "");
    }
    start
}

/// Reads statements one after the other.
struct Parser<'a> {
    cursor: Cursor<'a>,
    complaints: Complaints,
}

impl Parser<'_> {
    fn statements(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        while !self.complaints.is_full() {
            self.cursor.skip_blanks();
            match self.cursor.peek() {
                None => break,
                Some(b'\n') => drop(self.cursor.bump()),
                Some(b'#') => self.cursor.skip_comment(),
                Some(_) => {
                    let errors = self.complaints.errors();
                    let statement = self.statement();
                    // A statement with something refused in it leaves no variable half set.
                    if self.complaints.errors() == errors {
                        statements.extend(statement);
                    }
                }
            }
        }
        statements
    }

    /// One statement and what ends it.
    fn statement(&mut self) -> Option<Statement> {
        let start = self.cursor.position();
        let mut assignments = Vec::new();
        while let Some(assignment) = self.assignment() {
            assignments.push(assignment);
            self.cursor.skip_blanks();
        }
        if self.at_statement_end() {
            match self.cursor.peek() {
                Some(b'(') if assignments.is_empty() => self.refuse_parentheses(),
                Some(b';' | b'&' | b'|') if assignments.is_empty() => self.unexpected(),
                _ => self.end_statement(start),
            }
            return Some(Statement::Assign(assignments));
        }
        let before_command = (!assignments.is_empty()).then_some(start);
        self.command(before_command).map(Statement::Declare)
    }

    /// Whether no further word follows in this statement.
    fn at_statement_end(&mut self) -> bool {
        match self.cursor.peek() {
            None | Some(b'#') => true,
            Some(b'<' | b'>') => self.cursor.peek_second() != Some(b'('),
            Some(byte) => is_metacharacter(byte),
        }
    }

    /// Takes the end of a statement, and complains if it is more than an end.
    fn end_statement(&mut self, start: usize) {
        match self.cursor.peek() {
            None | Some(b'\n') => {}
            Some(b'#') => self.cursor.skip_comment(),
            Some(b';') if self.cursor.peek_second() != Some(b';') => drop(self.cursor.bump()),
            Some(b'&' | b'|') => {
                let at = self.cursor.position();
                let operator = match (self.cursor.peek(), self.cursor.peek_second()) {
                    (Some(b'&'), Some(b'&')) => "&&",
                    (Some(b'|'), Some(b'|')) => "||",
                    (Some(b'&'), Some(b'>')) => "&>",
                    (Some(b'&'), _) => "&",
                    _ => "|",
                };
                let span = Span::new(at, at + operator.len());
                let (code, hint) = match operator {
                    "&>" => (code::REDIRECTION, "leave it out: an assignment prints nothing"),
                    _ => (code::LIST_OPERATOR, "put each assignment on a line of its own"),
                };
                self.complaints.error(code, span, format!("`{operator}` is refused"), hint);
                self.recover(start);
            }
            Some(b'<' | b'>') => {
                let at = self.cursor.position();
                let hint = "leave it out: an assignment neither reads nor prints";
                let message = "redirection is refused";
                self.complaints.error(code::REDIRECTION, Span::new(at, at + 1), message, hint);
                self.recover(start);
            }
            Some(_) => self.unexpected(),
        }
    }

    /// `( … )` and `(( … ))`.
    fn refuse_parentheses(&mut self) {
        let at = self.cursor.position();
        let message = "`(` at the beginning of a statement is refused: the file is read, never executed";
        let hint = "leave the subshell or the arithmetic out";
        self.complaints.error(code::COMPOUND, Span::new(at, at + 1), message, hint);
        self.recover(at);
    }

    /// Complains about the next byte, which no statement can begin or go on with, and skips the statement.
    fn unexpected(&mut self) {
        let at = self.cursor.position();
        let message = match self.cursor.peek() {
            Some(byte) => format!("bash does not allow `{}` here", char::from(byte)),
            None => "the file ends in the middle of something".to_owned(),
        };
        self.complaints.error(
            code::UNEXPECTED,
            Span::new(at, at + 1),
            message,
            "quote it if it belongs to a value",
        );
        self.recover(at);
    }
}
