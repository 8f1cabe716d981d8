//! What can go wrong in a command, and the exit status that it stands for.

use std::fmt::Write as _;

use crate::advice::advice;

/// A reason for which nothing was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong, with the object's name.
    pub message: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl Complaint {
    /// A complaint without a hint.
    pub fn new(message: impl Into<String>) -> Complaint {
        Complaint { message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Complaint {
        self.hint = Some(hint.into());
        self
    }
}

/// An error of a command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request or the configuration cannot be done; nothing was begun.
    #[error("{}", join(.0))]
    Refused(Vec<Complaint>),
    /// Text that is complete already: rendered diagnostics of a configuration file.
    #[error("{0}")]
    Configuration(String),
    /// A step failed; what was made before it is undone.
    #[error("{step}: {source}")]
    Step {
        /// What was being done, and to what.
        step: String,
        /// Why it did not work.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What to do about it, where that is known.
        hint: Option<String>,
    },
    /// Something is left that the command should have removed.
    #[error("{}", join(.0))]
    Left(Vec<Complaint>),
}

impl Error {
    /// A single reason for which nothing was begun.
    pub fn refused(complaint: Complaint) -> Error {
        Error::Refused(vec![complaint])
    }

    /// The exit status: 1 failed and undone, 2 usage or configuration, 3 failed and something is left.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::Refused(_) | Error::Configuration(_) => 2,
            Error::Step { .. } => 1,
            Error::Left(_) => 3,
        }
    }

    /// The same as complaints, to be told with others.
    pub fn into_complaints(self) -> Vec<Complaint> {
        let message = self.to_string();
        match self {
            Error::Refused(complaints) | Error::Left(complaints) => complaints,
            Error::Configuration(_) => vec![Complaint::new(message)],
            Error::Step { hint, .. } => vec![Complaint { message, hint }],
        }
    }

    /// The lines to show, the first of each group saying what, the others what to do.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self {
            Error::Refused(complaints) | Error::Left(complaints) => {
                for complaint in complaints {
                    lines.push(format!("error: {}", complaint.message));
                    lines.extend(complaint.hint.iter().map(|hint| format!("hint: {hint}")));
                }
            }
            Error::Configuration(text) => lines.extend(text.lines().map(str::to_owned)),
            Error::Step { hint, .. } => {
                lines.push(format!("error: {self}"));
                lines.extend(hint.iter().map(|hint| format!("hint: {hint}")));
            }
        }
        lines
    }
}

/// Gives an error its step: what was being done, and to what.
pub trait Context<T> {
    /// Names the step.
    ///
    /// # Errors
    /// The error it was given, with its step.
    fn step(self, step: impl Into<String>) -> Result<T, Error>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T> for Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T, Error> {
        self.map_err(|source| {
            let source = source.into();
            let hint = advice(source.as_ref());
            Error::Step { step: step.into(), source, hint }
        })
    }
}

fn join(complaints: &[Complaint]) -> String {
    let mut text = String::new();
    for (n, complaint) in complaints.iter().enumerate() {
        let _ = write!(text, "{}{}", if n == 0 { "" } else { "; " }, complaint.message);
    }
    text
}
