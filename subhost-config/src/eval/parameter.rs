//! `$name` and all forms of `${name…}`.

use super::expand::{Mode, put};
use super::fields::Fields;
use super::{Run, Shell, Stop};
use crate::ast::{Fallback, Operator, Parameter, Part, Replace, Subject, Subscript, Word};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::letters::{CaseChange, case_refusal, change_case};
use crate::lex::{decode_ansi_c, is_name};
use crate::pattern::{Anchor, Pattern};
use crate::quote::{declare_quote, key_quote, reusable_quote};
use crate::shell_variable;
use crate::span::Span;
use crate::value::Value;

/// What a parameter gives.
#[derive(Debug, Clone)]
enum Expansion {
    Unset,
    One(Vec<u8>),
    /// The elements of an array, or `$@`.
    Many {
        values: Vec<Vec<u8>>,
        star: bool,
    },
}

impl Subject {
    /// `NAME[@]` or `NAME[*]`.
    fn is_all(&self) -> bool {
        matches!(self, Self::Variable { subscript: Some(Subscript::All { .. }), .. })
    }
}

impl Expansion {
    fn is_missing(&self, colon: bool) -> bool {
        match self {
            Self::Unset => true,
            Self::One(value) => colon && value.is_empty(),
            Self::Many { values, .. } => values.is_empty(),
        }
    }
}

impl Shell<'_> {
    /// Expands a parameter into fields.
    pub(super) fn parameter(&mut self, parameter: &Parameter, quoted: bool, out: &mut Fields) -> Run {
        let span = parameter.span;
        let subject = if parameter.indirect {
            match self.indirect_subject(&parameter.subject, span)? {
                Indirect::Subject(subject) => subject,
                Indirect::Name(_) if !matches!(parameter.operator, Operator::None) => {
                    let message = "an operator on the name that a reference holds is refused";
                    return self.refuse(code::EXPANSION, span, message, "");
                }
                Indirect::Name(name) => {
                    put(name.as_bytes(), quoted, out);
                    return Ok(());
                }
            }
        } else {
            parameter.subject.clone()
        };
        if let Operator::Fallback { kind, colon, word } = &parameter.operator {
            return self.fallback(&subject, (*kind, *colon, word), quoted, out, span);
        }
        let expansion = match &parameter.operator {
            Operator::Keys => self.keys(&subject, span)?,
            Operator::Names { star } => self.names(&subject, *star, span)?,
            Operator::Length if subject.is_all() => self.count(&subject, span)?,
            operator => {
                let base = self.subject(&subject, matches!(operator, Operator::Transform(b'a')), span)?;
                self.operate(operator, &subject, base, span)?
            }
        };
        let is_default = |joint: &[u8]| joint == b" ";
        if matches!(parameter.operator, Operator::Names { star: false })
            && !out.splits()
            && !is_default(out.separators().joint())
        {
            let message = "`${!prefix@}` as one text, with IFS changed, is refused";
            return self.refuse(code::EXPANSION, span, message, "use `${!prefix*}`");
        }
        let joins_oddly = !quoted && out.splits() && out.separators().joint().is_empty();
        if joins_oddly
            && matches!(expansion, Expansion::Many { .. })
            && !matches!(parameter.operator, Operator::None)
        {
            let message = "a changed list without quotes, with an empty IFS, is refused";
            return self.refuse(code::EXPANSION, span, message, "write it in double quotes");
        }
        self.emit(expansion, quoted, out, span)
    }

    fn emit(&mut self, expansion: Expansion, quoted: bool, out: &mut Fields, span: Span) -> Run {
        match expansion {
            Expansion::Unset => put(b"", quoted, out),
            Expansion::One(bytes) => {
                self.spend(bytes.len(), span)?;
                put(&bytes, quoted, out);
            }
            Expansion::Many { values, star } => {
                self.spend(values.iter().map(Vec::len).sum(), span)?;
                self.step(values.len() as u64, span)?;
                let joins = star && (quoted || !out.splits());
                if joins {
                    let joined = values.join(out.separators().joint());
                    out.literal(&joined, quoted);
                    return Ok(());
                }
                let joint = out.separators().joint();
                if !quoted && out.splits() && !joint.is_empty() {
                    // Bash joins the elements, and splits the whole.
                    let joined = values.join(joint);
                    out.expansion(&joined);
                    return Ok(());
                }
                for (position, value) in values.iter().enumerate() {
                    if position > 0 {
                        out.separator();
                    }
                    if quoted { out.element(value, true) } else { out.expansion(value) }
                }
            }
        }
        Ok(())
    }

    /// `${#NAME[@]}`, for which no value needs to be looked at.
    fn count(&mut self, subject: &Subject, span: Span) -> Run<Expansion> {
        let Subject::Variable { name, .. } = subject else { return Ok(Expansion::Unset) };
        let name = self.referenced(name, span)?;
        self.check_readable(&name, span)?;
        let count = match self.variables.get(&name).map(|variable| &variable.value) {
            None if self.options.unset_is_error => return self.refuse_unset(span),
            None => 0,
            Some(Value::Scalar(_)) => 1,
            Some(Value::Indexed(elements)) => elements.len(),
            Some(Value::Associative(elements)) => elements.len(),
        };
        Ok(Expansion::One(count.to_string().into_bytes()))
    }

    /// What the parameter gives before its operator.
    fn subject(&mut self, subject: &Subject, quietly: bool, span: Span) -> Run<Expansion> {
        let expansion = self.looked_up(subject, quietly, span)?;
        match &expansion {
            Expansion::Unset => {}
            Expansion::One(value) => self.look_at(0, value.len(), span)?,
            Expansion::Many { values, .. } => {
                self.look_at(values.len(), values.iter().map(Vec::len).sum(), span)?;
            }
        }
        Ok(expansion)
    }

    fn looked_up(&mut self, subject: &Subject, quietly: bool, span: Span) -> Run<Expansion> {
        Ok(match subject {
            Subject::Count => Expansion::One(self.positional(span)?.len().to_string().into_bytes()),
            Subject::Status => Expansion::One(self.status.to_string().into_bytes()),
            Subject::Arguments { star } => {
                Expansion::Many { values: self.positional(span)?.to_vec(), star: *star }
            }
            Subject::Positional(number) => {
                let value = self.positional(span)?.get(number - 1).cloned();
                value.map_or(Expansion::Unset, Expansion::One)
            }
            Subject::Variable { name, subscript } => {
                let name = self.referenced(name, span)?;
                self.check_readable(&name, span)?;
                let value = match subscript {
                    None => self.variables.get(&name).and_then(|variable| variable.value.first()),
                    Some(Subscript::One(word)) => {
                        let key = self.read_key(&name, word)?;
                        self.element(&name, &key)
                    }
                    Some(Subscript::All { star }) => {
                        let values = self.variables.get(&name).map(|variable| variable.value.elements());
                        let values: Vec<Vec<u8>> =
                            values.unwrap_or_default().into_iter().map(<[u8]>::to_vec).collect();
                        return Ok(Expansion::Many { values, star: *star });
                    }
                };
                let value = value.map(<[u8]>::to_vec);
                if value.is_none() && !quietly && !self.options.unset_is_error {
                    self.warn_unset(&name, span);
                }
                value.map_or(Expansion::Unset, Expansion::One)
            }
        })
    }

    fn refuse_unset<T>(&mut self, span: Span) -> Run<T> {
        if self.refused_something {
            return Err(Stop::Refused); // what would have set it may be refused, which is complained about
        }
        let message = "this variable is not set, and `set -u` makes that an error";
        self.refuse(code::UNSET, span, message, "write `${NAME:-default}`")
    }

    fn warn_unset(&mut self, name: &str, span: Span) {
        if !self.refused_something {
            let message = format!("{name} is not set above; it is empty here");
            self.complaints.push(Diagnostic::warning(code::UNSET_VARIABLE, message).at(span));
        }
    }

    /// Complains if the file does not determine what the variable holds.
    pub(super) fn check_readable(&mut self, name: &str, span: Span) -> Run {
        self.bring_ifs(name, span);
        if self.variables.declared(name).is_none() && shell_variable::is_set_by_bash(name) {
            let message = format!("{name} is set by bash itself, and is no fact of the file");
            return self.refuse(code::SHELL_VARIABLE_READ, span, message, "set it in the file first");
        }
        Ok(())
    }

    fn operate(
        &mut self,
        operator: &Operator,
        subject: &Subject,
        base: Expansion,
        span: Span,
    ) -> Run<Expansion> {
        if matches!(base, Expansion::Unset) && self.options.unset_is_error {
            return self.refuse_unset(span);
        }
        if matches!(operator, Operator::None) {
            return Ok(base);
        }
        if matches!(base, Expansion::Unset) && !matches!(operator, Operator::Length | Operator::Transform(_))
        {
            return Ok(base); // bash does not look at the operand then
        }
        let is_empty_list =
            matches!(&base, Expansion::Many { values, .. } if values.iter().all(Vec::is_empty));
        let touched = std::mem::take(&mut self.touched);
        let result = self.operate_on(operator, subject, base, span);
        let assigns = self.touched;
        self.touched |= touched;
        if assigns && is_empty_list {
            let message = "an assignment in the operand of an empty list is refused";
            return self.refuse(code::EXPANSION, span, message, "assign in a line of its own");
        }
        result
    }

    fn operate_on(
        &mut self,
        operator: &Operator,
        subject: &Subject,
        base: Expansion,
        span: Span,
    ) -> Run<Expansion> {
        match &base {
            Expansion::One(value) => self.refuse_garbled(value, span)?,
            Expansion::Many { values, .. } => {
                for value in values {
                    self.refuse_garbled(value, span)?;
                }
            }
            Expansion::Unset => {}
        }
        match operator {
            Operator::Length => Ok(Expansion::One(length(&base, subject).to_string().into_bytes())),
            Operator::Substring { offset, length } => {
                self.substring(subject, base, offset, length.as_ref(), span)
            }
            Operator::Transform(letter) => self.transform(*letter, subject, base, span),
            Operator::RemovePrefix { longest, pattern } => {
                let pattern = self.pattern(pattern)?;
                self.map(base, span, |shell, value| {
                    let length = shell.with_steps(span, |steps| pattern.prefix(value, *longest, steps))?;
                    Ok(value[length.unwrap_or(0)..].to_vec())
                })
            }
            Operator::RemoveSuffix { longest, pattern } => {
                let pattern = self.pattern(pattern)?;
                self.map(base, span, |shell, value| {
                    let start = shell.with_steps(span, |steps| pattern.suffix(value, *longest, steps))?;
                    Ok(value[..start.unwrap_or(value.len())].to_vec())
                })
            }
            Operator::Replace { what, pattern, replacement } => {
                let marked = self.marked(pattern)?;
                let empty = marked.bytes().is_empty();
                let pattern = self.pattern_of(&marked, span)?;
                if let Some(reason) = pattern.refusal_of_find() {
                    return self.refuse(code::BAD_PATTERN, span, reason, "");
                }
                let replacement = self.replacement(replacement)?;
                self.map(base, span, |shell, value| {
                    if empty && !matches!(what, Replace::Prefix | Replace::Suffix) {
                        return Ok(value.to_vec());
                    }
                    shell.replaced(value, *what, &pattern, &replacement, span)
                })
            }
            Operator::Case { change, pattern } => {
                let pattern = match pattern {
                    Some(word) => {
                        let marked = self.marked(word)?;
                        let pattern = self.pattern_of(&marked, span)?;
                        let is_quote = |part: &Part| matches!(part, Part::Quoted(_) | Part::Double(_));
                        // An empty one is none, unless it is in quotes.
                        let is_none = marked.bytes().is_empty() && !word.parts().iter().any(is_quote);
                        (!is_none).then_some(pattern)
                    }
                    None => None,
                };
                self.map(base, span, |shell, value| shell.cased(value, *change, pattern.as_ref(), span))
            }
            Operator::None | Operator::Fallback { .. } | Operator::Keys | Operator::Names { .. } => Ok(base),
        }
    }

    /// A text in another case.
    pub(super) fn cased(
        &mut self,
        text: &[u8],
        change: CaseChange,
        pattern: Option<&Pattern>,
        span: Span,
    ) -> Run<Vec<u8>> {
        if let Some(reason) = case_refusal(text) {
            return self.refuse(code::EXPANSION, span, reason, "");
        }
        self.with_steps(span, |steps| change_case(text, change, pattern, steps))
    }

    /// The operator for each element.
    fn map(
        &mut self,
        base: Expansion,
        span: Span,
        mut change: impl FnMut(&mut Self, &[u8]) -> Run<Vec<u8>>,
    ) -> Run<Expansion> {
        Ok(match base {
            Expansion::Unset => Expansion::Unset,
            Expansion::One(value) => Expansion::One(change(self, &value)?),
            Expansion::Many { values, star } => {
                let mut changed = Vec::with_capacity(values.len());
                for value in values {
                    self.step(1, span)?;
                    changed.push(change(self, &value)?);
                }
                Expansion::Many { values: changed, star }
            }
        })
    }

    fn fallback(
        &mut self,
        subject: &Subject,
        (kind, colon, word): (Fallback, bool, &Word),
        quoted: bool,
        out: &mut Fields,
        span: Span,
    ) -> Run {
        let base = self.subject(subject, true, span)?;
        if let (true, Expansion::Many { values, .. }) = (colon, &base)
            && !values.is_empty()
            && values.iter().all(Vec::is_empty)
        {
            // Bash decides it by the words around.
            let message = "whether a list of empty elements counts as empty is not determined";
            return self.refuse(code::EXPANSION, span, message, "leave the colon out");
        }
        let missing = base.is_missing(colon);
        if (kind == Fallback::Instead) == missing {
            // `${x+…}` of what is missing, or any other of what is there.
            return match kind {
                Fallback::Instead => self.emit(Expansion::Unset, quoted, out, span),
                _ => self.emit(base, quoted, out, span),
            };
        }
        match kind {
            Fallback::Use | Fallback::Instead => {
                let parts = match &word.kind {
                    crate::ast::WordKind::Parts(parts) => parts,
                    _ => return self.emit(Expansion::Unset, quoted, out, span),
                };
                if quoted && parts.is_empty() {
                    out.literal(b"", true);
                }
                let parts = self.operand_parts(parts, quoted, word.span)?;
                self.parts(&parts, Mode { quoted, operand: true }, out, word.span)
            }
            Fallback::Assign => {
                let value = self.operand_value(word, quoted)?;
                let value = match subject {
                    Subject::Variable { name, subscript: None } => {
                        self.set_scalar(name, value, span)?;
                        self.subject(subject, true, span)?
                    }
                    Subject::Variable { name, subscript: Some(Subscript::One(key)) } => {
                        self.set_element(name, key, value, span)?;
                        self.subject(subject, true, span)?
                    }
                    _ => {
                        let message = "bash cannot assign to this parameter";
                        return self.refuse(code::EXPANSION, span, message, "");
                    }
                };
                self.emit(value, quoted, out, span)
            }
            Fallback::Fail => {
                let text = self.operand_value(word, quoted)?;
                let text = String::from_utf8_lossy(&text).into_owned();
                let message = match text.is_empty() {
                    true => "the file demands a value that is not there".to_owned(),
                    false => format!("the file demands a value that is not there: {text}"),
                };
                self.refuse(code::DEMANDED, span, message, "set the variable above")
            }
        }
    }

    /// Whether `${…-word}`, with `colon` `${…:-word}`, gives the word.
    pub(super) fn is_missing(&mut self, subject: &Subject, colon: bool, span: Span) -> Run<bool> {
        Ok(self.subject(subject, true, span)?.is_missing(colon))
    }

    /// `:offset:length`
    fn substring(
        &mut self,
        subject: &Subject,
        base: Expansion,
        offset: &Word,
        length: Option<&Word>,
        span: Span,
    ) -> Run<Expansion> {
        let offset = self.arithmetic(offset)?;
        let length = match length {
            Some(length) => Some(self.arithmetic(length)?),
            None => None,
        };
        let was_list = matches!(base, Expansion::Many { .. });
        // Of a list, bash takes what is there after the numbers were computed.
        let base = match subject {
            Subject::Variable { .. } if was_list && !self.is_scalar(subject, span)? => {
                self.subject(subject, true, span)?
            }
            _ => base,
        };
        match self.scalar_as_one(subject, base, span)? {
            Expansion::Unset => Ok(Expansion::Unset),
            Expansion::One(value) => {
                let characters = Characters::of(&value);
                let Some((from, to)) = self.range(offset, length, characters.len(), true, span)? else {
                    if was_list {
                        let message = "a part beyond the end of a text that is used as a list is refused";
                        return self.refuse(code::EXPANSION, span, message, "leave the `[@]` out");
                    }
                    return Ok(Expansion::One(Vec::new()));
                };
                Ok(Expansion::One(value[characters.offset(from)..characters.offset(to)].to_vec()))
            }
            Expansion::Many { values, star } => {
                let values = self.slice(subject, values, offset, length, span)?;
                Ok(Expansion::Many { values, star })
            }
        }
    }

    /// `${NAME[@]:…}` of what is no array cuts its text.
    fn scalar_as_one(&mut self, subject: &Subject, base: Expansion, span: Span) -> Run<Expansion> {
        let (Expansion::Many { values, .. }, Subject::Variable { name, .. }) = (&base, subject) else {
            return Ok(base);
        };
        let name = self.referenced(name, span)?;
        match self.variables.get(&name).map(|variable| &variable.value) {
            Some(Value::Scalar(_)) => Ok(values.first().cloned().map_or(Expansion::Unset, Expansion::One)),
            _ => Ok(base),
        }
    }

    /// Elements of an array by index, or of `$@` by position.
    fn slice(
        &mut self,
        subject: &Subject,
        values: Vec<Vec<u8>>,
        offset: i64,
        length: Option<i64>,
        span: Span,
    ) -> Run<Vec<Vec<u8>>> {
        if length.is_some_and(i64::is_negative) {
            let message = "a negative length of a list is refused by bash too";
            return self.refuse(code::EXPANSION, span, message, "");
        }
        let count = length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(usize::MAX));
        let (end, indices): (i64, Option<Vec<u64>>) = match subject {
            Subject::Variable { name, .. } => {
                let name = self.referenced(name, span)?;
                match self.variables.get(&name).map(|variable| &variable.value) {
                    Some(Value::Associative(_)) => {
                        let message = "a part of an associative array has no defined meaning";
                        return self.refuse(code::EXPANSION, span, message, "name the keys");
                    }
                    Some(Value::Indexed(elements)) => {
                        let indices: Vec<u64> = elements.keys().copied().collect();
                        let last = indices.last().map_or(0, |&last| i64::try_from(last).unwrap_or(i64::MAX));
                        (last.saturating_add(1), Some(indices))
                    }
                    Some(Value::Scalar(_)) | None => return Ok(Vec::new()),
                }
            }
            _ => (i64::try_from(values.len()).unwrap_or(i64::MAX).saturating_add(1), None),
        };
        let positional = matches!(subject, Subject::Arguments { .. });
        let mut start = offset;
        if offset < 0 {
            start = end.saturating_add(offset);
            if start < 0 {
                return Ok(Vec::new());
            }
        }
        if positional {
            if start == 0 {
                let message = "this part of `$@` holds `$0`, which is no fact of the file";
                return self.refuse(code::SPECIAL_PARAMETER, span, message, "");
            }
            start -= 1;
        }
        let skip = match indices {
            Some(indices) => {
                indices.iter().take_while(|&&index| i64::try_from(index).unwrap_or(i64::MAX) < start).count()
            }
            None => usize::try_from(start).unwrap_or(usize::MAX),
        };
        Ok(values.into_iter().skip(skip).take(count).collect())
    }

    /// From and to, in characters; none if it is outside.
    fn range(
        &mut self,
        offset: i64,
        length: Option<i64>,
        size: usize,
        negative_length: bool,
        span: Span,
    ) -> Run<Option<(usize, usize)>> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let from = if offset < 0 { size.saturating_add(offset) } else { offset };
        if from < 0 || from > size {
            return Ok(None);
        }
        let to = match length {
            None => size,
            Some(length) if length < 0 && negative_length => size.saturating_add(length),
            Some(length) => from.saturating_add(length).min(size),
        };
        if to < from {
            let message = "the end of this substring comes before its beginning";
            return self.refuse(code::EXPANSION, span, message, "");
        }
        let narrow = |number| usize::try_from(number).unwrap_or(0);
        Ok(Some((narrow(from), narrow(to))))
    }

    /// The replacement of `${NAME/pattern/replacement}`: texts, and none where the match is put in.
    fn replacement(&mut self, word: &Word) -> Run<Vec<Option<Vec<u8>>>> {
        let holds_list = |part: &Part| match part {
            Part::Double(inside) => {
                inside.iter().any(|part| matches!(part, Part::Parameter(it) if it.names_list()))
            }
            _ => false,
        };
        if word.parts().iter().any(holds_list) {
            let message = "a quoted list in a replacement is refused: bash garbles it";
            return self.refuse(code::EXPANSION, word.span, message, "assign the joined value first");
        }
        let marked = self.marked(word)?;
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        let mut bytes = marked.bytes().iter().zip(marked.quoted()).peekable();
        while let Some((&byte, &quoted)) = bytes.next() {
            match (byte, quoted) {
                (b'&', false) => {
                    pieces.push(Some(std::mem::take(&mut text)));
                    pieces.push(None);
                }
                (b'\\', false) => match bytes.peek() {
                    Some((b'&', _)) => {
                        text.push(b'&');
                        bytes.next();
                    }
                    _ => {
                        let message = "a backslash in the value of this replacement is refused";
                        return self.refuse(code::EXPANSION, word.span, message, "put it in double quotes");
                    }
                },
                _ => text.push(byte),
            }
        }
        pieces.push(Some(text));
        Ok(pieces)
    }

    fn replaced(
        &mut self,
        value: &[u8],
        what: Replace,
        pattern: &Pattern,
        replacement: &[Option<Vec<u8>>],
        span: Span,
    ) -> Run<Vec<u8>> {
        let anchor = match what {
            Replace::Prefix => Anchor::Start,
            Replace::Suffix => Anchor::End,
            Replace::First | Replace::All => Anchor::None,
        };
        let mut result = Vec::new();
        let mut from = 0;
        loop {
            let found = self.with_steps(span, |steps| pattern.find(value, from, anchor, steps))?;
            let Some(found) = found else { break };
            self.step(1, span)?;
            result.extend_from_slice(&value[from..found.start]);
            for piece in replacement {
                result.extend_from_slice(piece.as_deref().unwrap_or(&value[found.clone()]));
            }
            self.spend(replacement.len(), span)?;
            from = found.end;
            if what == Replace::All && found.is_empty() && from < value.len() {
                // Past one character, or it would be found again.
                let next = from + character_length(&value[from..]);
                result.extend_from_slice(&value[from..next]);
                from = next;
            }
            if what != Replace::All || from >= value.len() {
                break;
            }
        }
        result.extend_from_slice(&value[from..]);
        self.spend(result.len(), span)?;
        Ok(result)
    }

    /// `@Q` and the like.
    fn transform(&mut self, letter: u8, subject: &Subject, base: Expansion, span: Span) -> Run<Expansion> {
        let case = match letter {
            b'U' => Some(CaseChange::UpperAll),
            b'L' => Some(CaseChange::LowerAll),
            b'u' => Some(CaseChange::UpperFirst),
            _ => None,
        };
        if let Some(change) = case {
            return self.map(base, span, |shell, value| shell.cased(value, change, None, span));
        }
        match letter {
            b'Q' => self.map(base, span, |_, value| Ok(reusable_quote(value))),
            b'E' => self.map(base, span, |shell, value| match decode_ansi_c(value) {
                Ok(decoded) => Ok(decoded),
                Err(_) => shell.refuse(code::BAD_ESCAPE, span, "an escape names no Unicode character", ""),
            }),
            b'a' => self.attributes_of(subject, base, span),
            b'k' | b'K' => self.pairs(letter, subject, base, span),
            _ => self.assignment_of(subject, base, span),
        }
    }

    fn attributes_of(&mut self, subject: &Subject, base: Expansion, span: Span) -> Run<Expansion> {
        let Subject::Variable { name, .. } = subject else {
            return self.refuse(code::EXPANSION, span, "`@a` of a positional parameter is refused", "");
        };
        let name = self.referenced(name, span)?;
        let Some(variable) = self.variables.declared(&name) else { return Ok(base) };
        let (letters, is_set) = (variable.letters().into_bytes(), variable.is_set);
        Ok(match base {
            Expansion::Many { star, .. } if letters.is_empty() => {
                Expansion::Many { values: Vec::new(), star }
            }
            Expansion::Many { star, .. } if !is_set => Expansion::Many { values: vec![letters], star },
            Expansion::Many { values, star } => Expansion::Many { values: vec![letters; values.len()], star },
            Expansion::Unset if letters.is_empty() => Expansion::Unset,
            _ => Expansion::One(letters),
        })
    }

    /// `@k`: keys and values; `@K`: the same, quoted, as one text.
    fn pairs(&mut self, letter: u8, subject: &Subject, base: Expansion, span: Span) -> Run<Expansion> {
        let base = self.scalar_as_one(subject, base, span)?;
        let Expansion::Many { values, star } = base else {
            return self.map(base, span, |_, value| Ok(reusable_quote(value)));
        };
        if matches!(subject, Subject::Arguments { .. }) {
            return self.refuse(code::EXPANSION, span, "`@k` of the parameters is refused", "");
        }
        let keys = match self.keys(subject, span)? {
            Expansion::Many { values, .. } => values,
            _ => Vec::new(),
        };
        let pairs = keys.into_iter().zip(values);
        if letter == b'k' || pairs.len() == 0 {
            return Ok(Expansion::Many {
                values: pairs.flat_map(|(key, value)| [key, value]).collect(),
                star,
            });
        }
        let quoted = |(key, value): (Vec<u8>, Vec<u8>)| [key_quote(&key), declare_quote(&value)].join(&b' ');
        let mut text = pairs.map(quoted).collect::<Vec<_>>().join(&b' ');
        if let Subject::Variable { name, .. } = subject {
            let name = self.referenced(name, span)?;
            if self.is_associative_name(&name) {
                text.push(b' ');
            }
        }
        Ok(Expansion::One(text))
    }

    /// `@A`: the assignment that would make the variable.
    fn assignment_of(&mut self, subject: &Subject, base: Expansion, span: Span) -> Run<Expansion> {
        let Subject::Variable { name, .. } = subject else {
            return self.refuse(code::EXPANSION, span, "`@A` of a positional parameter is refused", "");
        };
        let name = self.referenced(name, span)?;
        let base = self.scalar_as_one(subject, base, span)?;
        let Some(variable) = self.variables.declared(&name) else { return Ok(base) };
        let letters = variable.letters();
        let mut words: Vec<Vec<u8>> = match letters.is_empty() {
            true => Vec::new(),
            false => vec![b"declare".to_vec(), format!("-{letters}").into_bytes()],
        };
        let value = match &base {
            Expansion::Unset | Expansion::Many { .. } if letters.is_empty() => return Ok(base),
            Expansion::Unset => None,
            Expansion::One(value) => Some(reusable_quote(value)),
            Expansion::Many { .. } => variable.is_set.then(|| variable.value.to_declare_value()),
        };
        words.push(match value {
            Some(value) => [name.as_bytes(), &value].join(&b'='),
            None => name.into_bytes(),
        });
        let Expansion::Many { star, .. } = base else { return Ok(Expansion::One(words.join(&b' '))) };
        if star {
            return Ok(Expansion::One(words.join(&b' ')));
        }
        if self.variables.get("IFS").is_some_and(|ifs| ifs.value.first() != Some(b" \t\n")) {
            let message = "`@A` of an array where IFS is changed is refused";
            return self.refuse(code::EXPANSION, span, message, "");
        }
        Ok(Expansion::Many { values: words, star })
    }

    /// `${!a[@]}`
    fn keys(&mut self, subject: &Subject, span: Span) -> Run<Expansion> {
        let Subject::Variable { name, subscript } = subject else {
            return self.refuse(code::EXPANSION, span, "this form is refused", "");
        };
        let star = matches!(subscript, Some(Subscript::All { star: true }));
        let name = self.referenced(name, span)?;
        self.check_readable(&name, span)?;
        let values = match self.variables.get(&name).map(|variable| &variable.value) {
            None => Vec::new(),
            Some(Value::Scalar(_)) => vec![b"0".to_vec()],
            Some(Value::Indexed(elements)) => {
                elements.keys().map(|index| index.to_string().into_bytes()).collect()
            }
            Some(Value::Associative(elements)) => elements.keys().map(<[u8]>::to_vec).collect(),
        };
        Ok(Expansion::Many { values, star })
    }

    /// `${!prefix@}`
    fn names(&mut self, subject: &Subject, star: bool, span: Span) -> Run<Expansion> {
        let Subject::Variable { name: prefix, .. } = subject else {
            return self.refuse(code::EXPANSION, span, "this form is refused", "");
        };
        if shell_variable::any_has_prefix(prefix) {
            let message = format!("names that begin with {prefix} would hold some of bash's own variables");
            return self.refuse(code::SHELL_VARIABLE_READ, span, message, "use a longer prefix");
        }
        if "IFS".starts_with(prefix.as_str()) {
            self.bring_ifs("IFS", span);
        }
        if star && self.variables.get("IFS").is_some_and(|ifs| ifs.value.first() == Some(b"")) {
            let message = "`${!prefix*}` with an empty IFS is refused";
            return self.refuse(code::EXPANSION, span, message, "use `${!prefix@}`");
        }
        let names = self.variables.names().filter(|name| name.starts_with(prefix));
        let values = names.map(|name| name.as_bytes().to_vec()).collect();
        Ok(Expansion::Many { values, star })
    }

    /// What `${!name}` means.
    fn indirect_subject(&mut self, subject: &Subject, span: Span) -> Run<Indirect> {
        if let Subject::Variable { name, subscript: None } = subject {
            let declared = self.variables.declared(name);
            if declared.is_some_and(|variable| variable.attributes.reference) {
                return Ok(Indirect::Name(self.referenced(name, span)?));
            }
        }
        let Expansion::One(target) = self.subject(subject, true, span)? else {
            let message = "the variable that should hold a name is not set";
            return self.refuse(code::EXPANSION, span, message, "");
        };
        match subject_of(&target, span) {
            Some(subject) => Ok(Indirect::Subject(subject)),
            None => {
                let target = String::from_utf8_lossy(&target);
                let message = format!("`{target}` is no name of a variable");
                self.refuse(code::EXPANSION, span, message, "")
            }
        }
    }
}

/// What an indirection gives.
enum Indirect {
    Subject(Subject),
    /// The variable was a reference: the name itself is the value.
    Name(String),
}

/// The parameter that a text names.
fn subject_of(text: &[u8], span: Span) -> Option<Subject> {
    let variable = |name: &[u8], subscript| {
        let name = String::from_utf8(name.to_vec()).ok().filter(|name| is_name(name.as_bytes()))?;
        Some(Subject::Variable { name, subscript })
    };
    let Some(open) = text.iter().position(|&byte| byte == b'[') else {
        return variable(text, None);
    };
    let inside = text[open + 1..].strip_suffix(b"]")?;
    let subscript = match inside {
        b"@" => Subscript::All { star: false },
        b"*" => Subscript::All { star: true },
        // Anything else that bash would expand once more.
        _ if inside.is_empty() || inside.iter().any(|byte| b"$`'\"\\[]".contains(byte)) => return None,
        _ => Subscript::One(Word::of_literal(inside, span)),
    };
    variable(&text[..open], Some(subscript))
}

fn length(base: &Expansion, subject: &Subject) -> usize {
    match base {
        Expansion::Unset => 0,
        Expansion::One(value) => match subject {
            Subject::Count | Subject::Status => value.len(),
            _ => Characters::of(value).len(),
        },
        Expansion::Many { values, .. } => values.len(),
    }
}

/// Where the characters of a text begin; a byte that is no UTF-8 is one by itself.
struct Characters {
    starts: Vec<usize>,
    end: usize,
}

impl Characters {
    fn of(text: &[u8]) -> Self {
        let mut starts = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            starts.push(at);
            at += character_length(&text[at..]);
        }
        Self { starts, end: text.len() }
    }

    fn len(&self) -> usize {
        self.starts.len()
    }

    fn offset(&self, character: usize) -> usize {
        self.starts.get(character).copied().unwrap_or(self.end)
    }
}

/// Bytes of the first character.
fn character_length(text: &[u8]) -> usize {
    let length = match text.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => return 1,
    };
    let is_character = text.get(..length).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok());
    if is_character { length } else { 1 }
}
