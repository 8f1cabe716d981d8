//! Lists, loops, conditions and functions.

use std::sync::Arc;

use super::{MAX_CALLS, MAX_DEPTH, Run, Scope, Shell, Stop};
use crate::ast::{
    AndOr, Arm, ArmEnd, Call, Command, Connector, Fallback, Function, List, Operator, Parameter, Pipeline,
    Visited, Word,
};
use crate::code;
use crate::span::Span;

impl Shell<'_> {
    /// Commands one after the other.
    pub(super) fn list(&mut self, list: &List) -> Run {
        list.iter().try_for_each(|statement| self.and_or(statement))
    }

    /// `a && b || c`: what is left out does not change the status.
    pub(super) fn and_or(&mut self, statement: &AndOr) -> Run {
        self.pipeline(&statement.first)?;
        for (connector, pipeline) in &statement.rest {
            if (self.status == 0) == (*connector == Connector::And) {
                self.pipeline(pipeline)?;
            }
        }
        Ok(())
    }

    /// A command, perhaps with `!` before it.
    fn pipeline(&mut self, pipeline: &Pipeline) -> Run {
        self.step(1, pipeline.span)?;
        self.command(&pipeline.command, pipeline.span)?;
        if pipeline.negated {
            self.status = u8::from(self.status == 0);
        }
        Ok(())
    }

    /// A command of any kind, one level deeper.
    fn command(&mut self, command: &Command, span: Span) -> Run {
        if self.depth >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} commands inside each other, calls counted");
            return self.refuse(code::RECURSION, span, message, "");
        }
        self.depth += 1;
        let result = self.command_inside(command, span);
        self.depth -= 1;
        result
    }

    fn command_inside(&mut self, command: &Command, span: Span) -> Run {
        match command {
            Command::Assign(assignments) => {
                self.each(assignments, Self::assign)?;
                self.status = 0;
                Ok(())
            }
            Command::Declare(declaration) => self.declare(declaration),
            Command::Call(call) => self.call(call),
            Command::If { branches, otherwise } => self.if_command(branches, otherwise),
            Command::While { until, condition, body } => self.while_command(*until, condition, body),
            Command::For { name, words, body } => self.for_command(name, words.as_deref(), body, span),
            Command::ArithmeticFor { parts, body } => self.arithmetic_for(parts, body, span),
            Command::Case { word, arms } => self.case(word, arms),
            Command::Group(list) => self.list(list),
            Command::Arithmetic(text) => {
                let value = self.arithmetic(text)?;
                self.status = u8::from(value == 0);
                Ok(())
            }
            Command::Conditional(condition) => {
                let holds = self.condition(condition)?;
                self.status = u8::from(!holds);
                Ok(())
            }
            Command::Function { name, function } => {
                self.touched = true;
                self.functions.insert(name.clone(), Arc::clone(function));
                self.status = 0;
                Ok(())
            }
        }
    }

    fn if_command(&mut self, branches: &[(List, List)], otherwise: &List) -> Run {
        for (condition, body) in branches {
            self.list(condition)?;
            if self.status == 0 {
                return self.list(body);
            }
        }
        self.status = 0;
        self.list(otherwise)
    }

    /// `while`, or `until`. The status is that of the last turn.
    fn while_command(&mut self, until: bool, condition: &List, body: &List) -> Run {
        let mut status = 0;
        loop {
            if let Turn::Leave = self.in_loop(|shell| shell.list(condition))? {
                break;
            }
            if (self.status == 0) == until {
                break;
            }
            match self.in_loop(|shell| shell.list(body))? {
                Turn::Leave => {
                    status = 0;
                    break;
                }
                Turn::Next => status = self.status,
            }
        }
        self.status = status;
        Ok(())
    }

    /// `for NAME in …`; without words over the positional parameters.
    fn for_command(&mut self, name: &str, words: Option<&[Word]>, body: &List, span: Span) -> Run {
        let values = match words {
            Some(words) => self.words(words)?,
            None => self.positional(span)?.to_vec(),
        };
        self.status = 0;
        for value in values {
            self.step(1, span)?;
            self.set_scalar(name, value, span)?;
            if let Turn::Leave = self.in_loop(|shell| shell.list(body))? {
                break;
            }
        }
        Ok(())
    }

    /// `for (( ; ; ))`
    fn arithmetic_for(
        &mut self,
        [first, condition, next]: &[Option<Word>; 3],
        body: &List,
        span: Span,
    ) -> Run {
        let evaluate = |shell: &mut Self, text: &Option<Word>| match text {
            Some(text) => shell.arithmetic(text),
            None => Ok(1),
        };
        evaluate(self, first)?;
        self.status = 0;
        while evaluate(self, condition)? != 0 {
            if let Turn::Leave = self.in_loop(|shell| shell.list(body))? {
                break;
            }
            self.step(1, span)?;
            evaluate(self, next)?;
        }
        Ok(())
    }

    /// One turn of a loop.
    fn in_loop(&mut self, turn: impl FnOnce(&mut Self) -> Run) -> Run<Turn> {
        self.loops += 1;
        let result = turn(self);
        self.loops -= 1;
        match result {
            Ok(()) | Err(Stop::Continue(1)) => Ok(Turn::Next),
            Err(Stop::Break(1)) => Ok(Turn::Leave),
            Err(Stop::Break(levels)) => Err(Stop::Break(levels - 1)),
            Err(Stop::Continue(levels)) => Err(Stop::Continue(levels - 1)),
            Err(stop) => Err(stop),
        }
    }

    /// `case`
    fn case(&mut self, word: &Word, arms: &[Arm]) -> Run {
        let mut assigns = false;
        word.visit(&mut |visited| {
            if let Visited::Parameter(Parameter { operator, .. }) = visited {
                assigns |= matches!(operator, Operator::Fallback { kind: Fallback::Assign, .. });
            }
        });
        let text = self.value(word)?;
        if assigns {
            // Bash matches an empty one as if there were something.
            let message = "an assignment in the word of a `case` is refused";
            return self.refuse(code::EXPANSION, word.span, message, "assign in a line of its own");
        }
        let mut falls = false;
        self.status = 0;
        for arm in arms {
            let mut matches = falls;
            for pattern in &arm.patterns {
                matches = matches || self.matches(pattern, &text)?;
            }
            if !matches {
                continue;
            }
            self.status = 0;
            self.list(&arm.body)?;
            match arm.end {
                ArmEnd::Leave => return Ok(()),
                ArmEnd::FallThrough => falls = true,
                ArmEnd::GoOn => falls = false,
            }
        }
        Ok(())
    }

    /// A function or a builtin by its name; functions go first, as in bash.
    fn call(&mut self, call: &Call) -> Run {
        if let Some(function) = self.functions.get(&call.name).cloned() {
            let arguments = self.words(&call.arguments)?;
            return self.call_function(&function, arguments, call.span);
        }
        if self.builtin(call)? {
            return Ok(());
        }
        if self.known_functions.contains(&call.name) && self.refused_something {
            // Its definition may have been refused, which is complained about already.
            return Err(Stop::Refused);
        }
        let message =
            format!("the command `{}` is refused: no function of this name is defined yet", call.name);
        self.refuse(code::COMMAND, call.span, message, "")
    }

    /// Runs a function, and takes its variables away again.
    fn call_function(&mut self, function: &Function, arguments: Vec<Vec<u8>>, span: Span) -> Run {
        if !function.refusals.is_empty() {
            function.refusals.iter().cloned().for_each(|refusal| self.complaints.push(refusal));
            return Err(Stop::Refused);
        }
        let outer_arguments = self.arguments.replace(arguments);
        let outer_loops = std::mem::take(&mut self.loops);
        self.scopes.push(Scope::default());
        let result = self.deeper(span, |shell| shell.command(&function.body, span));
        let scope = self.scopes.pop().unwrap_or_default();
        for (name, hidden) in scope.hidden {
            match hidden {
                Some(variable) => self.variables.insert(&name, variable),
                None => drop(self.variables.remove(&name)),
            }
        }
        self.loops = outer_loops;
        self.arguments = outer_arguments;
        match result {
            Err(Stop::Return) => Ok(()),
            other => other,
        }
    }

    /// Runs what a function or an include brings.
    pub(super) fn deeper<T>(&mut self, span: Span, run: impl FnOnce(&mut Self) -> Run<T>) -> Run<T> {
        if self.calls >= MAX_CALLS {
            let message = format!("more than {MAX_CALLS} functions or includes call each other");
            return self.refuse(code::RECURSION, span, message, "");
        }
        self.calls += 1;
        let result = run(self);
        self.calls -= 1;
        result
    }
}

/// How a loop goes on.
enum Turn {
    Next,
    Leave,
}
