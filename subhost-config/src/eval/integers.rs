//! Arithmetic with the variables of the run.

use super::key::Key;
use super::{Run, Shell, Stop};
use crate::arith::{ArithError, Cells, Origin, Subscript, evaluate_as};
use crate::code;
use crate::span::Span;

impl Shell<'_> {
    /// The value of an expression, its `$` being expanded already.
    pub(super) fn integer(&mut self, text: &[u8], origin: Origin, span: Span) -> Run<i64> {
        let mut cells = ShellCells { shell: self, span };
        match evaluate_as(origin, text, &mut cells) {
            Ok(value) => Ok(value),
            Err(ArithError::Stop(stop)) => Err(stop),
            Err(ArithError::Message(message)) => {
                self.refuse(code::BAD_ARITHMETIC, span, format!("arithmetic: {message}"), "")
            }
        }
    }
}

/// The variables of the run, as arithmetic sees them.
struct ShellCells<'a, 'e> {
    shell: &'a mut Shell<'e>,
    span: Span,
}

impl ShellCells<'_, '_> {
    /// The element that a subscript means, when it is read or when it is written.
    fn key(&mut self, name: &str, subscript: &Subscript, reads: bool) -> Run<Key> {
        match subscript {
            Subscript::Index(index) if reads => {
                Ok(Key::Index(self.shell.resolved_to_read(name, *index, self.span)?))
            }
            Subscript::Index(index) => Ok(Key::Index(self.shell.resolved(name, *index, self.span)?)),
            Subscript::Key(text) if text.is_empty() => {
                self.shell.refuse(code::SUBSCRIPT, self.span, "bash does not allow an empty key", "")
            }
            Subscript::Key(text) => Ok(Key::Text(text.clone())),
        }
    }
}

impl Cells for ShellCells<'_, '_> {
    type Stop = Stop;

    fn is_associative(&self, name: &str) -> bool {
        self.shell.is_associative_name(name)
    }

    fn read(&mut self, name: &str, subscript: Option<&Subscript>) -> Run<Option<Vec<u8>>> {
        let name = self.shell.referenced(name, self.span)?;
        self.shell.check_readable(&name, self.span)?;
        let value = match subscript {
            None => self.shell.variables.get(&name).and_then(|variable| variable.value.first()),
            Some(subscript) => {
                let key = self.key(&name, subscript, true)?;
                self.shell.element(&name, &key)
            }
        };
        let value = value.map(<[u8]>::to_vec);
        if value.is_none() && self.shell.options.unset_is_error {
            let message = format!("{name} is not set, and `set -u` makes that an error");
            return self.shell.refuse(code::UNSET, self.span, message, "");
        }
        Ok(value)
    }

    fn write(&mut self, name: &str, subscript: Option<&Subscript>, value: i64) -> Run {
        let name = self.shell.referenced(name, self.span)?;
        self.shell.check_assignable(&name, true, self.span)?;
        let value = value.to_string().into_bytes();
        match subscript {
            None => self.shell.put_whole(&name, value, false, self.span),
            Some(subscript) => {
                let key = self.key(&name, subscript, false)?;
                self.shell.put_element(&name, key, value, false, self.span)
            }
        }
    }

    fn step(&mut self) -> Run {
        self.shell.step(1, self.span)
    }
}
