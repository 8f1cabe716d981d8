//! The syntax tree: what was written, before it means anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::letters::CaseChange;
use crate::span::{Source, Span};

/// A text that was understood. What was refused is not in it.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub(crate) source: Source,
    pub(crate) statements: Vec<AndOr>,
    /// Whether anything of the text was refused.
    pub(crate) refused: bool,
    /// Names of all functions that the text defines, refused ones too.
    pub(crate) functions: BTreeSet<String>,
}

/// Commands one after the other.
pub(crate) type List = Vec<AndOr>;

/// `a && b || c`.
#[derive(Debug, Clone)]
pub(crate) struct AndOr {
    pub(crate) first: Pipeline,
    pub(crate) rest: Vec<(Connector, Pipeline)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connector {
    And,
    Or,
}

/// A command, perhaps with `!` before it. Real pipelines are refused.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub(crate) negated: bool,
    /// Apart, as most statements are far smaller than the largest kind.
    pub(crate) command: Box<Command>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// `A=1 B+=2`, done from left to right.
    Assign(Box<[Assignment]>),
    /// `declare`, `typeset`, `local`, `export`, `readonly`.
    Declare(Declaration),
    /// A builtin or a function with its arguments.
    Call(Call),
    /// Each condition with what follows its `then`.
    If {
        branches: Vec<(List, List)>,
        otherwise: List,
    },
    /// `while`, or `until`.
    While {
        until: bool,
        condition: List,
        body: List,
    },
    /// Without `in`, over the positional parameters.
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: List,
    },
    /// `for (( ; ; ))`; an empty condition is true.
    ArithmeticFor {
        parts: [Option<Word>; 3],
        body: List,
    },
    Case {
        word: Word,
        arms: Vec<Arm>,
    },
    Group(List),
    /// `(( … ))`.
    Arithmetic(Word),
    /// `[[ … ]]`.
    Conditional(Condition),
    Function {
        name: String,
        function: Arc<Function>,
    },
}

/// A function. What is refused in it only matters if it is called.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) body: Command,
    pub(crate) refusals: Vec<Diagnostic>,
}

/// `NAME=…`, `NAME+=…`, `NAME[n]=…`.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    /// What stands between the brackets behind the name.
    pub(crate) subscript: Option<Word>,
    pub(crate) append: bool,
    pub(crate) value: AssignedValue,
    /// From the name to the end of the value.
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum AssignedValue {
    /// A single word, possibly empty.
    Scalar(Word),
    /// `( … )`.
    Array(Vec<Element>),
}

/// One word inside an array literal. Kept small: there may be a million.
#[derive(Debug, Clone)]
pub(crate) enum Element {
    Word(Word),
    /// `[subscript]=value`.
    Keyed(Box<KeyedElement>),
}

#[derive(Debug, Clone)]
pub(crate) struct KeyedElement {
    pub(crate) subscript: Word,
    pub(crate) append: bool,
    pub(crate) value: Word,
    pub(crate) span: Span,
}

/// One word as written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Word {
    pub(crate) span: Span,
    pub(crate) kind: WordKind,
}

/// Most words need no parts of their own: the text of the file is kept anyway.
#[derive(Debug, Clone, Default)]
pub(crate) enum WordKind {
    /// The text under the span, nothing in it being special.
    #[default]
    Plain,
    /// The same between quotes, which are under the span too.
    Quoted,
    Parts(Box<[Part]>),
}

/// A part of a word.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Unquoted literal bytes.
    Literal(Vec<u8>),
    /// Literal bytes in single quotes or behind a backslash.
    Quoted(Vec<u8>),
    /// What stands in double quotes.
    Double(Box<[Part]>),
    Parameter(Box<Parameter>),
    /// `$(( … ))`.
    Arithmetic(Box<Word>),
    /// `$( … )`.
    Substitution(Box<Substitution>),
}

/// `$name`, `${name…}`.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) subject: Subject,
    /// `${!name}`: the value names what is meant.
    pub(crate) indirect: bool,
    pub(crate) operator: Operator,
    /// From the `$` to the end.
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Subject {
    Variable {
        name: String,
        subscript: Option<Subscript>,
    },
    /// `$1` and so on.
    Positional(usize),
    /// `$@`, or with `star` `$*`.
    Arguments {
        star: bool,
    },
    /// `$#`.
    Count,
    /// `$?`.
    Status,
}

#[derive(Debug, Clone)]
pub(crate) enum Subscript {
    One(Word),
    /// `[@]`, or with `star` `[*]`.
    All {
        star: bool,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Operator {
    None,
    /// `${#…}`.
    Length,
    /// `- := ?` and the like; with `colon` an empty value counts as unset.
    Fallback {
        kind: Fallback,
        colon: bool,
        word: Word,
    },
    /// `#`, `##`.
    RemovePrefix {
        longest: bool,
        pattern: Word,
    },
    /// `%`, `%%`.
    RemoveSuffix {
        longest: bool,
        pattern: Word,
    },
    /// `/`, `//`, `/#`, `/%`.
    Replace {
        what: Replace,
        pattern: Word,
        replacement: Word,
    },
    /// `^ ^^ , ,, ~ ~~`.
    Case {
        change: CaseChange,
        pattern: Option<Word>,
    },
    /// `:offset:length`.
    Substring {
        offset: Word,
        length: Option<Word>,
    },
    /// `@Q` and the like.
    Transform(u8),
    /// `${!a[@]}`.
    Keys,
    /// `${!prefix@}`, or with `star` `${!prefix*}`.
    Names {
        star: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// `-`
    Use,
    /// `=`
    Assign,
    /// `?`
    Fail,
    /// `+`
    Instead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    First,
    All,
    Prefix,
    Suffix,
}

/// `$( … )` of a command that only computes.
#[derive(Debug, Clone)]
pub(crate) enum Substitution {
    Command(Call),
    /// `$(<FILE)`.
    File {
        path: Word,
        span: Span,
    },
}

/// A command by name.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Word>,
    pub(crate) span: Span,
}

/// `export A=1 B`, `readonly A`, `declare -ax A=(1 2)`.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    /// `local`, `declare` and `typeset` in a function make a variable of the function.
    pub(crate) local: bool,
    /// `local`, which bash allows in a function only.
    pub(crate) only_local: bool,
    pub(crate) options: DeclareOptions,
    pub(crate) operands: Vec<Operand>,
    pub(crate) span: Span,
}

/// What the options of a declaration ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DeclareOptions {
    /// Attributes to give.
    pub(crate) on: Flags,
    /// Attributes to take away.
    pub(crate) off: Flags,
    /// `-a`
    pub(crate) indexed: bool,
    /// `-A`
    pub(crate) associative: bool,
    /// `-g`
    pub(crate) global: bool,
}

/// Attributes as letters name them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) export: bool,
    pub(crate) readonly: bool,
    pub(crate) integer: bool,
    pub(crate) lower: bool,
    pub(crate) upper: bool,
    pub(crate) reference: bool,
}

/// An operand of a declaration.
#[derive(Debug, Clone)]
pub(crate) enum Operand {
    Name {
        name: String,
        span: Span,
    },
    Assignment(Assignment),
    /// A word that gives one of the others when it is expanded.
    Word(Word),
}

impl Operand {
    /// The name; empty if it is not known yet.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Word(_) => "",
            Self::Name { name, .. } => name,
            Self::Assignment(assignment) => &assignment.name,
        }
    }

    /// Where it stands.
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Name { span, .. } => *span,
            Self::Assignment(assignment) => assignment.span,
            Self::Word(word) => word.span,
        }
    }
}

/// One `pattern) …` of a `case`.
#[derive(Debug, Clone)]
pub(crate) struct Arm {
    pub(crate) patterns: Vec<Word>,
    pub(crate) body: List,
    pub(crate) end: ArmEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArmEnd {
    /// `;;`
    Leave,
    /// `;&`
    FallThrough,
    /// `;;&`
    GoOn,
}

/// The inside of `[[ … ]]`.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    /// A word alone: whether it is not empty.
    Word(Word),
    Unary {
        operator: String,
        operand: Word,
    },
    Binary {
        operator: String,
        left: Word,
        right: Word,
        span: Span,
    },
}

impl Word {
    /// An empty word.
    pub(crate) fn empty_at(offset: usize) -> Self {
        Self { span: Span::new(offset, offset), kind: WordKind::Plain }
    }

    /// A word of these literal bytes, in the place of another.
    pub(crate) fn of_literal(bytes: &[u8], span: Span) -> Self {
        Self { span, kind: WordKind::Parts([Part::Literal(bytes.to_vec())].into()) }
    }

    /// The same of bytes that are not to be expanded.
    pub(crate) fn of_quoted(bytes: &[u8], span: Span) -> Self {
        Self { span, kind: WordKind::Parts([Part::Quoted(bytes.to_vec())].into()) }
    }

    /// The parts, if it has any of its own.
    pub(crate) fn into_parts(self) -> Box<[Part]> {
        match self.kind {
            WordKind::Parts(parts) => parts,
            WordKind::Plain | WordKind::Quoted => Box::default(),
        }
    }

    /// The same by reference.
    pub(crate) fn parts(&self) -> &[Part] {
        match &self.kind {
            WordKind::Parts(parts) => parts,
            WordKind::Plain | WordKind::Quoted => &[],
        }
    }

    /// Whether one of these names stands in its text, as it may without a `$` in arithmetic.
    fn mentions(&self, names: &[&str]) -> bool {
        let holds = |text: &[u8], name: &str| text.windows(name.len()).any(|it| it == name.as_bytes());
        self.parts().iter().any(|part| match part {
            Part::Literal(text) => names.iter().any(|name| holds(text, name)),
            _ => false,
        })
    }

    /// Whether it holds a list in double quotes.
    pub(crate) fn quotes_list(&self) -> bool {
        self.parts().iter().any(Part::quotes_list)
    }

    /// Calls back for every parameter and every arithmetic text in it, at any depth.
    pub(crate) fn visit(&self, visitor: &mut impl FnMut(Visited<'_>)) {
        visit_parts(self.parts(), visitor);
    }
}

impl Part {
    /// The parameter, if it is one.
    pub(crate) fn as_parameter(&self) -> Option<&Parameter> {
        match self {
            Self::Parameter(parameter) => Some(parameter),
            _ => None,
        }
    }

    /// Whether it is a list as it stands.
    pub(crate) fn is_list(&self) -> bool {
        self.as_parameter().is_some_and(Parameter::is_list)
    }

    /// Whether it is such a list in double quotes, perhaps beside other things.
    pub(crate) fn quotes_list(&self) -> bool {
        matches!(self, Self::Double(inside) if inside.iter().any(Self::is_list))
    }
}

impl Subject {
    /// `NAME[@]` or `NAME[*]`.
    pub(crate) fn is_all_elements(&self) -> bool {
        matches!(self, Self::Variable { subscript: Some(Subscript::All { .. }), .. })
    }

    /// `$@` or `NAME[@]`: in double quotes, each element is a field.
    pub(crate) fn is_separate_list(&self) -> bool {
        self.list_by_star() == Some(false)
    }

    /// `$*` or `NAME[*]`: in double quotes, the elements are joined to one field.
    pub(crate) fn is_joined_list(&self) -> bool {
        self.list_by_star() == Some(true)
    }

    /// Whether the list is asked for with a star; none if it is no list.
    fn list_by_star(&self) -> Option<bool> {
        match self {
            Self::Arguments { star } | Self::Variable { subscript: Some(Subscript::All { star }), .. } => {
                Some(*star)
            }
            _ => None,
        }
    }
}

impl Parameter {
    /// Whether it gives a list, or may do so: nobody knows where an indirection leads.
    pub(crate) fn is_list(&self) -> bool {
        self.indirect
            || matches!(self.operator, Operator::Names { .. } | Operator::Keys)
            || self.subject.list_by_star().is_some()
    }

    /// `${NAME[@]…}`, but for its length.
    pub(crate) fn separates(&self) -> bool {
        self.subject.is_separate_list() && !matches!(self.operator, Operator::Length)
    }

    /// `${NAME[*]…}` with an operator, but for its length.
    pub(crate) fn joins_changed(&self) -> bool {
        match self.operator {
            Operator::Names { star: true } => true,
            Operator::None | Operator::Length => false,
            _ => self.subject.is_joined_list(),
        }
    }

    /// `$NAME` or the like.
    pub(crate) fn is_plain(&self) -> bool {
        let has_subscript = matches!(&self.subject, Subject::Variable { subscript: Some(_), .. });
        matches!(self.operator, Operator::None) && !has_subscript && !self.indirect
    }
}

/// What [`Word::visit`] finds.
pub(crate) enum Visited<'a> {
    Parameter(&'a Parameter),
    Arithmetic(&'a Word),
}

fn visit_parts(parts: &[Part], visitor: &mut impl FnMut(Visited<'_>)) {
    for part in parts {
        match part {
            Part::Literal(_) | Part::Quoted(_) => {}
            Part::Double(parts) => visit_parts(parts, visitor),
            Part::Arithmetic(word) => {
                visitor(Visited::Arithmetic(word));
                word.visit(visitor);
            }
            Part::Substitution(substitution) => match &**substitution {
                Substitution::Command(call) => call.arguments.iter().for_each(|word| word.visit(visitor)),
                Substitution::File { path, .. } => path.visit(visitor),
            },
            Part::Parameter(parameter) => {
                visitor(Visited::Parameter(parameter));
                if let Subject::Variable { subscript: Some(Subscript::One(word)), .. } = &parameter.subject {
                    visitor(Visited::Arithmetic(word));
                    word.visit(visitor);
                }
                for word in parameter.operator.words() {
                    if matches!(parameter.operator, Operator::Substring { .. }) {
                        visitor(Visited::Arithmetic(word));
                    }
                    word.visit(visitor);
                }
            }
        }
    }
}

impl Operator {
    /// The words that it holds.
    pub(crate) fn words(&self) -> impl Iterator<Item = &Word> {
        let (first, second) = match self {
            Self::None | Self::Length | Self::Transform(_) | Self::Keys | Self::Names { .. } => (None, None),
            Self::Fallback { word, .. } => (Some(word), None),
            Self::RemovePrefix { pattern, .. } | Self::RemoveSuffix { pattern, .. } => (Some(pattern), None),
            Self::Replace { pattern, replacement, .. } => (Some(pattern), Some(replacement)),
            Self::Case { pattern, .. } => (pattern.as_ref(), None),
            Self::Substring { offset, length } => (Some(offset), length.as_ref()),
        };
        first.into_iter().chain(second)
    }

    /// The same to be changed.
    pub(crate) fn words_mut(&mut self) -> impl Iterator<Item = &mut Word> {
        let (first, second) = match self {
            Self::None | Self::Length | Self::Transform(_) | Self::Keys | Self::Names { .. } => (None, None),
            Self::Fallback { word, .. } => (Some(word), None),
            Self::RemovePrefix { pattern, .. } | Self::RemoveSuffix { pattern, .. } => (Some(pattern), None),
            Self::Replace { pattern, replacement, .. } => (Some(pattern), Some(replacement)),
            Self::Case { pattern, .. } => (pattern.as_mut(), None),
            Self::Substring { offset, length } => (Some(offset), length.as_mut()),
        };
        first.into_iter().chain(second)
    }
}

impl Operand {
    /// Whether its value uses one of these variables beside itself, as far as can be seen.
    pub(crate) fn uses_others(&self, names: &BTreeSet<&str>) -> bool {
        let others: Vec<&str> = names.iter().copied().filter(|&name| name != self.name()).collect();
        match self {
            Self::Name { .. } | Self::Word(_) => false,
            Self::Assignment(assignment) => assignment.uses(&others),
        }
    }
}

impl Assignment {
    /// Whether its value or its subscript uses one of these variables, as far as can be seen.
    pub(crate) fn uses(&self, names: &[&str]) -> bool {
        let mut found = false;
        let mut look = |visited: Visited<'_>| {
            found |= match visited {
                Visited::Parameter(Parameter { indirect: true, .. }) => true,
                Visited::Parameter(Parameter { subject: Subject::Variable { name, .. }, .. }) => {
                    names.contains(&name.as_str())
                }
                Visited::Parameter(_) => false,
                Visited::Arithmetic(word) => word.mentions(names),
            };
        };
        if let Some(subscript) = &self.subscript {
            look(Visited::Arithmetic(subscript));
            subscript.visit(&mut look);
        }
        match &self.value {
            AssignedValue::Scalar(word) => word.visit(&mut look),
            AssignedValue::Array(elements) => elements.iter().for_each(|element| match element {
                Element::Word(word) => word.visit(&mut look),
                Element::Keyed(keyed) => {
                    look(Visited::Arithmetic(&keyed.subscript));
                    keyed.subscript.visit(&mut look);
                    keyed.value.visit(&mut look);
                }
            }),
        }
        found
    }
}
