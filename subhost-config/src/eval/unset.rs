//! `unset`.

use super::builtins::element_named;
use super::key::Key;
use super::{Run, Shell};
use crate::ast::Word;
use crate::code;
use crate::lex::is_name;
use crate::shell_variable;
use crate::span::Span;
use crate::value::Value;

impl Shell<'_> {
    /// `unset`
    pub(super) fn unset(&mut self, arguments: &[Vec<u8>], span: Span) -> Run {
        let mut arguments = arguments.iter().map(Vec::as_slice).peekable();
        let (mut functions, mut reference) = (false, false);
        while let Some(option) = arguments.next_if(|argument| argument.starts_with(b"-")) {
            match option {
                b"-f" => functions = true,
                b"-v" => functions = false,
                b"-n" => reference = true,
                b"--" => break,
                _ => return self.refuse(code::DECLARATION, span, "this option of `unset` is refused", ""),
            }
        }
        self.status = 0;
        self.touched = true;
        for argument in arguments {
            let text = String::from_utf8_lossy(argument).into_owned();
            if functions {
                self.functions.remove(&text);
            } else if let Some((name, Some(subscript))) = element_named(argument) {
                self.unset_element(name, subscript, span)?;
            } else {
                self.unset_variable(&text, reference, span)?;
            }
        }
        Ok(())
    }

    /// `unset NAME`; with `reference` only a reference, not what it refers to.
    fn unset_variable(&mut self, name: &str, reference: bool, span: Span) -> Run {
        if !is_name(name.as_bytes()) {
            let message = format!("`{name}` is not the name of a variable");
            return self.refuse(code::DECLARATION, span, message, "");
        }
        let is_reference =
            self.variables.declared(name).is_some_and(|variable| variable.attributes.reference);
        if reference && !is_reference {
            return Ok(());
        }
        let name = if reference { name.to_owned() } else { self.referenced(name, span)? };
        if self.variables.declared(&name).is_none() && self.functions.contains_key(&name) {
            let message = format!("bash would remove the function {name}");
            return self.refuse(code::DECLARATION, span, message, "write `unset -f`");
        }
        self.check_unset(&name, span)?;
        let outer = self.scopes.iter().rev().skip(1).any(|scope| scope.hidden.contains_key(&name));
        let own = self.scopes.last().is_some_and(|scope| scope.hidden.contains_key(&name));
        if outer && !own {
            let message = format!("{name} is local to a function further out");
            return self.refuse(code::DECLARATION, span, message, "unset it there");
        }
        self.variables.remove(&name);
        Ok(())
    }

    /// Complains if the variable cannot be unset.
    fn check_unset(&mut self, name: &str, span: Span) -> Run {
        self.bring_ifs(name, span);
        if self.variables.declared(name).is_some_and(|variable| variable.attributes.readonly) {
            let message = format!("{name} is readonly");
            return self.refuse(code::READONLY, span, message, "");
        }
        if self.variables.declared(name).is_none() && shell_variable::is_set_by_bash(name)
            || shell_variable::is_special_to_bash(name)
        {
            let message = format!("{name} means something to bash itself");
            return self.refuse(code::SHELL_VARIABLE_SET, span, message, "");
        }
        Ok(())
    }

    /// `unset 'NAME[subscript]'`
    fn unset_element(&mut self, name: &str, inside: &str, span: Span) -> Run {
        let name = self.referenced(name, span)?;
        self.check_unset(&name, span)?;
        if self.variables.get(&name).is_none_or(|variable| matches!(variable.value, Value::Scalar(_))) {
            let message = format!("{name} is not an array");
            return self.refuse(code::SUBSCRIPT, span, message, "");
        }
        let key = self.write_key(&name, &Word::of_literal(inside.as_bytes(), span))?;
        let Some(variable) = self.variables.get_mut(&name) else { return Ok(()) };
        match (&mut variable.value, key) {
            (Value::Indexed(elements), Key::Index(index)) => {
                elements.remove(&index);
                variable.element_spans.remove(&index);
            }
            (Value::Associative(elements), Key::Text(text)) => drop(elements.remove(&text)),
            _ => {}
        }
        Ok(())
    }
}
