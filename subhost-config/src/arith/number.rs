//! Constants: decimal, `017`, `0x1f`, `base#digits`.

/// The value of a constant, of letters, digits, `#`, `@` and `_`, a digit first. Too large a one wraps around.
pub(super) fn constant(text: &[u8]) -> Result<i64, &'static str> {
    let (mut base, mut with_base, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (16, true, digits),
        [b'0', digits @ ..] if !digits.is_empty() => (8, true, digits),
        _ => (10, false, text),
    };
    let mut value = 0i64;
    for (at, &byte) in digits.iter().enumerate() {
        if byte == b'#' {
            if with_base {
                return Err("invalid number");
            }
            if !(2..=64).contains(&value) {
                return Err("invalid arithmetic base");
            }
            if matches!(digits.get(at + 1), None | Some(b'#')) {
                return Err("invalid integer constant");
            }
            (base, with_base, value) = (value, true, 0);
            continue;
        }
        let digit = digit(byte, base);
        if digit >= base {
            return Err("value too great for base");
        }
        value = value.wrapping_mul(base).wrapping_add(digit);
    }
    Ok(value)
}

/// Above base 36 the case of a letter counts.
fn digit(byte: u8, base: i64) -> i64 {
    i64::from(match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'z' => byte - b'a' + 10,
        b'A'..=b'Z' if base <= 36 => byte - b'A' + 10,
        b'A'..=b'Z' => byte - b'A' + 36,
        b'@' => 62,
        _ => 63,
    })
}
