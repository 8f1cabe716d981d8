//! An argument for `%q`: so that the shell reads it back.

use crate::pattern::class::Class;
use crate::quote::declare_quote;

/// The text with a backslash before what is special, or as `$'…'` if something in it is not printable.
pub(super) fn quote(text: &[u8]) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Ok(b"''".to_vec());
    }
    let escaped = declare_quote(text);
    let is_ansi_c = escaped.starts_with(b"$");
    if is_ansi_c == is_all_printable(text) {
        return Err("printf: `%q` of a character that not all versions of Unicode can print".to_owned());
    }
    if is_ansi_c {
        return Ok(escaped);
    }
    let mut quoted = Vec::with_capacity(text.len());
    let mut before = None;
    for &byte in text {
        let is_special = match byte {
            b'#' => before.is_none(),
            b'~' => matches!(before, None | Some(b':' | b'=')),
            _ => b" '\"|&;()<>!{}*[?]^$`,\\".contains(&byte),
        };
        if is_special {
            quoted.push(b'\\');
        }
        quoted.push(byte);
        before = Some(byte);
    }
    Ok(quoted)
}

fn is_all_printable(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text);
    text.is_ok_and(|text| text.chars().all(|character| Class::Print.contains(u32::from(character))))
}
