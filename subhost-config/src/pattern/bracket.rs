//! A bracket expression: `[a-z_]`, `[!0-9]`, `[[:alpha:]]`.

use super::character::Reading;
use super::class::Class;

/// The characters that a bracket expression stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    is_negated: bool,
    ignores_case: bool,
    /// Sorted, apart from each other.
    ranges: Vec<(u32, u32)>,
    classes: Vec<Class>,
}

/// What a `[` begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    /// A set, and where the pattern goes on behind it.
    Set(Set, usize),
    /// There is no end: it is a plain `[`.
    Literal,
    /// What bash makes of it depends on the character it is held against.
    Doubtful,
}

impl Set {
    pub(super) fn contains(&self, code: u32, reading: Reading) -> bool {
        let folded = if self.ignores_case { reading.lower(code) } else { code };
        let place = self.ranges.partition_point(|&(_, last)| last < folded);
        // Half a character is in no class.
        let is_in_class = reading == Reading::Characters || code < 0x80;
        let is_member = self.ranges.get(place).is_some_and(|&(first, _)| first <= folded)
            || is_in_class && self.classes.iter().any(|class| class.contains(code));
        is_member != self.is_negated
    }
}

/// Reads the expression whose `[` is just before `at`.
pub(super) fn read(pattern: &[u8], at: usize, reading: Reading, ignores_case: bool) -> Bracket {
    let mut reader = Reader { pattern, at, reading };
    let is_negated = matches!(reader.byte(), Some(b'!' | b'^'));
    reader.at += usize::from(is_negated);
    let mut ranges = Vec::new();
    let mut classes = Vec::new();
    let begin = reader.at;
    loop {
        let Some(byte) = reader.byte() else { return Bracket::Literal };
        if byte == b']' && reader.at > begin {
            reader.at += 1;
            break;
        }
        let first = match reader.element() {
            Some(Element::Character(code)) => code,
            Some(Element::Class(class)) => {
                if !classes.contains(&class) {
                    classes.push(class);
                }
                continue;
            }
            None => return Bracket::Doubtful,
        };
        let mut last = first;
        if reader.byte() == Some(b'-') && reader.pattern.get(reader.at + 1) != Some(&b']') {
            reader.at += 1;
            // `[=x=]` ends no range: bash takes that `[` for itself.
            let is_equivalence = reader.pattern[reader.at..].starts_with(b"[=");
            match reader.element() {
                Some(Element::Character(code)) if !is_equivalence => last = code,
                _ => return Bracket::Doubtful,
            }
        }
        let fold = |code| if ignores_case { reading.lower(code) } else { code };
        if fold(first) <= fold(last) {
            ranges.push((fold(first), fold(last)));
        }
    }
    Bracket::Set(Set { is_negated, ignores_case, ranges: merged(ranges), classes }, reader.at)
}

fn merged(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

enum Element {
    Character(u32),
    Class(Class),
}

struct Reader<'a> {
    pattern: &'a [u8],
    at: usize,
    reading: Reading,
}

impl Reader<'_> {
    fn byte(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    /// The next element, if there is one that bash always takes for the same.
    fn element(&mut self) -> Option<Element> {
        let rest = &self.pattern[self.at.min(self.pattern.len())..];
        match rest {
            [b'[', b':', ..] => {
                let name = &rest[2..rest.len().min(10)];
                let name = &name[..name.iter().position(|&byte| byte == b':')?];
                let class = Class::from_name(name)?;
                self.at += name.len() + 4;
                (rest.get(name.len() + 3) == Some(&b']')).then_some(Element::Class(class))
            }
            [b'[', kind @ (b'=' | b'.'), ..] => {
                let byte = *rest.get(2).filter(|byte| byte.is_ascii() && !b"[]\\".contains(byte))?;
                if !rest[3..].starts_with(&[*kind, b']']) {
                    return None;
                }
                self.at += 5;
                // Behind `[=x=]`, bash sees neither a `]` that ends the expression nor that there is no range.
                let is_end_seen = *kind == b'.' || !matches!(self.byte(), None | Some(b']' | b'-'));
                is_end_seen.then_some(Element::Character(u32::from(byte)))
            }
            [b'\\', ..] => {
                self.at += 1;
                self.character()
            }
            _ => self.character(),
        }
    }

    fn character(&mut self) -> Option<Element> {
        let (code, length) = self.reading.at(self.pattern, self.at)?;
        self.at += length;
        Some(Element::Character(code))
    }
}
