//! `if`, `case`, loops, groups and functions.

use std::sync::Arc;

use super::simple::is_function_name;
use super::{Broken, Parsed, Parser, take_parentheses};
use crate::ast::{Arm, ArmEnd, Command, Function, List, Word};
use crate::code;
use crate::lex::is_name;
use crate::span::Span;

impl Parser<'_> {
    /// One command of any kind.
    pub(super) fn command(&mut self) -> Parsed<Command> {
        self.nested(|parser| parser.command_inside())
    }

    /// The same one level deeper.
    fn command_inside(&mut self) -> Parsed<Command> {
        let start = self.cursor.position();
        if self.cursor.peek() == Some(b'(') {
            return self.parenthesized();
        }
        if let Some(function) = self.function()? {
            return Ok(function);
        }
        let word = self.peek_plain_word();
        let keyword = ["if", "case", "for", "while", "until", "select", "{", "[[", "time", "coproc"]
            .into_iter()
            .find(|keyword| keyword.as_bytes() == word);
        let Some(keyword) = keyword.filter(|keyword| self.take_reserved(keyword)) else {
            if self.at_closing_word() {
                return Err(self.unexpected());
            }
            return self.simple_command();
        };
        let opened = self.cursor.span_since(start);
        let command = match keyword {
            "if" => self.if_command(opened)?,
            "case" => self.case_command(opened)?,
            "for" => self.for_command(opened)?,
            "while" | "until" => {
                let condition = self.nonempty_list()?;
                let body = self.do_group(opened)?;
                Command::While { until: keyword == "until", condition, body }
            }
            "{" => {
                let list = self.nonempty_list()?;
                self.close("}", opened)?;
                Command::Group(list)
            }
            "[[" => Command::Conditional(self.conditional(opened)?),
            "select" => {
                let command = self.for_command(opened)?;
                self.refuse_compound("select", opened);
                command
            }
            _ => {
                self.cursor.skip_blanks();
                let command = self.command()?;
                self.refuse_compound(keyword, opened);
                command
            }
        };
        self.redirections_behind()?;
        Ok(command)
    }

    /// Takes redirections behind a compound command.
    fn redirections_behind(&mut self) -> Parsed<()> {
        loop {
            self.cursor.skip_blanks();
            if !self.redirection()? {
                return Ok(());
            }
        }
    }

    /// Complains of a compound command that has no place in a configuration.
    fn refuse_compound(&mut self, what: &str, span: Span) {
        let message = format!("`{what}` is refused: the file is read, never executed");
        let hint = "write the assignments that it would leave";
        self.complaints.error(code::COMPOUND, span, message, hint);
    }

    /// `(( … ))`, or a subshell.
    fn parenthesized(&mut self) -> Parsed<Command> {
        let start = self.cursor.position();
        self.cursor.bump();
        let opened = self.cursor.span_since(start);
        if self.cursor.peek() == Some(b'(') {
            self.cursor.bump();
            let text = self.arithmetic(opened)?;
            self.redirections_behind()?;
            return Ok(Command::Arithmetic(text));
        }
        let point = self.point();
        let list = self.nonempty_list()?;
        if !self.cursor.take(b')') {
            return Err(self.unclosed(opened));
        }
        self.redirections_behind()?;
        self.forget_refusals(point);
        let message = "a subshell is refused: the file is read, never executed";
        self.complaints.error(code::COMPOUND, opened, message, "use `{ …; }`, or quote the parenthesis");
        Ok(Command::Group(list))
    }

    /// A function definition, if one begins here.
    fn function(&mut self) -> Parsed<Option<Command>> {
        let start = self.cursor.position();
        let before = self.cursor;
        let by_keyword = self.take_reserved("function");
        self.cursor.skip_blanks();
        let name = self.peek_name();
        self.cursor.advance(name.len());
        let parentheses = !name.is_empty() && !name.contains('=') && take_parentheses(&mut self.cursor);
        if !parentheses && !by_keyword {
            self.cursor = before;
            return Ok(None);
        }
        let span = self.cursor.span_since(start);
        self.skip_to_command();
        let starts_compound = self.cursor.peek() == Some(b'(')
            || ["{", "if", "case", "for", "while", "until", "select", "[["]
                .iter()
                .any(|word| self.at_reserved(word));
        if !starts_compound {
            return Err(self.unexpected());
        }
        if is_function_name(&name) {
            self.functions.insert(name.clone());
        } else {
            let message = format!("a function named `{name}` is refused: it would replace a command of bash");
            self.complaints.error(code::FUNCTION, span, message, "give it another name");
        }
        let point = self.point();
        let body = self.command()?;
        let refusals = self.take_refusals(point);
        Ok(Some(Command::Function { name, function: Arc::new(Function { body, refusals }) }))
    }

    /// From behind `if`.
    fn if_command(&mut self, opened: Span) -> Parsed<Command> {
        let mut branches = Vec::new();
        let mut otherwise = List::new();
        loop {
            let condition = self.nonempty_list()?;
            self.close("then", opened)?;
            branches.push((condition, self.nonempty_list()?));
            if self.take_reserved("elif") {
                continue;
            }
            if self.take_reserved("else") {
                otherwise = self.nonempty_list()?;
            }
            self.close("fi", opened)?;
            return Ok(Command::If { branches, otherwise });
        }
    }

    /// From behind `for`, of either kind.
    fn for_command(&mut self, opened: Span) -> Parsed<Command> {
        self.cursor.skip_blanks();
        if matches!(self.cursor.rest(), [b'(', b'(', ..]) {
            self.cursor.advance(2);
            let parts = self.arithmetic_triple(opened)?;
            self.cursor.skip_blanks();
            self.cursor.take(b';');
            self.skip_to_command();
            let body = self.loop_body(opened)?;
            return Ok(Command::ArithmeticFor { parts, body });
        }
        let name = self.peek_name();
        if !is_name(name.as_bytes()) {
            return Err(self.unexpected());
        }
        self.cursor.advance(name.len());
        self.skip_to_command();
        let mut words = None;
        if self.take_reserved("in") {
            words = Some(self.arguments()?);
            self.end_of_words()?;
        } else if self.cursor.take(b';') {
            self.skip_to_command();
        }
        let body = self.loop_body(opened)?;
        Ok(Command::For { name, words, body })
    }

    /// Takes the `;` or newline behind the words of a loop.
    fn end_of_words(&mut self) -> Parsed<()> {
        self.cursor.skip_blanks();
        match self.cursor.peek() {
            Some(b';') => drop(self.cursor.bump()),
            Some(b'\n' | b'#') => {}
            _ => return Err(self.unexpected()),
        }
        self.skip_to_command();
        Ok(())
    }

    /// `do … done`, or `{ … }` as bash allows for loops.
    fn loop_body(&mut self, opened: Span) -> Parsed<List> {
        if self.take_reserved("{") {
            let list = self.nonempty_list()?;
            self.close("}", opened)?;
            return Ok(list);
        }
        self.do_group(opened)
    }

    /// `do … done`
    fn do_group(&mut self, opened: Span) -> Parsed<List> {
        self.close("do", opened)?;
        let list = self.nonempty_list()?;
        self.close("done", opened)?;
        Ok(list)
    }

    /// From behind `case`.
    fn case_command(&mut self, opened: Span) -> Parsed<Command> {
        self.cursor.skip_blanks();
        let word = self.needed_word()?;
        self.skip_to_command();
        self.close("in", opened)?;
        let mut arms = Vec::new();
        loop {
            self.skip_to_command();
            if self.take_reserved("esac") {
                return Ok(Command::Case { word, arms });
            }
            if self.cursor.peek().is_none() {
                return Err(self.unclosed(opened));
            }
            let (arm, last) = self.arm()?;
            arms.push(arm);
            if last {
                self.close("esac", opened)?;
                return Ok(Command::Case { word, arms });
            }
        }
    }

    /// One arm, and whether it must be the last as nothing ends it.
    fn arm(&mut self) -> Parsed<(Arm, bool)> {
        self.cursor.take(b'(');
        let mut patterns = Vec::new();
        loop {
            self.cursor.skip_blanks();
            patterns.push(self.needed_word()?);
            self.cursor.skip_blanks();
            if self.cursor.take(b')') {
                break;
            }
            if !self.cursor.take(b'|') {
                return Err(self.unexpected());
            }
        }
        let body = self.list()?;
        let ends: [(&[u8], ArmEnd); 3] =
            [(b";;&", ArmEnd::GoOn), (b";;", ArmEnd::Leave), (b";&", ArmEnd::FallThrough)];
        let end = ends.into_iter().find(|(text, _)| self.cursor.rest().starts_with(text));
        let Some((text, end)) = end else {
            return Ok((Arm { patterns, body, end: ArmEnd::Leave }, true));
        };
        self.cursor.advance(text.len());
        Ok((Arm { patterns, body, end }, false))
    }

    /// A word, where bash wants one.
    pub(super) fn needed_word(&mut self) -> Parsed<Word> {
        if self.at_command_end() || matches!(self.cursor.rest(), [b'<' | b'>', next, ..] if *next != b'(') {
            return Err(self.unexpected());
        }
        self.word()
    }

    /// Takes a reserved word that must stand here.
    fn close(&mut self, word: &str, opened: Span) -> Parsed<()> {
        if self.take_reserved(word) {
            return Ok(());
        }
        Err(self.not_closed(opened))
    }

    /// Complains that something is never closed.
    pub(super) fn unclosed(&mut self, opened: Span) -> Broken {
        if !self.complaints.ran_to_end() {
            let message = "this is never closed";
            self.complaints.error(code::UNCLOSED_CONSTRUCT, opened, message, "");
        }
        Broken
    }
}
