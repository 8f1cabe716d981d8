//! The escapes of `$'…'`, as `ansicstr` in bash's `lib/sh/strtrans.c` decodes them.

/// An escape that is not decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadEscape;

/// Decodes what stands between the quotes of `$'…'`. A NUL ends the value, as in bash.
///
/// Surrogates and numbers above U+10FFFF are refused: bash makes bytes of them that are no UTF-8.
pub(crate) fn decode(raw: &[u8]) -> Result<Vec<u8>, BadEscape> {
    let mut value = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        let Some((&letter, after)) = rest.split_first() else {
            value.push(b'\\');
            break;
        };
        rest = after;
        let decoded = match letter {
            b'a' => 0x07,
            b'b' => 0x08,
            b'e' | b'E' => 0x1b,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' | b'\'' | b'"' | b'?' => letter,
            b'0'..=b'7' => {
                let (number, after) = number(rest, 8, 2, u32::from(letter - b'0'));
                rest = after;
                low_byte(number)
            }
            b'x' if rest.first() == Some(&b'{') => {
                // As in ksh93: any number of digits, the last two count, the `}` is optional.
                let (number, after) = number(&rest[1..], 16, usize::MAX, 0);
                rest = after.strip_prefix(b"}").unwrap_or(after);
                low_byte(number)
            }
            b'x' if digit(rest, 16).is_some() => {
                let (number, after) = number(rest, 16, 2, 0);
                rest = after;
                low_byte(number)
            }
            b'u' | b'U' if digit(rest, 16).is_some() => {
                let (number, after) = number(rest, 16, if letter == b'u' { 4 } else { 8 }, 0);
                rest = after;
                if number == 0 {
                    break;
                }
                let character = char::from_u32(number).ok_or(BadEscape)?;
                value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            b'c' if !rest.is_empty() => {
                let control = rest[0];
                rest = &rest[1..];
                if control == b'\\' && rest.first() == Some(&b'\\') {
                    rest = &rest[1..];
                }
                if control == b'?' { 0x7f } else { control.to_ascii_uppercase() & 0x1f }
            }
            _ => {
                value.push(b'\\');
                letter
            }
        };
        if decoded == 0 {
            break;
        }
        value.push(decoded);
    }
    Ok(value)
}

fn digit(text: &[u8], radix: u32) -> Option<u32> {
    text.first().and_then(|&byte| char::from(byte).to_digit(radix))
}

/// Up to `limit` digits behind those that make `number`; wraps like the C it copies, as only the low bits of
/// an overlong number are used.
fn number(mut text: &[u8], radix: u32, limit: usize, mut number: u32) -> (u32, &[u8]) {
    let mut left = limit;
    while let (Some(digit), true) = (digit(text, radix), left > 0) {
        number = number.wrapping_mul(radix).wrapping_add(digit);
        text = &text[1..];
        left -= 1;
    }
    (number, text)
}

fn low_byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_bash_does() {
        for (raw, value) in [
            (r"\a\b\e\E\f\n\r\t\v", &b"\x07\x08\x1b\x1b\x0c\n\r\t\x0b"[..]),
            (r#"\\\'\"\?\q\`"#, br#"\'"?\q\`"#),
            (r"\101\1018\400x", b"AA8"),
            (r"\x41\x412\x{0041}\xg", b"AA2A\\xg"),
            (r"\u41\u20ac\U1F600\u", "A€😀\\u".as_bytes()),
            (r"\c?\ca\c\\a\c", b"\x7f\x01\x1ca\\c"),
            (r"a\0b", b"a"),
            (r"a\x{}b", b"a"),
            (r"a\c@b", b"a"),
        ] {
            assert_eq!(decode(raw.as_bytes()).as_deref(), Ok(value), "{raw}");
        }
    }

    #[test]
    fn refuses_what_is_no_character() {
        assert_eq!(decode(br"\ud800"), Err(BadEscape));
        assert_eq!(decode(br"\U110000"), Err(BadEscape));
    }
}
