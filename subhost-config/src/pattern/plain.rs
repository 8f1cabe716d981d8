//! Matching without extended patterns: pieces of fixed length between `*`.
//!
//! What is behind a `*` may always be taken where it first fits, so nothing is ever tried twice.

use super::character::Reading;
use super::compile::Item;
use crate::steps::{OutOfSteps, Steps};

/// A text to match in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) text: &'a [u8],
    pub(super) reading: Reading,
}

/// Where a piece fits: its beginning and end.
type Place = (usize, usize);

impl Subject<'_> {
    /// Where the items end that fit at `at`.
    pub(super) fn fits(
        &self,
        items: &[Item],
        mut at: usize,
        steps: &mut Steps,
    ) -> Result<Option<usize>, OutOfSteps> {
        for item in items {
            steps.take(1)?;
            let end = match item {
                Item::Text(text) => {
                    steps.take(bulk(text.len()))?;
                    self.text[at..].starts_with(text).then_some(at + text.len())
                }
                single => self.single(single, at),
            };
            match end {
                Some(end) => at = end,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// What is behind the one character at `at`, if the item stands for it.
    pub(super) fn single(&self, item: &Item, at: usize) -> Option<usize> {
        let (code, length) = self.reading.at(self.text, at)?;
        let fits = match item {
            Item::Any => true,
            Item::Set(set) => set.contains(code, self.reading),
            Item::Folded(folded) => self.reading.lower(code) == *folded,
            Item::Text(_) | Item::Star | Item::Group(_) => unreachable!("it is no single character"),
        };
        fits.then_some(at + length)
    }

    /// Where the items begin that fit up to `at`, not before `floor`.
    fn fits_before(
        &self,
        items: &[Item],
        floor: usize,
        mut at: usize,
        steps: &mut Steps,
    ) -> Result<Option<usize>, OutOfSteps> {
        for item in items.iter().rev() {
            steps.take(1)?;
            let start = match item {
                Item::Text(text) => {
                    steps.take(bulk(text.len()))?;
                    self.text[floor..at].ends_with(text).then(|| at - text.len())
                }
                single => self
                    .reading
                    .start_before(self.text, at)
                    .filter(|&start| start >= floor && self.single(single, start).is_some()),
            };
            match start {
                Some(start) => at = start,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    fn leftmost(&self, items: &[Item], floor: usize, steps: &mut Steps) -> Result<Option<Place>, OutOfSteps> {
        let mut at = floor;
        loop {
            if let Some(Item::Text(text)) = items.first() {
                let Some(skipped) = self.text[at..].iter().position(|byte| *byte == text[0]) else {
                    steps.take(bulk(self.text.len() - at))?;
                    return Ok(None);
                };
                steps.take(bulk(skipped))?;
                at += skipped;
            }
            if let Some(end) = self.fits(items, at, steps)? {
                return Ok(Some((at, end)));
            }
            match self.reading.at(self.text, at) {
                Some((_, length)) => at += length,
                None => return Ok(None),
            }
        }
    }

    fn rightmost(
        &self,
        items: &[Item],
        floor: usize,
        ceiling: usize,
        steps: &mut Steps,
    ) -> Result<Option<Place>, OutOfSteps> {
        let mut end = ceiling;
        loop {
            if let Some(Item::Text(text)) = items.last() {
                let last = text[text.len() - 1];
                let Some(place) = self.text[floor..end].iter().rposition(|&byte| byte == last) else {
                    steps.take(bulk(end - floor))?;
                    return Ok(None);
                };
                steps.take(bulk(end - floor - place))?;
                end = floor + place + 1;
            }
            if let Some(start) = self.fits_before(items, floor, end, steps)? {
                return Ok(Some((start, end)));
            }
            match self.reading.start_before(self.text, end) {
                Some(before) if before >= floor => end = before,
                _ => return Ok(None),
            }
        }
    }
}

/// The pieces of a pattern between its `*`.
pub(super) struct Pieces<'a> {
    first: &'a [Item],
    middle: Vec<&'a [Item]>,
    /// What is behind the last `*`, if there is one.
    last: Option<&'a [Item]>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(items: &'a [Item]) -> Self {
        let mut pieces: Vec<&[Item]> = items.split(|item| *item == Item::Star).collect();
        let first = pieces.remove(0);
        let last = pieces.pop();
        Self { first, middle: pieces, last }
    }

    pub(super) fn matches(&self, subject: Subject<'_>, steps: &mut Steps) -> Result<bool, OutOfSteps> {
        let length = subject.text.len();
        let Some(floor) = self.end_of_middle(subject, 0, steps)? else { return Ok(false) };
        match self.last {
            None => Ok(floor == length),
            Some(last) => Ok(subject.fits_before(last, floor, length, steps)?.is_some()),
        }
    }

    /// Where the longest or shortest match ends that begins at `at`.
    pub(super) fn end(
        &self,
        subject: Subject<'_>,
        at: usize,
        longest: bool,
        steps: &mut Steps,
    ) -> Result<Option<usize>, OutOfSteps> {
        let length = subject.text.len();
        let Some(floor) = self.end_of_middle(subject, at, steps)? else { return Ok(None) };
        let place = match self.last {
            None => Some((at, floor)),
            Some(last) if longest => subject.rightmost(last, floor, length, steps)?,
            Some(last) => subject.leftmost(last, floor, steps)?,
        };
        Ok(place.map(|(_, end)| end))
    }

    /// Where the longest or shortest match begins that ends with the text.
    pub(super) fn start(
        &self,
        subject: Subject<'_>,
        longest: bool,
        steps: &mut Steps,
    ) -> Result<Option<usize>, OutOfSteps> {
        let Some(last) = self.last else {
            return subject.fits_before(self.first, 0, subject.text.len(), steps);
        };
        let Some(mut ceiling) = subject.fits_before(last, 0, subject.text.len(), steps)? else {
            return Ok(None);
        };
        for piece in self.middle.iter().rev() {
            match subject.rightmost(piece, 0, ceiling, steps)? {
                Some((start, _)) => ceiling = start,
                None => return Ok(None),
            }
        }
        let place = if longest {
            subject.leftmost(self.first, 0, steps)?.filter(|&(_, end)| end <= ceiling)
        } else {
            subject.rightmost(self.first, 0, ceiling, steps)?
        };
        Ok(place.map(|(start, _)| start))
    }

    /// Where the first match begins and how far it can go, at or behind `from`.
    pub(super) fn find(
        &self,
        subject: Subject<'_>,
        from: usize,
        steps: &mut Steps,
    ) -> Result<Option<Place>, OutOfSteps> {
        // If what is behind the first place does not fit, it does not fit behind a later one either.
        let Some((start, _)) = subject.leftmost(self.first, from, steps)? else { return Ok(None) };
        Ok(self.end(subject, start, true, steps)?.map(|end| (start, end)))
    }

    /// Where everything before the last `*` ends if it begins at `at` and is as short as it can be.
    fn end_of_middle(
        &self,
        subject: Subject<'_>,
        at: usize,
        steps: &mut Steps,
    ) -> Result<Option<usize>, OutOfSteps> {
        let Some(mut floor) = subject.fits(self.first, at, steps)? else { return Ok(None) };
        for piece in &self.middle {
            match subject.leftmost(piece, floor, steps)? {
                Some((_, end)) => floor = end,
                None => return Ok(None),
            }
        }
        Ok(Some(floor))
    }
}

/// The steps for that many bytes that are only skipped or compared.
pub(super) fn bulk(bytes: usize) -> u64 {
    bytes as u64 / 256
}
