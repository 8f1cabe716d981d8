//! A value and where it came from.

use std::fmt;

use crate::span::Span;
use crate::visible::visible;

/// A setting's value with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value that holds.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Setting<T> {
    /// A value that nobody set.
    pub fn default(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }

    /// A value from the command line; `flag` as it is typed: `--init`.
    pub fn from_flag(value: T, flag: impl Into<String>) -> Self {
        Self { value, origin: Origin::Flag(flag.into()) }
    }
}

/// Where a value came from, weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Origin {
    /// Nowhere: the built-in default.
    Default,
    /// The configuration file, or one that it includes.
    File(FilePlace),
    /// An environment variable of this name.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

/// Where in a file a setting was set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FilePlace {
    /// The name of the text: the path of the file.
    pub file: String,
    /// The line, from one, of the last assignment to it.
    pub line: usize,
    /// The column, from one, in characters.
    pub column: usize,
    /// That assignment, as a span of [`Variables::sources`](crate::Variables::sources).
    pub span: Span,
    /// The places of a list's elements, in order; none for a setting that is one word.
    pub elements: Vec<Span>,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(FilePlace { file, line, column, .. }) => {
                write!(formatter, "{}:{line}:{column}", visible(file.as_bytes()))
            }
            Self::Environment(name) => write!(formatter, "environment {name}"),
            Self::Flag(flag) => write!(formatter, "flag {flag}"),
        }
    }
}
