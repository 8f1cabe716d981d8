//! `[[ … ]]`, and what `[` asks the run.

use super::builtins::element_named;
use super::{Run, Shell, Stop};
use crate::arith::Origin;
use crate::ast::{Condition, Word};
use crate::code;
use crate::condition::Facts;
use crate::pattern::{Pattern, PatternOptions};
use crate::regex::regex_matches;
use crate::span::Span;
use crate::value::Value;

impl Shell<'_> {
    /// Whether the inside of `[[ … ]]` holds.
    pub(super) fn condition(&mut self, condition: &Condition) -> Run<bool> {
        match condition {
            Condition::Not(inner) => Ok(!self.condition(inner)?),
            Condition::And(left, right) => Ok(self.condition(left)? && self.condition(right)?),
            Condition::Or(left, right) => Ok(self.condition(left)? || self.condition(right)?),
            Condition::Word(word) => Ok(!self.value(word)?.is_empty()),
            Condition::Unary { operator, operand } => {
                let value = self.value(operand)?;
                self.test_holds(&[operator.clone().into_bytes(), value], operand.span)
            }
            Condition::Binary { operator, left, right, span } => {
                self.comparison(operator, left, right, *span)
            }
        }
    }

    /// `left operator right`
    fn comparison(&mut self, operator: &str, left: &Word, right: &Word, span: Span) -> Run<bool> {
        let value = self.value(left)?;
        match operator {
            "=" | "==" | "!=" => {
                let marked = self.marked(right)?;
                self.refuse_garbled(marked.bytes(), span)?;
                self.refuse_garbled(&value, span)?;
                // Extended patterns are always on here.
                let options = PatternOptions { extglob: true, nocase: self.options.nocasematch };
                let pattern = Pattern::new(&marked, options);
                if let Some(reason) = pattern.refusal() {
                    return self.refuse(code::BAD_PATTERN, span, reason, "");
                }
                let matches = self.with_steps(span, |steps| pattern.matches(&value, steps))?;
                Ok(matches == (operator != "!="))
            }
            "=~" => {
                let expression = self.marked(right)?;
                self.refuse_garbled(expression.bytes(), span)?;
                self.refuse_garbled(&value, span)?;
                self.look_at(1, value.len() + expression.bytes().len(), span)?;
                match regex_matches(&value, &expression, self.options.nocasematch) {
                    Ok(matches) => Ok(matches),
                    Err(reason) => {
                        let hint = "use a pattern, as in `[[ $A == *b* ]]`";
                        self.refuse(code::BAD_REGEX, span, reason, hint)
                    }
                }
            }
            "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" => {
                let other = self.value(right)?;
                let left = self.integer(&value, Origin::Quoted, span)?;
                let right = self.integer(&other, Origin::Quoted, span)?;
                Ok(match operator {
                    "-eq" => left == right,
                    "-ne" => left != right,
                    "-lt" => left < right,
                    "-le" => left <= right,
                    "-gt" => left > right,
                    _ => left >= right,
                })
            }
            _ => {
                let other = self.value(right)?;
                self.test_holds(&[value, operator.as_bytes().to_vec(), other], span)
            }
        }
    }
}

/// What `test` asks.
pub(super) struct ShellFacts<'a, 'e> {
    pub(super) shell: &'a mut Shell<'e>,
    pub(super) span: Span,
}

impl Facts for ShellFacts<'_, '_> {
    type Stop = Stop;

    fn file(&mut self, operator: &[u8], path: &[u8]) -> Run<bool> {
        self.shell.file_test(operator, path, self.span)
    }

    fn files(&mut self, operator: &[u8], _: &[u8], _: &[u8]) -> Run<bool> {
        let message =
            format!("`{}` is refused: the age of files is not a fact", String::from_utf8_lossy(operator));
        self.shell.refuse(code::FILE_ACCESS, self.span, message, "")
    }

    fn is_set(&mut self, name: &[u8]) -> Run<bool> {
        let text = String::from_utf8_lossy(name).into_owned();
        if let Ok(number) = text.parse::<usize>() {
            return Ok(number > 0 && self.shell.positional(self.span)?.len() >= number);
        }
        let Some((name, subscript)) = element_named(name) else {
            let message = format!("`-v {text}` is refused");
            return self.shell.refuse(code::BAD_TEST, self.span, message, "name a variable, or one element");
        };
        let name = self.shell.referenced(name, self.span)?;
        self.shell.check_readable(&name, self.span)?;
        let Some(variable) = self.shell.variables.get(&name) else {
            if let Some(inside) = subscript {
                let word = Word::of_literal(inside.as_bytes(), self.span);
                self.shell.read_key(&name, &word)?;
            }
            return Ok(false);
        };
        match subscript {
            None => Ok(variable.value.first().is_some()),
            Some(inside) => {
                if let (Value::Indexed(elements), true) = (&variable.value, inside.starts_with('-'))
                    && elements.is_empty()
                {
                    return Ok(false);
                }
                let word = Word::of_literal(inside.as_bytes(), self.span);
                let key = self.shell.read_key(&name, &word)?;
                Ok(self.shell.element(&name, &key).is_some())
            }
        }
    }

    fn option(&mut self, name: &[u8]) -> Run<bool> {
        match name {
            b"nounset" => Ok(self.shell.options.unset_is_error),
            _ => self.shell.refuse(code::BAD_TEST, self.span, "`-o` with this option is refused", ""),
        }
    }
}
