//! Characters of a text as glibc's C.UTF-8 reads them.

use crate::letters::lower;

/// What the units of a text are.
///
/// bash compares characters where both pattern and text are valid, and else bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Characters,
    Bytes,
}

impl Reading {
    pub(crate) fn of(text: &[u8]) -> Self {
        let is_valid = std::str::from_utf8(text).is_ok() || {
            let mut rest = text;
            while let Some((_, length)) = decode(rest) {
                rest = &rest[length..];
            }
            rest.is_empty()
        };
        if is_valid { Self::Characters } else { Self::Bytes }
    }

    /// The unit that begins at `at`, and its length.
    pub(crate) fn at(self, text: &[u8], at: usize) -> Option<(u32, usize)> {
        let byte = *text.get(at)?;
        if byte.is_ascii() || self == Self::Bytes {
            return Some((u32::from(byte), 1));
        }
        decode(&text[at..])
    }

    /// Where the unit begins that ends at `end`.
    pub(crate) fn start_before(self, text: &[u8], end: usize) -> Option<usize> {
        let mut start = end.checked_sub(1)?;
        while self == Self::Characters && start > 0 && !is_start(text[start]) {
            start -= 1;
        }
        Some(start)
    }

    /// The lower case of a unit.
    pub(crate) fn lower(self, code: u32) -> u32 {
        match self {
            Self::Characters => lower(code),
            Self::Bytes if (0x41..=0x5a).contains(&code) => code + 0x20,
            Self::Bytes => code,
        }
    }

    /// Whether a unit begins or the text ends there.
    pub(crate) fn is_boundary(self, text: &[u8], at: usize) -> bool {
        self == Self::Bytes || text.get(at).is_none_or(|&byte| is_start(byte))
    }
}

fn is_start(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

/// The character that a text begins with, and its length. Numbers above U+10FFFF are characters for glibc,
/// in up to six bytes; surrogates and overlong forms are none.
pub(crate) fn decode(text: &[u8]) -> Option<(u32, usize)> {
    let lead = *text.first()?;
    let (length, bits, smallest) = match lead {
        0..=0x7f => return Some((u32::from(lead), 1)),
        0xc2..=0xdf => (2, lead & 0x1f, 0x80),
        0xe0..=0xef => (3, lead & 0x0f, 0x800),
        0xf0..=0xf7 => (4, lead & 0x07, 0x1_0000),
        0xf8..=0xfb => (5, lead & 0x03, 0x20_0000),
        0xfc..=0xfd => (6, lead & 0x01, 0x400_0000),
        _ => return None,
    };
    let mut code = u32::from(bits);
    for &byte in text.get(1..length)? {
        if is_start(byte) {
            return None;
        }
        code = code << 6 | u32::from(byte & 0x3f);
    }
    (code >= smallest && !(0xd800..=0xdfff).contains(&code)).then_some((code, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_glibc_decodes() {
        for (text, expected) in [
            (&b"a"[..], Some((0x61, 1))),
            (b"\xc3\xa9x", Some((0xe9, 2))),
            (b"\xed\x9f\xbf", Some((0xd7ff, 3))),
            (b"\xed\xa0\x80", None),
            (b"\xf4\x90\x80\x80", Some((0x11_0000, 4))),
            (b"\xf8\x90\x80\x80\x80", Some((0x40_0000, 5))),
            (b"\xf8\x80\x80\x80\x80", None),
            (b"\xfd\xbf\xbf\xbf\xbf\xbf", Some((0x7fff_ffff, 6))),
            (b"\xc0\x80", None),
            (b"\xe0\x80\x80", None),
            (b"\xc3", None),
            (b"\x80", None),
            (b"\xff", None),
            (b"", None),
        ] {
            assert_eq!(decode(text), expected, "{text:x?}");
        }
    }
}
