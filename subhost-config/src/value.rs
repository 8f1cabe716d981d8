//! What a variable holds.

use std::collections::BTreeMap;

use crate::assoc::Assoc;
use crate::quote::{declare_quote, key_quote};

/// A value of bash. Bytes, since nothing says that they are UTF-8; they never hold a NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A plain string.
    Scalar(Vec<u8>),
    /// An indexed array, which may have holes.
    Indexed(BTreeMap<u64, Vec<u8>>),
    /// An associative array, in the order in which bash gives its elements.
    Associative(Assoc<Vec<u8>>),
}

impl Value {
    /// What `$NAME` gives: the string, or element 0 of an array if there is one.
    pub fn first(&self) -> Option<&[u8]> {
        match self {
            Self::Scalar(bytes) => Some(bytes),
            Self::Indexed(elements) => elements.get(&0).map(Vec::as_slice),
            Self::Associative(elements) => elements.get(b"0").map(Vec::as_slice),
        }
    }

    /// What `"${NAME[@]}"` gives: the elements in order, or the one string.
    pub fn elements(&self) -> Vec<&[u8]> {
        match self {
            Self::Scalar(bytes) => vec![bytes],
            Self::Indexed(elements) => elements.values().map(Vec::as_slice).collect(),
            Self::Associative(elements) => elements.values().map(Vec::as_slice).collect(),
        }
    }

    /// What stands behind the `=` in `declare -p`.
    pub(crate) fn to_declare_value(&self) -> Vec<u8> {
        let mut text = Vec::new();
        match self {
            Self::Scalar(bytes) => return declare_quote(bytes),
            Self::Indexed(elements) => {
                for (index, bytes) in elements {
                    text.push(b' ');
                    text.extend_from_slice(format!("[{index}]=").as_bytes());
                    text.extend_from_slice(&declare_quote(bytes));
                }
                text.splice(..text.len().min(1), *b"(");
            }
            Self::Associative(elements) => {
                text.push(b'(');
                for (key, bytes) in elements.iter() {
                    text.push(b'[');
                    text.extend_from_slice(&key_quote(key));
                    text.extend_from_slice(b"]=");
                    text.extend_from_slice(&declare_quote(bytes));
                    text.push(b' ');
                }
            }
        }
        if text.is_empty() {
            text.push(b'(');
        }
        text.push(b')');
        text
    }
}
