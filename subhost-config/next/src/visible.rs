//! Bytes of a configuration shown so that a terminal prints them and does not obey them.

use std::fmt::Write;

/// These bytes as text in which nothing moves the cursor, changes colours or reverses the reading order:
/// control characters and invalid UTF-8 become `\n`, `\t`, `\xHH` or `\u{…}`.
pub fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|character| push_visible(&mut text, character));
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("writing to a string does not fail");
        }
    }
    text
}

/// One character, escaped if a terminal would act on it.
pub(crate) fn push_visible(text: &mut String, character: char) {
    match character {
        '\n' => text.push_str("\\n"),
        '\t' => text.push_str("\\t"),
        '\r' => text.push_str("\\r"),
        _ if character.is_ascii_control() => {
            write!(text, "\\x{:02x}", u32::from(character)).expect("writing to a string does not fail");
        }
        _ if character.is_control() || is_format(character) => {
            write!(text, "\\u{{{:x}}}", u32::from(character)).expect("writing to a string does not fail");
        }
        _ => text.push(character),
    }
}

/// Invisible characters that reorder, join or hide their neighbours, or end a line.
pub(crate) fn is_format(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        assert_eq!(visible(b"a\x1b[31m\x07\n\t\x7f"), "a\\x1b[31m\\x07\\n\\t\\x7f");
        assert_eq!(visible("\u{202e}\u{9b}é\u{1f600}".as_bytes()), "\\u{202e}\\u{9b}é😀");
        assert_eq!(visible(b"\xffok\xc3"), "\\xffok\\xc3");
    }
}
