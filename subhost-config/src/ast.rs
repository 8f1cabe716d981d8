//! The syntax tree: what was written, before it means anything.

use crate::span::Span;

/// A whole text, in statements that were understood. What was refused is not in it.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The statements in order.
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Statement {
    /// `A=1 B=2`: assignments side by side, done from left to right.
    Assign(Vec<Assignment>),
    /// `export`, `readonly`, `declare` or `typeset`.
    Declare(Declaration),
}

/// `NAME=…`, `NAME+=…`, `NAME[n]=…`.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// `[n]` behind the name.
    pub subscript: Option<Subscript>,
    /// Whether it is `+=`.
    pub append: bool,
    /// The right-hand side.
    pub value: AssignedValue,
    /// From the name to the end of the value.
    pub span: Span,
}

/// What stands behind the `=`.
#[derive(Debug, Clone)]
pub enum AssignedValue {
    /// A single word, possibly empty.
    Scalar(Word),
    /// `( … )`.
    Array(Vec<Element>),
}

/// One word inside an array literal.
#[derive(Debug, Clone)]
pub struct Element {
    /// `[n]` in front of the value.
    pub subscript: Option<Subscript>,
    /// Whether it is `[n]+=`.
    pub append: bool,
    /// The value.
    pub value: Word,
}

/// A literal number between brackets; negative ones count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscript {
    /// The number.
    pub index: i64,
    /// With the brackets.
    pub span: Span,
}

/// A word: texts and variables without anything between them.
#[derive(Debug, Clone, Default)]
pub struct Word {
    /// The parts in order.
    pub parts: Vec<WordPart>,
    /// The whole word.
    pub span: Span,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WordPart {
    /// Literal bytes, quotes removed and escapes decoded.
    Text {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether they stood in quotes or behind a backslash.
        quoted: bool,
    },
    /// `$NAME` or `${NAME}`.
    Variable {
        /// The name.
        name: String,
        /// Whether it stood in double quotes, and so is not split.
        quoted: bool,
        /// From the `$` to the end.
        span: Span,
    },
}

/// `export A=1 B`, `readonly A`, `declare -ax A=(1 2)`.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// Attributes to give.
    pub flags: DeclareFlags,
    /// The operands in order.
    pub operands: Vec<Operand>,
}

/// Attributes that a declaration gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeclareFlags {
    /// `-a`: an indexed array.
    pub indexed: bool,
    /// `-x`: exported.
    pub export: bool,
    /// `-r`: readonly.
    pub readonly: bool,
}

impl DeclareFlags {
    /// What either gives.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            indexed: self.indexed || other.indexed,
            export: self.export || other.export,
            readonly: self.readonly || other.readonly,
        }
    }
}

/// An operand of a declaration.
#[derive(Debug, Clone)]
pub enum Operand {
    /// `NAME`.
    Name {
        /// The variable.
        name: String,
        /// Where it stands.
        span: Span,
    },
    /// `NAME=…`.
    Assignment(Assignment),
}

impl Operand {
    /// The variable.
    pub fn name(&self) -> &str {
        match self {
            Self::Name { name, .. } => name,
            Self::Assignment(assignment) => &assignment.name,
        }
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Name { span, .. } => *span,
            Self::Assignment(assignment) => assignment.span,
        }
    }

    /// All words of the value.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        let (scalar, elements) = match self {
            Self::Name { .. } => (None, &[][..]),
            Self::Assignment(Assignment { value: AssignedValue::Scalar(word), .. }) => (Some(word), &[][..]),
            Self::Assignment(Assignment { value: AssignedValue::Array(elements), .. }) => {
                (None, &elements[..])
            }
        };
        scalar.into_iter().chain(elements.iter().map(|element| &element.value))
    }
}
