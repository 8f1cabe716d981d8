//! Assignments, and everything else that changes a variable's value.

use std::collections::BTreeMap;

use super::expand::{is_array, origin_of};
use super::{COST_OF_A_VALUE, Run, Shell};
use crate::arith::Origin;
use crate::ast::{AssignedValue, Assignment, Element, KeyedElement, Part, Word};
use crate::code;
use crate::letters::CaseChange;
use crate::shell_variable;
use crate::span::Span;
use crate::value::Value;
use crate::vars::Variable;

/// Which element of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Index(u64),
    Text(Vec<u8>),
}

/// What is to be put into an array: the text of its subscript, if it has one, and the value.
type Edit<'a> = (Option<(Vec<u8>, &'a KeyedElement)>, Vec<u8>, Span);

/// References that refer to each other; bash gives up sooner.
const MAX_REFERENCES: usize = 8;

impl Shell<'_> {
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
        if shell_variable::has_effect(name) {
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
    fn variable_for_elements(&mut self, name: &str, span: Span) -> &mut Variable {
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

    /// Assigns an array literal.
    pub(super) fn put_array(&mut self, name: &str, literal: &[Element], append: bool, span: Span) -> Run {
        match self.variables.declared(name) {
            Some(Variable { value: Value::Associative(_), .. }) => {
                return self.put_associative(name, literal, append, span);
            }
            Some(variable) if variable.attributes.reference => {
                return self.refuse(code::DECLARATION, span, "a reference cannot be an array", "");
            }
            _ => {}
        }
        if name == "IFS" {
            return self.refuse(code::SHELL_VARIABLE_SET, span, "IFS as an array is refused", "");
        }
        // It is an array, perhaps an empty one, while the words of its own literal are expanded.
        self.touched = true;
        let is_new = self.variables.declared(name).is_none();
        let variable = self.variable_for_elements(name, span);
        variable.is_set |= is_new;
        let keyed = literal.iter().any(|element| matches!(element, Element::Keyed(_)));
        let attributes = variable.attributes;
        if keyed || append || attributes.integer || attributes.lower || attributes.upper {
            return self.put_elements(name, literal, append, span);
        }
        // What nearly every array is: words, one after the other.
        let mut values: Vec<(u64, Vec<u8>)> = Vec::with_capacity(literal.len());
        let mut spans: Vec<(u64, Span)> = Vec::with_capacity(literal.len());
        let mut words = Vec::new();
        self.each(literal, |shell, element| {
            let Element::Word(word) = element else { return Ok(()) };
            shell.word(word, &mut words)?;
            shell.step(1, word.span)?;
            for value in words.drain(..) {
                shell.spend(COST_OF_A_VALUE, word.span)?;
                shell.refuse_garbled(&value, word.span)?;
                let index = values.len() as u64;
                values.push((index, value));
                spans.push((index, word.span));
            }
            Ok(())
        })?;
        let Some(variable) = self.variables.get_mut(name) else { return Ok(()) };
        variable.value = Value::Indexed(values.into_iter().collect());
        variable.element_spans = spans.into_iter().collect();
        variable.is_set = true;
        variable.set_at = span;
        Ok(())
    }

    /// The same where indices, old elements or attributes matter.
    fn put_elements(&mut self, name: &str, literal: &[Element], append: bool, span: Span) -> Run {
        // Bash expands all words before it looks at the first index.
        let mut edits: Vec<Edit<'_>> = Vec::new();
        self.each(literal, |shell, element| {
            shell.step(1, span)?;
            match element {
                Element::Word(word) => {
                    let mut values = Vec::new();
                    shell.word(word, &mut values)?;
                    edits.extend(values.into_iter().map(|value| (None, value, word.span)));
                }
                Element::Keyed(keyed) => {
                    let text = shell.unquoted_arithmetic_text(&keyed.subscript)?;
                    if text.is_empty() {
                        let message = "an empty subscript";
                        return shell.refuse(code::SUBSCRIPT, keyed.span, message, "write a number");
                    }
                    if contains(&text, name.as_bytes()) {
                        let message = "this subscript uses the array that is being assigned";
                        return shell.refuse(code::SUBSCRIPT, keyed.span, message, "write the number itself");
                    }
                    let value = shell.assigned_value(&keyed.value)?;
                    edits.push((Some((text, keyed)), value, keyed.span));
                }
            }
            Ok(())
        })?;
        for (_, value, span) in &edits {
            self.spend(COST_OF_A_VALUE, *span)?;
            self.refuse_garbled(value, *span)?;
        }
        let variable = self.variable_for_elements(name, span);
        variable.is_set = true;
        variable.set_at = span;
        if !append {
            variable.value = Value::Indexed(BTreeMap::new());
            variable.element_spans.clear();
        }
        let mut next = self.last_index(name).map_or(0, |last| last + 1);
        for (keyed, value, span) in edits {
            let mut adds = false;
            if let Some((text, keyed)) = keyed {
                let index = self.integer(&text, origin_of(&keyed.subscript), keyed.span)?;
                next = self.resolved(name, index, keyed.span)?;
                adds = keyed.append;
            }
            if i64::try_from(next).is_err() {
                let message = "the index of this element is beyond what bash can count";
                return self.refuse(code::SUBSCRIPT_RANGE, span, message, "");
            }
            self.put_element(name, Key::Index(next), value, adds, span)?;
            next += 1;
        }
        if let Some(variable) = self.variables.get_mut(name) {
            variable.set_at = span;
        }
        Ok(())
    }

    /// `( [key]=value … )`, or `( key value … )`, for an associative array.
    fn put_associative(&mut self, name: &str, literal: &[Element], append: bool, span: Span) -> Run {
        let mut edits: Vec<(Vec<u8>, Vec<u8>, bool, Span)> = Vec::new();
        if let Some(Element::Word(first)) = literal.first() {
            if self.variables.sources().of(first.span).slice(first.span).starts_with(b"[") {
                let message = "bash takes this for an element without a value";
                return self.refuse(code::SUBSCRIPT, first.span, message, "quote the bracket");
            }
            let mut words = Vec::new();
            for element in literal {
                let Element::Word(word) = element else {
                    let message = "bash takes either keys in brackets or a list of keys and values";
                    return self.refuse(
                        code::SUBSCRIPT,
                        span,
                        message,
                        "write `[key]=value` for all of them",
                    );
                };
                self.refuse_quoted_list(word)?;
                words.push((self.value_with_tilde(word)?, word.span));
            }
            let mut words = words.into_iter();
            while let Some((key, at)) = words.next() {
                let value = words.next().map(|(value, _)| value).unwrap_or_default();
                edits.push((key, value, false, at));
            }
        } else {
            for element in literal {
                let Element::Keyed(keyed) = element else {
                    let message = "an element of an associative array needs its key";
                    return self.refuse(code::SUBSCRIPT, span, message, "write `[key]=value`");
                };
                self.refuse_quoted_list(&keyed.subscript)?;
                self.refuse_quoted_list(&keyed.value)?;
                let key = self.value_with_tilde(&keyed.subscript)?;
                let value = self.value_with_tilde(&keyed.value)?;
                edits.push((key, value, keyed.append, keyed.span));
            }
        }
        for (key, value, _, at) in &edits {
            self.spend(COST_OF_A_VALUE + key.len(), *at)?;
            self.refuse_garbled(key, *at)?;
            self.refuse_garbled(value, *at)?;
            self.check_key(key, *at)?;
        }
        self.touched = true;
        if let Some(variable) = self.variables.get_mut(name) {
            variable.is_set = true;
            variable.set_at = span;
            if let (Value::Associative(elements), false) = (&mut variable.value, append) {
                // `[key]+=` adds to what was there before the literal.
                for (key, value, adds, _) in &mut edits {
                    if std::mem::take(adds) {
                        let before = elements.get(key).cloned().unwrap_or_default();
                        value.splice(..0, before);
                    }
                }
                elements.clear();
            }
        }
        edits.into_iter().try_for_each(|(key, value, adds, at)| {
            self.step(1, at)?;
            self.put_element(name, Key::Text(key), value, adds, at)
        })
    }

    /// Where bash expands neither fields nor one value, a quoted list leaves what it should not.
    fn refuse_quoted_list(&mut self, word: &Word) -> Run {
        let quotes_list = |part: &Part| match part {
            Part::Double(inside) => {
                inside.iter().any(|part| matches!(part, Part::Parameter(it) if it.names_list()))
            }
            _ => false,
        };
        if word.parts().len() > 1 && word.parts().iter().any(quotes_list) {
            let message = "a quoted list as a part of a key or a value is refused";
            return self.refuse(code::EXPANSION, word.span, message, "assign the joined text first");
        }
        Ok(())
    }

    fn check_key(&mut self, key: &[u8], span: Span) -> Run {
        if key.is_empty() {
            let message = "bash does not allow an empty key";
            return self.refuse(code::SUBSCRIPT, span, message, "");
        }
        Ok(())
    }

    /// The element that a subscript means when it is assigned to.
    pub(super) fn write_key(&mut self, name: &str, subscript: &Word) -> Run<Key> {
        if self.is_associative_name(name) {
            self.refuse_quoted_list(subscript)?;
            let key = self.value_with_tilde(subscript)?;
            self.refuse_garbled(&key, subscript.span)?;
            self.check_key(&key, subscript.span)?;
            return Ok(Key::Text(key));
        }
        let index = self.arithmetic(subscript)?;
        Ok(Key::Index(self.resolved(name, index, subscript.span)?))
    }

    /// The same when it is read.
    pub(super) fn read_key(&mut self, name: &str, subscript: &Word) -> Run<Key> {
        if self.is_associative_name(name) {
            return self.write_key(name, subscript);
        }
        let index = self.arithmetic(subscript)?;
        Ok(Key::Index(self.resolved_to_read(name, index, subscript.span)?))
    }

    /// The same as [`resolved`](Self::resolved), but what is no array has no end to count from.
    pub(super) fn resolved_to_read(&mut self, name: &str, index: i64, span: Span) -> Run<u64> {
        let is_array = self.variables.get(name).is_some_and(|variable| is_array(&variable.value));
        if index < 0 && !is_array {
            let message = format!("index {index} of {name}, which is no array");
            return self.refuse(code::SUBSCRIPT_RANGE, span, message, "");
        }
        self.resolved(name, index, span)
    }

    /// The index that a number means, counted from the end if it is negative.
    pub(super) fn resolved(&mut self, name: &str, index: i64, span: Span) -> Run<u64> {
        let resolved = match u64::try_from(index) {
            Ok(index) => Some(index),
            Err(_) => self.last_index(name).and_then(|last| (last + 1).checked_sub(index.unsigned_abs())),
        };
        match resolved {
            Some(index) => Ok(index),
            None => {
                let message = format!("index {index} is before the beginning of the array");
                self.refuse(code::SUBSCRIPT_RANGE, span, message, "")
            }
        }
    }

    fn last_index(&self, name: &str) -> Option<u64> {
        match &self.variables.get(name)?.value {
            Value::Scalar(_) => Some(0),
            Value::Indexed(elements) => elements.last_key_value().map(|(&index, _)| index),
            Value::Associative(_) => None,
        }
    }

    pub(super) fn is_associative_name(&self, name: &str) -> bool {
        let value = self.variables.declared(name).map(|variable| &variable.value);
        matches!(value, Some(Value::Associative(_)))
    }

    /// An element, if it is there. A scalar is element 0.
    pub(super) fn element(&self, name: &str, key: &Key) -> Option<&[u8]> {
        match (&self.variables.get(name)?.value, key) {
            (Value::Scalar(value), Key::Index(0)) => Some(value),
            (Value::Indexed(elements), Key::Index(index)) => elements.get(index).map(Vec::as_slice),
            (Value::Associative(elements), Key::Text(text)) => elements.get(text).map(Vec::as_slice),
            _ => None,
        }
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

fn contains(text: &[u8], name: &[u8]) -> bool {
    text.windows(name.len()).any(|window| window == name)
}
