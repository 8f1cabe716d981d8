//! Writing values so that bash reads the same.

/// A value as one word of bash, plain where that is safe, else in quotes: `a.raw`, `'two words'`,
/// `$'two\nlines'`. It may stand behind `=`, in an array literal and as an argument of a command, and is
/// one line of printable text.
///
/// A value of bash cannot hold a NUL; it and what follows would be lost, as in bash.
///
/// ```
/// assert_eq!(subhost_config::quote(b"it's"), br"'it'\''s'");
/// ```
pub fn quote(value: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+./:@%".contains(byte);
    if !value.is_empty() && value.iter().all(is_plain) {
        return value.to_vec();
    }
    if !is_printable(value) {
        return ansi_c_quote(value);
    }
    single_quote(value)
}

/// A value as `declare -p` writes it: in double quotes, or `$'…'` if something is not printable.
pub(crate) fn declare_quote(value: &[u8]) -> Vec<u8> {
    if !is_printable(value) {
        return ansi_c_quote(value);
    }
    let mut text = vec![b'"'];
    for &byte in value {
        if matches!(byte, b'"' | b'$' | b'`' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.push(b'"');
    text
}

/// A key of an associative array as `declare -p` writes it: bare where bash needs no quotes.
pub(crate) fn key_quote(key: &[u8]) -> Vec<u8> {
    let special = |(at, byte): (usize, &u8)| match byte {
        b'~' => at == 0 || matches!(key[at - 1], b'=' | b':'),
        b'#' => at == 0 || matches!(key[at - 1], b' ' | b'\t'),
        b'@' => key.len() == 1,
        _ => b" \t\n'\"\\|&;()<>!{}*[]?^$`".contains(byte),
    };
    if !is_printable(key) {
        return ansi_c_quote(key);
    }
    if key.iter().enumerate().any(special) { declare_quote(key) } else { key.to_vec() }
}

/// A value as `${NAME@Q}` writes it.
pub(crate) fn reusable_quote(value: &[u8]) -> Vec<u8> {
    if !is_printable(value) {
        return ansi_c_quote(value);
    }
    if value == b"'" {
        return br"\'".to_vec();
    }
    single_quote(value)
}

/// In single quotes, which nothing but a single quote ends.
fn single_quote(value: &[u8]) -> Vec<u8> {
    let mut text = vec![b'\''];
    for &byte in value {
        match byte {
            b'\'' => text.extend_from_slice(br"'\''"),
            _ => text.push(byte),
        }
    }
    text.push(b'\'');
    text
}

fn ansi_c_quote(value: &[u8]) -> Vec<u8> {
    let mut text = b"$'".to_vec();
    let octal = |text: &mut Vec<u8>, byte: u8| text.extend_from_slice(format!("\\{byte:03o}").as_bytes());
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            let named = match character {
                '\x1b' => 'E',
                '\x07' => 'a',
                '\x0b' => 'v',
                '\x08' => 'b',
                '\x0c' => 'f',
                '\n' => 'n',
                '\r' => 'r',
                '\t' => 't',
                '\\' | '\'' => character,
                _ => {
                    let mut buffer = [0; 4];
                    let bytes = character.encode_utf8(&mut buffer).as_bytes();
                    if is_printable_character(character) {
                        text.extend_from_slice(bytes);
                    } else {
                        bytes.iter().for_each(|&byte| octal(&mut text, byte));
                    }
                    continue;
                }
            };
            text.push(b'\\');
            text.extend_from_slice(named.encode_utf8(&mut [0; 4]).as_bytes());
        }
        chunk.invalid().iter().for_each(|&byte| octal(&mut text, byte));
    }
    text.push(b'\'');
    text
}

fn is_printable(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|text| text.chars().all(is_printable_character))
}

/// What glibc's `iswprint` says in a UTF-8 locale, apart from what one of the two Unicode versions lacks.
fn is_printable_character(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    // Blanks, format characters and private use, which `escape_debug` escapes and glibc prints.
    let is_printed_by_glibc = matches!(character,
        '\u{a0}' | '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{1680}' | '\u{180e}' | '\u{2000}'..='\u{200f}' | '\u{202a}'..='\u{202f}'
        | '\u{205f}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{3000}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{13438}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}'
        | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}');
    // Behind a letter, since `escape_debug` always escapes a combining character that comes first.
    let mut buffer = [b'a'; 5];
    let length = 1 + character.encode_utf8(&mut buffer[1..]).len();
    let behind_letter = std::str::from_utf8(&buffer[..length]).expect("a letter and a character are UTF-8");
    is_printed_by_glibc || behind_letter.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_is_printable() {
        for printable in ['a', ' ', '\'', 'é', '日', '\u{301}', '\u{a0}', '\u{200b}', '\u{e000}', '\u{1f600}']
        {
            assert!(is_printable_character(printable), "{printable:?}");
        }
        for unprintable in ['\n', '\x7f', '\u{80}', '\u{2028}', '\u{378}', '\u{5f5}', '\u{ffff}', '\u{1fffe}']
        {
            assert!(!is_printable_character(unprintable), "{unprintable:?}");
        }
    }

    #[test]
    fn quotes_only_what_needs_it() {
        for (value, quoted) in [
            ("", "''"),
            ("vda:1:/disks/a.raw", "vda:1:/disks/a.raw"),
            ("two words", "'two words'"),
            ("it's", r"'it'\''s'"),
            ("~", "'~'"),
            ("#a", "'#a'"),
            ("é", "'é'"),
            ("a=b", "'a=b'"),
            ("two\nlines\\", r"$'two\nlines\\'"),
        ] {
            assert_eq!(String::from_utf8(quote(value.as_bytes())).unwrap(), quoted, "{value:?}");
        }
        assert_eq!(quote(b"\xff0'"), br"$'\3770\''");
    }
}
