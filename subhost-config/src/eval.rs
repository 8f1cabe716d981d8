//! From commands to variables. Nothing is executed or written, and nothing read but what the policies allow.

mod array;
mod assign;
mod builtins;
mod commands;
mod condition;
mod declare;
mod expand;
mod fields;
mod files;
mod integers;
mod key;
mod parameter;
mod substitution;
mod tilde;
mod unset;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ast::{AndOr, Function, Script};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::lex::Complaints;
use crate::span::{Sources, Span};
use crate::steps::{OutOfSteps, Steps};
use crate::value::Value;
use crate::vars::{Variable, Variables};

pub use files::{FilePolicy, IncludePolicy};
pub use substitution::Host;

/// What a value costs beside its bytes: about what an element of an array needs, with its place in the file.
const COST_OF_A_VALUE: usize = 64;

/// As many bytes are copied in the time of a step.
const BYTES_OF_A_STEP: usize = 64;

/// Functions that call functions, and includes that include. A configuration has two or three; this keeps a
/// recursion without an end from using up the stack.
const MAX_CALLS: usize = 60;

/// Commands inside of each other, those of functions and includes counted: what the stack bears.
const MAX_DEPTH: usize = 200;

/// Evaluates scripts.
///
/// Unless told otherwise it begins with no variables at all, as `env -i bash` nearly does, looks at no file
/// and knows nothing of the machine: what a script then leaves depends on its text alone. A variable that
/// bash would bring along is refused where it is used.
#[derive(Debug, Clone)]
pub struct Evaluator {
    memory_budget: usize,
    step_budget: u64,
    environment: BTreeMap<String, Vec<u8>>,
    includes: IncludePolicy,
    files: FilePolicy,
    host: Host,
}

impl Default for Evaluator {
    fn default() -> Self {
        Self::new()
    }
}

impl Evaluator {
    /// An evaluator with a memory budget of 256 MiB and a budget of ten million steps.
    pub fn new() -> Self {
        Self {
            memory_budget: 256 * 1024 * 1024,
            step_budget: 10_000_000,
            environment: BTreeMap::new(),
            includes: IncludePolicy::default(),
            files: FilePolicy::default(),
            host: Host::default(),
        }
    }

    /// The same with another budget: roughly the bytes of all values that are ever made.
    #[must_use]
    pub fn memory_budget(self, bytes: usize) -> Self {
        Self { memory_budget: bytes, ..self }
    }

    /// The same with another budget of steps: commands, words, and attempts of patterns. A million take well
    /// under a second.
    #[must_use]
    pub fn step_budget(self, steps: u64) -> Self {
        Self { step_budget: steps, ..self }
    }

    /// The same with these variables set, and exported, before the script begins. Names that are no names of
    /// variables are left out, as bash does.
    #[must_use]
    pub fn environment<N: Into<String>, V: Into<Vec<u8>>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let named = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.environment = named.filter(|(name, _)| crate::lex::is_name(name.as_bytes())).collect();
        self
    }

    /// The same with includes (`.` and `source`) allowed as the policy says.
    #[must_use]
    pub fn includes(self, includes: IncludePolicy) -> Self {
        Self { includes, ..self }
    }

    /// The same with file tests, file name patterns and `$(<FILE)` allowed as the policy says.
    #[must_use]
    pub fn files(self, files: FilePolicy) -> Self {
        Self { files, ..self }
    }

    /// The same with what `$(hostname)`, `$(uname -m)` and `$(nproc)` give.
    #[must_use]
    pub fn host(self, host: Host) -> Self {
        Self { host, ..self }
    }

    /// Runs a script. As with [`parse`](fn@crate::parse), an error in the list means that the variables are
    /// only good for finding further errors. A refused statement leaves every variable as it was.
    ///
    /// The spans of the diagnostics, and of the variables, are of the script's own text or of what it
    /// includes: [`Variables::sources`] tells.
    pub fn run(&self, script: &Script) -> (Variables, Vec<Diagnostic>) {
        let mut steps = Steps::new(self.step_budget);
        let mut refused = BTreeMap::new();
        // Kept when all begins anew: what was refused has its place in them.
        let mut sources = Sources::from(&script.source);
        loop {
            let mut shell = Shell::new(self, script, sources, steps, &mut refused);
            let outcome = shell.statements(&script.statements);
            let Shell { variables, mut complaints, steps: left, .. } = shell;
            match outcome {
                Err(Stop::Restart) => {
                    steps = left;
                    sources = variables.sources().clone();
                }
                Err(Stop::Exhausted(diagnostic)) => {
                    complaints.push(*diagnostic);
                    return (variables, finish(complaints, refused));
                }
                Ok(()) | Err(_) => return (variables, finish(complaints, refused)),
            }
        }
    }
}

/// All that was complained about, in the order of the texts.
fn finish(mut complaints: Complaints, refused: Refused) -> Vec<Diagnostic> {
    refused.into_values().flatten().for_each(|diagnostic| complaints.push(diagnostic));
    complaints.into_list()
}

/// What was wrong with each refused statement, by the place where it begins.
type Refused = BTreeMap<usize, Vec<Diagnostic>>;

/// Why evaluation does not simply go on.
#[derive(Debug)]
enum Stop {
    /// Something was refused, and complained about.
    Refused,
    /// A refused statement had done a part of its work: everything begins anew without it.
    Restart,
    /// A budget is used up.
    Exhausted(Box<Diagnostic>),
    /// `return`.
    Return,
    /// `break` out of that many loops.
    Break(usize),
    /// `continue` of the loop that many levels out.
    Continue(usize),
}

/// What evaluating gives.
type Run<T = ()> = Result<T, Stop>;

/// Variables of functions that hide others of the same name.
#[derive(Debug, Default)]
struct Scope {
    /// What each of them hides.
    hidden: BTreeMap<String, Option<Variable>>,
}

/// Options that `set` and `shopt` change.
#[derive(Debug, Clone, Copy, Default)]
struct ShellOptions {
    extglob: bool,
    nullglob: bool,
    nocasematch: bool,
    unset_is_error: bool,
}

/// One run of a script.
struct Shell<'e> {
    settings: &'e Evaluator,
    variables: Variables,
    scopes: Vec<Scope>,
    functions: BTreeMap<String, Arc<Function>>,
    /// Whether IFS is among the variables, or was taken away.
    knows_ifs: bool,
    /// Functions that are known to the parser, whether they were understood or not.
    known_functions: BTreeSet<String>,
    /// Whether anything was refused before this run, and may be missed now.
    refused_something: bool,
    /// Positional parameters; none outside of functions.
    arguments: Option<Vec<Vec<u8>>>,
    /// `$?`
    status: u8,
    options: ShellOptions,
    complaints: Complaints,
    memory: usize,
    steps: Steps,
    /// Functions and includes that are running.
    calls: usize,
    /// Commands that are inside of each other.
    depth: usize,
    /// Loops that are running in the present function.
    loops: usize,
    /// Whether anything changed since the present statement began.
    touched: bool,
    refused: &'e mut Refused,
}

impl<'e> Shell<'e> {
    fn new(
        settings: &'e Evaluator,
        script: &Script,
        sources: Sources,
        steps: Steps,
        refused: &'e mut Refused,
    ) -> Self {
        let mut variables = Variables::new(sources);
        for (name, value) in &settings.environment {
            let mut variable = Variable::new(Value::Scalar(value.clone()), Span::default());
            variable.attributes.export = true;
            variables.insert(name, variable);
        }
        Self {
            settings,
            variables,
            scopes: Vec::new(),
            functions: BTreeMap::new(),
            knows_ifs: false,
            known_functions: script.functions.clone(),
            refused_something: script.refused || !refused.is_empty(),
            arguments: None,
            status: 0,
            options: ShellOptions::default(),
            complaints: Complaints::default(),
            memory: settings.memory_budget,
            steps,
            calls: 0,
            depth: 0,
            loops: 0,
            touched: false,
            refused,
        }
    }

    /// The statements of a file. One that is refused does not keep the others from being looked at.
    fn statements(&mut self, statements: &[AndOr]) -> Run {
        for statement in statements {
            let key = statement.first.span.start();
            if self.refused.contains_key(&key) {
                continue;
            }
            self.touched = false;
            let mark = self.complaints.mark();
            match self.and_or(statement) {
                Ok(()) => {}
                Err(Stop::Refused) => {
                    let wrong = self.complaints.after(mark).to_vec();
                    self.complaints.forget_after(mark);
                    self.refused.insert(key, wrong);
                    if self.touched {
                        return Err(Stop::Restart);
                    }
                    if self.refused.len() > crate::lex::MAX_ERRORS {
                        return Ok(());
                    }
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    /// Complains, and gives up the statement.
    fn refuse<T>(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        hint: &str,
    ) -> Run<T> {
        self.complaints.error(code, span, message, hint);
        Err(Stop::Refused)
    }

    /// Does something for each, also behind one that is refused, so that all that is wrong is found.
    fn each<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut act: impl FnMut(&mut Self, T) -> Run,
    ) -> Run {
        let mut refused = false;
        for item in items {
            match act(self, item) {
                Err(Stop::Refused) => {
                    refused = true;
                    self.refused_something = true;
                }
                other => other?,
            }
        }
        if refused { Err(Stop::Refused) } else { Ok(()) }
    }

    /// Takes steps of their budget.
    fn step(&mut self, count: u64, span: Span) -> Run {
        self.steps.take(count).map_err(|OutOfSteps| self.out_of_steps(span))
    }

    /// Takes the steps that looking at so many values, of so many bytes together, is worth.
    fn look_at(&mut self, values: usize, bytes: usize, span: Span) -> Run {
        self.step((values + bytes / BYTES_OF_A_STEP) as u64, span)
    }

    /// What to say when none are left.
    fn out_of_steps(&self, span: Span) -> Stop {
        let message = format!("this takes more than {} steps", self.settings.step_budget);
        let hint = "a loop without an end? the values can be written down instead";
        Stop::Exhausted(Box::new(Diagnostic::error(code::STEP_BUDGET, message).at(span).hint(hint)))
    }

    /// Takes bytes of the memory budget.
    fn spend(&mut self, bytes: usize, span: Span) -> Run {
        match self.memory.checked_sub(bytes) {
            Some(left) => {
                self.memory = left;
                Ok(())
            }
            None => {
                let message = format!("the values need more than {} bytes", self.settings.memory_budget);
                Err(Stop::Exhausted(Box::new(Diagnostic::error(code::MEMORY_BUDGET, message).at(span))))
            }
        }
    }

    /// Runs a pattern or the like, which takes steps.
    fn with_steps<T>(
        &mut self,
        span: Span,
        work: impl FnOnce(&mut Steps) -> Result<T, OutOfSteps>,
    ) -> Run<T> {
        work(&mut self.steps).map_err(|OutOfSteps| self.out_of_steps(span))
    }
}
