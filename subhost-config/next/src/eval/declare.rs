//! `declare` and its like, and `unset`.

use std::collections::BTreeSet;

use super::assign::{Key, make_indexed};
use super::{Run, Shell};
use crate::assoc::Assoc;
use crate::ast::{AssignedValue, Assignment, Declaration, DeclareOptions, Operand, Word};
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
        let is_local = local && in_function && !options.global;
        for operand in &declaration.operands {
            self.step(1, span)?;
            if options.global && self.scopes.iter().any(|scope| scope.hidden.contains_key(operand.name())) {
                let message =
                    format!("{} is local to a function, which hides what `-g` means", operand.name());
                return self.refuse(code::DECLARATION, operand.span(), message, "take another name");
            }
            match operand {
                Operand::Name { name, span } => self.declare_one(name, None, options, is_local, *span)?,
                Operand::Assignment(assignment) => {
                    self.declare_one(&assignment.name, Some(assignment), options, is_local, assignment.span)?;
                }
            }
        }
        self.status = 0;
        Ok(())
    }

    fn declare_one(
        &mut self,
        name: &str,
        assignment: Option<&Assignment>,
        options: DeclareOptions,
        is_local: bool,
        span: Span,
    ) -> Run {
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
            } else if let Some((name, subscript)) = text.split_once('[') {
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

    fn unset_element(&mut self, name: &str, subscript: &str, span: Span) -> Run {
        let inside = subscript.strip_suffix(']').unwrap_or_default();
        let odd = |byte: u8| b"$`'\"\\[]@*".contains(&byte);
        if !is_name(name.as_bytes()) || inside.is_empty() || inside.bytes().any(odd) {
            let message = format!("`unset {name}[{subscript}` is refused");
            return self.refuse(code::SUBSCRIPT, span, message, "");
        }
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
