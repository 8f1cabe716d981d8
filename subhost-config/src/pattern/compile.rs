//! A pattern's text, taken apart.

use super::bracket::{self, Bracket, Set};
use super::character::Reading;

/// How deep extended patterns may be nested.
const MAX_NESTING: usize = 50;

/// One thing that a pattern asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// These bytes.
    Text(Vec<u8>),
    /// A character whose lower case is this one.
    Folded(u32),
    /// `?`
    Any,
    /// `[…]`
    Set(Box<Set>),
    /// One or more `*`.
    Star,
    Group(Box<Group>),
}

/// `@(…|…)` and its like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) kind: Kind,
    pub(super) alternatives: Vec<Vec<Item>>,
}

/// How often one of the alternatives has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `@(…)`
    Once,
    /// `?(…)`
    Maybe,
    /// `+(…)`
    Repeated,
    /// `*(…)`
    MaybeRepeated,
    /// `!(…)`: anything that is none of them.
    Not,
}

/// Why a pattern is refused: bash gives no answer worth copying.
pub(super) type Refusal = &'static str;

/// A pattern, taken apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Compiled {
    pub(super) items: Vec<Item>,
    /// Why it may not be used in `${v/…}`, where bash has more habits.
    pub(super) refusal_of_find: Option<Refusal>,
    /// Whether something looks like an extended pattern though these are off, which `${v/…}` sometimes heeds.
    pub(super) looks_extended: bool,
}

/// Takes a pattern apart in which a backslash takes the meaning from the next character.
pub(super) fn compile(
    pattern: &[u8],
    reading: Reading,
    extglob: bool,
    ignores_case: bool,
) -> Result<Compiled, Refusal> {
    let mut compiler = Compiler {
        pattern,
        reading,
        extglob,
        ignores_case,
        last_close: last_close(pattern),
        refusal_of_find: None,
        looks_extended: false,
    };
    let items = compiler.sequence(0, pattern.len(), 0)?;
    if extglob && pattern.first() == Some(&b'(') {
        compiler.refusal_of_find = Some("a pattern that begins with a plain `(`");
    }
    // There bash puts a `*` before the pattern. `Pattern::find` heeds what comes of it if there is no run.
    let begins_with_run = items.first().is_some_and(|item| *item == Item::Any || item.belongs_to_star());
    if begins_with_run && has_run_to_doubt(&items, true) {
        compiler.refusal_of_find = Some("`?` before an extended pattern that may match nothing");
    }
    let Compiler { refusal_of_find, looks_extended, .. } = compiler;
    Ok(Compiled { items, refusal_of_find, looks_extended })
}

/// Where the last `]` is that is not behind a backslash.
fn last_close(pattern: &[u8]) -> Option<usize> {
    let mut last = None;
    let mut at = 0;
    while let Some(byte) = pattern.get(at) {
        match byte {
            b'\\' => at += 1,
            b']' => last = Some(at),
            _ => {}
        }
        at += 1;
    }
    last
}

struct Compiler<'a> {
    pattern: &'a [u8],
    reading: Reading,
    extglob: bool,
    ignores_case: bool,
    /// Where the last `]` is, so that not each of many unclosed `[` is followed to the end.
    last_close: Option<usize>,
    refusal_of_find: Option<Refusal>,
    looks_extended: bool,
}

impl Compiler<'_> {
    fn sequence(&mut self, mut at: usize, end: usize, depth: usize) -> Result<Vec<Item>, Refusal> {
        let mut items = Vec::new();
        while at < end {
            let byte = self.pattern[at];
            if let Some(kind) = self.kind_of_group(at, end) {
                let (group, behind) = self.group(kind, at + 2, end, depth)?;
                items.push(Item::Group(Box::new(group)));
                at = behind;
                continue;
            }
            at += 1;
            match byte {
                b'?' => items.push(Item::Any),
                b'*' => {
                    if items.last() != Some(&Item::Star) {
                        items.push(Item::Star);
                    }
                }
                b'[' => match self.bracket(at, end, depth)? {
                    Some((set, behind)) => {
                        items.push(Item::Set(Box::new(set)));
                        at = behind;
                    }
                    None => {
                        self.push_character(&mut items, at - 1);
                    }
                },
                b'\\' if at == end => return Err("a pattern that ends in a lone backslash"),
                b'\\' => at = self.push_character(&mut items, at),
                _ => at = self.push_character(&mut items, at - 1),
            }
        }
        if has_run_to_doubt(&items, false) {
            return Err("`*` before an extended pattern that may match nothing");
        }
        Ok(items)
    }

    /// What the `[` before `at` begins, and what is behind it; nothing if it is a plain character.
    fn bracket(&mut self, at: usize, end: usize, depth: usize) -> Result<Option<(Set, usize)>, Refusal> {
        let bracket = match self.last_close {
            Some(close) if close > at => bracket::read(self.pattern, at, self.reading, self.ignores_case),
            _ => Bracket::Literal,
        };
        match bracket {
            Bracket::Set(set, behind) if behind <= end => {
                if matches!(self.pattern[at..], [b'!' | b'^', b']', ..]) {
                    self.refusal_of_find = Some("a bracket expression that begins with `!]`");
                }
                Ok(Some((set, behind)))
            }
            // A range without its end, which matches nothing, if it is one.
            Bracket::Literal if depth == 0 && self.pattern.last() != Some(&b'-') => {
                if self.refusal_of_find.is_none() && has_special(&self.pattern[at..]) {
                    self.refusal_of_find = Some("a `[` without its `]` before more that is special");
                }
                Ok(None)
            }
            _ => Err("a bracket expression that bash reads in more than one way"),
        }
    }

    /// Adds the character there, and says what is behind it.
    fn push_character(&self, items: &mut Vec<Item>, at: usize) -> usize {
        let (code, length) = self.reading.at(self.pattern, at).expect("the pattern is valid in its reading");
        if self.ignores_case {
            items.push(Item::Folded(self.reading.lower(code)));
            return at + length;
        }
        let text = &self.pattern[at..at + length];
        match items.last_mut() {
            Some(Item::Text(before)) => before.extend_from_slice(text),
            _ => items.push(Item::Text(text.to_vec())),
        }
        at + length
    }

    fn kind_of_group(&mut self, at: usize, end: usize) -> Option<Kind> {
        if at + 1 >= end || self.pattern[at + 1] != b'(' {
            return None;
        }
        let kind = match self.pattern[at] {
            b'@' => Kind::Once,
            b'?' => Kind::Maybe,
            b'+' => Kind::Repeated,
            b'*' => Kind::MaybeRepeated,
            b'!' => Kind::Not,
            _ => return None,
        };
        self.looks_extended = true;
        self.extglob.then_some(kind)
    }

    /// The group whose first alternative begins at `at`, and what is behind its `)`.
    fn group(
        &mut self,
        kind: Kind,
        mut at: usize,
        end: usize,
        depth: usize,
    ) -> Result<(Group, usize), Refusal> {
        if depth == MAX_NESTING {
            return Err("extended patterns nested too deep");
        }
        let behind = self.skip(at, end, false).ok_or("an extended pattern without its `)`")?;
        let mut alternatives = Vec::new();
        loop {
            let next = self.skip(at, behind, true).ok_or("an extended pattern without its `)`")?;
            alternatives.push(self.sequence(at, next - 1, depth + 1)?);
            if next == behind {
                return Ok((Group { kind, alternatives }, behind));
            }
            at = next;
        }
    }

    /// What is behind the `)` of the group inside which `at` is, or behind its next `|`.
    ///
    /// bash looks for them apart from the rest, and takes any `(` for one that has a `)`.
    fn skip(&self, mut at: usize, end: usize, stops_at_bar: bool) -> Option<usize> {
        let mut open_groups = 0_usize;
        let mut first_in_bracket = None;
        let mut named = None;
        while at < end {
            let next = self.pattern.get(at + 1).copied();
            match self.pattern[at] {
                b'\\' => at += 1,
                b'[' if first_in_bracket.is_none() => {
                    first_in_bracket = Some(at + 1 + usize::from(matches!(next, Some(b'!' | b'^'))));
                }
                b'[' if matches!(next, Some(b':' | b'.' | b'=')) => named = next,
                b']' if first_in_bracket.is_some() => {
                    if named.is_some() && Some(self.pattern[at - 1]) == named {
                        named = None;
                    } else if first_in_bracket != Some(at) {
                        first_in_bracket = None;
                    }
                }
                _ if first_in_bracket.is_some() => {}
                b'(' => open_groups += 1,
                b')' if open_groups == 0 => return Some(at + 1),
                b')' => open_groups -= 1,
                b'|' if stops_at_bar && open_groups == 0 => return Some(at + 1),
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Whether bash takes the length of this for more or less than that of its text. It does where it looks for a
/// part of a value: there it counts all behind an open `[` as text.
fn has_special(rest: &[u8]) -> bool {
    rest.iter().any(|byte| b"*?[]\\(".contains(byte))
}

/// Whether the items hold a `*` behind which bash does not try to match nothing where it should.
///
/// It tries the rest at each character but not at the end of the text, apart from `?(…)` and `*(…)` directly
/// behind the `*`. And there it takes `!(…)` for a match, whatever is in it.
fn has_run_to_doubt(items: &[Item], has_star_before: bool) -> bool {
    let nullable_from = items.len() - items.iter().rev().take_while(|item| item.is_nullable()).count();
    let mut is_in_run = has_star_before;
    for (place, item) in items.iter().enumerate() {
        let may_be_nothing = place >= nullable_from;
        match item {
            Item::Star => is_in_run = true,
            Item::Any => {}
            Item::Group(group) if matches!(group.kind, Kind::Maybe | Kind::MaybeRepeated) => {}
            Item::Group(group) if is_in_run && (may_be_nothing || group.kind == Kind::Not) => return true,
            _ => is_in_run = false,
        }
    }
    false
}

impl Item {
    pub(super) fn is_nullable(&self) -> bool {
        match self {
            Self::Text(_) | Self::Folded(_) | Self::Any | Self::Set(_) => false,
            Self::Star => true,
            Self::Group(group) => group.is_nullable(),
        }
    }

    /// Whether bash takes it for a part of a `*` before it.
    pub(super) fn belongs_to_star(&self) -> bool {
        match self {
            Self::Star => true,
            Self::Group(group) => matches!(group.kind, Kind::Maybe | Kind::MaybeRepeated),
            _ => false,
        }
    }
}

impl Group {
    fn is_nullable(&self) -> bool {
        let mut alternatives = self.alternatives.iter();
        match self.kind {
            Kind::Maybe | Kind::MaybeRepeated => true,
            Kind::Once | Kind::Repeated => alternatives.any(|items| items.iter().all(Item::is_nullable)),
            Kind::Not => !alternatives.any(|items| items.iter().all(Item::is_nullable)),
        }
    }
}
