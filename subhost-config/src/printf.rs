//! What the builtins `printf` and `echo` print.

mod escape;
mod quoted;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use escape::{Dialect, Escape};

/// Wider fields, more precise numbers are refused.
const MAX_WIDTH: usize = 1 << 20;

/// More than that is refused as a whole.
const MAX_OUTPUT_BYTES: usize = 1 << 24;

/// What `printf FORMAT ARGUMENTS` prints, or why it is refused: bash would complain, or it is one of the few
/// things that are not supported (`%e`, `%f`, `%g`, `%a`, `%n`, `%Q`, `%(…)T`, `'x` as a number, a NUL).
pub(crate) fn printf(format: &[u8], arguments: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    let mut printer =
        Printer { output: Vec::new(), arguments: arguments.iter().map(Vec::as_slice).collect() };
    loop {
        let before = printer.arguments.len();
        let goes_on = printer.print(format)?;
        // A format that takes no argument is used once.
        if !goes_on || printer.arguments.is_empty() || printer.arguments.len() == before {
            break;
        }
    }
    if printer.output.contains(&0) {
        return Err("printf: a NUL, which no value can hold".to_owned());
    }
    Ok(printer.output)
}

/// What `echo ARGUMENTS` prints. There may be a NUL in it, which bash leaves out of `$(…)`.
pub(crate) fn echo(arguments: &[Vec<u8>]) -> Vec<u8> {
    let mut has_newline = true;
    let mut has_escapes = false;
    let mut words = arguments;
    while let [option, rest @ ..] = words {
        match option.split_first() {
            Some((b'-', letters)) if !letters.is_empty() && letters.iter().all(|it| b"neE".contains(it)) => {
                for letter in letters {
                    match letter {
                        b'n' => has_newline = false,
                        letter => has_escapes = *letter == b'e',
                    }
                }
            }
            _ => break,
        }
        words = rest;
    }
    let mut output = Vec::new();
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            output.push(b' ');
        }
        if !has_escapes {
            output.extend_from_slice(word);
        } else if !escape::expand(word, Dialect::Echo, &mut output).expect("echo knows no wrong escape") {
            return output;
        }
    }
    if has_newline {
        output.push(b'\n');
    }
    output
}

struct Printer<'a> {
    output: Vec<u8>,
    arguments: VecDeque<&'a [u8]>,
}

/// What stands between the `%` and the letter.
#[derive(Debug, Default, Clone, Copy)]
struct Spec {
    is_left: bool,
    has_plus: bool,
    has_space: bool,
    has_zero: bool,
    is_alternate: bool,
    width: usize,
    precision: Option<usize>,
}

impl<'a> Printer<'a> {
    /// Goes once through the format; says whether a `\c` has not ended it all.
    fn print(&mut self, format: &[u8]) -> Result<bool, String> {
        let mut rest = format;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            match byte {
                b'\\' => match escape::read(rest, Dialect::Format)? {
                    Escape::Bytes { bytes, length } => {
                        self.output.extend_from_slice(&bytes);
                        rest = &rest[length..];
                    }
                    Escape::End => unreachable!("`\\c` is nothing special in a format"),
                },
                b'%' if rest.first() == Some(&b'%') => {
                    self.output.push(b'%');
                    rest = &rest[1..];
                }
                b'%' => {
                    let (spec, behind) = self.spec(rest)?;
                    let Some((&letter, behind)) = behind.split_first() else {
                        return Err("printf: `%` without its letter".to_owned());
                    };
                    rest = behind;
                    if !self.convert(letter, spec)? {
                        return Ok(false);
                    }
                }
                _ => self.output.push(byte),
            }
            if self.output.len() > MAX_OUTPUT_BYTES {
                return Err("printf: more than 16 MiB".to_owned());
            }
        }
        Ok(true)
    }

    fn spec<'f>(&mut self, mut rest: &'f [u8]) -> Result<(Spec, &'f [u8]), String> {
        let mut spec = Spec::default();
        while let Some((&flag, behind)) = rest.split_first() {
            match flag {
                b'-' => spec.is_left = true,
                b'+' => spec.has_plus = true,
                b' ' => spec.has_space = true,
                b'0' => spec.has_zero = true,
                b'#' => spec.is_alternate = true,
                // For groups of digits, of which C.UTF-8 has none.
                b'\'' => {}
                _ => break,
            }
            rest = behind;
        }
        if let Some(behind) = rest.strip_prefix(b"*") {
            let width = self.size()?;
            spec.is_left |= width < 0;
            spec.width = limited(width.unsigned_abs())?;
            rest = behind;
        } else {
            (spec.width, rest) = digits(rest)?;
        }
        if let Some(behind) = rest.strip_prefix(b".*") {
            let precision = self.size()?;
            // A negative one is none.
            spec.precision = (precision >= 0).then(|| limited(precision.unsigned_abs())).transpose()?;
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix(b".") {
            let (precision, behind) = digits(behind)?;
            spec.precision = Some(precision);
            rest = behind;
        }
        while let Some((b'h' | b'j' | b'l' | b'L' | b't' | b'z', behind)) = rest.split_first() {
            rest = behind;
        }
        Ok((spec, rest))
    }

    fn convert(&mut self, letter: u8, spec: Spec) -> Result<bool, String> {
        match letter {
            b's' => {
                let text = self.next();
                self.push_text(text, spec);
            }
            b'c' => {
                let text = self.next();
                let byte = text.first().ok_or("printf: `%c` of nothing prints a NUL")?;
                self.push_text(&[*byte], Spec { precision: None, ..spec });
            }
            b'b' => {
                let mut text = Vec::new();
                let goes_on = escape::expand(self.next(), Dialect::Argument, &mut text)?;
                self.push_text(&text, spec);
                return Ok(goes_on);
            }
            b'q' if spec.is_alternate => return Err("printf: `%#q` is not supported".to_owned()),
            b'q' => {
                let text = quoted::quote(self.next())?;
                self.push_text(&text, spec);
            }
            b'd' | b'i' => {
                let number = self.integer()?;
                let sign = match () {
                    () if number < 0 => "-",
                    () if spec.has_plus => "+",
                    () if spec.has_space => " ",
                    () => "",
                };
                self.push_number(sign, number.unsigned_abs().to_string(), spec);
            }
            b'u' => {
                let number = self.unsigned()?;
                self.push_number("", number.to_string(), spec);
            }
            b'o' => {
                let number = self.unsigned()?;
                let mut digits = precise(format!("{number:o}"), spec.precision);
                if spec.is_alternate && !digits.starts_with('0') {
                    digits.insert(0, '0');
                }
                let precision = spec.precision.map(|_| digits.len());
                self.push_number("", digits, Spec { precision, ..spec });
            }
            b'x' | b'X' => {
                let number = self.unsigned()?;
                let is_upper = letter == b'X';
                let digits = if is_upper { format!("{number:X}") } else { format!("{number:x}") };
                let prefix = match number {
                    0 => "",
                    _ if !spec.is_alternate => "",
                    _ if is_upper => "0X",
                    _ => "0x",
                };
                self.push_number(prefix, digits, spec);
            }
            _ => return Err(format!("printf: `%{}` is not supported", letter.escape_ascii())),
        }
        Ok(true)
    }

    fn push_text(&mut self, text: &[u8], spec: Spec) {
        let text = &text[..spec.precision.unwrap_or(text.len()).min(text.len())];
        let padding = spec.width.saturating_sub(text.len());
        if !spec.is_left {
            self.pad(b' ', padding);
        }
        self.output.extend_from_slice(text);
        if spec.is_left {
            self.pad(b' ', padding);
        }
    }

    fn push_number(&mut self, prefix: &str, digits: String, spec: Spec) {
        let digits = precise(digits, spec.precision);
        let padding = spec.width.saturating_sub(prefix.len() + digits.len());
        let is_zero_padded = spec.has_zero && !spec.is_left && spec.precision.is_none();
        if !spec.is_left && !is_zero_padded {
            self.pad(b' ', padding);
        }
        self.output.extend_from_slice(prefix.as_bytes());
        if is_zero_padded {
            self.pad(b'0', padding);
        }
        self.output.extend_from_slice(digits.as_bytes());
        if spec.is_left {
            self.pad(b' ', padding);
        }
    }

    fn pad(&mut self, with: u8, count: usize) {
        self.output.resize(self.output.len() + count, with);
    }

    /// The next argument; there are as many empty ones as are asked for.
    fn next(&mut self) -> &'a [u8] {
        self.arguments.pop_front().unwrap_or_default()
    }

    fn integer(&mut self) -> Result<i64, String> {
        let text = self.next();
        let (is_negative, magnitude) = number(text)?;
        let value = i128::from(magnitude) * if is_negative { -1 } else { 1 };
        i64::try_from(value).map_err(|_| complaint(text))
    }

    /// The number for a `*`.
    fn size(&mut self) -> Result<i64, String> {
        let size = self.integer()?;
        limited(size.unsigned_abs())?;
        Ok(size)
    }

    fn unsigned(&mut self) -> Result<u64, String> {
        let (is_negative, magnitude) = number(self.next())?;
        Ok(if is_negative { magnitude.wrapping_neg() } else { magnitude })
    }
}

/// With at least as many digits as the precision says, and none for a zero if it is 0.
fn precise(digits: String, precision: Option<usize>) -> String {
    match precision {
        Some(0) if digits == "0" => String::new(),
        Some(least) => format!("{digits:0>least$}"),
        None => digits,
    }
}

/// The decimal number at the beginning, 0 if there is none, and what follows.
fn digits(text: &[u8]) -> Result<(usize, &[u8]), String> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(count);
    let value = digits
        .iter()
        .try_fold(0, |value: u64, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    Ok((limited(value.unwrap_or(u64::MAX))?, rest))
}

fn limited(width: u64) -> Result<usize, String> {
    let width = usize::try_from(width).ok().filter(|&width| width <= MAX_WIDTH);
    width.ok_or_else(|| "printf: a width or precision above 1048576".to_owned())
}

/// A number as `strtoimax` reads it, as sign and magnitude; nothing at all is 0.
fn number(text: &[u8]) -> Result<(bool, u64), String> {
    if text.is_empty() {
        return Ok((false, 0));
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (is_negative, digits) = match &text[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let (radix, digits) = match digits {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', _, ..] => (8, digits),
        _ => (10, digits),
    };
    if digits.is_empty() {
        return Err(complaint(text));
    }
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = char::from(digit).to_digit(radix).ok_or_else(|| complaint(text))?;
        let larger =
            value.checked_mul(u64::from(radix)).and_then(|value| value.checked_add(u64::from(digit)));
        value = larger.ok_or_else(|| complaint(text))?;
    }
    Ok((is_negative, value))
}

fn complaint(text: &[u8]) -> String {
    format!("printf: `{}` is not a number that bash takes without complaint", text.escape_ascii())
}
