//! Integer arithmetic as in `$(( ))`, `(( ))`, `let` and subscripts of indexed arrays.
//!
//! An expression is evaluated while it is read, left to right, as bash does; so the order of reads and writes
//! is bash's too. In a part that does not count (`0 && …`, the branch of `?:` not taken) names are 0, nothing
//! is read or written, and a division by 0 is no error; a wrong constant or a negative exponent still is one.

mod number;
mod operator;
mod scanner;
#[cfg(test)]
mod tests;

use operator::{Operator, apply};
use scanner::{After, Scanner, Token};

/// Where in an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subscript {
    /// Of an indexed array; a negative one counts from the end.
    Index(i64),
    /// Of an associative array; never empty.
    Key(Vec<u8>),
}

/// The variables that an expression reads and writes.
pub(crate) trait Cells {
    /// Why the evaluation is given up.
    type Stop;

    /// Whether the variable is an associative array now.
    fn is_associative(&self, name: &str) -> bool;

    /// The value of a variable or of an element. None: there is none, which counts as 0.
    fn read(&mut self, name: &str, subscript: Option<&Subscript>) -> Result<Option<Vec<u8>>, Self::Stop>;

    /// Assigns to a variable or to an element.
    fn write(&mut self, name: &str, subscript: Option<&Subscript>, value: i64) -> Result<(), Self::Stop>;

    /// Called for each operand and operator, and for each [`STEP_BYTES`] of text.
    fn step(&mut self) -> Result<(), Self::Stop>;
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArithError<S> {
    /// What bash would complain about, or what is not supported here.
    Message(String),
    /// What the variables said.
    Stop(S),
}

/// How much text costs a step.
const STEP_BYTES: usize = 1024;

/// How deep parentheses, subscripts and the values of variables may nest, taken together. bash has 1024 for the
/// values alone.
const MAX_DEPTH: usize = 64;

/// Where the text of an expression comes from; bash treats quotes and nested subscripts accordingly.
///
/// When bash expands a text (always in an operand of `[[ … ]]`, elsewhere if there is a `$` or a `~` in it), it
/// quotes brackets and `~` inside subscripts. That is right for a key of an associative array, but makes an
/// error of `a[b[1]]` with two indexed arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The file, expansions being done already. Double quotes have no effect. What was expanded inside a
    /// subscript must have brought no bracket, quote or backslash.
    Expanded,
    /// The file, and there was nothing to expand. Double quotes have no effect.
    Plain,
    /// As [`Expanded`](Self::Expanded), all quotes being removed, and with a backslash before each bracket, quote,
    /// backslash, `$`, backquote and `~` that is a part of a key.
    Quoted,
    /// The value of a variable, an operand of `let`, or what is assigned to an integer variable: nothing is
    /// expanded and quotes are an error.
    Value,
}

/// The value of an expression.
pub(crate) fn evaluate_as<C: Cells>(
    origin: Origin,
    text: &[u8],
    cells: &mut C,
) -> Result<i64, ArithError<C::Stop>> {
    let mut evaluation = Evaluation { cells, depth: 0, live: true, writes: 0, indexing: Vec::new() };
    let (expanded, from_file) = match origin {
        Origin::Expanded => (true, true),
        Origin::Plain => (text.contains(&b'~'), true),
        Origin::Quoted => (true, false),
        Origin::Value => (false, false),
    };
    if from_file && text.contains(&b'\\') {
        return Err(message("backslash in an expression"));
    }
    if from_file && text.contains(&b'"') {
        let text: Vec<u8> = text.iter().copied().filter(|&byte| byte != b'"').collect();
        return evaluation.text(&text, expanded);
    }
    evaluation.text(text, expanded)
}

fn message<S>(text: &str) -> ArithError<S> {
    ArithError::Message(text.to_owned())
}

struct Evaluation<'c, C> {
    cells: &'c mut C,
    depth: usize,
    /// False in a part that does not count.
    live: bool,
    /// How often something was written.
    writes: u64,
    /// The arrays whose subscripts are being evaluated.
    indexing: Vec<String>,
}

/// A name with its subscript, before or after the evaluation of that.
struct Place<'t> {
    name: &'t str,
    subscript: Option<Where<'t>>,
    /// `writes` at the evaluation.
    writes: u64,
}

enum Where<'t> {
    /// With whether bash has expanded it.
    Text(&'t [u8], bool),
    Known(Subscript),
}

/// A text and the token that is next in it.
struct Cursor<'t> {
    scanner: Scanner<'t>,
    token: Token<'t>,
    /// Whether bash has expanded the text.
    expanded: bool,
}

impl Cursor<'_> {
    fn advance<S>(&mut self, after: After) -> Result<(), ArithError<S>> {
        self.token = self.scanner.next(after).map_err(message)?;
        Ok(())
    }
}

/// What is assigned when all to the right of it is known.
struct Pending<'t> {
    place: Place<'t>,
    /// The operator of `+=` and the like, and the value on its left.
    update: Option<(Operator, i64)>,
}

type Outcome<C> = Result<i64, ArithError<<C as Cells>::Stop>>;

impl<C: Cells> Evaluation<'_, C> {
    fn text(&mut self, text: &[u8], expanded: bool) -> Outcome<C> {
        for _ in 0..=text.len() / STEP_BYTES {
            self.step()?;
        }
        let mut cursor = Cursor { scanner: Scanner::new(text), token: Token::End, expanded };
        cursor.advance(After::Operator)?;
        if cursor.token == Token::End {
            return Ok(0);
        }
        let value = self.nested(&mut cursor)?;
        if cursor.token == Token::End { Ok(value) } else { Err(message("syntax error in expression")) }
    }

    fn step(&mut self) -> Result<(), ArithError<C::Stop>> {
        self.cells.step().map_err(ArithError::Stop)
    }

    /// All that may stand in parentheses; the only way into another level.
    fn nested(&mut self, cursor: &mut Cursor<'_>) -> Outcome<C> {
        if self.depth == MAX_DEPTH {
            return Err(message("expression recursion level exceeded"));
        }
        self.depth += 1;
        let mut value = self.assignment(cursor)?;
        while cursor.token == Token::Comma {
            cursor.advance(After::Operator)?;
            value = self.assignment(cursor)?;
        }
        self.depth -= 1;
        Ok(value)
    }

    fn assignment(&mut self, cursor: &mut Cursor<'_>) -> Outcome<C> {
        let mut pending = Vec::new();
        while let Some(target) = self.target(cursor)? {
            pending.push(target);
        }
        let mut value = self.conditional(cursor)?;
        if matches!(cursor.token, Token::Assign(_)) {
            return Err(message("attempted assignment to non-variable"));
        }
        while let Some(Pending { place, update }) = pending.pop() {
            if let Some((operator, left)) = update {
                value = apply(operator, left, value, self.live).map_err(message)?;
            }
            self.write(place, value)?;
        }
        Ok(value)
    }

    /// A name that is assigned to, if that is next. With `=` its subscript is evaluated last (`a[i++]=i`), with
    /// `+=` and the like first, as is its value.
    fn target<'t>(&mut self, cursor: &mut Cursor<'t>) -> Result<Option<Pending<'t>>, ArithError<C::Stop>> {
        let Token::Name(name, subscript) = cursor.token else { return Ok(None) };
        let mut ahead = cursor.scanner.clone();
        let Token::Assign(operator) = ahead.next(After::Name).map_err(message)? else { return Ok(None) };
        self.step()?;
        let target = match operator {
            None => {
                let subscript = subscript.map(|text| Where::Text(text, cursor.expanded));
                Pending { place: Place { name, subscript, writes: 0 }, update: None }
            }
            Some(operator) => {
                let (place, value) = self.read(name, subscript, cursor.expanded)?;
                Pending { place, update: Some((operator, value)) }
            }
        };
        cursor.scanner = ahead;
        cursor.advance(After::Operator)?;
        Ok(Some(target))
    }

    fn conditional(&mut self, cursor: &mut Cursor<'_>) -> Outcome<C> {
        let live = self.live;
        let mut chosen = None;
        loop {
            let condition = self.binary(cursor)?;
            if cursor.token != Token::Question {
                self.live = live;
                return Ok(chosen.unwrap_or(condition));
            }
            self.step()?;
            let here = self.live;
            self.live = here && condition != 0;
            cursor.advance(After::Operator)?;
            let value = self.nested(cursor)?;
            if cursor.token != Token::Colon {
                return Err(message("`:' expected for conditional expression"));
            }
            if condition != 0 {
                chosen = chosen.or(Some(value));
            }
            self.live = here && condition == 0;
            cursor.advance(After::Operator)?;
        }
    }

    fn binary(&mut self, cursor: &mut Cursor<'_>) -> Outcome<C> {
        // What waits for its right side, each binding tighter than the one before it, with whether it counts.
        let mut waiting: Vec<(i64, Operator, bool)> = Vec::new();
        loop {
            let mut value = self.operand(cursor)?;
            let next = match cursor.token {
                Token::Operator(operator) => Some(operator),
                _ => None,
            };
            while let Some((left, operator, live)) = waiting.pop_if(|(_, it, _)| it.comes_before(next)) {
                self.live = live;
                value = apply(operator, left, value, live).map_err(message)?;
            }
            let Some(operator) = next else { return Ok(value) };
            self.step()?;
            waiting.push((value, operator, self.live));
            match operator {
                Operator::And => self.live &= value != 0,
                Operator::Or => self.live &= value == 0,
                _ => {}
            }
            cursor.advance(After::Operator)?;
        }
    }

    fn operand(&mut self, cursor: &mut Cursor<'_>) -> Outcome<C> {
        let mut prefixes: Vec<fn(i64) -> i64> = Vec::new();
        loop {
            self.step()?;
            prefixes.push(match cursor.token {
                Token::Operator(Operator::Add) => |value| value,
                Token::Operator(Operator::Subtract) => i64::wrapping_neg,
                Token::Not => |value| i64::from(value == 0),
                Token::Complement => |value| !value,
                _ => break,
            });
            cursor.advance(After::Operator)?;
        }
        let value = self.primary(cursor)?;
        Ok(prefixes.into_iter().rev().fold(value, |value, prefix| prefix(value)))
    }

    fn primary(&mut self, cursor: &mut Cursor<'_>) -> Outcome<C> {
        match cursor.token {
            Token::Number(value) => {
                cursor.advance(After::Value)?;
                Ok(value)
            }
            Token::Open => {
                cursor.advance(After::Operator)?;
                let value = self.nested(cursor)?;
                if cursor.token != Token::Close {
                    return Err(message("missing `)'"));
                }
                cursor.advance(After::Value)?;
                Ok(value)
            }
            Token::Increment(by) => {
                cursor.advance(After::Operator)?;
                let Token::Name(name, subscript) = cursor.token else {
                    return Err(message("identifier expected after pre-increment or pre-decrement"));
                };
                let (place, old) = self.read(name, subscript, cursor.expanded)?;
                let value = old.wrapping_add(by);
                self.write(place, value)?;
                cursor.advance(After::Incremented)?;
                Ok(value)
            }
            Token::Name(name, subscript) => {
                let (place, value) = self.read(name, subscript, cursor.expanded)?;
                cursor.advance(After::Name)?;
                if let Token::Increment(by) = cursor.token {
                    self.write(place, value.wrapping_add(by))?;
                    cursor.advance(After::Value)?;
                }
                Ok(value)
            }
            _ => Err(message("syntax error: operand expected")),
        }
    }

    /// The place of a name, its subscript evaluated, and the value there.
    fn read<'t>(
        &mut self,
        name: &'t str,
        subscript: Option<&'t [u8]>,
        expanded: bool,
    ) -> Result<(Place<'t>, i64), ArithError<C::Stop>> {
        if !self.live {
            return Ok((Place { name, subscript: None, writes: 0 }, 0));
        }
        let subscript = subscript.map(|text| self.subscript(name, text, expanded)).transpose()?;
        let writes = self.writes;
        let value = self.cells.read(name, subscript.as_ref()).map_err(ArithError::Stop)?;
        let value = value.map_or(Ok(0), |text| self.text(&text, false))?;
        Ok((Place { name, subscript: subscript.map(Where::Known), writes }, value))
    }

    fn write(&mut self, place: Place<'_>, value: i64) -> Result<(), ArithError<C::Stop>> {
        if !self.live {
            return Ok(());
        }
        let subscript = match place.subscript {
            None => None,
            Some(Where::Text(text, expanded)) => Some(self.subscript(place.name, text, expanded)?),
            // bash takes the end that the array had at the evaluation of the subscript.
            Some(Where::Known(Subscript::Index(..0))) if place.writes != self.writes => {
                return Err(message("negative subscript of an array that may have changed meanwhile"));
            }
            Some(Where::Known(subscript)) => Some(subscript),
        };
        // What bash takes as the array in `a[a[0]++]` depends on what it was before.
        if self.indexing.iter().any(|name| name == place.name) {
            return Err(message("array that changes in its own subscript"));
        }
        self.writes += 1;
        self.cells.write(place.name, subscript.as_ref(), value).map_err(ArithError::Stop)
    }

    fn subscript(
        &mut self,
        name: &str,
        text: &[u8],
        expanded: bool,
    ) -> Result<Subscript, ArithError<C::Stop>> {
        if self.cells.is_associative(name) {
            return key(text).map(Subscript::Key).map_err(message);
        }
        if matches!(text, b"" | b"@" | b"*") {
            return Err(message("bad array subscript"));
        }
        if text.contains(&b'\\') {
            return Err(message("backslash in an expression"));
        }
        if expanded && text.iter().any(|byte| b"[]~".contains(byte)) {
            return Err(message("nested subscript in an expanded expression"));
        }
        self.indexing.push(name.to_owned());
        let index = self.text(text, text.contains(&b'~'))?;
        self.indexing.pop();
        Ok(Subscript::Index(index))
    }
}

/// The key that a subscript of an associative array is.
fn key(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut key = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        key.push(match byte {
            b'\\' => *rest.next().ok_or("bad array subscript")?,
            _ => byte,
        });
    }
    // bash gives the first two a meaning of its own inside words, and joins lines at the third.
    if key.iter().any(|byte| matches!(byte, 0x01 | 0x7f)) || text.windows(2).any(|pair| pair == b"\\\n") {
        return Err("control character in a subscript");
    }
    if key.is_empty() { Err("bad array subscript") } else { Ok(key) }
}
