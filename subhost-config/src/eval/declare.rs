//! `declare` and its like, and `unset`.

use std::collections::BTreeSet;

use super::assign::{Key, make_indexed};
use super::builtins::element_named;
use super::expand::is_array;
use super::{Run, Shell};
use crate::assoc::Assoc;
use crate::ast::{
    AssignedValue, Assignment, Declaration, DeclareOptions, Element, Fallback, Operand, Operator, Subject,
    Visited, Word,
};
use crate::code;
use crate::lex::is_name;
use crate::shell_variable;
use crate::span::Span;
use crate::value::Value;
use crate::vars::Variable;

impl Shell<'_> {
    pub(super) fn declare(&mut self, declaration: &Declaration) -> Run {
        let Declaration { local, options, span, .. } = *declaration;
        let in_function = !self.scopes.is_empty();
        if declaration.only_local && !in_function {
            let message = "`local` is for functions only";
            return self.refuse(code::OUTSIDE, span, message, "leave the word out");
        }
        let scope = (local, local && in_function && !options.global);
        self.each(&declaration.operands, |shell, operand| {
            shell.step(1, span)?;
            match operand {
                // `readonly -a NAME` makes no array.
                Operand::Name { name, span } if !local => {
                    let options = DeclareOptions { indexed: false, associative: false, ..options };
                    shell.declare_one(name, None, options, scope, *span)
                }
                Operand::Name { name, span } => shell.declare_one(name, None, options, scope, *span),
                Operand::Assignment(assignment) => {
                    let span = assignment.span;
                    shell.declare_one(&assignment.name, Some(assignment), options, scope, span)
                }
                Operand::Word(word) => shell.declare_word(word, options, scope),
            }
        })?;
        self.status = 0;
        Ok(())
    }

    fn declare_word(&mut self, word: &Word, options: DeclareOptions, scope: (bool, bool)) -> Run {
        let texts = self.words(std::slice::from_ref(word))?;
        if texts.is_empty() {
            let message = "a declaration without a name only prints";
            return self.refuse(code::DECLARATION, word.span, message, "leave it out");
        }
        texts.iter().try_for_each(|text| self.declare_text(text, options, scope, word.span))
    }

    /// `NAME`, `NAME=value` or `NAME+=value` as a word gave it.
    fn declare_text(&mut self, text: &[u8], options: DeclareOptions, scope: (bool, bool), span: Span) -> Run {
        let shown = String::from_utf8_lossy(text).into_owned();
        let (name, value) = match text.iter().position(|&byte| byte == b'=') {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let (name, append) = match name.strip_suffix(b"+") {
            Some(name) if value.is_some() => (name, true),
            _ => (name, false),
        };
        let name = std::str::from_utf8(name).ok().filter(|name| is_name(name.as_bytes()));
        // A parenthesis may begin an array, which bash would expand once more.
        let (Some(name), false) = (name, value.is_some_and(|value| value.starts_with(b"("))) else {
            let message = format!("`{shown}` cannot be declared here");
            let hint = "what is supported: NAME, NAME=value";
            return self.refuse(code::DECLARATION, span, message, hint);
        };
        let Some(value) = value else { return self.declare_one(name, None, options, scope, span) };
        let value = AssignedValue::Scalar(Word::of_quoted(value, span));
        let assignment = Assignment { name: name.to_owned(), subscript: None, append, value, span };
        self.declare_one(name, Some(&assignment), options, scope, span)
    }

    fn declare_one(
        &mut self,
        name: &str,
        assignment: Option<&Assignment>,
        options: DeclareOptions,
        (local, is_local): (bool, bool),
        span: Span,
    ) -> Run {
        if options.global && self.scopes.iter().any(|scope| scope.hidden.contains_key(name)) {
            let message = format!("{name} is local to a function, which hides what `-g` means");
            return self.refuse(code::DECLARATION, span, message, "take another name");
        }
        if assignment.is_some_and(|assignment| assignment.subscript.is_some()) {
            let hint = "declare the array first, and assign in a line of its own";
            return self.refuse(code::DECLARATION, span, "a subscript in a declaration is refused", hint);
        }
        if options.on.lower && options.on.upper || options.indexed && options.associative {
            return self.refuse(code::DECLARATION, span, "these options exclude each other", "");
        }
        if options.on.reference {
            return self.declare_reference(name, assignment, options, is_local, span);
        }
        let name = if is_local { name.to_owned() } else { self.referenced(name, span)? };
        self.check_declared(&name, assignment, span)?;
        // The value is what it is before the variable of the function hides another.
        let scalar = match assignment.map(|assignment| &assignment.value) {
            Some(AssignedValue::Scalar(word)) => Some(self.assigned_value(word)?),
            Some(AssignedValue::Array(_)) if self.describes(assignment, &name) => {
                let message = format!("{name} is changed by this declaration while it is described");
                return self.refuse(code::DECLARATION, span, message, "take another name");
            }
            Some(AssignedValue::Array(_)) if is_local => {
                let own = BTreeSet::from([name.as_str(), ""]);
                if uses(assignment, &own) {
                    let message = format!("{name} is hidden by the variable that is being declared");
                    return self.refuse(code::DECLARATION, span, message, "take another name");
                }
                None
            }
            _ => None,
        };
        if let Some(value) = &scalar {
            self.refuse_garbled(value, span)?;
        }
        if is_local {
            self.localize(&name, span)?;
        }
        self.touched = true;
        if self.variables.declared(&name).is_none() {
            if options.off.export && !local && assignment.is_none() {
                return Ok(()); // `export -n` makes nothing of a name
            }
            let mut variable = Variable::new(Value::Scalar(Vec::new()), span);
            variable.is_set = false;
            self.variables.insert(&name, variable);
        }
        self.shape(&name, assignment, options, span)?;
        self.give(&name, options);
        match (assignment, scalar) {
            (Some(assignment), Some(value)) => self.put_whole(&name, value, assignment.append, span)?,
            (Some(Assignment { value: AssignedValue::Array(elements), append, .. }), _) => {
                self.put_array(&name, elements, *append, span)?;
            }
            _ => {}
        }
        if let Some(variable) = self.variables.get_mut(&name) {
            variable.attributes.readonly |= options.on.readonly;
        }
        Ok(())
    }

    fn check_declared(&mut self, name: &str, assignment: Option<&Assignment>, span: Span) -> Run {
        self.bring_ifs(name, span);
        if assignment.is_some() {
            return self.check_assignable(name, true, span);
        }
        if shell_variable::has_effect(name)
            || (self.variables.declared(name).is_none() && shell_variable::is_set_by_bash(name))
        {
            let message = format!("{name} is set by bash itself, and is no fact of the file");
            return self.refuse(code::SHELL_VARIABLE_READ, span, message, "set it in the file first");
        }
        Ok(())
    }

    /// Whether the value asks what the variable is, which changes meanwhile: `${NAME@a}`, or the list of a scalar.
    fn describes(&self, assignment: Option<&Assignment>, own: &str) -> bool {
        let is_scalar = self.variables.get(own).is_some_and(|variable| !is_array(&variable.value));
        let mut found = false;
        let mut look = |visited: Visited<'_>| {
            let Visited::Parameter(parameter) = visited else { return };
            let Subject::Variable { name, subscript } = &parameter.subject else { return };
            let asks = matches!(
                parameter.operator,
                Operator::Transform(_) | Operator::Fallback { kind: Fallback::Assign, .. }
            ) || is_scalar && (subscript.is_some() || parameter.indirect);
            found |= asks && (name == own || parameter.indirect);
        };
        if let Some(AssignedValue::Array(elements)) = assignment.map(|assignment| &assignment.value) {
            elements.iter().for_each(|element| match element {
                Element::Word(word) => word.visit(&mut look),
                Element::Keyed(keyed) => keyed.value.visit(&mut look),
            });
        }
        found
    }

    /// Makes an array of the variable if that is asked for.
    fn shape(
        &mut self,
        name: &str,
        assignment: Option<&Assignment>,
        options: DeclareOptions,
        span: Span,
    ) -> Run {
        let array_literal =
            assignment.is_some_and(|assignment| matches!(assignment.value, AssignedValue::Array(_)));
        let Some(variable) = self.variables.get_mut(name) else { return Ok(()) };
        match (&mut variable.value, options.associative) {
            (Value::Indexed(_), true) | (Value::Associative(_), false)
                if options.indexed || options.associative =>
            {
                let message = format!("bash cannot turn {name} into the other kind of array");
                return self.refuse(code::DECLARATION, span, message, "take another name");
            }
            (Value::Scalar(scalar), true) => {
                variable.value = Value::Associative(match variable.is_set {
                    true => Assoc::from_scalar(std::mem::take(scalar)),
                    false => Assoc::new(),
                });
            }
            (Value::Scalar(_), false) if options.indexed || array_literal => make_indexed(variable),
            _ => {}
        }
        Ok(())
    }

    fn give(&mut self, name: &str, options: DeclareOptions) {
        let Some(Variable { attributes, .. }) = self.variables.get_mut(name) else { return };
        let DeclareOptions { on, off, .. } = options;
        attributes.export = (attributes.export || on.export) && !off.export;
        attributes.integer = (attributes.integer || on.integer) && !off.integer;
        attributes.lower = (attributes.lower && !on.upper || on.lower) && !off.lower;
        attributes.upper = (attributes.upper && !on.lower || on.upper) && !off.upper;
    }

    fn declare_reference(
        &mut self,
        name: &str,
        assignment: Option<&Assignment>,
        options: DeclareOptions,
        is_local: bool,
        span: Span,
    ) -> Run {
        let target = match assignment {
            Some(Assignment { value: AssignedValue::Scalar(word), append: false, .. }) => {
                self.assigned_value(word)?
            }
            _ => Vec::new(),
        };
        let plain = options
            == DeclareOptions {
                on: crate::ast::Flags { reference: true, ..Default::default() },
                ..Default::default()
            };
        let exists = self.variables.declared(name).is_some() && !is_local;
        if !plain || !is_name(&target) || target == name.as_bytes() || exists {
            let message = "this reference is refused";
            let hint = "a new name, `declare -n NAME=OTHER`, with nothing else in the declaration";
            return self.refuse(code::DECLARATION, span, message, hint);
        }
        self.check_assignable(name, true, span)?;
        if is_local {
            if self.scopes.iter().any(|scope| scope.hidden.contains_key(&*String::from_utf8_lossy(&target))) {
                let message = "a reference to a variable of a function is refused";
                return self.refuse(code::DECLARATION, span, message, "");
            }
            self.localize(name, span)?;
        }
        self.touched = true;
        let mut variable = Variable::new(Value::Scalar(target), span);
        variable.attributes.reference = true;
        self.variables.insert(name, variable);
        Ok(())
    }

    /// Makes a variable of the present function, which hides one of the same name.
    fn localize(&mut self, name: &str, span: Span) -> Run {
        if self.variables.declared(name).is_some_and(|variable| variable.attributes.readonly) {
            let message = format!("{name} is readonly");
            return self.refuse(code::READONLY, span, message, "take another name");
        }
        let Some(scope) = self.scopes.last_mut() else { return Ok(()) };
        if scope.hidden.contains_key(name) {
            return Ok(());
        }
        self.touched = true;
        let hidden = self.variables.remove(name);
        let mut variable = Variable::new(Value::Scalar(Vec::new()), span);
        variable.is_set = false;
        variable.attributes.export = hidden.as_ref().is_some_and(|hidden| hidden.attributes.export);
        scope.hidden.insert(name.to_owned(), hidden);
        self.variables.insert(name, variable);
        Ok(())
    }

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

    fn unset_variable(&mut self, name: &str, reference: bool, span: Span) -> Run {
        if !is_name(name.as_bytes()) {
            let message = format!("`{name}` is no name of a variable");
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

    fn check_unset(&mut self, name: &str, span: Span) -> Run {
        self.bring_ifs(name, span);
        if self.variables.declared(name).is_some_and(|variable| variable.attributes.readonly) {
            let message = format!("{name} is readonly");
            return self.refuse(code::READONLY, span, message, "");
        }
        if self.variables.declared(name).is_none() && shell_variable::is_set_by_bash(name)
            || shell_variable::has_effect(name)
        {
            let message = format!("{name} means something to bash itself");
            return self.refuse(code::SHELL_VARIABLE_SET, span, message, "");
        }
        Ok(())
    }

    fn unset_element(&mut self, name: &str, inside: &str, span: Span) -> Run {
        let name = self.referenced(name, span)?;
        self.check_unset(&name, span)?;
        if self.variables.get(&name).is_none_or(|variable| matches!(variable.value, Value::Scalar(_))) {
            let message = format!("{name} is no array");
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

fn uses(assignment: Option<&Assignment>, names: &BTreeSet<&str>) -> bool {
    // As an operand of another name, so that its own counts too.
    assignment.is_some_and(|assignment| {
        Operand::Assignment(Assignment { name: String::new(), ..assignment.clone() }).expands(names)
    })
}
