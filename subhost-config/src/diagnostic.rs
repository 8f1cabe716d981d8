//! What is wrong with a configuration, as plain data.

use crate::span::Span;

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Severity {
    /// Accepted, but probably not what was meant.
    Warning,
    /// Refused: nothing may be applied from this configuration.
    Error,
}

/// One complaint: a stable code, what is wrong, where, and what to do about it.
///
/// Message and hint are for people and may change; the [code](crate::code) does not. Both may quote
/// bytes of the configuration; [`render`](fn@crate::render) makes them safe for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// One of the constants in [`code`](crate::code).
    pub code: &'static str,
    /// One line, lower case, without a full stop.
    pub message: String,
    /// Where in the file; none when it came from elsewhere (the environment).
    pub span: Option<Span>,
    /// How to write it instead.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without place or hint.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), span: None, hint: None }
    }

    /// A warning without place or hint.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(self, span: impl Into<Option<Span>>) -> Self {
        Self { span: span.into(), ..self }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Whether the configuration is refused because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
