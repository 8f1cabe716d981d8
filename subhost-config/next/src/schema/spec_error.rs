//! Why a setting's value is refused.

use crate::visible::visible;

/// A value that cannot be taken: what is wrong with it, and how to write it.
///
/// The message is safe on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SpecError {
    code: &'static str,
    message: String,
    hint: Option<String>,
}

impl SpecError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// A message that begins with the value itself.
    pub(crate) fn about(code: &'static str, value: &[u8], message: &str) -> Self {
        const SHOWN: usize = 80;
        let cut = if value.len() > SHOWN { "…" } else { "" };
        Self::new(code, format!("`{}{cut}` {message}", visible(&value[..value.len().min(SHOWN)])))
    }

    #[must_use]
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// One of the constants in [`code`](crate::code).
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// How to write it instead.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}
