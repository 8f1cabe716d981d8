//! From bytes to characters that mean something: positions, escapes, and finding the end of a construct.

mod ansi_c;
mod cursor;
mod skip;

pub(crate) use ansi_c::{BadEscape, decode as decode_ansi_c};
pub(crate) use cursor::{Cursor, is_blank, is_metacharacter, is_name, is_name_start};
pub(crate) use skip::{Frame, SkipError, skip_nested, skip_word};

use crate::code;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// After this many, the rest is not worth printing.
pub(crate) const MAX_ERRORS: usize = 200;
const MAX_WARNINGS: usize = 100;

/// A state of [`Complaints`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    length: usize,
    errors: usize,
    warnings: usize,
    stopped: bool,
}

/// Collects what is wrong, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    list: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    stopped: bool,
}

impl Complaints {
    /// Adds one, unless there are too many of its kind already. Warnings never take the place of an error.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let span = diagnostic.span;
        if diagnostic.is_error() {
            self.errors += 1;
            match self.errors {
                ..=MAX_ERRORS => self.list.push(diagnostic),
                _ if self.stopped => {}
                _ => {
                    self.stopped = true;
                    let message = format!("more than {MAX_ERRORS} errors; the rest is not shown");
                    self.list.push(Diagnostic::error(code::TOO_MANY, message).at(span));
                }
            }
            return;
        }
        self.warnings += 1;
        if self.warnings <= MAX_WARNINGS {
            self.list.push(diagnostic);
        } else if self.warnings == MAX_WARNINGS + 1 {
            let message = format!("more than {MAX_WARNINGS} warnings; the rest is not shown");
            self.list.push(Diagnostic::warning(code::TOO_MANY_WARNINGS, message).at(span));
        }
    }

    /// Adds an error at a place.
    pub(crate) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>, hint: &str) {
        let error = Diagnostic::error(code, message).at(span);
        self.push(if hint.is_empty() { error } else { error.hint(hint) });
    }

    /// The state now, to go back to.
    pub(crate) fn mark(&self) -> Mark {
        Mark { length: self.list.len(), errors: self.errors, warnings: self.warnings, stopped: self.stopped }
    }

    /// Forgets what came after the mark: the text is about to be read in another way.
    pub(crate) fn forget_after(&mut self, mark: Mark) {
        self.list.truncate(mark.length);
        self.errors = mark.errors;
        self.warnings = mark.warnings;
        self.stopped = mark.stopped;
    }

    /// What came after the mark.
    pub(crate) fn after(&self, mark: Mark) -> &[Diagnostic] {
        &self.list[mark.length.min(self.list.len())..]
    }

    /// Takes out of what came after the mark all that this says.
    pub(crate) fn take_after(&mut self, mark: Mark, taken: impl Fn(&Diagnostic) -> bool) -> Vec<Diagnostic> {
        let all = self.list.drain(mark.length..);
        let (taken, kept): (Vec<_>, Vec<_>) = all.partition(|diagnostic| taken(diagnostic));
        self.forget_after(mark);
        kept.into_iter().for_each(|diagnostic| self.push(diagnostic));
        taken
    }

    /// How many errors there were, shown or not.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Whether the last complaint is that something runs to the end of the text: what is around it then
    /// does too, and saying so would not help.
    pub(crate) fn ran_to_end(&self) -> bool {
        const ENDLESS: [&str; 4] =
            [code::UNCLOSED_QUOTE, code::UNCLOSED_ARRAY, code::UNCLOSED_CONSTRUCT, code::TOO_DEEP];
        self.list.last().is_some_and(|last| ENDLESS.contains(&last.code))
    }

    /// Whether there is no point in going on.
    pub(crate) fn is_full(&self) -> bool {
        self.stopped
    }

    /// All that was collected, in the order of the text.
    pub(crate) fn into_list(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| diagnostic.span.map_or(0, Span::start));
        self.list
    }
}
