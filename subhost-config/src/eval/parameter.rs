//! `$name` and all forms of `${name…}`.
//!
//! First comes what the parameter gives by itself, an [`Expansion`]; then what its operator makes of that; last the
//! fields that the word gets of it.

mod fallback;
mod indirect;
mod part;
mod replace;
mod transform;

use indirect::Indirect;

use super::expand::put;
use super::fields::Fields;
use super::{Run, Shell, Stop};
use crate::ast::{Operator, Parameter, Subject, Subscript};
use crate::code;
use crate::diagnostic::Diagnostic;
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

/// What to say of a variable that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfUnset {
    Warning,
    /// Whoever wrote this counts on it, as in `${NAME-word}`.
    Nothing,
}

impl Shell<'_> {
    /// Expands a parameter into fields.
    pub(super) fn parameter(&mut self, parameter: &Parameter, quoted: bool, out: &mut Fields) -> Run {
        let span = parameter.span;
        let subject = match self.meant(parameter)? {
            Indirect::Subject(subject) => subject,
            Indirect::Name(name) => {
                put(name.as_bytes(), quoted, out);
                return Ok(());
            }
        };
        if matches!(parameter.operator, Operator::Length) {
            self.refuse_length_of_scalar(&subject, span)?;
        }
        let expansion = match &parameter.operator {
            Operator::Fallback { kind, colon, word } => {
                match self.without_fallback(&subject, *kind, *colon, span)? {
                    Some(expansion) => return self.emit(expansion, quoted, out, span),
                    None => return self.fall_back(&subject, *kind, word, quoted, out, span),
                }
            }
            Operator::Keys => self.keys(&subject, span)?,
            Operator::Names { star } => self.names(&subject, *star, span)?,
            Operator::Length if subject.is_all_elements() => self.count(&subject, span)?,
            operator => {
                let of_unset = match operator {
                    Operator::Transform(b'a') => OfUnset::Nothing,
                    _ => OfUnset::Warning,
                };
                let base = self.subject(&subject, of_unset, span)?;
                self.operate(operator, &subject, base, span)?
            }
        };
        self.refuse_odd_joint(&parameter.operator, &expansion, quoted, out, span)?;
        self.emit(expansion, quoted, out, span)
    }

    /// Whose value is meant: the variable that is named, or what an indirection leads to.
    fn meant(&mut self, parameter: &Parameter) -> Run<Indirect> {
        if !parameter.indirect {
            return Ok(Indirect::Subject(parameter.subject.clone()));
        }
        let meant = self.indirect_subject(&parameter.subject, parameter.span)?;
        if matches!(meant, Indirect::Name(_)) && !matches!(parameter.operator, Operator::None) {
            let message = "an operator on the name that a reference holds is refused";
            return self.refuse(code::EXPANSION, parameter.span, message, "");
        }
        Ok(meant)
    }

    /// With IFS changed, bash joins some lists in ways of its own.
    fn refuse_odd_joint(
        &mut self,
        operator: &Operator,
        expansion: &Expansion,
        quoted: bool,
        out: &Fields,
        span: Span,
    ) -> Run {
        let joint = out.separators().joint();
        if matches!(operator, Operator::Names { star: false }) && !out.splits() && joint != b" " {
            let message = "`${!prefix@}` as one text, with IFS changed, is refused";
            return self.refuse(code::EXPANSION, span, message, "use `${!prefix*}`");
        }
        let is_changed_list =
            matches!(expansion, Expansion::Many { .. }) && !matches!(operator, Operator::None);
        if is_changed_list && !quoted && out.splits() && joint.is_empty() {
            let message = "a changed list without quotes, with an empty IFS, is refused";
            return self.refuse(code::EXPANSION, span, message, "write it in double quotes");
        }
        Ok(())
    }

    /// Gives an expansion to the word that it stands in.
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

    /// Behind `set -u`, bash takes what is no array for one that is not set, if its length is asked for with a subscript.
    fn refuse_length_of_scalar(&mut self, subject: &Subject, span: Span) -> Run {
        let Subject::Variable { name, subscript: Some(_) } = subject else { return Ok(()) };
        let name = self.referenced(name, span)?;
        let is_scalar = matches!(self.variables.get(&name).map(|it| &it.value), Some(Value::Scalar(_)));
        if is_scalar && self.options.unset_is_error && !self.refused_something {
            let message = format!("{name} is not an array, which `set -u` makes an error here");
            return self.refuse(code::UNSET, span, message, "write `${#NAME}`, or make it an array");
        }
        Ok(())
    }

    /// What the parameter gives before its operator.
    fn subject(&mut self, subject: &Subject, of_unset: OfUnset, span: Span) -> Run<Expansion> {
        let expansion = self.looked_up(subject, of_unset, span)?;
        match &expansion {
            Expansion::Unset => {}
            Expansion::One(value) => self.look_at(0, value.len(), span)?,
            Expansion::Many { values, .. } => {
                self.look_at(values.len(), values.iter().map(Vec::len).sum(), span)?;
            }
        }
        Ok(expansion)
    }

    /// The same before its steps are taken.
    fn looked_up(&mut self, subject: &Subject, of_unset: OfUnset, span: Span) -> Run<Expansion> {
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
                if value.is_none() && of_unset == OfUnset::Warning && !self.options.unset_is_error {
                    self.warn_unset(&name, span);
                }
                value.map_or(Expansion::Unset, Expansion::One)
            }
        })
    }

    /// Complains that `set -u` makes this an error.
    fn refuse_unset<T>(&mut self, span: Span) -> Run<T> {
        if self.refused_something {
            return Err(Stop::Refused); // what would have set it may be refused, which is complained about
        }
        let message = "this variable is not set, and `set -u` makes that an error";
        self.refuse(code::UNSET, span, message, "write `${NAME:-default}`")
    }

    /// Warns that nothing sets the variable. After a refusal that may be wrong.
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
            let message = format!("{name} is set by bash itself, and is not a fact of the file");
            return self.refuse(code::SHELL_VARIABLE_READ, span, message, "set it in the file first");
        }
        Ok(())
    }

    /// What an operator makes of what the parameter gives.
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

    /// The same, whatever its operand may do meanwhile.
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
            Operator::Length => Ok(Expansion::One(part::length(&base, subject).to_string().into_bytes())),
            Operator::Substring { offset, length } => {
                self.substring(subject, base, offset, length.as_ref(), span)
            }
            Operator::Transform(letter) => self.transform(*letter, subject, base, span),
            Operator::RemovePrefix { longest, pattern } => self.without_prefix(base, pattern, *longest, span),
            Operator::RemoveSuffix { longest, pattern } => self.without_suffix(base, pattern, *longest, span),
            Operator::Replace { what, pattern, replacement } => {
                self.replace(base, *what, pattern, replacement, span)
            }
            Operator::Case { change, pattern } => self.change_case(base, *change, pattern.as_ref(), span),
            Operator::None | Operator::Fallback { .. } | Operator::Keys | Operator::Names { .. } => Ok(base),
        }
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
}
