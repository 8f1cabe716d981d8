//! Patterns of bash (`man bash`, "Pattern Matching"), as `case`, `[[ … == … ]]` and `${v#…}` know them.
//!
//! A pattern is matched in steps that are counted. Without extended patterns their number is at most the
//! product of the lengths; with them it is polynomial, of a degree that grows with nested `!(…)`.

mod bracket;
pub(crate) mod character;
pub(crate) mod class;
mod class_table;
mod compile;
mod groups;
mod plain;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::ops::Range;

use crate::marked::Marked;
use crate::steps::{OutOfSteps, Steps};
use character::Reading;
use compile::{Compiled, Item, Kind, Refusal, compile};
use groups::Places;
use plain::{Pieces, Subject, bulk};

/// What a pattern is read with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PatternOptions {
    /// `shopt -s extglob`, or a place where it is always on: the right side of `==` in `[[ ]]`.
    pub(crate) extglob: bool,
    /// `shopt -s nocasematch`. bash heeds it in `case`, `[[ ]]` and `${v/…}`, not in `${v#…}` and `${v%…}`.
    pub(crate) nocase: bool,
}

/// Where a match has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Anywhere: `${v/p/r}`.
    None,
    /// At the start: `${v/#p/r}`.
    Start,
    /// At the end: `${v/%p/r}`.
    End,
}

/// A pattern, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// The text, with a backslash before what was quoted.
    escaped: Vec<u8>,
    options: PatternOptions,
    /// The reading of `items`: what the pattern is valid in.
    reading: Reading,
    items: Vec<Item>,
    /// The same for a text that is no valid UTF-8, where bash compares bytes.
    of_bytes: OnceCell<Compiled>,
    refusal: Option<Refusal>,
    refusal_of_find: Option<Refusal>,
    is_literal: bool,
    has_groups: bool,
    /// Whether it makes no difference if characters or bytes are compared.
    is_of_bytes: bool,
}

impl Pattern {
    pub(crate) fn new(text: &Marked, options: PatternOptions) -> Self {
        let escaped = escaped(text);
        let reading = Reading::of(&escaped);
        let compiled = if has_doubtful_backslash(text) {
            Err("a plain backslash before quoted text")
        } else if escaped.windows(2).any(|pair| pair[0] >= 0xc0 && pair[1] == b'\\') {
            // bash takes the two for one character, and goes astray.
            Err("half a character before a backslash")
        } else {
            compile(&escaped, reading, options.extglob, options.nocase)
        };
        let (compiled, refusal) = match compiled {
            Ok(compiled) => (compiled, None),
            Err(refusal) => (Compiled::default(), Some(refusal)),
        };
        let Compiled { items, refusal_of_find, .. } = compiled;
        Self {
            reading,
            of_bytes: OnceCell::new(),
            refusal,
            refusal_of_find: refusal.or(refusal_of_find),
            is_literal: items.iter().all(|item| matches!(item, Item::Text(_) | Item::Folded(_))),
            has_groups: items.iter().any(|item| matches!(item, Item::Group(_))),
            is_of_bytes: items.iter().all(|item| matches!(item, Item::Text(_) | Item::Star)),
            items,
            escaped,
            options,
        }
    }

    /// Why nothing may be matched with this pattern: what bash does with it is not worth copying, as with an
    /// extended pattern without its `)`. Such a pattern matches the empty text alone.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        self.refusal
    }

    /// Why `find` may not be asked, that is, the pattern not be used in `${v/…}`. There bash has more habits.
    pub(crate) fn refusal_of_find(&self) -> Option<&'static str> {
        self.refusal_of_find
    }

    /// Whether no character is special.
    pub(crate) fn is_literal(&self) -> bool {
        self.is_literal
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &[u8], steps: &mut Steps) -> Result<bool, OutOfSteps> {
        let (items, subject) = self.for_text(text, steps)?;
        if !self.has_groups {
            return Pieces::new(items).matches(subject, steps);
        }
        let Some(ends) = ends(items, subject, 0, steps)? else { return Ok(false) };
        Ok(ends.contains(text.len()))
    }

    /// The length of the longest or shortest beginning that matches, as for `##` and `#`.
    pub(crate) fn prefix(
        &self,
        text: &[u8],
        longest: bool,
        steps: &mut Steps,
    ) -> Result<Option<usize>, OutOfSteps> {
        if self.is_mixed_with(text, steps)? {
            let mut places = 0..=text.len();
            return first_that(&mut places, longest, |&end| self.matches(&text[..end], steps));
        }
        let (items, subject) = self.for_text(text, steps)?;
        if !self.has_groups {
            return Pieces::new(items).end(subject, 0, longest, steps);
        }
        let ends = ends(items, subject, 0, steps)?;
        Ok(ends.and_then(|ends| if longest { ends.last() } else { ends.first() }))
    }

    /// Where the longest or shortest end begins that matches, as for `%%` and `%`.
    pub(crate) fn suffix(
        &self,
        text: &[u8],
        longest: bool,
        steps: &mut Steps,
    ) -> Result<Option<usize>, OutOfSteps> {
        if self.is_mixed_with(text, steps)? {
            let mut places = 0..=text.len();
            return first_that(&mut places, !longest, |&start| self.matches(&text[start..], steps));
        }
        let (items, subject) = self.for_text(text, steps)?;
        if !self.has_groups {
            return Pieces::new(items).start(subject, longest, steps);
        }
        let mut places = (0..=text.len()).filter(|&place| subject.reading.is_boundary(text, place));
        first_that(&mut places, !longest, |&start| {
            Ok(ends(items, subject, start, steps)?.is_some_and(|ends| ends.contains(text.len())))
        })
    }

    /// The first match at or behind `from`, as long as it can be; for `Anchor::Start` only at `from`, for
    /// `Anchor::End` only up to the end.
    ///
    /// An empty pattern is found at either end and not without an anchor, as in bash.
    pub(crate) fn find(
        &self,
        text: &[u8],
        from: usize,
        anchor: Anchor,
        steps: &mut Steps,
    ) -> Result<Option<Range<usize>>, OutOfSteps> {
        let text = &text[from..];
        let found = self.find_in(text, anchor, steps)?;
        Ok(found.map(|(start, end)| from + start..from + end))
    }

    fn find_in(
        &self,
        text: &[u8],
        anchor: Anchor,
        steps: &mut Steps,
    ) -> Result<Option<(usize, usize)>, OutOfSteps> {
        if self.items.is_empty() {
            return Ok(match anchor {
                Anchor::None => None,
                Anchor::Start => Some((0, 0)),
                Anchor::End => Some((text.len(), text.len())),
            });
        }
        if self.is_tried_as_whole() && !self.matches(text, steps)? {
            return Ok(None);
        }
        let (items, subject) = self.for_text(text, steps)?;
        let found = if self.has_groups {
            self.find_with_groups(items, subject, anchor, steps)?
        } else {
            let pieces = Pieces::new(items);
            match anchor {
                Anchor::None => pieces.find(subject, 0, steps)?,
                Anchor::Start => pieces.end(subject, 0, true, steps)?.map(|end| (0, end)),
                Anchor::End => pieces.start(subject, true, steps)?.map(|start| (start, text.len())),
            }
        };
        match found {
            Some(_) if self.is_mixed_with(text, steps)? => self.find_in_mixed(text, anchor, steps),
            _ => Ok(found),
        }
    }

    fn find_with_groups(
        &self,
        items: &[Item],
        subject: Subject<'_>,
        anchor: Anchor,
        steps: &mut Steps,
    ) -> Result<Option<(usize, usize)>, OutOfSteps> {
        let length = subject.text.len();
        let last = if anchor == Anchor::Start { 0 } else { length };
        let places = (0..=last).filter(|&place| subject.reading.is_boundary(subject.text, place));
        for start in places {
            if start == length && !self.may_be_nothing(items, subject, anchor) {
                continue;
            }
            let Some(ends) = ends(items, subject, start, steps)? else { continue };
            match anchor {
                Anchor::End if ends.contains(length) => return Ok(Some((start, length))),
                Anchor::End => {}
                Anchor::None | Anchor::Start => {
                    if let Some(end) = ends.last() {
                        return Ok(Some((start, end)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Whether bash finds an empty match at the very end of a text.
    ///
    /// It first tries the pattern with a `*` before and behind it, which has the habits that [`compile()`] refuses,
    /// and then looks at the first character.
    fn may_be_nothing(&self, items: &[Item], subject: Subject<'_>, anchor: Anchor) -> bool {
        if anchor != Anchor::End && self.escaped.first() != Some(&b'*') {
            return false;
        }
        // For characters of more than one byte it has a function of its own, which always puts both there.
        let is_wide =
            subject.reading == Reading::Characters && !(subject.text.is_ascii() && self.escaped.is_ascii());
        match items.first() {
            // If it is not all of the pattern, there is more that cannot be nothing, or the pattern is refused.
            Some(item) if item.belongs_to_star() => true,
            _ if is_wide && !subject.text.is_empty() => true,
            Some(Item::Group(group)) => group.kind == Kind::Not && subject.text.is_empty(),
            _ => false,
        }
    }

    /// Whether bash looks for the text as a whole before it looks for a part in `${v/…}`, by mistake: it takes
    /// the `\*` at the end for a `*`.
    fn is_tried_as_whole(&self) -> bool {
        let begins_with_star = matches!(self.items.first(), Some(Item::Star));
        begins_with_star && self.escaped.last() == Some(&b'*') && self.items.last() != Some(&Item::Star)
    }

    /// `find` in a text that is no valid UTF-8, with a pattern that is: bash first looks for bytes, then
    /// compares each part of the text, which may be valid, in its own way.
    fn find_in_mixed(
        &self,
        text: &[u8],
        anchor: Anchor,
        steps: &mut Steps,
    ) -> Result<Option<(usize, usize)>, OutOfSteps> {
        let Compiled { items, looks_extended, .. } = self.of_bytes();
        let length = fixed_length(items).filter(|_| !looks_extended);
        let starts = match (anchor, length) {
            (Anchor::None, _) => 0..=text.len(),
            (Anchor::Start, _) => 0..=0,
            (Anchor::End, None) => 0..=text.len(),
            (Anchor::End, Some(length)) => match text.len().checked_sub(length) {
                Some(start) => start..=start,
                None => return Ok(None),
            },
        };
        for start in starts {
            steps.take(1)?;
            let may_begin = anchor == Anchor::End || may_begin(items, &text[start..]);
            let ends = match (anchor, length) {
                _ if !may_begin => continue,
                (Anchor::End, _) => text.len()..=text.len(),
                (_, Some(length)) if start + length > text.len() => continue,
                (_, Some(length)) => start + length..=start + length,
                (_, None) => start..=text.len(),
            };
            for end in ends.rev() {
                if self.matches(&text[start..end], steps)? {
                    return Ok(Some((start, end)));
                }
            }
        }
        Ok(None)
    }

    /// Whether the parts of this text may have another reading than the whole.
    fn is_mixed_with(&self, text: &[u8], steps: &mut Steps) -> Result<bool, OutOfSteps> {
        if self.is_of_bytes || self.reading == Reading::Bytes {
            return Ok(false);
        }
        steps.take(bulk(text.len()))?;
        Ok(Reading::of(text) == Reading::Bytes)
    }

    /// The items to match this text with, and how to read it.
    fn for_text<'t>(&self, text: &'t [u8], steps: &mut Steps) -> Result<(&[Item], Subject<'t>), OutOfSteps> {
        if self.is_of_bytes {
            return Ok((&self.items, Subject { text, reading: Reading::Bytes }));
        }
        steps.take(bulk(text.len()))?;
        let reading = match self.reading {
            Reading::Bytes => Reading::Bytes,
            Reading::Characters => Reading::of(text),
        };
        let items = if reading == self.reading { &self.items } else { &self.of_bytes().items };
        Ok((items, Subject { text, reading }))
    }

    fn of_bytes(&self) -> &Compiled {
        self.of_bytes.get_or_init(|| {
            let PatternOptions { extglob, nocase } = self.options;
            // What is refused is refused for its ASCII characters, which are the same in both readings.
            compile(&self.escaped, Reading::Bytes, extglob, nocase).unwrap_or_default()
        })
    }
}

/// The text of a pattern in which a backslash is before all that is quoted, and nothing else tells of quotes.
fn escaped(text: &Marked) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.bytes().len());
    let mut is_within_character = false;
    for (&byte, &is_quoted) in text.bytes().iter().zip(text.quoted()) {
        let continues = is_within_character && (0x80..0xc0).contains(&byte);
        if is_quoted && !continues {
            escaped.push(b'\\');
        }
        is_within_character = is_quoted && !byte.is_ascii();
        escaped.push(byte);
    }
    escaped
}

/// Whether an unquoted backslash, which comes out of a variable, is before quoted text. For `case` and `[[ ]]`
/// it then is a plain one and the text loses its quotes; for `${v#…}` and the like it does nothing.
fn has_doubtful_backslash(text: &Marked) -> bool {
    let mut is_escaped = false;
    for (&byte, &is_quoted) in text.bytes().iter().zip(text.quoted()) {
        if is_escaped && is_quoted {
            return true;
        }
        is_escaped = byte == b'\\' && !is_quoted && !is_escaped;
    }
    false
}

/// All places where the items can end that begin at `start`; none if already the first of them do not fit.
fn ends(
    items: &[Item],
    subject: Subject<'_>,
    start: usize,
    steps: &mut Steps,
) -> Result<Option<Places>, OutOfSteps> {
    let simple = items.iter().take_while(|item| !matches!(item, Item::Star | Item::Group(_))).count();
    let Some(place) = subject.fits(&items[..simple], start, steps)? else { return Ok(None) };
    let ends = subject.ends(&items[simple..], Places::only(place, subject.text.len()), steps)?;
    Ok(Some(ends))
}

/// How many bytes match, if that is fixed.
fn fixed_length(items: &[Item]) -> Option<usize> {
    items
        .iter()
        .map(|item| match item {
            Item::Text(text) => Some(text.len()),
            Item::Folded(_) | Item::Any | Item::Set(_) => Some(1),
            Item::Star | Item::Group(_) => None,
        })
        .sum()
}

/// Whether the first byte of a text is one that a match may begin with, for all that bash looks at.
fn may_begin(items: &[Item], text: &[u8]) -> bool {
    match (items.first(), text.first()) {
        (Some(Item::Star), _) => true,
        (_, None) => false,
        (Some(Item::Text(literal)), Some(byte)) => literal[0] == *byte,
        (Some(Item::Folded(code)), Some(byte)) => u32::from(byte.to_ascii_lowercase()) == *code,
        _ => true,
    }
}

/// The first of the places that `is_right`, or the last.
fn first_that<T>(
    places: &mut impl DoubleEndedIterator<Item = T>,
    from_end: bool,
    mut is_right: impl FnMut(&T) -> Result<bool, OutOfSteps>,
) -> Result<Option<T>, OutOfSteps> {
    while let Some(place) = if from_end { places.next_back() } else { places.next() } {
        if is_right(&place)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}
