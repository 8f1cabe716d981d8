//! `${!…}`: names of variables, and keys of arrays.

use super::{Expansion, OfUnset};
use crate::ast::{Subject, Subscript, Word};
use crate::code;
use crate::eval::{Run, Shell};
use crate::lex::is_name;
use crate::shell_variable;
use crate::span::Span;
use crate::value::Value;

/// What an indirection gives.
pub(super) enum Indirect {
    Subject(Subject),
    /// The variable was a reference: the name itself is the value.
    Name(String),
}

impl Shell<'_> {
    /// What `${!name}` means.
    pub(super) fn indirect_subject(&mut self, subject: &Subject, span: Span) -> Run<Indirect> {
        if let Subject::Variable { name, subscript: None } = subject {
            let declared = self.variables.declared(name);
            if declared.is_some_and(|variable| variable.attributes.reference) {
                return Ok(Indirect::Name(self.referenced(name, span)?));
            }
        }
        let Expansion::One(target) = self.subject(subject, OfUnset::Nothing, span)? else {
            let message = "the variable that should hold a name is not set";
            return self.refuse(code::EXPANSION, span, message, "");
        };
        match subject_of(&target, span) {
            Some(subject) => Ok(Indirect::Subject(subject)),
            None => {
                let target = String::from_utf8_lossy(&target);
                let message = format!("`{target}` is not the name of a variable");
                self.refuse(code::EXPANSION, span, message, "")
            }
        }
    }

    /// `${!a[@]}`
    pub(super) fn keys(&mut self, subject: &Subject, span: Span) -> Run<Expansion> {
        let Subject::Variable { name, subscript } = subject else {
            return self.refuse(code::EXPANSION, span, "this form is refused", "");
        };
        let star = matches!(subscript, Some(Subscript::All { star: true }));
        let name = self.referenced(name, span)?;
        self.check_readable(&name, span)?;
        let values = match self.variables.get(&name).map(|variable| &variable.value) {
            None => Vec::new(),
            Some(Value::Scalar(_)) => vec![b"0".to_vec()],
            Some(Value::Indexed(elements)) => {
                elements.keys().map(|index| index.to_string().into_bytes()).collect()
            }
            Some(Value::Associative(elements)) => elements.keys().map(<[u8]>::to_vec).collect(),
        };
        Ok(Expansion::Many { values, star })
    }

    /// `${!prefix@}`
    pub(super) fn names(&mut self, subject: &Subject, star: bool, span: Span) -> Run<Expansion> {
        let Subject::Variable { name: prefix, .. } = subject else {
            return self.refuse(code::EXPANSION, span, "this form is refused", "");
        };
        if shell_variable::any_has_prefix(prefix) {
            let message = format!("names that begin with {prefix} would hold some of bash's own variables");
            return self.refuse(code::SHELL_VARIABLE_READ, span, message, "use a longer prefix");
        }
        if "IFS".starts_with(prefix.as_str()) {
            self.bring_ifs("IFS", span);
        }
        if star && self.variables.get("IFS").is_some_and(|ifs| ifs.value.first() == Some(b"")) {
            let message = "`${!prefix*}` with an empty IFS is refused";
            return self.refuse(code::EXPANSION, span, message, "use `${!prefix@}`");
        }
        let names = self.variables.names().filter(|name| name.starts_with(prefix));
        let values = names.map(|name| name.as_bytes().to_vec()).collect();
        Ok(Expansion::Many { values, star })
    }
}

/// The parameter that a text names.
fn subject_of(text: &[u8], span: Span) -> Option<Subject> {
    let variable = |name: &[u8], subscript| {
        let name = String::from_utf8(name.to_vec()).ok().filter(|name| is_name(name.as_bytes()))?;
        Some(Subject::Variable { name, subscript })
    };
    let Some(open) = text.iter().position(|&byte| byte == b'[') else {
        return variable(text, None);
    };
    let inside = text[open + 1..].strip_suffix(b"]")?;
    let subscript = match inside {
        b"@" => Subscript::All { star: false },
        b"*" => Subscript::All { star: true },
        // Anything else that bash would expand once more.
        _ if inside.is_empty() || inside.iter().any(|byte| b"$`'\"\\[]".contains(byte)) => return None,
        _ => Subscript::One(Word::of_literal(inside, span)),
    };
    variable(&text[..open], Some(subscript))
}
