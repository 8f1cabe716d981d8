//! The conditions of `test` and `[`, and what `[[ ]]` shares with them.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

/// What a condition asks about the world outside of its words.
pub(crate) trait Facts {
    /// Why the answer is refused.
    type Stop;

    /// A file operator on one file: `-e`, `-f` and so on, and `-t` on the number of a descriptor.
    fn file(&mut self, operator: &[u8], path: &[u8]) -> Result<bool, Self::Stop>;

    /// `-nt`, `-ot` or `-ef`.
    fn files(&mut self, operator: &[u8], left: &[u8], right: &[u8]) -> Result<bool, Self::Stop>;

    /// `-v`: of a variable, an element, or a positional parameter by its number; anything else is not set.
    fn is_set(&mut self, name: &[u8]) -> Result<bool, Self::Stop>;

    /// `-o`: of an option as `set -o` names it; another one is off.
    fn option(&mut self, name: &[u8]) -> Result<bool, Self::Stop>;
}

/// Why a condition has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TestError<S> {
    /// What bash would complain about, or what is not supported here.
    Message(String),
    /// What the facts said.
    Stop(S),
}

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    /// `-z`
    IsEmpty,
    /// `-n`
    IsNotEmpty,
    /// `-v`
    IsSet,
    /// `-R`
    IsReference,
    /// `-o`
    Option,
    /// `-t`
    Terminal,
    /// All others.
    File(&'static [u8]),
}

/// An operator between two operands, without `=~`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    /// `=` or `==`: in `[[ ]]` a pattern.
    Equal,
    /// `!=`: in `[[ ]]` a pattern.
    NotEqual,
    /// `<`
    Before,
    /// `>`
    After,
    /// Of integers: in `[[ ]]` expressions.
    Integers(Comparison),
    /// `-nt`, `-ot` or `-ef`.
    Files(&'static [u8]),
}

/// `-eq`, `-ne`, `-lt`, `-le`, `-gt` or `-ge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// How deep parentheses may nest.
const MAX_DEPTH: usize = 64;

const FILE_OPERATORS: [&[u8]; 21] = [
    b"-a", b"-b", b"-c", b"-d", b"-e", b"-f", b"-g", b"-h", b"-k", b"-p", b"-r", b"-s", b"-u", b"-w", b"-x",
    b"-G", b"-L", b"-N", b"-O", b"-S", b"-t",
];

/// The operator before an operand that a word is, if any.
pub(crate) fn unary(operator: &[u8]) -> Option<Unary> {
    Some(match operator {
        b"-z" => Unary::IsEmpty,
        b"-n" => Unary::IsNotEmpty,
        b"-v" => Unary::IsSet,
        b"-R" => Unary::IsReference,
        b"-o" => Unary::Option,
        b"-t" => Unary::Terminal,
        _ => Unary::File(FILE_OPERATORS.into_iter().find(|&it| it == operator)?),
    })
}

/// The operator between operands that a word is, if any.
pub(crate) fn binary(operator: &[u8]) -> Option<Binary> {
    Some(match operator {
        b"=" | b"==" => Binary::Equal,
        b"!=" => Binary::NotEqual,
        b"<" => Binary::Before,
        b">" => Binary::After,
        b"-eq" => Binary::Integers(Comparison::Equal),
        b"-ne" => Binary::Integers(Comparison::NotEqual),
        b"-lt" => Binary::Integers(Comparison::Less),
        b"-le" => Binary::Integers(Comparison::LessOrEqual),
        b"-gt" => Binary::Integers(Comparison::Greater),
        b"-ge" => Binary::Integers(Comparison::GreaterOrEqual),
        b"-nt" => Binary::Files(b"-nt"),
        b"-ot" => Binary::Files(b"-ot"),
        b"-ef" => Binary::Files(b"-ef"),
        _ => return None,
    })
}

impl Unary {
    /// Whether it holds; the same in `[` and `[[ ]]`.
    pub(crate) fn holds<F: Facts>(self, operand: &[u8], facts: &mut F) -> Result<bool, TestError<F::Stop>> {
        match self {
            Self::IsEmpty => Ok(operand.is_empty()),
            Self::IsNotEmpty => Ok(!operand.is_empty()),
            Self::IsSet => facts.is_set(operand),
            Self::IsReference => return Err(message("-R: not supported", b"")),
            Self::Option => facts.option(operand),
            // What is no number is no descriptor.
            Self::Terminal if integer(operand).is_none() => Ok(false),
            Self::Terminal => facts.file(b"-t", operand),
            Self::File(operator) => facts.file(operator, operand),
        }
        .map_err(TestError::Stop)
    }
}

impl Binary {
    /// Whether it holds in `[`. In `[[ ]]` that is so for [`Before`](Self::Before), [`After`](Self::After) and
    /// [`Files`](Self::Files).
    pub(crate) fn holds<F: Facts>(
        self,
        left: &[u8],
        right: &[u8],
        facts: &mut F,
    ) -> Result<bool, TestError<F::Stop>> {
        Ok(match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            // The order of C.UTF-8 is that of the bytes.
            Self::Before => left < right,
            Self::After => left > right,
            Self::Integers(comparison) => comparison.holds(expect_integer(left)?, expect_integer(right)?),
            Self::Files(operator) => facts.files(operator, left, right).map_err(TestError::Stop)?,
        })
    }
}

impl Comparison {
    /// Whether it holds.
    pub(crate) fn holds(self, left: i64, right: i64) -> bool {
        let order = left.cmp(&right);
        match self {
            Self::Equal => order == Ordering::Equal,
            Self::NotEqual => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

/// The result of `test` with these arguments, or of `[` with those before its `]`.
///
/// Up to four arguments are judged by their number, as POSIX wants it: `[ -n ]` and `[ ! = x ]` are no mistakes.
/// Both sides of `-a` and `-o` are always evaluated.
pub(crate) fn test<F: Facts>(arguments: &[Vec<u8>], facts: &mut F) -> Result<bool, TestError<F::Stop>> {
    let words: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    match words[..] {
        [] => Ok(false),
        [word] => Ok(!word.is_empty()),
        [first, second] => two(first, second, facts),
        [first, second, third] => three(first, second, third, facts),
        [b"!", second, third, fourth] => three(second, third, fourth, facts).map(|it| !it),
        [b"(", second, third, b")"] => two(second, third, facts),
        _ => {
            let mut rest = Rest { words: &words, facts, depth: 0 };
            let value = rest.either()?;
            match rest.words {
                [] => Ok(value),
                [word, ..] if word.starts_with(b"-") => Err(message("syntax error: unexpected ", word)),
                _ => Err(message("too many arguments", b"")),
            }
        }
    }
}

fn two<F: Facts>(first: &[u8], second: &[u8], facts: &mut F) -> Result<bool, TestError<F::Stop>> {
    match unary(first) {
        _ if first == b"!" => Ok(second.is_empty()),
        Some(operator) => operator.holds(second, facts),
        None => Err(message("unary operator expected: ", first)),
    }
}

fn three<F: Facts>(
    first: &[u8],
    second: &[u8],
    third: &[u8],
    facts: &mut F,
) -> Result<bool, TestError<F::Stop>> {
    match (binary(second), second) {
        (Some(operator), _) => operator.holds(first, third, facts),
        (_, b"-a") => Ok(!first.is_empty() && !third.is_empty()),
        (_, b"-o") => Ok(!first.is_empty() || !third.is_empty()),
        _ if first == b"!" => two(second, third, facts).map(|it| !it),
        // bash looks at the first byte only.
        _ if first.starts_with(b"(") && third.starts_with(b")") => Ok(!second.is_empty()),
        _ => Err(message("binary operator expected: ", second)),
    }
}

/// The arguments that are still to be judged, where there are many.
struct Rest<'a, F> {
    words: &'a [&'a [u8]],
    facts: &'a mut F,
    depth: usize,
}

impl<F: Facts> Rest<'_, F> {
    fn either(&mut self) -> Result<bool, TestError<F::Stop>> {
        let mut value = self.both()?;
        while self.take(b"-o") {
            value |= self.both()?;
        }
        Ok(value)
    }

    fn both(&mut self) -> Result<bool, TestError<F::Stop>> {
        let mut value = self.term()?;
        while self.take(b"-a") {
            value &= self.term()?;
        }
        Ok(value)
    }

    fn term(&mut self) -> Result<bool, TestError<F::Stop>> {
        let mut negated = false;
        while self.take(b"!") {
            negated = !negated;
        }
        Ok(self.plain_term()? != negated)
    }

    fn plain_term(&mut self) -> Result<bool, TestError<F::Stop>> {
        if self.take(b"(") {
            if self.depth == MAX_DEPTH {
                return Err(message("too many levels of parentheses", b""));
            }
            self.depth += 1;
            let value = self.either()?;
            self.depth -= 1;
            return if self.take(b")") { Ok(value) } else { Err(message("`)' expected", b"")) };
        }
        if let [left, operator, right, rest @ ..] = self.words
            && let Some(operator) = binary(operator)
        {
            self.words = rest;
            return operator.holds(left, right, self.facts);
        }
        if let [operator, operand, rest @ ..] = self.words
            && let Some(operator) = unary(operator)
        {
            // `-t` leaves alone what is no number.
            let takes_operand = operator != Unary::Terminal || integer(operand).is_some();
            self.words = if takes_operand { rest } else { &self.words[1..] };
            return operator.holds(operand, self.facts);
        }
        let [word, rest @ ..] = self.words else { return Err(message("argument expected", b"")) };
        self.words = rest;
        Ok(!word.is_empty())
    }

    fn take(&mut self, word: &[u8]) -> bool {
        match self.words {
            [first, rest @ ..] if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

/// An integer as `[` takes it: decimal, with a sign, with blanks around it.
fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']).trim_end_matches([' ', '\t']);
    text.parse().ok()
}

fn expect_integer<S>(text: &[u8]) -> Result<i64, TestError<S>> {
    integer(text).ok_or_else(|| message("integer expression expected: ", text))
}

fn message<S>(what: &str, word: &[u8]) -> TestError<S> {
    TestError::Message(format!("{what}{}", String::from_utf8_lossy(word)))
}
