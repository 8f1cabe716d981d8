//! Which element of an array a subscript means.

use super::expand::is_array;
use super::{Run, Shell};
use crate::ast::Word;
use crate::code;
use crate::span::Span;
use crate::value::Value;

/// Which element of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Index(u64),
    Text(Vec<u8>),
}

impl Shell<'_> {
    /// The element that a subscript means when it is assigned to.
    pub(super) fn write_key(&mut self, name: &str, subscript: &Word) -> Run<Key> {
        if self.is_associative_name(name) {
            self.refuse_quoted_list(subscript)?;
            let key = self.value_keeping_tilde(subscript)?;
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
            let message = format!("index {index} of {name}, which is not an array");
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

    /// The highest index; none of an empty array. A scalar is element 0.
    pub(super) fn last_index(&self, name: &str) -> Option<u64> {
        match &self.variables.get(name)?.value {
            Value::Scalar(_) => Some(0),
            Value::Indexed(elements) => elements.last_key_value().map(|(&index, _)| index),
            Value::Associative(_) => None,
        }
    }

    /// Whether the variable is an associative array now.
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

    /// Where bash expands neither fields nor one value, a quoted list leaves what it should not.
    pub(super) fn refuse_quoted_list(&mut self, word: &Word) -> Run {
        if word.parts().len() > 1 && word.quotes_list() {
            let message = "a quoted list as a part of a key or a value is refused";
            return self.refuse(code::EXPANSION, word.span, message, "assign the joined text first");
        }
        Ok(())
    }

    /// Complains of a key that bash does not allow.
    pub(super) fn check_key(&mut self, key: &[u8], span: Span) -> Run {
        if key.is_empty() {
            let message = "bash does not allow an empty key";
            return self.refuse(code::SUBSCRIPT, span, message, "");
        }
        Ok(())
    }
}
