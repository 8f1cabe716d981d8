//! Assignments, and everything else that changes a variable's value.

use std::collections::BTreeMap;

use super::key::Key;
use super::{COST_OF_A_VALUE, Run, Shell};
use crate::arith::Origin;
use crate::ast::{AssignedValue, Assignment, Word};
use crate::code;
use crate::letters::CaseChange;
use crate::shell_variable;
use crate::span::Span;
use crate::value::Value;
use crate::vars::Variable;

/// References that refer to each other; bash gives up sooner.
const MAX_REFERENCES: usize = 8;

impl Shell<'_> {
    /// `NAME=…` and its like.
    pub(super) fn assign(&mut self, assignment: &Assignment) -> Run {
        let span = assignment.span;
        let name = self.referenced(&assignment.name, span)?;
        let keeps_old = assignment.append || assignment.subscript.is_some();
        self.check_assignable(&name, keeps_old, span)?;
        match (&assignment.value, &assignment.subscript) {
            (AssignedValue::Scalar(word), None) => {
                let value = self.assigned_value(word)?;
                self.put_whole(&name, value, assignment.append, span)
            }
            (AssignedValue::Scalar(word), Some(subscript)) => {
                let value = self.assigned_value(word)?;
                let key = self.write_key(&name, subscript)?;
                self.put_element(&name, key, value, assignment.append, span)
            }
            (AssignedValue::Array(elements), _) => self.put_array(&name, elements, assignment.append, span),
        }
    }

    /// The name that a reference, perhaps through others, stands for; any other name itself.
    pub(super) fn referenced(&mut self, name: &str, span: Span) -> Run<String> {
        let mut name = name.to_owned();
        for _ in 0..MAX_REFERENCES {
            match self.variables.declared(&name) {
                Some(Variable { value: Value::Scalar(target), attributes, .. }) if attributes.reference => {
                    name = String::from_utf8_lossy(target).into_owned();
                }
                _ => return Ok(name),
            }
        }
        let message = format!("{name} refers to itself");
        self.refuse(code::DECLARATION, span, message, "")
    }

    /// Puts IFS among the variables as soon as it is named: it is the one that bash sets to a plain value.
    pub(super) fn bring_ifs(&mut self, name: &str, span: Span) {
        if name == "IFS" && !std::mem::replace(&mut self.knows_ifs, true) {
            let ifs = Variable::new(Value::Scalar(shell_variable::IFS.to_vec()), span);
            self.variables.get_or_insert_with(name, || ifs);
        }
    }

    /// Complains if the name cannot be assigned to.
    pub(super) fn check_assignable(&mut self, name: &str, keeps_old: bool, span: Span) -> Run {
        self.bring_ifs(name, span);
        let old = self.variables.declared(name);
        if old.is_some_and(|old| old.attributes.readonly) {
            let message = format!("{name} is readonly");
            return self.refuse(code::READONLY, span, message, "leave one of the assignments out");
        }
        if shell_variable::is_special_to_bash(name) {
            let message = format!("{name} means something to bash itself");
            return self.refuse(code::SHELL_VARIABLE_SET, span, message, "take another name");
        }
        if keeps_old && self.variables.declared(name).is_none() && shell_variable::is_set_by_bash(name) {
            let message = format!("{name} is set by bash itself, and this keeps a part of its value");
            return self.refuse(code::SHELL_VARIABLE_READ, span, message, "assign a value to it first");
        }
        Ok(())
    }

    /// Assigns to a variable by name, as a loop or `${NAME:=…}` does.
    pub(super) fn set_scalar(&mut self, name: &str, value: Vec<u8>, span: Span) -> Run {
        let name = self.referenced(name, span)?;
        self.check_assignable(&name, false, span)?;
        self.put_whole(&name, value, false, span)
    }

    /// The same for `NAME[subscript]`.
    pub(super) fn set_element(&mut self, name: &str, subscript: &Word, value: Vec<u8>, span: Span) -> Run {
        let name = self.referenced(name, span)?;
        self.check_assignable(&name, true, span)?;
        let key = self.write_key(&name, subscript)?;
        self.put_element(&name, key, value, false, span)
    }

    /// Assigns without a subscript: to the scalar, or to element 0 of an array.
    pub(super) fn put_whole(&mut self, name: &str, value: Vec<u8>, append: bool, span: Span) -> Run {
        match self.variables.declared(name).map(|variable| &variable.value) {
            Some(Value::Indexed(_)) => return self.put_element(name, Key::Index(0), value, append, span),
            Some(Value::Associative(_)) => {
                return self.put_element(name, Key::Text(b"0".to_vec()), value, append, span);
            }
            _ => {}
        }
        let value = self.converted(name, None, value, append, span)?;
        self.spend(COST_OF_A_VALUE, span)?;
        self.touched = true;
        match self.variables.get_mut(name) {
            Some(variable) => {
                match &mut variable.value {
                    Value::Scalar(old) if append && variable.is_set && !variable.attributes.integer => {
                        old.extend_from_slice(&value);
                    }
                    old => *old = Value::Scalar(value),
                }
                variable.is_set = true;
                variable.set_at = span;
            }
            None => self.variables.insert(name, Variable::new(Value::Scalar(value), span)),
        }
        self.keep_case(name, None, span)
    }

    /// Assigns to one element. A scalar becomes an array with it as element 0.
    pub(super) fn put_element(
        &mut self,
        name: &str,
        key: Key,
        value: Vec<u8>,
        append: bool,
        span: Span,
    ) -> Run {
        let value = self.converted(name, Some(&key), value, append, span)?;
        self.spend(COST_OF_A_VALUE, span)?;
        self.touched = true;
        let variable = self.variable_for_elements(name, span);
        let adds = append && !variable.attributes.integer;
        variable.is_set = true;
        variable.set_at = span;
        match (&mut variable.value, &key) {
            (Value::Associative(elements), Key::Text(text)) => match elements.get_mut(text) {
                Some(old) if adds => old.extend_from_slice(&value),
                Some(old) => *old = value,
                None => drop(elements.insert(text.clone(), value)),
            },
            (Value::Indexed(elements), Key::Index(index)) => {
                let old = elements.entry(*index).or_default();
                if adds {
                    old.extend_from_slice(&value)
                } else {
                    *old = value
                }
                variable.element_spans.insert(*index, span);
            }
            _ => {}
        }
        self.keep_case(name, Some(&key), span)
    }

    /// The variable, made an indexed array if it is none yet.
    pub(super) fn variable_for_elements(&mut self, name: &str, span: Span) -> &mut Variable {
        if self.variables.declared(name).is_none() {
            let mut variable = Variable::new(Value::Indexed(BTreeMap::new()), span);
            variable.is_set = false;
            self.variables.insert(name, variable);
        }
        let variable = self.variables.get_mut(name).expect("put there above");
        make_indexed(variable);
        variable
    }

    /// What is stored for a value: a number if the variable is an integer. With `append` on an integer, the
    /// sum; else only what is to be added.
    fn converted(
        &mut self,
        name: &str,
        key: Option<&Key>,
        value: Vec<u8>,
        append: bool,
        span: Span,
    ) -> Run<Vec<u8>> {
        let is_integer = self.variables.declared(name).is_some_and(|variable| variable.attributes.integer);
        if !is_integer {
            return Ok(value);
        }
        let mut number = self.integer(&value, Origin::Value, span)?;
        if append {
            let old = match key {
                Some(key) => self.element(name, key),
                None => self.variables.get(name).and_then(|variable| variable.value.first()),
            };
            let old = old.unwrap_or_default().to_vec();
            number = number.wrapping_add(self.integer(&old, Origin::Value, span)?);
        }
        Ok(number.to_string().into_bytes())
    }

    /// Brings a value that was just stored into the case that its variable asks for.
    fn keep_case(&mut self, name: &str, key: Option<&Key>, span: Span) -> Run {
        let Some(variable) = self.variables.declared(name) else { return Ok(()) };
        let change = match (variable.attributes.lower, variable.attributes.upper) {
            (true, _) => CaseChange::LowerAll,
            (_, true) => CaseChange::UpperAll,
            _ => return Ok(()),
        };
        let stored = match key {
            Some(key) => self.element(name, key),
            None => variable.value.first(),
        };
        let stored = stored.unwrap_or_default().to_vec();
        let changed = self.cased(&stored, change, None, span)?;
        let Some(variable) = self.variables.get_mut(name) else { return Ok(()) };
        match (&mut variable.value, key) {
            (Value::Scalar(value), _) => *value = changed,
            (Value::Indexed(elements), Some(Key::Index(index))) => drop(elements.insert(*index, changed)),
            (Value::Associative(elements), Some(Key::Text(text))) => {
                if let Some(value) = elements.get_mut(text) {
                    *value = changed;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A scalar becomes an array with it as element 0.
pub(super) fn make_indexed(variable: &mut Variable) {
    if let Value::Scalar(scalar) = &mut variable.value {
        let scalar = std::mem::take(scalar);
        let elements = if variable.is_set { BTreeMap::from([(0, scalar)]) } else { BTreeMap::new() };
        variable.value = Value::Indexed(elements);
    }
}
