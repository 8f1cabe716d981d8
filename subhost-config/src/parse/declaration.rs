//! `declare` and its like.

use std::collections::BTreeSet;

use super::{Parsed, Parser};
use crate::ast::{Declaration, DeclareOptions, Flags, Operand};
use crate::code;
use crate::lex::is_name;

impl Parser<'_> {
    /// From behind the command's name to the end of its operands.
    pub(super) fn declaration(&mut self, command: &str, start: usize) -> Parsed<Declaration> {
        let errors = self.complaints.errors();
        let mut options = DeclareOptions::default();
        match command {
            "export" => options.on.export = true,
            "readonly" => options.on.readonly = true,
            _ => {}
        }
        let operands = self.operands(command, &mut options)?;
        if self.cursor.peek() == Some(b'(') {
            return Err(self.unexpected());
        }
        let span = self.cursor.span_since(start);
        if operands.is_empty() && self.complaints.errors() == errors {
            let message = "a declaration without a name only prints";
            self.complaints.error(code::DECLARATION, span, message, "leave it out");
        }
        self.check_order(&operands);
        let local = matches!(command, "local" | "declare" | "typeset");
        if command == "local" && options.global {
            self.complaints.error(code::DECLARATION, span, "`local -g` makes no sense", "use `declare -g`");
        }
        Ok(Declaration { local, only_local: command == "local", options, operands, span })
    }

    /// The operands, and before them the options, which are put into `options`.
    fn operands(&mut self, command: &str, options: &mut DeclareOptions) -> Parsed<Vec<Operand>> {
        let mut operands = Vec::new();
        let mut only_operands = false;
        loop {
            self.cursor.skip_blanks();
            if self.redirection()? {
                continue;
            }
            if self.at_command_end() {
                return Ok(operands);
            }
            let at = self.cursor.position();
            if let Some(assignment) = self.assignment(true)? {
                operands.push(Operand::Assignment(assignment));
                continue;
            }
            let text = self.peek_name();
            let word = self.word()?;
            let span = self.cursor.span_since(at);
            let may_be_option = operands.is_empty() && !only_operands;
            if is_name(text.as_bytes()) && span.end() - span.start() == text.len() {
                operands.push(Operand::Name { name: text, span });
            } else if may_be_option && text == "--" {
                only_operands = true;
            } else if span.end() - span.start() > text.len() {
                let message = "bash would expand these braces to several operands";
                self.refuse_braces(&word, span, message);
                operands.push(Operand::Word(word));
            } else if !(may_be_option && add_option(command, &text, options)) {
                let message = "this part of the declaration is refused";
                let hint = "what is supported: `-aAgilnrux`, NAME, NAME=value, NAME=( … )";
                self.complaints.error(code::DECLARATION, span, message, hint);
            }
        }
    }

    /// Bash expands scalars before it assigns any of them, and arrays later: what one operand sets, no other
    /// may use or set again.
    fn check_order(&mut self, operands: &[Operand]) {
        if operands.len() < 2 {
            return;
        }
        if let Some(Operand::Word(word)) = operands.iter().find(|it| matches!(it, Operand::Word(_))) {
            let message = "an operand that is to be expanded must be the only one";
            let hint = "write two declarations, one after the other";
            self.complaints.error(code::DECLARATION, word.span, message, hint);
            return;
        }
        let mut names = BTreeSet::new();
        let again: Vec<&str> =
            operands.iter().map(Operand::name).filter(|name| !names.insert(*name)).collect();
        // Any word with an expansion might use anything, by indirection or arithmetic.
        let shares =
            |operand: &&Operand| again.first() == Some(&operand.name()) || operand.uses_others(&names);
        if let Some(operand) = operands.iter().find(shares) {
            let message =
                format!("{} shares a variable with another part of the declaration", operand.name());
            let hint = "write two declarations, one after the other";
            self.complaints.error(code::DECLARATION, operand.span(), message, hint);
        }
    }
}

/// Adds what an option word asks for; false if it asks for anything that is not supported.
fn add_option(command: &str, option: &str, options: &mut DeclareOptions) -> bool {
    let known = match command {
        "export" => "n",
        "readonly" => "aA",
        _ => "aAgilnrux",
    };
    let (on, letters) = match option.as_bytes() {
        [b'-', letters @ ..] => (true, letters),
        [b'+', letters @ ..] if !matches!(command, "export" | "readonly") => (false, letters),
        _ => return false,
    };
    if letters.is_empty() || !letters.iter().all(|&letter| known.contains(char::from(letter))) {
        return false;
    }
    if command == "export" {
        // `export -n` takes the attribute away.
        options.on.export = false;
        options.off.export = true;
        return true;
    }
    for letter in letters {
        if !on && matches!(letter, b'a' | b'A' | b'r' | b'n' | b'g') {
            return false;
        }
        let flags: &mut Flags = if on { &mut options.on } else { &mut options.off };
        match letter {
            b'a' => options.indexed = true,
            b'A' => options.associative = true,
            b'g' => options.global = true,
            b'i' => flags.integer = true,
            b'l' => flags.lower = true,
            b'u' => flags.upper = true,
            b'n' => flags.reference = true,
            b'r' => flags.readonly = true,
            _ => flags.export = true,
        }
    }
    true
}
