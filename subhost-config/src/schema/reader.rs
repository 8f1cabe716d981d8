//! Looking a setting up, and collecting what is wrong with it.

use super::environment::Environment;
use super::names;
use super::setting::{Origin, Setting};
use super::spec_error::SpecError;
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::span::{Source, Span};
use crate::value::Value;
use crate::vars::{Variable, Variables};

/// A value that was read, and perhaps a warning about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read<T> {
    pub(super) value: T,
    pub(super) warning: Option<String>,
}

impl<T> From<T> for Read<T> {
    fn from(value: T) -> Self {
        Self { value, warning: None }
    }
}

impl<T> Read<T> {
    /// The same with a warning.
    pub(super) fn but(self, warning: String) -> Self {
        Self { warning: Some(warning), ..self }
    }
}

/// Reads settings from environment and file.
pub(super) struct Reader<'a> {
    variables: &'a Variables,
    source: &'a Source,
    environment: &'a Environment,
    diagnostics: Vec<Diagnostic>,
}

/// A word with the place it has in the file.
type Word<'a> = (&'a [u8], Option<Span>);

impl<'a> Reader<'a> {
    pub(super) fn new(variables: &'a Variables, source: &'a Source, environment: &'a Environment) -> Self {
        Self { variables, source, environment, diagnostics: Vec::new() }
    }

    /// A setting that is one word. If it is wrong, the default stands in until all is read.
    pub(super) fn scalar<T>(
        &mut self,
        name: &str,
        default: Setting<T>,
        read: fn(&[u8]) -> Result<Read<T>, SpecError>,
    ) -> Setting<T> {
        let (word, span, origin) = if let Some((variable, value)) = self.environment.get(name) {
            (value, None, Origin::Environment(variable))
        } else if let Some(variable) = self.variables.get(name) {
            let Value::Scalar(value) = &variable.value else {
                let message = format!("{name} is one value, not an array");
                let error = Diagnostic::error(code::SETTING_NOT_SCALAR, message).at(variable.set_at);
                self.diagnostics.push(error.hint(format!("write {name}=value without parentheses")));
                return default;
            };
            (value.as_slice(), Some(variable.set_at), self.line_of(variable))
        } else {
            return default;
        };
        match read(word) {
            Ok(Read { value, warning }) => {
                if let Some(warning) = warning {
                    let message = format!("{}: {warning}", describe(name, &origin));
                    self.diagnostics.push(Diagnostic::warning(code::UNWISE_VALUE, message).at(span));
                }
                Setting { value, origin }
            }
            Err(error) => {
                self.refuse(name, &origin, span, &error);
                default
            }
        }
    }

    /// A setting that is any number of words, each read alone and then all together.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        default: Setting<Vec<T>>,
        read: fn(&[u8]) -> Result<T, SpecError>,
        check_all: fn(&[T]) -> Vec<(usize, SpecError)>,
    ) -> Setting<Vec<T>> {
        let (words, origin) = if let Some((variable, value)) = self.environment.get(name) {
            let words = split_on_blanks(value);
            if words.len() > 1 {
                let message = format!("{variable} from the environment is split on blanks");
                self.diagnostics.push(Diagnostic::warning(code::SPLIT_ON_BLANKS, message));
            }
            (words, Origin::Environment(variable))
        } else if let Some(variable) = self.variables.get(name) {
            (words_of(variable), self.line_of(variable))
        } else {
            return default;
        };
        let mut value = Vec::with_capacity(words.len());
        for &(word, span) in &words {
            match read(word) {
                Ok(item) => value.push(item),
                Err(error) => self.refuse(name, &origin, span, &error),
            }
        }
        // With some left out, positions would not fit.
        if value.len() == words.len() {
            for (position, error) in check_all(&value) {
                self.refuse(name, &origin, words[position].1, &error);
            }
        }
        Setting { value, origin }
    }

    /// Warns about settings without effect, and about names that are nearly a setting's.
    pub(super) fn warn_about_names(&mut self) {
        let of_file =
            self.variables.iter().map(|(name, variable)| (name.as_str(), "", Some(variable.set_at)));
        let of_environment =
            self.environment.prefixed_names().map(|name| (name, super::environment::PREFIX, None));
        for (name, prefix, span) in of_file.chain(of_environment) {
            self.diagnostics.extend(names::warning(name, prefix).map(|warning| warning.at(span)));
        }
    }

    /// What was found wrong, in the order of the file, the environment's first.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span.map(Span::start));
        self.diagnostics
    }

    fn line_of(&self, variable: &Variable) -> Origin {
        Origin::File { line: self.source.location(variable.set_at.start()).line }
    }

    fn refuse(&mut self, name: &str, origin: &Origin, span: Option<Span>, error: &SpecError) {
        let message = format!("{}: {error}", describe(name, origin));
        let diagnostic = Diagnostic::error(error.code(), message).at(span);
        self.diagnostics.push(match error.hint() {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
    }
}

/// The name under which people set it there.
fn describe(name: &str, origin: &Origin) -> String {
    match origin {
        Origin::Environment(variable) => format!("{variable} in the environment"),
        _ => name.to_owned(),
    }
}

fn split_on_blanks(value: &[u8]) -> Vec<Word<'_>> {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
    words.filter(|word| !word.is_empty()).map(|word| (word, None)).collect()
}

/// The elements; a scalar counts as one, an empty one as none.
fn words_of(variable: &Variable) -> Vec<Word<'_>> {
    match &variable.value {
        Value::Scalar(value) if value.is_empty() => Vec::new(),
        Value::Scalar(value) => vec![(value, Some(variable.set_at))],
        Value::Indexed(elements) => elements
            .iter()
            .map(|(&index, value)| (value.as_slice(), Some(variable.element_set_at(index))))
            .collect(),
    }
}
