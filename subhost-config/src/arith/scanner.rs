//! The tokens of an expression.

use super::number::constant;
use super::operator::Operator;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    End,
    Number(i64),
    /// A name and the text of its subscript.
    Name(&'t str, Option<&'t [u8]>),
    /// `+` and `-` may also be signs.
    Operator(Operator),
    /// `=`, or the operator before it.
    Assign(Option<Operator>),
    /// `++` or `--`, before or after a name.
    Increment(i64),
    Not,
    Complement,
    Open,
    Close,
    Question,
    Colon,
    Comma,
}

/// What is before a token; `++` depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// An operator, or the start: an operand is expected.
    Operator,
    Name,
    /// `++name` or `--name`.
    Incremented,
    /// Another operand.
    Value,
}

#[derive(Clone)]
pub(super) struct Scanner<'t> {
    rest: &'t [u8],
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { rest: text }
    }

    pub(super) fn next(&mut self, after: After) -> Result<Token<'t>, &'static str> {
        self.rest = skip_blanks(self.rest);
        match self.rest {
            [] => Ok(Token::End),
            [byte, ..] if starts_name(*byte) => self.name(),
            [b'0'..=b'9', ..] => {
                let digits = self.take_while(|byte| byte.is_ascii_alphanumeric() || b"#@_".contains(&byte));
                constant(digits).map(Token::Number)
            }
            _ => {
                let (length, token) = operator(self.rest, after)?;
                self.rest = &self.rest[length..];
                Ok(token)
            }
        }
    }

    fn name(&mut self) -> Result<Token<'t>, &'static str> {
        let name = self.take_while(|byte| starts_name(byte) || byte.is_ascii_digit());
        let name = std::str::from_utf8(name).expect("a name is ASCII");
        let mut subscript = None;
        if let [b'[', rest @ ..] = self.rest {
            let length = subscript_length(rest)?;
            subscript = Some(&rest[..length]);
            self.rest = &rest[length + 1..];
        }
        Ok(Token::Name(name, subscript))
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'t [u8] {
        let length = self.rest.iter().position(|&byte| !belongs(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n')).count();
    &text[blanks..]
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// The length of the text before the bracket that ends a subscript. What bash would expand or unquote there is
/// an error.
fn subscript_length(text: &[u8]) -> Result<usize, &'static str> {
    let mut open = 0usize;
    let mut bytes = text.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'[' => open += 1,
            b']' if open == 0 => return Ok(at),
            b']' => open -= 1,
            b'\\' => {
                bytes.next();
            }
            b'$' | b'`' | b'\'' | b'"' => return Err("quote or expansion in a subscript"),
            _ => {}
        }
    }
    Err("bad array subscript")
}

/// The token at the start of a text that starts with neither blank, letter nor digit, and its length.
fn operator(text: &[u8], after: After) -> Result<(usize, Token<'static>), &'static str> {
    use Operator::{
        Add, And, BitAnd, BitOr, BitXor, Divide, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Multiply,
        NotEqual, Or, Power, Remainder, ShiftLeft, ShiftRight, Subtract,
    };
    Ok(match text {
        [b'<', b'<', b'=', ..] => (3, Token::Assign(Some(ShiftLeft))),
        [b'>', b'>', b'=', ..] => (3, Token::Assign(Some(ShiftRight))),
        [b'=', b'=', ..] => (2, Token::Operator(Equal)),
        [b'!', b'=', ..] => (2, Token::Operator(NotEqual)),
        [b'<', b'=', ..] => (2, Token::Operator(LessOrEqual)),
        [b'>', b'=', ..] => (2, Token::Operator(GreaterOrEqual)),
        [b'<', b'<', ..] => (2, Token::Operator(ShiftLeft)),
        [b'>', b'>', ..] => (2, Token::Operator(ShiftRight)),
        [b'&', b'&', ..] => (2, Token::Operator(And)),
        [b'|', b'|', ..] => (2, Token::Operator(Or)),
        [b'*', b'*', ..] => (2, Token::Operator(Power)),
        [b'+', b'+', rest @ ..] if is_increment(rest, after)? => (2, Token::Increment(1)),
        [b'-', b'-', rest @ ..] if is_increment(rest, after)? => (2, Token::Increment(-1)),
        [b'*', b'=', ..] => (2, Token::Assign(Some(Multiply))),
        [b'/', b'=', ..] => (2, Token::Assign(Some(Divide))),
        [b'%', b'=', ..] => (2, Token::Assign(Some(Remainder))),
        [b'+', b'=', ..] => (2, Token::Assign(Some(Add))),
        [b'-', b'=', ..] => (2, Token::Assign(Some(Subtract))),
        [b'&', b'=', ..] => (2, Token::Assign(Some(BitAnd))),
        [b'^', b'=', ..] => (2, Token::Assign(Some(BitXor))),
        [b'|', b'=', ..] => (2, Token::Assign(Some(BitOr))),
        [b'=', ..] => (1, Token::Assign(None)),
        [b'<', ..] => (1, Token::Operator(Less)),
        [b'>', ..] => (1, Token::Operator(Greater)),
        [b'&', ..] => (1, Token::Operator(BitAnd)),
        [b'|', ..] => (1, Token::Operator(BitOr)),
        [b'^', ..] => (1, Token::Operator(BitXor)),
        [b'+', ..] => (1, Token::Operator(Add)),
        [b'-', ..] => (1, Token::Operator(Subtract)),
        [b'*', ..] => (1, Token::Operator(Multiply)),
        [b'/', ..] => (1, Token::Operator(Divide)),
        [b'%', ..] => (1, Token::Operator(Remainder)),
        [b'!', ..] => (1, Token::Not),
        [b'~', ..] => (1, Token::Complement),
        [b'(', ..] => (1, Token::Open),
        [b')', ..] => (1, Token::Close),
        [b'?', ..] => (1, Token::Question),
        [b':', ..] => (1, Token::Colon),
        [b',', ..] => (1, Token::Comma),
        _ if after == After::Operator => return Err("syntax error: operand expected"),
        _ => return Err("syntax error: invalid arithmetic operator"),
    })
}

/// Whether a doubled sign is one token. Else it is two signs, or an operator and a sign: `5 --3` is 8.
fn is_increment(rest: &[u8], after: After) -> Result<bool, &'static str> {
    match after {
        After::Name => Ok(true),
        After::Incremented => Err("assignment requires lvalue"),
        After::Operator | After::Value => {
            Ok(skip_blanks(rest).first().is_some_and(|&byte| starts_name(byte)))
        }
    }
}
