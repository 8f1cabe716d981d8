//! Getting behind a statement that is refused, so that the rest of the file is looked at too.

use super::{HereDocument, Parser, take_parentheses};
use crate::code;
use crate::lex::{Cursor, Frame, SkipError, skip_nested, skip_word};
use crate::span::Span;

/// Compound commands inside each other; the same limit as for substitutions.
const MAX_DEPTH: usize = 200;

/// What closes a compound command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closer {
    Fi,
    Esac,
    Done,
    Brace,
    Brackets,
    Paren,
}

/// How far the skipping of one statement has come.
struct Skipper<'a, 'text> {
    cursor: &'a mut Cursor<'text>,
    open: Vec<(Closer, Span)>,
    here_documents: Vec<HereDocument>,
    /// Whether a word here would be the name of a command.
    command: bool,
    /// Whether the statement goes on over a newline: behind `&&`, `||`, `|` and `f ()`.
    joined: bool,
}

impl Parser<'_> {
    /// Skips from here to the end of the statement that began at `start`, with all that is open in it.
    pub(super) fn recover(&mut self, start: usize) {
        let command = self.cursor.position() == start;
        let mut skipper = Skipper {
            cursor: &mut self.cursor,
            open: Vec::new(),
            here_documents: Vec::new(),
            command,
            joined: false,
        };
        let result = skipper.run();
        let open = skipper.open.last().map(|&(_, span)| span);
        let Err(error) = result else { return };
        self.cursor = self.cursor.at_end();
        let span = open.unwrap_or(Span::new(start, start + 1));
        match error {
            SkipError::Unclosed if self.complaints.ran_to_end() => {}
            SkipError::Unclosed => {
                let message = "something that begins here is never closed";
                self.complaints.error(code::UNCLOSED_CONSTRUCT, span, message, "");
            }
            SkipError::TooDeep => self.complaints.error(code::TOO_DEEP, span, "nested too deeply", ""),
        }
    }
}

impl Skipper<'_, '_> {
    /// Skips up to the end of the statement.
    fn run(&mut self) -> Result<(), SkipError> {
        loop {
            if self.open.len() > MAX_DEPTH {
                return Err(SkipError::TooDeep);
            }
            self.cursor.skip_blanks();
            let Some(byte) = self.cursor.peek() else {
                return if self.open.is_empty() { Ok(()) } else { Err(SkipError::Unclosed) };
            };
            match byte {
                b'\n' => {
                    self.cursor.bump();
                    self.skip_here_documents();
                    if self.open.is_empty() && !self.joined {
                        return Ok(());
                    }
                    self.command = true;
                }
                b'#' => self.cursor.skip_comment(),
                b';' | b'&' | b'|' => {
                    if self.operator() {
                        return Ok(());
                    }
                }
                b'(' => self.open_paren()?,
                b')' => self.close_paren(),
                b'<' | b'>' => self.redirection()?,
                _ => self.word()?,
            }
        }
    }

    /// Takes a control operator; true if the statement ends with it.
    fn operator(&mut self) -> bool {
        let mut operator = Vec::new();
        while let Some(byte @ (b';' | b'&' | b'|')) = self.cursor.peek() {
            operator.push(byte);
            self.cursor.bump();
        }
        if operator == b"&" && self.cursor.peek() == Some(b'>') {
            return false; // `&>`: a redirection
        }
        self.command = true;
        self.joined = matches!(operator.as_slice(), b"&&" | b"||" | b"|" | b"|&");
        self.open.is_empty() && !self.joined
    }

    /// `(`: a subshell, or `(( … ))`, which is skipped at once.
    fn open_paren(&mut self) -> Result<(), SkipError> {
        let at = self.cursor.position();
        self.cursor.bump();
        if self.cursor.peek() == Some(b'(') {
            // `((…))`: arithmetic, in which `<<` and `;` mean something else.
            skip_nested(self.cursor, Frame::Paren)?;
            self.command = false;
        } else {
            self.open.push((Closer::Paren, Span::new(at, at + 1)));
            self.command = true;
        }
        self.joined = false;
        Ok(())
    }

    /// `)`: of a subshell, or of a pattern of `case`.
    fn close_paren(&mut self) {
        self.cursor.bump();
        match self.open.last() {
            Some((Closer::Paren, _)) => {
                self.open.pop();
                self.command = matches!(self.open.last(), Some((Closer::Esac, _)));
            }
            // The end of a pattern: commands follow.
            Some((Closer::Esac, _)) => self.command = true,
            _ => {}
        }
    }

    /// A redirection, but for its word; a here-document is remembered.
    fn redirection(&mut self) -> Result<(), SkipError> {
        let mut operator = Vec::new();
        while let Some(byte @ (b'<' | b'>' | b'&' | b'|')) = self.cursor.peek() {
            if self.cursor.peek_second() == Some(b'(') && operator.is_empty() {
                return self.word(); // process substitution
            }
            operator.push(byte);
            self.cursor.bump();
        }
        if operator == b"<<" {
            let strip_tabs = self.cursor.take(b'-');
            self.cursor.skip_blanks();
            let start = self.cursor.position();
            skip_word(self.cursor)?;
            let delimiter = self.cursor.text_since(start).filter(|byte| !b"'\"\\".contains(byte)).collect();
            let span = Span::new(start, self.cursor.position());
            self.here_documents.push(HereDocument { span, delimiter, strip_tabs });
        }
        Ok(())
    }

    /// Skips the bodies that begin behind a newline.
    fn skip_here_documents(&mut self) {
        for document in std::mem::take(&mut self.here_documents) {
            document.skip(self.cursor);
        }
    }

    /// A word, which may open or close a compound command.
    fn word(&mut self) -> Result<(), SkipError> {
        let start = self.cursor.position();
        let plain = skip_word(self.cursor)?.unwrap_or_default();
        let span = Span::new(start, self.cursor.position());
        let was_command = std::mem::replace(&mut self.command, false);
        self.joined = false;

        let top = self.open.last().map(|&(closer, _)| closer);
        if top == Some(Closer::Brackets) {
            if plain == b"]]" {
                self.open.pop();
            }
            return Ok(());
        }
        if self.cursor.peek() == Some(b'(') && (plain.ends_with(b"=") || plain.is_empty()) {
            // An array literal: no keywords in it.
            self.cursor.bump();
            return skip_nested(self.cursor, Frame::Paren);
        }
        if take_parentheses(self.cursor) {
            self.command = true;
            self.joined = true;
            return Ok(());
        }
        match plain.as_slice() {
            // `case` and `for` have their `in` behind an operand.
            b"in" if top == Some(Closer::Esac) => self.command = true,
            _ if !was_command => {}
            b"if" => self.push(Closer::Fi, span),
            b"while" | b"until" => self.push(Closer::Done, span),
            b"for" | b"select" => {
                self.push(Closer::Done, span);
                self.command = false;
            }
            b"case" => {
                self.push(Closer::Esac, span);
                self.command = false;
            }
            b"{" => self.push(Closer::Brace, span),
            b"[[" => self.push(Closer::Brackets, span),
            b"then" | b"else" | b"elif" | b"do" | b"!" | b"time" | b"coproc" => self.command = true,
            b"function" => {
                self.cursor.skip_blanks();
                skip_word(self.cursor)?;
                take_parentheses(self.cursor);
                self.command = true;
                self.joined = true;
            }
            b"fi" => self.pop(Closer::Fi),
            b"esac" => self.pop(Closer::Esac),
            b"done" => self.pop(Closer::Done),
            b"}" => self.pop(Closer::Brace),
            _ => {}
        }
        Ok(())
    }

    /// Opens a compound command.
    fn push(&mut self, closer: Closer, span: Span) {
        self.open.push((closer, span));
        self.command = true;
    }

    /// Closes the innermost compound command, if it is of this kind.
    fn pop(&mut self, closer: Closer) {
        if self.open.last().is_some_and(|&(open, _)| open == closer) {
            self.open.pop();
        }
    }
}
