//! Finding the end of constructs that are not evaluated, so that reading can go on behind them.
//!
//! Without recursion: depth is the length of a list, and has a limit.

use super::cursor::{Cursor, is_metacharacter};

/// A hand-written file has a handful.
const MAX_DEPTH: usize = 200;

/// A construct that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `( … )`, also of `$(` and `<(`.
    Paren,
    /// `${ … }`. In double quotes a single quote in it means nothing.
    Brace { quoted: bool },
    /// `[ … ]`, also of `$[`.
    Bracket,
    /// `" … "`.
    Double,
    /// Backquotes.
    Backquote,
    /// `' … '`.
    Single,
    /// `$' … '`.
    AnsiC,
}

/// Why the end was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SkipError {
    /// The text ended before.
    Unclosed,
    /// More than [`MAX_DEPTH`] constructs inside each other.
    TooDeep,
}

/// Skips to behind the end of a construct whose opening characters are already taken.
pub(crate) fn skip_nested(cursor: &mut Cursor<'_>, frame: Frame) -> Result<(), SkipError> {
    let mut open = vec![frame];
    let mut word_start = true;
    while let Some(&top) = open.last() {
        if open.len() > MAX_DEPTH {
            return Err(SkipError::TooDeep);
        }
        let byte = cursor.bump_raw().ok_or(SkipError::Unclosed)?;
        let at_word_start = std::mem::replace(&mut word_start, is_metacharacter(byte));
        match (top, byte) {
            (Frame::Single, b'\'') | (Frame::AnsiC, b'\'') => drop(open.pop()),
            (Frame::Single, _) => {}
            (_, b'\\') => drop(cursor.bump_raw()),
            (Frame::AnsiC, _) => {}
            (Frame::Backquote, b'`') => drop(open.pop()),
            (Frame::Backquote, _) => {}
            (_, b'`') => open.push(Frame::Backquote),
            (Frame::Double, b'"') => drop(open.pop()),
            (Frame::Paren, b')') | (Frame::Brace { .. }, b'}') | (Frame::Bracket, b']') => drop(open.pop()),
            (_, b'$') => {
                let quoted = matches!(top, Frame::Double | Frame::Brace { quoted: true });
                let opened = match cursor.peek_raw() {
                    Some(b'(') => Frame::Paren,
                    Some(b'{') => Frame::Brace { quoted },
                    Some(b'[') => Frame::Bracket,
                    Some(b'\'') if !quoted => Frame::AnsiC,
                    _ => continue,
                };
                cursor.bump_raw();
                open.push(opened);
            }
            (Frame::Double, _) => {}
            (_, b'"') => open.push(Frame::Double),
            (_, b'\'') => open.push(Frame::Single),
            (Frame::Paren, b'(') => open.push(Frame::Paren),
            (Frame::Bracket, b'[') => open.push(Frame::Bracket),
            (Frame::Paren, b'#') if at_word_start => cursor.skip_comment(),
            _ => {}
        }
    }
    Ok(())
}

/// Skips a word, whatever is in it. Gives its text if it is plain, without any quoting or expansion.
pub(crate) fn skip_word(cursor: &mut Cursor<'_>) -> Result<Option<Vec<u8>>, SkipError> {
    let mut plain = Some(Vec::new());
    while let Some(byte) = cursor.peek() {
        let second = cursor.peek_second();
        let (opened, length) = match (byte, second) {
            (b'<' | b'>', Some(b'(')) => (Frame::Paren, 2),
            _ if is_metacharacter(byte) => break,
            (b'$', Some(b'(')) => (Frame::Paren, 2),
            (b'$', Some(b'{')) => (Frame::Brace { quoted: false }, 2),
            (b'$', Some(b'[')) => (Frame::Bracket, 2),
            (b'$', Some(b'\'')) => (Frame::AnsiC, 2),
            (b'\'', _) => (Frame::Single, 1),
            (b'"', _) => (Frame::Double, 1),
            (b'`', _) => (Frame::Backquote, 1),
            (b'\\' | b'$', _) => {
                plain = None;
                cursor.bump();
                if byte == b'\\' {
                    cursor.bump_raw();
                }
                continue;
            }
            _ => {
                if let Some(plain) = &mut plain {
                    plain.push(byte);
                }
                cursor.bump();
                continue;
            }
        };
        plain = None;
        for _ in 0..length {
            cursor.bump();
        }
        skip_nested(cursor, opened)?;
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest_after(text: &str) -> Result<&str, SkipError> {
        let mut cursor = Cursor::new(text.as_bytes(), 0, 0);
        skip_word(&mut cursor).map(|_| &text[cursor.position()..])
    }

    #[test]
    fn finds_the_end_of_nested_constructs() {
        for word in [
            "plain",
            "a\\ b\\;",
            "$(a \"b)\" 'c)' $(d) `e)` # f)\n)",
            "\"a ${b:-\"c }\"} $(d \"e\") `f \"`\"",
            "\"${a:-'}'}\"",
            "${a:-'}'}",
            "$'it\\'s'",
            "`a \\` b`",
            "<(a b)c",
            "$((1 + (2)))",
            "$[1 + a[2]]",
        ] {
            assert_eq!(rest_after(&format!("{word} rest")), Ok(" rest"), "{word}");
        }
    }

    #[test]
    fn tells_what_is_not_closed() {
        for word in ["$(a", "\"a", "'a", "`a", "${a", "$(a \"b)", "$'a\\'"] {
            assert_eq!(rest_after(word), Err(SkipError::Unclosed), "{word}");
        }
        assert_eq!(rest_after(&"$(".repeat(100_000)), Err(SkipError::TooDeep));
    }
}
