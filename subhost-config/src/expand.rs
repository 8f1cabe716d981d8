//! From words to values: variables put in, and split where bash splits.

use crate::ast::{Word, WordPart};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::lex::Complaints;
use crate::shell_variable;
use crate::span::Span;
use crate::vars::Variables;

/// A budget for all values of a run together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) limit: usize,
    pub(crate) used: usize,
}

/// The budget is used up.
#[derive(Debug)]
pub(crate) struct Exhausted;

impl Budget {
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.limit { Err(Exhausted) } else { Ok(()) }
    }
}

/// Expands words with what is set so far.
pub(crate) struct Expander<'a, 'b> {
    pub(crate) variables: &'a Variables,
    pub(crate) budget: &'b mut Budget,
    pub(crate) complaints: &'b mut Complaints,
}

impl<'a> Expander<'a, '_> {
    /// The word as one value, as behind `=`.
    pub(crate) fn scalar(&mut self, word: &Word) -> Result<Vec<u8>, Exhausted> {
        let mut value = Vec::new();
        for part in &word.parts {
            let bytes = match part {
                WordPart::Text { bytes, .. } => bytes.as_slice(),
                WordPart::Variable { name, span, .. } => self.variable(name, *span),
            };
            self.budget.spend(bytes.len())?;
            value.extend_from_slice(bytes);
        }
        Ok(value)
    }

    /// The word as values, as in an array literal: an unquoted variable is split at blanks and newlines.
    pub(crate) fn fields(&mut self, word: &Word) -> Result<Vec<Vec<u8>>, Exhausted> {
        let mut fields = Vec::new();
        // None as long as nothing asks for a field: an unquoted empty variable gives none.
        let mut field: Option<Vec<u8>> = None;
        for part in &word.parts {
            match part {
                WordPart::Text { bytes, .. } => {
                    self.budget.spend(bytes.len())?;
                    field.get_or_insert_default().extend_from_slice(bytes);
                }
                WordPart::Variable { name, quoted: true, span } => {
                    let bytes = self.variable(name, *span);
                    self.budget.spend(bytes.len())?;
                    field.get_or_insert_default().extend_from_slice(bytes);
                }
                WordPart::Variable { name, span, .. } => {
                    let bytes = self.variable(name, *span);
                    self.budget.spend(bytes.len())?;
                    if bytes.iter().any(|byte| b"*?[\\".contains(byte)) {
                        let message =
                            format!("the value of {name} would be taken for a file name pattern here");
                        let hint = format!("write `\"${name}\"`");
                        self.complaints.error(code::PATTERN_IN_VALUE, *span, message, &hint);
                    }
                    for &byte in bytes {
                        if matches!(byte, b' ' | b'\t' | b'\n') {
                            fields.extend(field.take());
                        } else {
                            field.get_or_insert_default().push(byte);
                        }
                    }
                }
            }
        }
        fields.extend(field);
        Ok(fields)
    }

    /// What `$NAME` gives. Complains if the file does not determine it.
    fn variable(&mut self, name: &str, span: Span) -> &'a [u8] {
        let variable = self.variables.get(name);
        if variable.is_none() && shell_variable::is_set_by_bash(name) {
            let message = format!("{name} is set by bash itself, and is no fact of the file");
            self.complaints.error(code::SHELL_VARIABLE_READ, span, message, "set it in the file first");
        } else if variable.is_none() {
            let message = format!("{name} is not set above; it is empty here");
            self.complaints.push(Diagnostic::warning(code::UNSET_VARIABLE, message).at(span));
        }
        variable.and_then(|variable| variable.value.first()).unwrap_or_default()
    }
}
