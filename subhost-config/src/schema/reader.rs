//! Looking a setting up, and collecting what is wrong with it.

use super::environment::Environment;
use super::names;
use super::setting::{FilePlace, Origin, Setting};
use super::spec_error::SpecError;
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::span::{Location, Span};
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
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Read<U> {
        Read { value: change(self.value), warning: self.warning }
    }

    /// The same with a warning.
    pub(super) fn but(self, warning: String) -> Self {
        Self { warning: Some(warning), ..self }
    }
}

/// Reads settings from environment and file.
pub(super) struct Reader<'a> {
    variables: &'a Variables,
    environment: &'a Environment,
    diagnostics: Vec<Diagnostic>,
}

/// A word with the place it has in the file.
type Word<'a> = (&'a [u8], Option<Span>);

impl<'a> Reader<'a> {
    pub(super) fn new(variables: &'a Variables, environment: &'a Environment) -> Self {
        Self { variables, environment, diagnostics: Vec::new() }
    }

    /// A setting that is one word. If it is wrong, the default stands in until all is read.
    pub(super) fn one<T, R: Into<Read<T>>>(
        &mut self,
        name: &str,
        default: Setting<T>,
        read: fn(&[u8]) -> Result<R, SpecError>,
    ) -> Setting<T> {
        match self.word(name) {
            Some((word, span, origin)) => self.read_word(name, word, span, origin, default, read),
            None => default,
        }
    }

    /// The same for a setting that may be without a value, which an empty word says too.
    pub(super) fn maybe<T, R: Into<Read<T>>>(
        &mut self,
        name: &str,
        default: Setting<Option<T>>,
        read: fn(&[u8]) -> Result<R, SpecError>,
    ) -> Setting<Option<T>> {
        match self.word(name) {
            Some((b"", _, origin)) => Setting { value: None, origin },
            Some((word, span, origin)) => {
                let Setting { value, origin: default } = default;
                let read = |word: &[u8]| read(word).map(|read| read.into().map(Some));
                self.read_word(name, word, span, origin, Setting { value, origin: default }, read)
            }
            None => default,
        }
    }

    /// The word of a setting that is one word, from where it is set.
    fn word(&mut self, name: &str) -> Option<(&'a [u8], Option<Span>, Origin)> {
        if let Some((variable, value)) = self.environment.get(name) {
            return Some((value, None, Origin::Environment(variable)));
        }
        let variable = self.variables.get(name)?;
        let origin = self.origin_of(variable, Vec::new());
        let Value::Scalar(value) = &variable.value else {
            let error = SpecError::new(code::SETTING_NOT_SCALAR, "is one value, not an array");
            let error = error.with_hint(format!("write {name}=value without parentheses"));
            self.refuse(name, &origin, Some(variable.set_at), &error);
            return None;
        };
        Some((value, Some(variable.set_at), origin))
    }

    fn read_word<T, R: Into<Read<T>>>(
        &mut self,
        name: &str,
        word: &[u8],
        span: Option<Span>,
        origin: Origin,
        default: Setting<T>,
        read: impl Fn(&[u8]) -> Result<R, SpecError>,
    ) -> Setting<T> {
        match read(word).map(Into::into) {
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
        let Some((words, origin)) = self.words(name) else { return default };
        let mut value = Vec::with_capacity(words.len());
        for &(word, span) in &words {
            match read(word) {
                Ok(item) => value.push(item),
                Err(error) => self.refuse(name, &origin, span, &error),
            }
        }
        // With some left out, positions would not fit.
        if value.len() == words.len() {
            self.refuse_words(name, &origin, check_all(&value));
        }
        Setting { value, origin }
    }

    /// Refuses elements of a list that were read, by their positions.
    pub(super) fn refuse_words(&mut self, name: &str, origin: &Origin, errors: Vec<(usize, SpecError)>) {
        for (position, error) in errors {
            let span = match origin {
                Origin::File(place) => place.elements.get(position).copied(),
                _ => None,
            };
            self.refuse(name, origin, span, &error);
        }
    }

    fn words(&mut self, name: &str) -> Option<(Vec<Word<'a>>, Origin)> {
        if let Some((variable, value)) = self.environment.get(name) {
            let words = split_on_blanks(value);
            if words.len() > 1 {
                let message = format!("{variable} from the environment is split on blanks");
                self.diagnostics.push(Diagnostic::warning(code::SPLIT_ON_BLANKS, message));
            }
            return Some((words, Origin::Environment(variable)));
        }
        let variable = self.variables.get(name)?;
        let words = if let Value::Scalar(value) = &variable.value {
            // A scalar counts as a list of one, an empty one as none.
            let word = (value.as_slice(), Some(variable.set_at));
            if value.is_empty() { Vec::new() } else { vec![word] }
        } else if let Value::Indexed(elements) = &variable.value {
            let word = |(&index, value): (&u64, &'a Vec<u8>)| {
                (value.as_slice(), Some(variable.element_set_at(index)))
            };
            elements.iter().map(word).collect()
        } else {
            let error = SpecError::new(code::SETTING_NOT_LIST, "is a list, and this has keys");
            let error = error.with_hint(format!("write {name}=( … ) without `declare -A`"));
            self.refuse(name, &self.origin_of(variable, Vec::new()), Some(variable.set_at), &error);
            return None;
        };
        let elements = words.iter().filter_map(|&(_, span)| span).collect();
        Some((words, self.origin_of(variable, elements)))
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

    fn origin_of(&self, variable: &Variable, elements: Vec<Span>) -> Origin {
        let source = self.variables.sources().of(variable.set_at);
        let Location { line, column } = source.location(variable.set_at.start());
        let file = source.name().to_owned();
        Origin::File(FilePlace { file, line, column, span: variable.set_at, elements })
    }

    fn refuse(&mut self, name: &str, origin: &Origin, span: Option<Span>, error: &SpecError) {
        let separator = if error.code() == code::SETTING_NOT_SCALAR || error.code() == code::SETTING_NOT_LIST
        {
            ""
        } else {
            ":"
        };
        let message = format!("{}{separator} {error}", describe(name, origin));
        let diagnostic = Diagnostic::error(error.code(), message);
        let diagnostic = diagnostic.at(span);
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
