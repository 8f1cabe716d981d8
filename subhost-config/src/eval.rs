//! From statements to variables. Nothing is executed, read or written.

use std::collections::BTreeMap;

use crate::ast::{AssignedValue, Assignment, DeclareFlags, Element, Operand, Script, Statement, Subscript};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::expand::{Budget, Exhausted, Expander};
use crate::lex::Complaints;
use crate::shell_variable;
use crate::span::Span;
use crate::value::Value;
use crate::vars::{Variable, Variables};

/// What a value costs beside its bytes.
const COST_OF_A_VALUE: usize = 64;

/// Evaluates scripts. Begins with no variables at all, as `env -i bash` nearly does; a variable that bash
/// would bring along is refused where it is used.
#[derive(Debug, Clone)]
pub struct Evaluator {
    memory_budget: usize,
}

impl Default for Evaluator {
    fn default() -> Self {
        Self::new()
    }
}

impl Evaluator {
    /// An evaluator with a memory budget of 256 MiB.
    pub fn new() -> Self {
        Self { memory_budget: 256 * 1024 * 1024 }
    }

    /// The same with another budget: roughly the bytes of all values that are ever made.
    #[must_use]
    pub fn memory_budget(self, bytes: usize) -> Self {
        Self { memory_budget: bytes }
    }

    /// Runs a script. As with [`parse`](fn@crate::parse), an error in the list means that the variables are
    /// only good for finding further errors. A refused assignment leaves its variable as it was.
    pub fn run(&self, script: &Script) -> (Variables, Vec<Diagnostic>) {
        let mut run = Run {
            variables: Variables::default(),
            complaints: Complaints::default(),
            budget: Budget { limit: self.memory_budget, used: 0 },
        };
        for statement in &script.statements {
            if let Err((Exhausted, span)) = run.statement(statement) {
                let message = format!("the values need more than {} bytes", self.memory_budget);
                run.complaints.error(code::MEMORY_BUDGET, span, message, "");
                break;
            }
        }
        (run.variables, run.complaints.into_list())
    }
}

/// One run of a script.
struct Run {
    variables: Variables,
    complaints: Complaints,
    budget: Budget,
}

/// Where the budget ran out.
type Outcome = Result<(), (Exhausted, Span)>;

impl Run {
    fn statement(&mut self, statement: &Statement) -> Outcome {
        match statement {
            Statement::Assign(assignments) => {
                for assignment in assignments {
                    self.assign(assignment, DeclareFlags::default())?;
                }
            }
            Statement::Declare(declaration) => {
                for operand in &declaration.operands {
                    match operand {
                        Operand::Name { name, span } => self.give(name, declaration.flags, *span),
                        Operand::Assignment(assignment) => self.assign(assignment, declaration.flags)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives attributes to a variable that has a value already.
    fn give(&mut self, name: &str, flags: DeclareFlags, span: Span) {
        match self.variables.get_mut(name) {
            Some(variable) => give(variable, flags),
            None => {
                let message = format!("{name} has no value yet");
                let hint = "give it a value here, or move this line behind its assignment";
                self.complaints.error(code::NO_VALUE, span, message, hint);
            }
        }
    }

    fn assign(&mut self, assignment: &Assignment, flags: DeclareFlags) -> Outcome {
        let errors = self.complaints.errors();
        self.check_name(assignment, flags);
        let edits = self.edits(assignment, flags).map_err(|exhausted| (exhausted, assignment.span))?;
        if self.complaints.errors() != errors {
            return Ok(()); // refused: the variable stays as it was
        }
        let variable = self.variables.get_or_insert_with(&assignment.name, || {
            let is_scalar =
                matches!(assignment.value, AssignedValue::Scalar(_)) && assignment.subscript.is_none();
            let empty = if is_scalar { Value::Scalar(Vec::new()) } else { Value::Indexed(BTreeMap::new()) };
            Variable::new(empty, assignment.span)
        });
        variable.set_at = assignment.span;
        give(variable, flags);
        edits.into_iter().for_each(|edit| edit.apply(variable));
        Ok(())
    }

    /// Complains if the name cannot be assigned to.
    fn check_name(&mut self, assignment: &Assignment, flags: DeclareFlags) {
        let Assignment { name, span, .. } = assignment;
        let old = self.variables.get(name);
        if old.is_some_and(|old| old.attributes.readonly) {
            let message = format!("{name} is readonly");
            self.complaints.error(code::READONLY, *span, message, "leave one of the assignments out");
        }
        if shell_variable::has_effect(name) {
            let message = format!("{name} means something to bash itself");
            self.complaints.error(code::SHELL_VARIABLE_SET, *span, message, "take another name");
        }
        let keeps_old =
            assignment.append || assignment.subscript.is_some() || flags != DeclareFlags::default();
        if old.is_none() && keeps_old && shell_variable::is_set_by_bash(name) {
            let message = format!("{name} is set by bash itself, and this keeps a part of its value");
            self.complaints.error(code::SHELL_VARIABLE_READ, *span, message, "assign a value to it first");
        }
    }

    /// What the assignment does to its variable, every word expanded with what was set before.
    fn edits(&mut self, assignment: &Assignment, flags: DeclareFlags) -> Result<Vec<Edit>, Exhausted> {
        let Assignment { append, span, .. } = *assignment;
        let old_last = self.variables.get(&assignment.name).and_then(last_index);
        let mut expander = Expander {
            variables: &self.variables,
            budget: &mut self.budget,
            complaints: &mut self.complaints,
        };
        let literal = match &assignment.value {
            AssignedValue::Array(literal) => literal,
            AssignedValue::Scalar(word) => {
                let bytes = expander.scalar(word)?;
                self.budget.spend(COST_OF_A_VALUE)?;
                if flags != DeclareFlags::default() {
                    self.check_bytes(&bytes, span);
                }
                let Some(subscript) = assignment.subscript else {
                    return Ok(vec![Edit::Whole { bytes, append, span }]);
                };
                let index = resolve(subscript, old_last, &mut self.complaints);
                return Ok(index
                    .map(|index| Edit::Element { index, bytes, append, span })
                    .into_iter()
                    .collect());
            }
        };
        let mut edits = Vec::with_capacity(literal.len() + 1);
        let mut last = if append { old_last } else { None };
        edits.push(if append { Edit::MakeArray } else { Edit::Clear });
        let mut next = last.map_or(Some(0), following);
        for element in literal {
            let values = self.values(element)?;
            let span = element.value.span;
            if let Some(subscript) = element.subscript {
                let Some(index) = resolve(subscript, last, &mut self.complaints) else { continue };
                next = Some(index);
            }
            for bytes in values {
                self.budget.spend(COST_OF_A_VALUE)?;
                self.check_bytes(&bytes, span);
                let Some(index) = next else {
                    let message = "the index of this element is beyond what bash can count";
                    self.complaints.error(code::SUBSCRIPT_RANGE, span, message, "");
                    break;
                };
                edits.push(Edit::Element { index, bytes, append: element.append, span });
                last = last.max(Some(index));
                next = following(index);
            }
        }
        Ok(edits)
    }

    /// The values that a word of an array literal makes: one behind a subscript, else any number.
    fn values(&mut self, element: &Element) -> Result<Vec<Vec<u8>>, Exhausted> {
        let mut expander = Expander {
            variables: &self.variables,
            budget: &mut self.budget,
            complaints: &mut self.complaints,
        };
        match element.subscript {
            Some(_) => Ok(vec![expander.scalar(&element.value)?]),
            None => expander.fields(&element.value),
        }
    }

    /// Bash marks quoting inside its words by these two bytes, and doubles, drops or swaps them in arrays and
    /// declarations.
    fn check_bytes(&mut self, bytes: &[u8], span: Span) {
        if bytes.iter().any(|byte| matches!(byte, 0x01 | 0x7f)) {
            let message = "bash itself garbles the bytes 0x01 and 0x7f here";
            self.complaints.error(code::GARBLED_BYTE, span, message, "assign the value with a plain `NAME=`");
        }
    }
}

/// A change to one variable.
enum Edit {
    /// All elements go.
    Clear,
    /// A scalar becomes element 0.
    MakeArray,
    /// Without subscript: the scalar, or element 0 of an array.
    Whole { bytes: Vec<u8>, append: bool, span: Span },
    /// One element of an array.
    Element { index: u64, bytes: Vec<u8>, append: bool, span: Span },
}

impl Edit {
    fn apply(self, variable: &mut Variable) {
        match self {
            Self::Clear => {
                variable.value = Value::Indexed(BTreeMap::new());
                variable.element_spans.clear();
            }
            Self::MakeArray => drop(elements_of(&mut variable.value)),
            Self::Whole { bytes, append, span } => match &mut variable.value {
                Value::Scalar(old) => put(old, bytes, append),
                Value::Indexed(_) => Self::Element { index: 0, bytes, append, span }.apply(variable),
            },
            Self::Element { index, bytes, append, span } => {
                put(elements_of(&mut variable.value).entry(index).or_default(), bytes, append);
                variable.element_spans.insert(index, span);
            }
        }
    }
}

fn put(old: &mut Vec<u8>, new: Vec<u8>, append: bool) {
    if append {
        old.extend_from_slice(&new);
    } else {
        *old = new;
    }
}

/// The elements; a scalar becomes an array with it as element 0.
fn elements_of(value: &mut Value) -> &mut BTreeMap<u64, Vec<u8>> {
    if let Value::Scalar(scalar) = value {
        *value = Value::Indexed(BTreeMap::from([(0, std::mem::take(scalar))]));
    }
    match value {
        Value::Indexed(elements) => elements,
        Value::Scalar(_) => unreachable!("made an array above"),
    }
}

fn give(variable: &mut Variable, flags: DeclareFlags) {
    if flags.indexed {
        elements_of(&mut variable.value);
    }
    variable.attributes.export |= flags.export;
    variable.attributes.readonly |= flags.readonly;
}

fn last_index(variable: &Variable) -> Option<u64> {
    match &variable.value {
        Value::Scalar(_) => Some(0),
        Value::Indexed(elements) => elements.last_key_value().map(|(&index, _)| index),
    }
}

/// The next index, up to what bash can count.
fn following(index: u64) -> Option<u64> {
    i64::try_from(index + 1).is_ok().then_some(index + 1)
}

/// The index that a subscript means in an array with this last index.
fn resolve(subscript: Subscript, last: Option<u64>, complaints: &mut Complaints) -> Option<u64> {
    let index = match u64::try_from(subscript.index) {
        Ok(index) => Some(index),
        Err(_) => last.and_then(|last| (last + 1).checked_sub(subscript.index.unsigned_abs())),
    };
    if index.is_none() {
        let message = format!("index {} is before the beginning of the array", subscript.index);
        complaints.error(code::SUBSCRIPT_RANGE, subscript.span, message, "");
    }
    index
}
