//! Statements that begin with a word: declarations are read, everything else is refused by name.

use std::collections::BTreeSet;

use super::Parser;
use crate::ast::{Declaration, DeclareFlags, Operand, WordPart};
use crate::code;
use crate::lex::{Cursor, WordContext, is_metacharacter, is_name, skip_word};
use crate::span::Span;

impl Parser<'_> {
    /// A declaration, or nothing and a complaint. `assignments` is where assignments before it begin.
    pub(super) fn command(&mut self, assignments: Option<usize>) -> Option<Declaration> {
        let before = self.cursor;
        let start = self.cursor.position();
        let word = skip_word(&mut self.cursor).ok().flatten().unwrap_or_default();
        let span = Span::new(start, self.cursor.position());
        let word = String::from_utf8_lossy(&word).into_owned();

        if let Some(first) = assignments {
            let message = "an assignment before a command is refused";
            let hint = "if the blank belongs to the value, quote the value";
            self.complaints.error(
                code::ASSIGNMENT_BEFORE_COMMAND,
                Span::new(first, span.end()),
                message,
                hint,
            );
        } else if let Some(flags) = flags_of_command(&word) {
            return self.declaration(&word, flags, start);
        } else {
            self.refuse_command(&word, span);
        }
        self.cursor = before;
        self.recover(start);
        None
    }

    fn refuse_command(&mut self, word: &str, span: Span) {
        let mut ahead = self.cursor;
        ahead.skip_blanks();
        if is_compound(word) {
            let message = format!("`{word}` is refused: it cannot be decided without running it");
            self.complaints.error(code::COMPOUND, span, message, "write the assignments that it would leave");
        } else if word == "function" || ahead.peek() == Some(b'(') {
            self.complaints.error(
                code::FUNCTION,
                span,
                "functions are refused",
                "write the values themselves",
            );
        } else {
            let message = match word {
                "" => "a command is refused: the file is read, never executed".to_owned(),
                _ => format!("the command `{word}` is refused: the file is read, never executed"),
            };
            self.complaints.error(code::COMMAND, span, message, command_hint(word, ahead));
        }
    }

    fn declaration(&mut self, command: &str, mut flags: DeclareFlags, start: usize) -> Option<Declaration> {
        let errors = self.complaints.errors();
        let mut operands = Vec::new();
        loop {
            self.cursor.skip_blanks();
            if self.at_statement_end() {
                break;
            }
            let at = self.cursor.position();
            if let Some(assignment) = self.assignment_in(WordContext::Operand) {
                if assignment.subscript.is_some() {
                    self.refuse_operand(assignment.span);
                }
                operands.push(Operand::Assignment(assignment));
                continue;
            }
            let word = skip_word(&mut self.cursor).ok().flatten().unwrap_or_default();
            let span = Span::new(at, self.cursor.position());
            let word = String::from_utf8_lossy(&word).into_owned();
            if is_name(word.as_bytes()) {
                operands.push(Operand::Name { name: word, span });
                continue;
            }
            let added = if operands.is_empty() { flags_of_option(command, &word) } else { None };
            match added {
                Some(added) => flags = flags.and(added),
                None => self.refuse_operand(span),
            }
            if self.cursor.position() == at {
                break;
            }
        }
        if operands.is_empty() && self.complaints.errors() == errors {
            let span = Span::new(start, self.cursor.position());
            let message = "a declaration without a name only prints";
            self.complaints.error(code::DECLARATION, span, message, "leave it out");
        }
        self.check_order(&operands);
        self.end_statement(start);
        Some(Declaration { flags, operands })
    }

    /// Bash expands scalars before it assigns any of them, and arrays later: what one operand sets, no other
    /// may use or set again.
    fn check_order(&mut self, operands: &[Operand]) {
        let mut names = BTreeSet::new();
        let again: Vec<&str> =
            operands.iter().map(Operand::name).filter(|name| !names.insert(*name)).collect();
        let shares = |operand: &&Operand| {
            again.first() == Some(&operand.name())
                || operand.words().flat_map(|word| &word.parts).any(|part| match part {
                    WordPart::Variable { name, .. } => {
                        name != operand.name() && names.contains(name.as_str())
                    }
                    WordPart::Text { .. } => false,
                })
        };
        if let Some(operand) = operands.iter().find(shares) {
            let message =
                format!("{} shares a variable with another part of the declaration", operand.name());
            let hint = "write two declarations, one after the other";
            self.complaints.error(code::DECLARATION, operand.span(), message, hint);
        }
    }

    fn refuse_operand(&mut self, span: Span) {
        let message = "this part of the declaration is refused";
        let hint = "what is supported: `-a`, `-x`, `-r`, `-g`, NAME, NAME=value, NAME=( … )";
        self.complaints.error(code::DECLARATION, span, message, hint);
    }
}

/// What a command of this name gives by itself; none if it is no declaration.
fn flags_of_command(word: &str) -> Option<DeclareFlags> {
    let none = DeclareFlags::default();
    match word {
        "declare" | "typeset" => Some(none),
        "export" => Some(DeclareFlags { export: true, ..none }),
        "readonly" => Some(DeclareFlags { readonly: true, ..none }),
        _ => None,
    }
}

/// What an option word of a command adds; none if it asks for anything else.
fn flags_of_option(command: &str, option: &str) -> Option<DeclareFlags> {
    let known = match command {
        "export" => "",
        "readonly" => "a",
        _ => "axrg",
    };
    let letters = option.strip_prefix('-').filter(|letters| !letters.is_empty())?;
    let has = |letter| letters.contains(letter);
    // `-g` only matters in functions.
    letters.chars().all(|letter| known.contains(letter)).then(|| DeclareFlags {
        indexed: has('a'),
        export: has('x'),
        readonly: has('r'),
    })
}

fn is_compound(word: &str) -> bool {
    matches!(
        word,
        "if" | "case" | "for" | "while" | "until" | "select" | "{" | "[[" | "time" | "coproc" | "!"
    )
}

fn command_hint(word: &str, mut after: Cursor<'_>) -> &'static str {
    match word {
        "source" | "." => "includes are not supported: copy the assignments over",
        "unset" | "local" | "let" | "set" | "shopt" | "eval" | "true" | "false" | ":" => {
            "leave it out and write the final values"
        }
        "then" | "else" | "elif" | "fi" | "do" | "done" | "esac" | "in" | "}" | "]]" => {
            "nothing is open here that it could belong to"
        }
        _ if after.peek() == Some(b'=') && is_name(word.as_bytes()) => "write the `=` right behind the name",
        _ if after.peek().is_none_or(is_metacharacter) => "leave it out, or is this a value without quotes?",
        _ => "leave it out, or write the values that it would set",
    }
}
