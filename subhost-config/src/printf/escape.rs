//! The backslash escapes of `printf` and `echo -e`.

/// Where an escape stands: each place has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// In the format of `printf`.
    Format,
    /// In an argument for `%b`.
    Argument,
    /// In an argument of `echo -e`.
    Echo,
}

/// What an escape stands for.
pub(super) enum Escape {
    /// These bytes, for so many behind the backslash.
    Bytes { bytes: Vec<u8>, length: usize },
    /// `\c`: nothing more is printed.
    End,
}

/// Adds the text with its escapes replaced; says whether no `\c` has ended it.
pub(super) fn expand(text: &[u8], dialect: Dialect, output: &mut Vec<u8>) -> Result<bool, String> {
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            output.push(byte);
            continue;
        }
        match read(rest, dialect)? {
            Escape::Bytes { bytes, length } => {
                output.extend_from_slice(&bytes);
                rest = &rest[length..];
            }
            Escape::End => return Ok(false),
        }
    }
    Ok(true)
}

/// Reads what is behind a backslash. `printf` complains of numbers without digits.
pub(super) fn read(rest: &[u8], dialect: Dialect) -> Result<Escape, String> {
    let plain = Escape::Bytes { bytes: b"\\".to_vec(), length: 0 };
    let Some(&letter) = rest.first() else { return Ok(plain) };
    let byte = match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'e' | b'E' => 0x1b,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' => b'\\',
        b'\'' | b'"' | b'?' if dialect == Dialect::Format => letter,
        b'c' if dialect != Dialect::Format => return Ok(Escape::End),
        b'1'..=b'7' if dialect == Dialect::Echo => return Ok(plain),
        b'0'..=b'7' => {
            // Behind a `0`, there may be three more, as POSIX wants it.
            let most = if letter == b'0' && dialect != Dialect::Format { 4 } else { 3 };
            let (number, length) = number(rest, 8, most);
            return Ok(Escape::Bytes { bytes: vec![low_byte(number)], length });
        }
        b'x' | b'u' | b'U' => {
            let most = match letter {
                b'x' => 2,
                b'u' => 4,
                _ => 8,
            };
            let (number, length) = number(&rest[1..], 16, most);
            let bytes = match letter {
                _ if length == 0 && dialect == Dialect::Echo => return Ok(plain),
                _ if length == 0 => {
                    return Err(format!("printf: `\\{}` without a hexadecimal digit", char::from(letter)));
                }
                b'x' => vec![low_byte(number)],
                _ => encode(number),
            };
            return Ok(Escape::Bytes { bytes, length: length + 1 });
        }
        _ => return Ok(plain),
    };
    Ok(Escape::Bytes { bytes: vec![byte], length: 1 })
}

/// The number that up to `most` digits make, and how many there are.
fn number(text: &[u8], radix: u32, most: usize) -> (u32, usize) {
    let digits = text.iter().take(most).map_while(|&byte| char::from(byte).to_digit(radix));
    digits.fold((0, 0), |(number, length), digit| (number * radix + digit, length + 1))
}

fn low_byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

/// A number as UTF-8 as bash has it: surrogates too, and up to six bytes.
fn encode(number: u32) -> Vec<u8> {
    let (length, lead) = match number {
        0..0x80 => return vec![low_byte(number)],
        0x80..0x800 => (2, 0xc0),
        0x800..0x1_0000 => (3, 0xe0),
        0x1_0000..0x20_0000 => (4, 0xf0),
        0x20_0000..0x400_0000 => (5, 0xf8),
        0x400_0000..0x8000_0000 => (6, 0xfc),
        0x8000_0000.. => return Vec::new(),
    };
    let mut bytes: Vec<u8> =
        (0..length).rev().map(|place| 0x80 | low_byte(number >> (6 * place)) & 0x3f).collect();
    bytes[0] = lead | low_byte(number >> (6 * (length - 1)));
    bytes
}
