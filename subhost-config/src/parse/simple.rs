//! Simple commands: assignments, builtins and functions. Everything else is refused by name.

use super::substitution::COMPUTED;
use super::{Broken, HereDocument, Parsed, Parser, UnknownCommand};
use crate::ast::{Assignment, Call, Command, Word};
use crate::code;
use crate::lex::{is_metacharacter, is_name, skip_word};
use crate::span::Span;

/// Builtins that only compute.
const BUILTINS: &[&str] = &[
    ".", ":", "[", "break", "continue", "false", "let", "printf", "return", "set", "shift", "shopt",
    "source", "test", "true", "unset",
];

impl Parser<'_> {
    /// Assignments, or one command with its arguments.
    pub(super) fn simple_command(&mut self) -> Parsed<Command> {
        let start = self.cursor.position();
        let mut assignments = Vec::new();
        loop {
            self.cursor.skip_blanks();
            if self.redirection()? {
                continue;
            }
            match self.assignment(false)? {
                Some(assignment) => assignments.push(assignment),
                None => break,
            }
        }
        if self.at_command_end() {
            if self.cursor.position() == start {
                return Err(self.unexpected());
            }
            return Ok(Command::Assign(assignments.into_boxed_slice()));
        }
        let at = self.cursor.position();
        let name = self.peek_name();
        if name.is_empty() || self.word_length() != name.len() {
            self.unknown_command(&assignments, start)?;
            return Ok(Command::Group(Vec::new()));
        }
        if assignments.is_empty() && is_declaration(&name) {
            self.cursor.advance(name.len());
            return Ok(Command::Declare(self.declaration(&name, start)?));
        }
        self.word()?;
        let span = self.cursor.span_since(at);
        let arguments = self.arguments()?;
        if self.cursor.peek() == Some(b'(') {
            return Err(self.unexpected());
        }
        if !assignments.is_empty() {
            self.refuse_assignments_before(&assignments, start);
        } else if BUILTINS.contains(&name.as_str()) {
            self.includes |= name == "." || name == "source";
        } else if is_function_name(&name) {
            self.unknown.push(UnknownCommand { name: name.clone(), span, statement: None });
        } else {
            self.refuse_command(&name, span);
        }
        Ok(Command::Call(Call { name, arguments, span: self.cursor.span_since(at) }))
    }

    /// A command whose name is to be expanded first: nobody can say what would run.
    fn unknown_command(&mut self, assignments: &[Assignment], start: usize) -> Parsed<()> {
        let word = self.word()?;
        self.arguments()?;
        self.refuse_assignments_before(assignments, start);
        if assignments.is_empty() {
            let message = "a command is refused: the file is read, never executed";
            let hint = "write the values that it would set";
            self.complaints.error(code::COMMAND, word.span, message, hint);
        }
        Ok(())
    }

    /// Words up to the end of the command.
    pub(super) fn arguments(&mut self) -> Parsed<Vec<Word>> {
        let mut words = Vec::new();
        loop {
            self.cursor.skip_blanks();
            if self.redirection()? {
                continue;
            }
            if self.at_command_end() {
                return Ok(words);
            }
            self.listed_words(|word| words.push(word))?;
        }
    }

    /// Complains of `NAME=value command`.
    fn refuse_assignments_before(&mut self, assignments: &[Assignment], start: usize) {
        if assignments.is_empty() {
            return;
        }
        let message = "an assignment before a command is refused";
        let hint = "if the blank belongs to the value, quote the value";
        let span = self.cursor.span_since(start);
        self.complaints.error(code::ASSIGNMENT_BEFORE_COMMAND, span, message, hint);
    }

    /// Complains of a command that is not computed.
    pub(super) fn refuse_command(&mut self, word: &str, span: Span) {
        let message = format!("the command `{word}` is refused: the file is read, never executed");
        self.complaints.error(code::COMMAND, span, message, command_hint(word));
    }

    /// Takes a redirection, which is refused.
    pub(super) fn redirection(&mut self) -> Parsed<bool> {
        let before = self.cursor;
        let start = self.cursor.position();
        while self.cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.cursor.bump();
        }
        let digits = self.cursor.position() - start;
        let operator = self.redirection_operator();
        if operator.is_empty() || (digits > 0 && operator[0] == b'&') {
            self.cursor = before;
            return Ok(false);
        }
        let span = self.cursor.span_since(start);
        let hint = match operator.as_slice() {
            b"<<" | b"<<<" => "write the text into a quoted value; it may span lines",
            _ => "leave it out: what is evaluated neither reads nor prints",
        };
        self.cursor.skip_blanks();
        let word_start = self.cursor.position();
        if self.at_command_end() {
            return Err(self.unexpected());
        }
        let strip_tabs = operator == b"<<-";
        if operator == b"<<" || strip_tabs {
            skip_word(&mut self.cursor).map_err(|_| self.unexpected())?;
            let quotes = |byte: &u8| !b"'\"\\".contains(byte);
            let delimiter = self.cursor.text_since(word_start).filter(quotes).collect();
            self.here_documents.push(HereDocument { span, delimiter, strip_tabs });
        } else {
            let point = self.point();
            self.word()?;
            self.forget_refusals(point);
        }
        self.complaints.error(code::REDIRECTION, span, "redirection is refused", hint);
        Ok(true)
    }

    /// Takes the operator that follows; empty if none does.
    fn redirection_operator(&mut self) -> Vec<u8> {
        const OPERATORS: [&[u8]; 12] =
            [b"<<-", b"<<<", b"&>>", b"<<", b"<&", b"<>", b"<", b">>", b">&", b">|", b"&>", b">"];
        let rest = self.cursor.rest();
        // `<(` is a process substitution, which is a word.
        if matches!(rest, [b'<' | b'>', b'(', ..]) {
            return Vec::new();
        }
        let operator = OPERATORS.into_iter().find(|operator| rest.starts_with(operator)).unwrap_or_default();
        self.cursor.advance(operator.len());
        operator.to_vec()
    }

    /// The word that begins here if nothing in it is quoted or expanded; else what comes before that.
    pub(super) fn peek_plain_word(&mut self) -> &[u8] {
        self.cursor.peek();
        let rest = self.cursor.rest();
        let special = |byte: &u8| is_metacharacter(*byte) || b"'\"\\$`\r".contains(byte);
        &rest[..rest.iter().position(special).unwrap_or(rest.len())]
    }

    /// The same as a name; empty if it is no UTF-8, which no name is.
    pub(super) fn peek_name(&mut self) -> String {
        String::from_utf8(self.peek_plain_word().to_vec()).unwrap_or_default()
    }

    /// Length of what ends at a metacharacter or at the end of the text, in bytes, whatever is in it.
    pub(super) fn word_length(&mut self) -> usize {
        let mut ahead = self.cursor;
        let start = ahead.position();
        let _ = skip_word(&mut ahead);
        let length = ahead.position() - start;
        // A continuation line, and perhaps nothing more, behind the word.
        let plain = self.peek_plain_word().len();
        let mut behind = self.cursor;
        behind.advance(plain);
        if behind.peek().is_none_or(is_metacharacter) {
            return plain;
        }
        length
    }

    /// Whether this reserved word follows.
    pub(super) fn at_reserved(&mut self, word: &str) -> bool {
        self.peek_plain_word() == word.as_bytes() && self.word_length() == word.len()
    }

    /// Takes a word if it is this reserved one.
    pub(super) fn take_reserved(&mut self, word: &str) -> bool {
        let found = self.at_reserved(word);
        if found {
            self.cursor.advance(word.len());
        }
        found
    }

    /// Whether a word follows that closes or divides a compound command.
    pub(super) fn at_closing_word(&mut self) -> bool {
        const CLOSING: [&[u8]; 10] =
            [b"then", b"elif", b"else", b"fi", b"do", b"done", b"esac", b"}", b"in", b"]]"];
        CLOSING.contains(&self.peek_plain_word()) && self.word_length() == self.peek_plain_word().len()
    }

    /// The text under a span, as it stands.
    pub(super) fn text(&self, span: Span) -> &[u8] {
        self.cursor.text(span)
    }

    /// Complains that something has no place here, and that the statement cannot be finished.
    pub(super) fn broken(&mut self, code: &'static str, span: Span, message: &str, hint: &str) -> Broken {
        self.complaints.error(code, span, message, hint);
        Broken
    }
}

/// Commands whose operands are assignments.
fn is_declaration(word: &str) -> bool {
    matches!(word, "declare" | "typeset" | "local" | "export" | "readonly")
}

/// Whether a function may have this name here. Bash allows more, which nobody uses.
pub(super) fn is_function_name(name: &str) -> bool {
    let ordinary = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:.+@".contains(&byte);
    let taken = BUILTINS.contains(&name)
        || is_declaration(name)
        || is_refused_builtin(name)
        || COMPUTED.contains(&name);
    name.bytes().all(ordinary) && !name.bytes().all(|byte| byte.is_ascii_digit()) && !taken
        || (is_name(name.as_bytes()) && !taken)
}

/// Builtins of bash that do more than compute.
fn is_refused_builtin(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "alias",
        "bg",
        "bind",
        "builtin",
        "caller",
        "cd",
        "command",
        "compgen",
        "complete",
        "compopt",
        "coproc",
        "dirs",
        "disown",
        "echo",
        "enable",
        "eval",
        "exec",
        "exit",
        "fc",
        "fg",
        "getopts",
        "hash",
        "help",
        "history",
        "jobs",
        "kill",
        "logout",
        "mapfile",
        "popd",
        "pushd",
        "pwd",
        "read",
        "readarray",
        "select",
        "suspend",
        "time",
        "times",
        "trap",
        "type",
        "ulimit",
        "umask",
        "unalias",
        "wait",
    ];
    NAMES.contains(&name)
}

/// What to do instead of running a command.
fn command_hint(word: &str) -> &'static str {
    match word {
        "echo" => "leave it out: what is evaluated prints nothing",
        "eval" => "write out the assignment that it would make",
        "exit" => "in a sourced file bash itself would end; write `return`",
        "exec" | "trap" | "cd" | "umask" | "ulimit" => "leave it out: a configuration only sets variables",
        "read" | "mapfile" | "readarray" => "write the values into the file",
        "command" | "type" | "hash" | "which" => {
            "write down what is there, or test for the file with `[ -x FILE ]`"
        }
        "grep" | "sed" | "awk" | "cut" | "tr" => {
            "write the result itself, or use `${NAME%pattern}` and the like"
        }
        _ => "write the values that it would set; a value with blanks needs quotes",
    }
}
