//! Variables by name, with their attributes and where they were set.

use std::collections::{BTreeMap, btree_map};

use crate::span::Span;
use crate::value::Value;

/// The attributes that `declare` and its like give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Attributes {
    /// `-x`
    pub export: bool,
    /// `-r`
    pub readonly: bool,
}

/// A variable that has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// The value.
    pub value: Value,
    /// The attributes.
    pub attributes: Attributes,
    /// The last assignment to it or to an element of it.
    pub set_at: Span,
    /// Where each element was set, for arrays.
    pub(crate) element_spans: BTreeMap<u64, Span>,
}

impl Variable {
    pub(crate) fn new(value: Value, set_at: Span) -> Self {
        Self { value, attributes: Attributes::default(), set_at, element_spans: BTreeMap::new() }
    }

    /// Where this element was set; for a scalar and for what is not there, where the variable was.
    pub fn element_set_at(&self, index: u64) -> Span {
        self.element_spans.get(&index).copied().unwrap_or(self.set_at)
    }
}

/// The variables that a configuration leaves, ordered by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    by_name: BTreeMap<String, Variable>,
}

impl Variables {
    /// The variable of this name.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.by_name.get(name)
    }

    /// All of them, ordered by name as bytes, which is bash's order too.
    pub fn iter(&self) -> btree_map::Iter<'_, String, Variable> {
        self.by_name.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The lines that `declare -p` prints for them in bash 5.2, in its order, each with its newline.
    ///
    /// Which characters bash escapes depends on the Unicode version of its C library; for the newest ones the
    /// text may differ, and is read back the same.
    pub fn to_declare_p(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (name, variable) in &self.by_name {
            let mut flags = String::new();
            flags.extend(matches!(variable.value, Value::Indexed(_)).then_some('a'));
            flags.extend(variable.attributes.readonly.then_some('r'));
            flags.extend(variable.attributes.export.then_some('x'));
            if flags.is_empty() {
                flags.push('-');
            }
            text.extend_from_slice(format!("declare -{flags} {name}=").as_bytes());
            text.extend_from_slice(&variable.value.to_declare_value());
            text.push(b'\n');
        }
        text
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
}

impl<'a> IntoIterator for &'a Variables {
    type Item = (&'a String, &'a Variable);
    type IntoIter = btree_map::Iter<'a, String, Variable>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
