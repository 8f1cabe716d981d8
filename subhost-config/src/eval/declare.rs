//! `declare` and its like.

use super::assign::make_indexed;
use super::expand::is_array;
use super::{Run, Shell};
use crate::assoc::Assoc;
use crate::ast::{
    AssignedValue, Assignment, Declaration, DeclareOptions, Element, Fallback, Flags, Operand, Operator,
    Subject, Visited, Word,
};
use crate::code;
use crate::lex::is_name;
use crate::shell_variable;
use crate::span::Span;
use crate::value::Value;
use crate::vars::Variable;

/// Which variable a declaration is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// `export` and `readonly`: whichever has the name.
    Visible,
    /// `declare` outside of functions, or with `-g`: that of the file.
    OfFile,
    /// `local`, or `declare` in a function: one of the function, which is made if it has none.
    OfFunction,
}

/// What a declaration asks for, whatever its operands are.
#[derive(Debug, Clone, Copy)]
struct Request {
    options: DeclareOptions,
    target: Target,
}

impl Shell<'_> {
    /// Declares all operands, those behind a refused one too.
    pub(super) fn declare(&mut self, declaration: &Declaration) -> Run {
        let Declaration { local, options, span, .. } = *declaration;
        let in_function = !self.scopes.is_empty();
        if declaration.only_local && !in_function {
            let message = "`local` is for functions only";
            return self.refuse(code::OUTSIDE, span, message, "leave the word out");
        }
        let target = match local {
            false => Target::Visible,
            true if in_function && !options.global => Target::OfFunction,
            true => Target::OfFile,
        };
        let request = Request { options, target };
        self.each(&declaration.operands, |shell, operand| {
            shell.step(1, span)?;
            match operand {
                // `readonly -a NAME` makes no array.
                Operand::Name { name, span } if target == Target::Visible => {
                    let options = DeclareOptions { indexed: false, associative: false, ..options };
                    shell.declare_one(name, None, Request { options, target }, *span)
                }
                Operand::Name { name, span } => shell.declare_one(name, None, request, *span),
                Operand::Assignment(assignment) => {
                    shell.declare_one(&assignment.name, Some(assignment), request, assignment.span)
                }
                Operand::Word(word) => shell.declare_word(word, request),
            }
        })?;
        self.status = 0;
        Ok(())
    }

    /// An operand that is to be expanded first.
    fn declare_word(&mut self, word: &Word, request: Request) -> Run {
        let texts = self.words(std::slice::from_ref(word))?;
        if texts.is_empty() {
            let message = "a declaration without a name only prints";
            return self.refuse(code::DECLARATION, word.span, message, "leave it out");
        }
        texts.iter().try_for_each(|text| self.declare_text(text, request, word.span))
    }

    /// `NAME`, `NAME=value` or `NAME+=value` as a word gave it.
    fn declare_text(&mut self, text: &[u8], request: Request, span: Span) -> Run {
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
        let Some(value) = value else { return self.declare_one(name, None, request, span) };
        let value = AssignedValue::Scalar(Word::of_quoted(value, span));
        let assignment = Assignment { name: name.to_owned(), subscript: None, append, value, span };
        self.declare_one(name, Some(&assignment), request, span)
    }

    /// One operand.
    fn declare_one(
        &mut self,
        name: &str,
        assignment: Option<&Assignment>,
        request: Request,
        span: Span,
    ) -> Run {
        let Request { options, target } = request;
        self.check_options(name, assignment, options, span)?;
        if options.on.reference {
            return self.declare_reference(name, assignment, request, span);
        }
        let name = match target {
            Target::OfFunction => name.to_owned(),
            Target::OfFile | Target::Visible => self.referenced(name, span)?,
        };
        self.check_declared(&name, assignment, span)?;
        let scalar = self.declared_scalar(&name, assignment, target, span)?;
        if target == Target::OfFunction {
            self.localize(&name, span)?;
        }
        self.touched = true;
        if self.variables.declared(&name).is_none() {
            if options.off.export && target == Target::Visible && assignment.is_none() {
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

    /// Complains of options that do not go together, or not with the operand.
    fn check_options(
        &mut self,
        name: &str,
        assignment: Option<&Assignment>,
        options: DeclareOptions,
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
        Ok(())
    }

    /// The value of an operand that assigns one text: it is what it is before the variable of the function hides
    /// another. An array literal is expanded later, and is refused here if that would make a difference.
    fn declared_scalar(
        &mut self,
        name: &str,
        assignment: Option<&Assignment>,
        target: Target,
        span: Span,
    ) -> Run<Option<Vec<u8>>> {
        let Some(assignment) = assignment else { return Ok(None) };
        match &assignment.value {
            AssignedValue::Scalar(word) => {
                let value = self.assigned_value(word)?;
                self.refuse_garbled(&value, span)?;
                Ok(Some(value))
            }
            AssignedValue::Array(elements) if self.describes(elements, name) => {
                let message = format!("{name} is changed by this declaration while it is described");
                self.refuse(code::DECLARATION, span, message, "take another name")
            }
            AssignedValue::Array(_) if target == Target::OfFunction && assignment.uses(&[name]) => {
                let message = format!("{name} is hidden by the variable that is being declared");
                self.refuse(code::DECLARATION, span, message, "take another name")
            }
            AssignedValue::Array(_) => Ok(None),
        }
    }

    /// Complains if the name is not free to be declared.
    fn check_declared(&mut self, name: &str, assignment: Option<&Assignment>, span: Span) -> Run {
        self.bring_ifs(name, span);
        if assignment.is_some() {
            return self.check_assignable(name, true, span);
        }
        if shell_variable::is_special_to_bash(name)
            || (self.variables.declared(name).is_none() && shell_variable::is_set_by_bash(name))
        {
            let message = format!("{name} is set by bash itself, and is not a fact of the file");
            return self.refuse(code::SHELL_VARIABLE_READ, span, message, "set it in the file first");
        }
        Ok(())
    }

    /// Whether a literal asks what the variable is, which changes meanwhile: `${NAME@a}`, or the list of a scalar.
    fn describes(&self, literal: &[Element], own: &str) -> bool {
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
        literal.iter().for_each(|element| match element {
            Element::Word(word) => word.visit(&mut look),
            Element::Keyed(keyed) => keyed.value.visit(&mut look),
        });
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

    /// Gives attributes, and takes them away; `-l` and `-u` replace each other.
    fn give(&mut self, name: &str, options: DeclareOptions) {
        let Some(Variable { attributes, .. }) = self.variables.get_mut(name) else { return };
        let DeclareOptions { on, off, .. } = options;
        attributes.export = (attributes.export || on.export) && !off.export;
        attributes.integer = (attributes.integer || on.integer) && !off.integer;
        attributes.lower = (attributes.lower && !on.upper || on.lower) && !off.lower;
        attributes.upper = (attributes.upper && !on.lower || on.upper) && !off.upper;
    }

    /// `declare -n NAME=OTHER`
    fn declare_reference(
        &mut self,
        name: &str,
        assignment: Option<&Assignment>,
        request: Request,
        span: Span,
    ) -> Run {
        let is_local = request.target == Target::OfFunction;
        let target = match assignment {
            Some(Assignment { value: AssignedValue::Scalar(word), append: false, .. }) => {
                self.assigned_value(word)?
            }
            _ => Vec::new(),
        };
        let only_reference =
            DeclareOptions { on: Flags { reference: true, ..Flags::default() }, ..DeclareOptions::default() };
        let plain = request.options == only_reference;
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
}
