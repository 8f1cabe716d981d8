//! From words to values.

use std::borrow::Cow;

use super::fields::{Fields, Separators};
use super::{Run, Shell, Stop};
use crate::arith::Origin;
use crate::ast::{Fallback, Operator, Parameter, Part, Subject, Subscript, Word, WordKind};
use crate::code;
use crate::marked::Marked;
use crate::pattern::{Pattern, PatternOptions};
use crate::span::Span;
use crate::value::Value;

/// How the literal parts of a word are meant.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mode {
    /// Inside double quotes.
    pub(super) quoted: bool,
    /// The operand of an unquoted `${…}`, whose literal parts are split too.
    pub(super) operand: bool,
}

impl Shell<'_> {
    /// The words as values, as in an array literal or behind a command: with braces, splitting, file names.
    pub(super) fn words(&mut self, words: &[Word]) -> Run<Vec<Vec<u8>>> {
        let mut values = Vec::with_capacity(words.len());
        self.each(words, |shell, word| shell.word(word, &mut values))?;
        Ok(values)
    }

    /// The same for one word.
    pub(super) fn word(&mut self, word: &Word, values: &mut Vec<Vec<u8>>) -> Run {
        if let Some(text) = self.simple(word) {
            let text = text.to_vec();
            self.spend(text.len(), word.span)?;
            values.push(text);
            return Ok(());
        }
        self.word_of_parts(word.parts(), word.span, values)
    }

    /// The same for one in which something is to be expanded.
    fn word_of_parts(&mut self, parts: &[Part], span: Span, values: &mut Vec<Vec<u8>>) -> Run {
        self.refuse_hidden_tilde(parts, span)?;
        let parts = self.tilde(parts, false, span)?;
        let mut fields = self.fields(true);
        self.parts(&parts, Mode::default(), &mut fields, span)?;
        for field in fields.finish() {
            self.spend(field.bytes().len(), span)?;
            self.file_names(field, &parts, span, values)?;
        }
        Ok(())
    }

    /// The text of a word in which nothing is to be expanded.
    fn simple(&self, word: &Word) -> Option<&[u8]> {
        let text = || self.variables.sources().of(word.span).slice(word.span);
        match word.kind {
            WordKind::Plain => Some(text()),
            WordKind::Quoted => {
                let text = text();
                Some(&text[1..text.len() - 1])
            }
            WordKind::Parts(_) => None,
        }
    }

    /// The word as one value, neither split nor matched with files.
    pub(super) fn value(&mut self, word: &Word) -> Run<Vec<u8>> {
        self.single(word, false)
    }

    /// The same behind `=`, where a tilde counts behind a colon too.
    pub(super) fn assigned_value(&mut self, word: &Word) -> Run<Vec<u8>> {
        self.single(word, true)
    }

    /// The word as one value, with its tildes.
    fn single(&mut self, word: &Word, assignment: bool) -> Run<Vec<u8>> {
        if let Some(text) = self.simple(word) {
            let text = text.to_vec();
            self.spend(text.len(), word.span)?;
            return Ok(text);
        }
        let parts = self.tilde(word.parts(), assignment, word.span)?;
        let marked = self.joined(&parts, Mode::default(), word.span)?;
        Ok(marked.into_bytes())
    }

    /// The word as one value, in which a tilde means nothing.
    pub(super) fn value_keeping_tilde(&mut self, word: &Word) -> Run<Vec<u8>> {
        if self.simple(word).is_some() {
            return self.value(word);
        }
        Ok(self.joined(word.parts(), Mode::default(), word.span)?.into_bytes())
    }

    /// The word as a pattern: one value that knows what was quoted.
    pub(super) fn marked(&mut self, word: &Word) -> Run<Marked> {
        if let Some(text) = self.simple(word) {
            let mut marked = Marked::default();
            marked.push(text, matches!(word.kind, WordKind::Quoted));
            return Ok(marked);
        }
        let parts = self.tilde(word.parts(), false, word.span)?;
        self.joined(&parts, Mode::default(), word.span)
    }

    /// Parts as one value.
    fn joined(&mut self, parts: &[Part], mode: Mode, span: Span) -> Run<Marked> {
        let mut fields = self.fields(false);
        self.parts(parts, mode, &mut fields, span)?;
        let marked = fields.into_one();
        self.spend(marked.bytes().len(), span)?;
        Ok(marked)
    }

    /// The operand of `${…}` as one value; in double quotes if the whole is.
    pub(super) fn operand_value(&mut self, word: &Word, quoted: bool) -> Run<Vec<u8>> {
        let parts = self.tilde(word.parts(), false, word.span)?;
        let marked = self.joined(&parts, Mode { quoted, operand: false }, word.span)?;
        Ok(marked.into_bytes())
    }

    /// The parts of such an operand, with its tilde.
    pub(super) fn operand_parts<'p>(
        &mut self,
        parts: &'p [Part],
        quoted: bool,
        span: Span,
    ) -> Run<Cow<'p, [Part]>> {
        if quoted { Ok(Cow::Borrowed(parts)) } else { self.tilde(parts, false, span) }
    }

    /// The text of an arithmetic expression, with its `$` expanded.
    pub(super) fn arithmetic_text(&mut self, word: &Word) -> Run<Vec<u8>> {
        if word.parts().iter().any(|part| matches!(part, Part::Quoted(_))) {
            let message = "bash does not allow this quote in arithmetic";
            return self.refuse(code::BAD_ARITHMETIC, word.span, message, "leave it out");
        }
        self.unquoted_arithmetic_text(word)
    }

    /// The same where bash takes quotes away, in an array literal.
    pub(super) fn unquoted_arithmetic_text(&mut self, word: &Word) -> Run<Vec<u8>> {
        if let Some(text) = self.simple(word) {
            return Ok(text.to_vec());
        }
        let mut text = Vec::new();
        for part in word.parts() {
            if let Part::Literal(bytes) = part {
                text.extend_from_slice(bytes);
                continue;
            }
            let mode = Mode { quoted: true, operand: false };
            let expanded = self.joined(std::slice::from_ref(part), mode, word.span)?.into_bytes();
            // Brackets or quotes from a value would end a subscript here, and would not in bash.
            if expanded.iter().any(|byte| b"[]\"'\\$`".contains(byte)) {
                let message = "a value with brackets, quotes or the like is refused in arithmetic";
                let hint = "use the name of the variable without `$`";
                return self.refuse(code::BAD_ARITHMETIC, word.span, message, hint);
            }
            text.extend_from_slice(&expanded);
        }
        Ok(text)
    }

    /// The value of an arithmetic expression.
    pub(super) fn arithmetic(&mut self, word: &Word) -> Run<i64> {
        let text = self.arithmetic_text(word)?;
        self.integer(&text, origin_of(word), word.span)
    }

    /// Whether a text matches a pattern, as in `case` and `[[ == ]]`.
    pub(super) fn matches(&mut self, pattern: &Word, text: &[u8]) -> Run<bool> {
        let span = pattern.span;
        let pattern = self.pattern(pattern)?;
        self.with_steps(span, |steps| pattern.matches(text, steps))
    }

    /// A word as a pattern.
    pub(super) fn pattern(&mut self, word: &Word) -> Run<Pattern> {
        let marked = self.marked(word)?;
        self.pattern_of(&marked, word.span)
    }

    /// The same of a text that is expanded already.
    pub(super) fn pattern_of(&mut self, marked: &Marked, span: Span) -> Run<Pattern> {
        self.refuse_garbled(marked.bytes(), span)?;
        let options = PatternOptions { extglob: self.options.extglob, nocase: self.options.nocasematch };
        let pattern = Pattern::new(marked, options);
        if let Some(reason) = pattern.refusal() {
            return self.refuse(code::BAD_PATTERN, span, reason, "");
        }
        Ok(pattern)
    }

    /// A place for the fields of a word.
    fn fields(&self, split: bool) -> Fields {
        let ifs = self.variables.get("IFS").map(|variable| variable.value.first().unwrap_or_default());
        // Unset is not the same as never touched, but means the same.
        Fields::new(Separators::of(ifs), split)
    }

    /// Expands parts one after the other.
    pub(super) fn parts(&mut self, parts: &[Part], mode: Mode, out: &mut Fields, span: Span) -> Run {
        if !out.splits() && parts.iter().any(Part::is_list) && parts.iter().any(Part::quotes_list) {
            let message = "a list in quotes beside one without, in one word, is refused";
            return self.refuse(code::EXPANSION, span, message, "write them as two words");
        }
        self.each(parts, |shell, part| shell.part(part, mode, out, span))
    }

    /// Expands one part.
    fn part(&mut self, part: &Part, mode: Mode, out: &mut Fields, span: Span) -> Run {
        match part {
            Part::Literal(bytes) if mode.operand && !mode.quoted => out.expansion(bytes),
            Part::Literal(bytes) => out.literal(bytes, mode.quoted),
            Part::Quoted(bytes) => out.literal(bytes, true),
            Part::Double(inside) => self.double(inside, out, span)?,
            Part::Parameter(parameter) => {
                if mode.operand && !mode.quoted {
                    self.refuse_list_in_operand(parameter)?;
                }
                self.parameter(parameter, mode.quoted, out)?;
            }
            Part::Arithmetic(text) => {
                let value = self.arithmetic(text)?.to_string();
                put(value.as_bytes(), mode.quoted, out);
            }
            Part::Substitution(substitution) => {
                let value = self.substitution(substitution)?;
                put(&value, mode.quoted, out);
            }
        }
        self.step(1, span)
    }

    /// What stands in double quotes: one field even if empty, but for an empty `"$@"`.
    fn double(&mut self, inside: &[Part], out: &mut Fields, span: Span) -> Run {
        let parameters = || inside.iter().filter_map(Part::as_parameter);
        let (mut has_list, mut has_odd) = (false, false);
        for parameter in parameters() {
            let is_list = self.gives_list(parameter)?;
            has_list |= is_list;
            has_odd |= !is_list && !parameter.is_plain();
        }
        let separates = has_list || parameters().any(Parameter::separates);
        if separates && parameters().any(Parameter::joins_changed) {
            let message =
                "a list joined by `*` beside one by `@` is refused: bash joins it in another way then";
            return self.refuse(code::EXPANSION, span, message, "write them as two words");
        }
        let (before, fields) = (out.silent(), out.count());
        if has_list {
            out.set_silent(true);
        } else {
            out.literal(b"", true);
        }
        let result = self.parts(inside, Mode { quoted: true, operand: false }, out, span);
        out.set_silent(before);
        if has_list && has_odd && out.count() == fields {
            // Whether this is a field depends on how bash came to the empty text.
            let message = "an empty list beside another empty expansion is refused";
            return self.refuse(code::EXPANSION, span, message, "write them as two words");
        }
        result
    }

    /// With IFS changed, a list in the operand of an unquoted `${…-…}` is not split as any other.
    fn refuse_list_in_operand(&mut self, parameter: &Parameter) -> Run {
        let ifs = self.variables.get("IFS").and_then(|ifs| ifs.value.first());
        let is_default = ifs.is_none_or(|ifs| ifs == crate::shell_variable::IFS);
        if !is_default && parameter.is_list() {
            let message = "a list in this place, with IFS changed, is refused";
            return self.refuse(code::EXPANSION, parameter.span, message, "");
        }
        Ok(())
    }

    /// Whether it is a variable that holds one text.
    pub(super) fn is_scalar(&mut self, subject: &Subject, span: Span) -> Run<bool> {
        let Subject::Variable { name, .. } = subject else { return Ok(false) };
        let name = self.referenced(name, span)?;
        Ok(self.variables.get(&name).is_some_and(|variable| !is_array(&variable.value)))
    }

    /// Whether it gives any number of fields in double quotes, none too.
    fn gives_list(&mut self, parameter: &Parameter) -> Run<bool> {
        let Parameter { subject, span, .. } = parameter;
        let is_list = match subject {
            Subject::Variable { name, subscript } if parameter.indirect => {
                self.leads_to_list(name, subscript.as_ref(), *span)?
            }
            subject => subject.is_separate_list(),
        };
        Ok(match &parameter.operator {
            Operator::Length => false,
            Operator::Names { star } => !star,
            // What is put in for an empty list makes a field.
            Operator::Fallback { kind: Fallback::Instead, colon, .. } => {
                is_list && self.is_missing(subject, *colon, *span)?
            }
            Operator::Fallback { .. } => false,
            // A part of a text, if it is no array.
            Operator::Substring { .. } => is_list && !self.is_scalar(subject, *span)?,
            _ => is_list,
        })
    }

    /// Whether the text that `${!NAME}` or `${!NAME[…]}` finds there is `OTHER[@]`.
    fn leads_to_list(&mut self, name: &str, subscript: Option<&Subscript>, span: Span) -> Run<bool> {
        let name = self.referenced(name, span)?;
        let target = match subscript {
            Some(Subscript::One(word)) => {
                let is_plain = |part: &Part| match part {
                    Part::Literal(text) => text.iter().all(u8::is_ascii_alphanumeric),
                    _ => false,
                };
                if !word.parts().iter().all(is_plain) {
                    let message = "a computed subscript in an indirection within quotes is refused";
                    return self.refuse(code::EXPANSION, span, message, "");
                }
                let key = self.read_key(&name, word)?;
                self.element(&name, &key)
            }
            _ => self.variables.get(&name).and_then(|variable| variable.value.first()),
        };
        Ok(target.is_some_and(|target| target.ends_with(b"[@]")))
    }

    /// Bash marks quoting inside its words by these two bytes, and doubles, drops or swaps them nearly
    /// everywhere.
    pub(super) fn refuse_garbled(&mut self, bytes: &[u8], span: Span) -> Run {
        if bytes.iter().any(|byte| matches!(byte, 0x01 | 0x7f)) {
            let message = "bash itself garbles the bytes 0x01 and 0x7f here";
            let hint = "assign the value with a plain `NAME=`";
            return self.refuse(code::GARBLED_BYTE, span, message, hint);
        }
        Ok(())
    }

    /// The positional parameters, which only a function has: those of the file are no facts of the file.
    pub(super) fn positional(&mut self, span: Span) -> Run<&[Vec<u8>]> {
        if self.arguments.is_none() {
            let message = "the positional parameters are those of whoever reads the file";
            self.complaints.error(code::SPECIAL_PARAMETER, span, message, "use them in a function only");
        }
        self.arguments.as_deref().ok_or(Stop::Refused)
    }
}

/// How bash treats the text of an expression.
pub(super) fn origin_of(word: &Word) -> Origin {
    let literal = |part: &Part| matches!(part, Part::Literal(_));
    if word.parts().iter().all(literal) { Origin::Plain } else { Origin::Expanded }
}

/// Puts the result of an expansion.
pub(super) fn put(bytes: &[u8], quoted: bool, out: &mut Fields) {
    if quoted {
        out.literal(bytes, true);
    } else {
        out.expansion(bytes);
    }
}

/// Whether it is an array of either kind.
pub(super) fn is_array(value: &Value) -> bool {
    !matches!(value, Value::Scalar(_))
}
