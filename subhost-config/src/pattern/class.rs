//! The named classes of a bracket expression, as glibc's C.UTF-8 fills them.

use super::class_table::{ALPHA, PUNCT};
use crate::letters::{lower, upper};

/// A class as in `[[:alpha:]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Alnum,
    Alpha,
    Ascii,
    Blank,
    Cntrl,
    Digit,
    Graph,
    Lower,
    Print,
    Punct,
    Space,
    Upper,
    Word,
    Xdigit,
}

/// Letters for the Unicode of Rust that are none in Unicode 15, or not yet of that case.
const NOT_UPPER: [(u32, u32); 8] = [
    (0x1c89, 0x1c89),
    (0xa7cb, 0xa7cc),
    (0xa7ce, 0xa7ce),
    (0xa7d2, 0xa7d2),
    (0xa7d4, 0xa7d4),
    (0xa7da, 0xa7dc),
    (0x10d50, 0x10d65),
    (0x16ea0, 0x16eb8),
];
const NOT_LOWER: [(u32, u32); 11] = [
    (0x10fc, 0x10fc),
    (0x1c8a, 0x1c8a),
    (0xa7cd, 0xa7cd),
    (0xa7cf, 0xa7cf),
    (0xa7db, 0xa7db),
    (0xa7f1, 0xa7f4),
    (0xab69, 0xab69),
    (0x10d70, 0x10d85),
    (0x16ebb, 0x16ed3),
    (0x1df25, 0x1df2a),
    (0x1e030, 0x1e06d),
];

impl Class {
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"alnum" => Self::Alnum,
            b"alpha" => Self::Alpha,
            b"ascii" => Self::Ascii,
            b"blank" => Self::Blank,
            b"cntrl" => Self::Cntrl,
            b"digit" => Self::Digit,
            b"graph" => Self::Graph,
            b"lower" => Self::Lower,
            b"print" => Self::Print,
            b"punct" => Self::Punct,
            b"space" => Self::Space,
            b"upper" => Self::Upper,
            b"word" => Self::Word,
            b"xdigit" => Self::Xdigit,
            _ => return None,
        })
    }

    pub(crate) fn contains(self, code: u32) -> bool {
        if let Some(byte) = u8::try_from(code).ok().filter(u8::is_ascii) {
            return self.contains_ascii(byte);
        }
        match self {
            Self::Ascii | Self::Digit | Self::Xdigit => false,
            Self::Alpha | Self::Alnum | Self::Word => is_in(&ALPHA, code),
            Self::Punct => is_in(&PUNCT, code),
            Self::Graph => is_in(&ALPHA, code) || is_in(&PUNCT, code),
            Self::Print => is_in(&ALPHA, code) || is_in(&PUNCT, code) || is_blank(code),
            Self::Blank => is_blank(code),
            Self::Space => is_blank(code) || is_separator(code),
            Self::Cntrl => (0x80..=0x9f).contains(&code) || is_separator(code),
            Self::Upper => {
                lower(code) != code || is(code, char::is_uppercase) && !is_within(&NOT_UPPER, code)
            }
            Self::Lower => {
                upper(code) != code
                    || code == 0x295
                    || is(code, char::is_lowercase) && !is_within(&NOT_LOWER, code)
            }
        }
    }

    fn contains_ascii(self, byte: u8) -> bool {
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Alpha => byte.is_ascii_alphabetic(),
            Self::Ascii => true,
            Self::Blank => matches!(byte, b' ' | b'\t'),
            Self::Cntrl => byte.is_ascii_control(),
            Self::Digit => byte.is_ascii_digit(),
            Self::Graph => byte.is_ascii_graphic(),
            Self::Lower => byte.is_ascii_lowercase(),
            Self::Print => byte.is_ascii_graphic() || byte == b' ',
            Self::Punct => byte.is_ascii_punctuation(),
            Self::Space => matches!(byte, b' ' | b'\t'..=b'\r'),
            Self::Upper => byte.is_ascii_uppercase(),
            Self::Word => byte.is_ascii_alphanumeric() || byte == b'_',
            Self::Xdigit => byte.is_ascii_hexdigit(),
        }
    }
}

fn is(code: u32, property: impl Fn(char) -> bool) -> bool {
    char::from_u32(code).is_some_and(property)
}

fn is_in(changes: &[u32], code: u32) -> bool {
    changes.partition_point(|&change| change <= code) % 2 == 1
}

fn is_within(ranges: &[(u32, u32)], code: u32) -> bool {
    ranges.iter().any(|&(first, last)| (first..=last).contains(&code))
}

/// Blanks at which a line may be broken: not U+00A0, U+2007 and U+202F.
fn is_blank(code: u32) -> bool {
    matches!(code, 0x1680 | 0x2000..=0x2006 | 0x2008..=0x200a | 0x205f | 0x3000)
}

/// Of lines and paragraphs.
fn is_separator(code: u32) -> bool {
    matches!(code, 0x2028 | 0x2029)
}
