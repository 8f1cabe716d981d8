//! From a text to commands. Every refusal of the text is found in one go.

mod array;
mod assignment;
mod brace;
mod compound;
mod condition;
mod declaration;
mod parameter;
mod quotes;
mod recover;
mod simple;
mod substitution;
mod word;

use std::collections::BTreeSet;

use crate::ast::{AndOr, Command, Connector, List, Pipeline, Script};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::lex::{Complaints, Cursor, Mark, is_blank, is_metacharacter};
use crate::span::{Source, Span};

/// Larger texts are refused. Larger than [`load`](fn@crate::load) reads, for those who bring their own.
pub const MAX_SOURCE_BYTES: usize = 32 * 1024 * 1024;

/// Constructs inside each other. A hand-written file has a handful; the limit bounds the stack.
const MAX_DEPTH: usize = 60;

/// What some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a text. The script holds what was understood, the list all that was not.
///
/// With an [error](Diagnostic::is_error) in the list, the script is only good for finding further errors.
pub fn parse(source: &Source) -> (Script, Vec<Diagnostic>) {
    parse_in(source, Surroundings::default())
}

/// What the text of a file cannot tell by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Surroundings {
    /// Its functions may be defined elsewhere.
    pub(crate) included: bool,
    /// `shopt -s extglob` came before.
    pub(crate) extglob: bool,
}

/// The same for a text that an include brings.
pub(crate) fn parse_in(source: &Source, surroundings: Surroundings) -> (Script, Vec<Diagnostic>) {
    let text = source.text();
    let mut complaints = Complaints::default();
    let mut script = Script { source: source.clone(), ..Script::default() };
    if text.len() > MAX_SOURCE_BYTES {
        let message = format!("{} bytes; {MAX_SOURCE_BYTES} is the limit", text.len());
        complaints.error(code::SOURCE_TOO_LARGE, Span::new(source.base(), source.base()), message, "");
        return (script, complaints.into_list());
    }
    let start = check_bytes(source, &mut complaints);
    let mut parser = Parser::new(Cursor::new(text, start, source.base()), surroundings);
    parser.complaints = complaints;
    script.statements = parser.statements();
    script.functions = parser.functions;
    script.refused = parser.complaints.errors() > 0;
    (script, parser.complaints.into_list())
}

/// Complains about what is wrong with the text before any syntax; gives the offset to begin at.
fn check_bytes(source: &Source, complaints: &mut Complaints) -> usize {
    let (text, base) = (source.text(), source.base());
    let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    if start > 0 {
        let message = "the text begins with a byte order mark, which is skipped; bash would stumble over it";
        complaints
            .push(Diagnostic::warning(code::BYTE_ORDER_MARK, message).at(Span::new(base, base + start)));
    }
    if let Some(at) = text.windows(2).position(|pair| pair == b"\r\n").map(|at| at + base) {
        let message = "lines end in CR LF, read as LF; bash would keep the CR as part of the values";
        let warning = Diagnostic::warning(code::CRLF, message).at(Span::new(at, at + 2));
        complaints.push(warning.hint("convert the file with `dos2unix`"));
    }
    if let Some(at) = text.iter().position(|&byte| byte == 0).map(|at| at + base) {
        complaints.error(code::NUL_BYTE, Span::new(at, at + 1), "a NUL byte: this is no text", "");
    }
    start
}

/// The syntax is broken, which is complained about already: what is being read cannot be finished.
#[derive(Debug)]
struct Broken;

/// What reading gives.
type Parsed<T> = Result<T, Broken>;

/// Reads commands one after the other.
struct Parser<'a> {
    cursor: Cursor<'a>,
    complaints: Complaints,
    /// How many constructs are open around.
    depth: usize,
    /// Whether `shopt -s extglob` stands on an earlier line.
    extglob: bool,
    /// What it will be from the next line on.
    extglob_next: bool,
    /// Names of all functions that the text defines.
    functions: BTreeSet<String>,
    unknown: Vec<UnknownCommand>,
    /// Whether an include may define further functions.
    includes: bool,
    /// Here-documents whose body is still to come.
    here_documents: Vec<HereDocument>,
    /// What braces may still cost.
    braces: usize,
    /// How many `$( … )` are open around.
    substitutions: usize,
}

/// Where lists of the parser end, so that what came since can be taken back.
#[derive(Clone, Copy)]
struct Point {
    mark: Mark,
    unknown: usize,
}

/// A command that only a function can explain, which may be defined later.
struct UnknownCommand {
    name: String,
    span: Span,
    /// Where the statement that it is in stands in the list, if it does.
    statement: Option<usize>,
}

/// A here-document whose body is still to come.
struct HereDocument {
    /// Where it is announced.
    span: Span,
    delimiter: Vec<u8>,
    strip_tabs: bool,
}

impl HereDocument {
    /// Skips the body; false if the text ends before it does.
    fn skip(&self, cursor: &mut Cursor<'_>) -> bool {
        while cursor.peek_raw().is_some() {
            let mut line = Vec::new();
            while let Some(byte) = cursor.bump_raw().filter(|&byte| byte != b'\n') {
                if !(self.strip_tabs && line.is_empty() && byte == b'\t') {
                    line.push(byte);
                }
            }
            if line == self.delimiter {
                return true;
            }
        }
        false
    }
}

/// Takes `( )`, perhaps behind blanks, as it stands behind the name of a function; false if it does not follow.
fn take_parentheses(cursor: &mut Cursor<'_>) -> bool {
    let mut ahead = *cursor;
    ahead.skip_blanks();
    if !ahead.take(b'(') {
        return false;
    }
    while ahead.peek().is_some_and(is_blank) {
        ahead.bump();
    }
    let found = ahead.take(b')');
    if found {
        *cursor = ahead;
    }
    found
}

impl<'a> Parser<'a> {
    /// Begins at the cursor, with nothing open.
    fn new(cursor: Cursor<'a>, surroundings: Surroundings) -> Self {
        Self {
            cursor,
            complaints: Complaints::default(),
            depth: 0,
            extglob: surroundings.extglob,
            extglob_next: surroundings.extglob,
            functions: BTreeSet::new(),
            unknown: Vec::new(),
            includes: surroundings.included,
            here_documents: Vec::new(),
            braces: brace::MAX_WORK,
            substitutions: 0,
        }
    }
}

impl Parser<'_> {
    /// All statements of the text but those that are refused.
    fn statements(&mut self) -> Vec<AndOr> {
        let mut statements: Vec<AndOr> = Vec::new();
        while !self.complaints.is_full() {
            self.skip_to_command();
            if self.cursor.peek().is_none() {
                break;
            }
            let (start, errors, known) = (self.cursor, self.complaints.errors(), self.unknown.len());
            let statement = self.statement();
            if let Ok(statement) = &statement {
                self.note_extglob(statement);
            }
            // A statement with something refused in it leaves no variable half set.
            let is_kept = statement.is_ok() && self.complaints.errors() == errors;
            let number = if is_kept { Some(statements.len()) } else { None };
            self.unknown[known..].iter_mut().for_each(|unknown| unknown.statement = number);
            match statement {
                Ok(statement) if is_kept => statements.push(statement),
                Ok(_) => {}
                Err(Broken) => {
                    self.cursor = start;
                    self.depth = 0;
                    self.recover(start.position());
                }
            }
        }
        for document in std::mem::take(&mut self.here_documents) {
            self.unclosed(document.span);
        }
        let refused = self.refuse_unknown();
        let mut number = 0;
        statements.retain(|_| {
            number += 1;
            !refused.contains(&(number - 1))
        });
        statements
    }

    /// Complains about commands that no function explains; gives the places of their statements in the list.
    fn refuse_unknown(&mut self) -> BTreeSet<usize> {
        let mut refused = BTreeSet::new();
        for UnknownCommand { name, span, statement } in std::mem::take(&mut self.unknown) {
            if !self.includes && !self.functions.contains(&name) {
                self.refuse_command(&name, span);
                refused.extend(statement);
            }
        }
        refused
    }

    /// One statement and what ends it.
    fn statement(&mut self) -> Parsed<AndOr> {
        let statement = self.and_or()?;
        if !self.end_of_statement()? {
            return Err(self.unexpected());
        }
        Ok(statement)
    }

    /// Commands up to what closes them, which stays.
    fn list(&mut self) -> Parsed<List> {
        let mut list = Vec::new();
        loop {
            self.skip_to_command();
            match self.cursor.peek() {
                None | Some(b')') => return Ok(list),
                Some(b';') if matches!(self.cursor.peek_second(), Some(b';' | b'&')) => return Ok(list),
                _ if self.at_closing_word() => return Ok(list),
                _ => list.push(self.and_or()?),
            }
            if !self.end_of_statement()? {
                return Ok(list);
            }
        }
    }

    /// The same where bash wants at least one.
    fn nonempty_list(&mut self) -> Parsed<List> {
        let list = self.list()?;
        if list.is_empty() { Err(self.unexpected()) } else { Ok(list) }
    }

    /// Takes `;`, `&` or a newline; false if there is none, and something else that may end a list follows.
    fn end_of_statement(&mut self) -> Parsed<bool> {
        self.cursor.skip_blanks();
        match self.cursor.peek() {
            None => {}
            Some(b'\n') => self.newline(),
            Some(b'#') => self.cursor.skip_comment(),
            Some(b';') if matches!(self.cursor.peek_second(), Some(b';' | b'&')) => return Ok(false),
            Some(b';') => drop(self.cursor.bump()),
            Some(b'&') => {
                let at = self.cursor.position();
                self.cursor.bump();
                let message = "`&` is refused: nothing is executed, in the background or otherwise";
                let hint = "quote it if it belongs to a value";
                self.complaints.error(code::LIST_OPERATOR, Span::new(at, at + 1), message, hint);
            }
            Some(b')') => return Ok(false),
            Some(_) => return Err(self.unexpected()),
        }
        Ok(true)
    }

    /// `a && b || c`
    fn and_or(&mut self) -> Parsed<AndOr> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.cursor.skip_blanks();
            let connector = match (self.cursor.peek(), self.cursor.peek_second()) {
                (Some(b'&'), Some(b'&')) => Connector::And,
                (Some(b'|'), Some(b'|')) => Connector::Or,
                _ => return Ok(AndOr { first, rest }),
            };
            self.cursor.bump();
            self.cursor.bump();
            self.skip_to_command();
            rest.push((connector, self.pipeline()?));
        }
    }

    /// A command, perhaps with `!` before it. Behind a `|` it is refused as a whole.
    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let start = self.cursor.position();
        let point = self.point();
        let mut negated = false;
        while self.take_reserved("!") {
            negated = !negated;
            self.cursor.skip_blanks();
        }
        let command = self.command()?;
        self.cursor.skip_blanks();
        let bar = self.cursor.position();
        let mut is_pipeline = false;
        while self.cursor.peek() == Some(b'|') && self.cursor.peek_second() != Some(b'|') {
            is_pipeline = true;
            self.cursor.bump();
            self.cursor.take(b'&');
            self.skip_to_command();
            self.command()?;
            self.cursor.skip_blanks();
        }
        if is_pipeline {
            // What is wrong inside does not matter any more.
            self.forget_refusals(point);
            let message = "a pipeline is refused: the file is read, never executed";
            let hint = "write the value itself; quote the `|` if it belongs to a value";
            self.complaints.error(code::LIST_OPERATOR, Span::new(bar, bar + 1), message, hint);
        }
        Ok(Pipeline { negated, command: Box::new(command), span: self.cursor.span_since(start) })
    }

    /// Where the lists of what is wrong end now.
    fn point(&self) -> Point {
        Point { mark: self.complaints.mark(), unknown: self.unknown.len() }
    }

    /// Takes back what was refused since, but not what bash itself could not read, nor what is too large.
    fn take_refusals(&mut self, since: Point) -> Vec<Diagnostic> {
        self.unknown.truncate(since.unknown);
        self.complaints.take_after(since.mark, |complaint| {
            !complaint.code.starts_with("E01") && !complaint.code.starts_with("E04")
        })
    }

    /// Forgets them: what they are in is about to be refused as a whole.
    fn forget_refusals(&mut self, since: Point) {
        drop(self.take_refusals(since));
    }

    /// Goes one construct deeper for as long as `read` takes.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let at = self.cursor.position();
            let message = format!("more than {MAX_DEPTH} constructs inside each other");
            self.complaints.error(code::TOO_DEEP, Span::new(at, at + 1), message, "");
            return Err(Broken);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Takes blanks, newlines and comments.
    fn skip_to_command(&mut self) {
        loop {
            match self.cursor.peek() {
                Some(b' ' | b'\t') => drop(self.cursor.bump()),
                Some(b'\n') => self.newline(),
                Some(b'#') => self.cursor.skip_comment(),
                _ => return,
            }
        }
    }

    /// A plain `shopt -s extglob` changes how bash reads the lines behind it. Inside of anything else it comes
    /// too late for that, or perhaps never.
    fn note_extglob(&mut self, statement: &AndOr) {
        let Command::Call(call) = &*statement.first.command else { return };
        let is_plain = statement.rest.is_empty() && call.name == "shopt";
        let texts: Vec<&[u8]> = call.arguments.iter().map(|word| self.text(word.span)).collect();
        if let (true, [option @ (b"-s" | b"-u"), names @ ..]) = (is_plain, &texts[..])
            && names.contains(&&b"extglob"[..])
        {
            self.extglob_next = *option == b"-s";
            if self.on_new_line() {
                self.extglob = self.extglob_next;
            }
        }
    }

    /// Whether the last that was taken is a newline.
    fn on_new_line(&self) -> bool {
        self.cursor.previous() == Some(b'\n')
    }

    /// Takes a newline, and the here-documents that begin behind it.
    fn newline(&mut self) {
        self.cursor.bump();
        if self.depth == 0 {
            self.extglob = self.extglob_next;
        }
        for document in std::mem::take(&mut self.here_documents) {
            if !document.skip(&mut self.cursor) {
                self.unclosed(document.span);
            }
        }
    }

    /// Whether no further word follows in this command.
    fn at_command_end(&mut self) -> bool {
        match self.cursor.peek() {
            None | Some(b'#') => true,
            Some(b'<' | b'>') => false,
            Some(byte) => is_metacharacter(byte),
        }
    }

    /// Complains that what should close something does not stand here.
    fn not_closed(&mut self, opened: Span) -> Broken {
        match self.cursor.peek() {
            None => self.unclosed(opened),
            Some(_) => self.unexpected(),
        }
    }

    /// Complains about the next byte, which bash does not allow here.
    fn unexpected(&mut self) -> Broken {
        let at = self.cursor.position();
        if self.cursor.peek().is_none() {
            if !self.complaints.ran_to_end() {
                let message = "the file ends in the middle of something";
                self.complaints.error(code::UNCLOSED_CONSTRUCT, Span::new(at, at), message, "");
            }
            return Broken;
        }
        let word = self.peek_plain_word();
        let (length, shown) = match std::str::from_utf8(word) {
            Ok(word) if !word.is_empty() => (word.len(), word.to_owned()),
            _ => (1, char::from(self.cursor.rest()[0]).to_string()),
        };
        let message = format!("bash does not allow `{shown}` here");
        let hint = "quote it if it belongs to a value";
        self.complaints.error(code::UNEXPECTED, Span::new(at, at + length), message, hint);
        Broken
    }
}
