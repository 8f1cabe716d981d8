//! Variables by name, with their attributes and where they were set.

use std::collections::BTreeMap;

use crate::span::{Sources, Span};
use crate::value::Value;

/// The attributes that `declare` and its like give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Attributes {
    /// `-x`
    pub export: bool,
    /// `-r`
    pub readonly: bool,
    /// `-i`: what is assigned is evaluated as arithmetic.
    pub integer: bool,
    /// `-l`: what is assigned becomes lower case.
    pub lower: bool,
    /// `-u`: what is assigned becomes upper case.
    pub upper: bool,
    /// `-n`: the value is the name of the variable that is meant.
    pub reference: bool,
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// The value.
    pub value: Value,
    /// The attributes.
    pub attributes: Attributes,
    /// The last assignment to it or to an element of it.
    pub set_at: Span,
    /// Where each element was set, for indexed arrays.
    pub(crate) element_spans: BTreeMap<u64, Span>,
    /// Whether it has a value; `declare -a NAME` alone gives none.
    pub(crate) is_set: bool,
}

impl Variable {
    pub(crate) fn new(value: Value, set_at: Span) -> Self {
        Self {
            value,
            attributes: Attributes::default(),
            set_at,
            element_spans: BTreeMap::new(),
            is_set: true,
        }
    }

    /// Where this element was set; for a scalar and for what is not there, where the variable was.
    pub fn element_set_at(&self, index: u64) -> Span {
        self.element_spans.get(&index).copied().unwrap_or(self.set_at)
    }

    /// The letters that bash shows for it behind `declare -`, in its order.
    pub(crate) fn letters(&self) -> String {
        let Attributes { export, readonly, integer, lower, upper, reference } = self.attributes;
        let letters = [
            (matches!(self.value, Value::Indexed(_)), 'a'),
            (matches!(self.value, Value::Associative(_)), 'A'),
            (integer, 'i'),
            (reference, 'n'),
            (readonly, 'r'),
            (export, 'x'),
            (lower, 'l'),
            (upper, 'u'),
        ];
        letters.into_iter().filter(|(has, _)| *has).map(|(_, letter)| letter).collect()
    }
}

/// The variables that a configuration leaves, ordered by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    by_name: BTreeMap<String, Variable>,
    sources: Sources,
}

impl Variables {
    pub(crate) fn new(sources: Sources) -> Self {
        Self { by_name: BTreeMap::new(), sources }
    }

    /// The variable of this name, if it has a value.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.by_name.get(name).filter(|variable| variable.is_set)
    }

    /// All that have a value, ordered by name as bytes, which is bash's order too.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Variable)> {
        self.by_name.iter().filter(|(_, variable)| variable.is_set)
    }

    /// How many have a value.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether none has a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts that the spans of the variables, and of all diagnostics of the run, lie in.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The lines that `declare -p` prints for them in bash 5.2, in its order, each with its newline; those
    /// that were declared without a value are among them.
    ///
    /// Which characters bash escapes depends on the Unicode version of its C library; for the newest ones the
    /// text may differ, and is read back the same.
    pub fn to_declare_p(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (name, variable) in &self.by_name {
            let mut letters = variable.letters();
            if letters.is_empty() {
                letters.push('-');
            }
            text.extend_from_slice(format!("declare -{letters} {name}").as_bytes());
            if variable.is_set {
                text.push(b'=');
                text.extend_from_slice(&variable.value.to_declare_value());
            }
            text.push(b'\n');
        }
        text
    }

    /// The variable, whether it has a value or not.
    pub(crate) fn declared(&self, name: &str) -> Option<&Variable> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Variable> {
        self.by_name.get_mut(name)
    }

    pub(crate) fn get_or_insert_with(
        &mut self,
        name: &str,
        make: impl FnOnce() -> Variable,
    ) -> &mut Variable {
        self.by_name.entry(name.to_owned()).or_insert_with(make)
    }

    pub(crate) fn insert(&mut self, name: &str, variable: Variable) {
        self.by_name.insert(name.to_owned(), variable);
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Variable> {
        self.by_name.remove(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn sources_mut(&mut self) -> &mut Sources {
        &mut self.sources
    }
}

impl<'a> IntoIterator for &'a Variables {
    type Item = (&'a String, &'a Variable);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}
