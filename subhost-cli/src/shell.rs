//! Words as bash takes them.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use crate::report::is_unsafe;

/// A word, quoted where it has to be. What a terminal acts on, and what is not UTF-8, is escaped as in `$'\x1b'`.
pub fn quote(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+:,=@%".contains(b);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.bytes().all(|b| plain(&b)) => text.to_owned(),
        Some(text) if !text.contains(is_unsafe) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => ansi_c(word.as_bytes()),
    }
}

fn ansi_c(bytes: &[u8]) -> String {
    let mut text = "$'".to_owned();
    let escape = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            let _ = write!(text, r"\x{byte:02x}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_unsafe(c) || c == '\'' || c == '\\' {
                escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(c);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_reads_what_was_quoted() {
        for (word, quoted) in [
            (&b"/disks/a.raw"[..], "/disks/a.raw"),
            (b"", "''"),
            (b"a b$(x)", "'a b$(x)'"),
            (b"it's", r"'it'\''s'"),
            ("\u{e9}".as_bytes(), "'\u{e9}'"),
            (b"a\x1b'\\\n1", r"$'a\x1b\x27\x5c\x0a1'"),
            ("\u{202e}".as_bytes(), r"$'\xe2\x80\xae'"),
            (b"\xe9a", r"$'\xe9a'"),
        ] {
            assert_eq!(quote(OsStr::from_bytes(word)), quoted);
            let script = format!("printf %s {quoted}");
            let bash = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(bash.stdout, word, "{quoted}");
        }
    }
}
