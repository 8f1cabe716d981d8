//! Integers as bash's arithmetic reads them. Only literal numbers so far.

/// The value of a literal number as it may stand in a subscript: decimal, octal (`017`) or hexadecimal
/// (`0x1f`), with one sign and blanks around. None for anything else, and for what does not fit in an `i64`
/// (bash wraps around there).
pub(crate) fn literal(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t', '\n']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (radix, digits) = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        (16, hex)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    // `from_str_radix` would take a sign of its own.
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_number_forms_of_bash() {
        for (text, value) in [
            ("0", Some(0)),
            ("12", Some(12)),
            (" 3\t", Some(3)),
            ("010", Some(8)),
            ("00", Some(0)),
            ("0x1F", Some(31)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("08", None),
            ("0x", None),
            ("", None),
            (" ", None),
            ("-", None),
            ("--1", None),
            ("0x-1", None),
            ("0-1", None),
            ("1 2", None),
            ("a", None),
            ("1+1", None),
        ] {
            assert_eq!(literal(text.as_bytes()), value, "{text:?}");
        }
    }
}
