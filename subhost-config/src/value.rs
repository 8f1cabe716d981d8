//! What a variable holds.

use std::collections::BTreeMap;

use crate::quote::declare_quote;

/// A value of bash. Bytes, since nothing says that they are UTF-8; they never hold a NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A plain string.
    Scalar(Vec<u8>),
    /// An indexed array, which may have holes.
    Indexed(BTreeMap<u64, Vec<u8>>),
}

impl Value {
    /// What `$NAME` gives: the string, or element 0 of an array if there is one.
    pub fn first(&self) -> Option<&[u8]> {
        match self {
            Self::Scalar(bytes) => Some(bytes),
            Self::Indexed(elements) => elements.get(&0).map(Vec::as_slice),
        }
    }

    /// What `"${NAME[@]}"` gives: the elements in order, or the one string.
    pub fn elements(&self) -> Vec<&[u8]> {
        match self {
            Self::Scalar(bytes) => vec![bytes],
            Self::Indexed(elements) => elements.values().map(Vec::as_slice).collect(),
        }
    }

    /// What stands behind the `=` in `declare -p`.
    pub(crate) fn to_declare_value(&self) -> Vec<u8> {
        match self {
            Self::Scalar(bytes) => declare_quote(bytes),
            Self::Indexed(elements) => {
                let mut text = b"(".to_vec();
                for (position, (index, bytes)) in elements.iter().enumerate() {
                    if position > 0 {
                        text.push(b' ');
                    }
                    text.extend_from_slice(format!("[{index}]=").as_bytes());
                    text.extend_from_slice(&declare_quote(bytes));
                }
                text.push(b')');
                text
            }
        }
    }
}
