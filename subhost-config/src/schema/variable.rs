//! `ENVIRONMENT`: `NAME=value`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::spec_error::SpecError;
use crate::code;

/// An environment variable for the guest's PID 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentVariable {
    /// Its name: letters, digits and `_`.
    pub name: String,
    /// Its value, any bytes but NUL.
    pub value: OsString,
}

impl EnvironmentVariable {
    /// Reads `name=value`.
    pub fn parse(text: &[u8]) -> Result<Self, SpecError> {
        let wrong = |message: &str| {
            SpecError::about(code::SETTING_VALUE, text, message)
                .with_hint("write `NAME=value`, as in `LANG=C.UTF-8`")
        };
        let Some(at) = text.iter().position(|&byte| byte == b'=') else {
            return Err(wrong("has no `=`"));
        };
        let (name, value) = (&text[..at], &text[at + 1..]);
        let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            && name.first().is_some_and(|first| !first.is_ascii_digit());
        match std::str::from_utf8(name) {
            Ok(name) if is_name && !value.contains(&0) => {
                Ok(Self { name: name.to_owned(), value: OsStr::from_bytes(value).to_owned() })
            }
            _ => Err(wrong("is not an environment variable")),
        }
    }

    /// What [`EnvironmentVariable::parse`] reads as the same.
    pub(super) fn written(&self) -> Vec<u8> {
        [self.name.as_bytes(), b"=", self.value.as_bytes()].concat()
    }
}

/// One name twice.
pub(super) fn check_names(variables: &[EnvironmentVariable]) -> Vec<(usize, SpecError)> {
    let mut seen = BTreeSet::new();
    let repeated = variables.iter().enumerate().filter(|(_, it)| !seen.insert(&it.name));
    let message = |it: &EnvironmentVariable| format!("{} is given twice", it.name);
    repeated.map(|(position, it)| (position, SpecError::new(code::SETTING_CONFLICT, message(it)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_equals_sign_and_writes_the_same() {
        let variable = EnvironmentVariable::parse(b"OPTIONS=-o a=b \xff").unwrap();
        assert_eq!((variable.name.as_str(), variable.value.as_bytes()), ("OPTIONS", &b"-o a=b \xff"[..]));
        assert_eq!(variable.written(), b"OPTIONS=-o a=b \xff");
        assert!(EnvironmentVariable::parse(b"EMPTY=").is_ok());
        for text in ["", "LANG", "=C", "1A=b", "A-B=c", "A B=c", "é=c"] {
            assert!(EnvironmentVariable::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn finds_a_name_that_is_there_twice() {
        let variable = |text: &str| EnvironmentVariable::parse(text.as_bytes()).unwrap();
        let errors = check_names(&[variable("A=1"), variable("B=1"), variable("A=2")]);
        assert_eq!((errors[0].0, errors[0].1.to_string().as_str()), (2, "A is given twice"));
    }
}
