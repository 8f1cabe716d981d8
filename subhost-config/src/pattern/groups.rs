//! Matching with extended patterns: all places are followed at once, so that no order of trying is slow.

use super::compile::{Group, Item, Kind};
use super::plain::{Subject, bulk};
use crate::steps::{OutOfSteps, Steps};

/// A set of places in a text, its end among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    words: Vec<u64>,
}

impl Places {
    /// No places, in a text of that many bytes.
    fn none(length: usize) -> Self {
        Self { words: vec![0; length / 64 + 1] }
    }

    pub(super) fn only(place: usize, length: usize) -> Self {
        let mut places = Self::none(length);
        places.insert(place);
        places
    }

    fn insert(&mut self, place: usize) {
        self.words[place / 64] |= 1 << (place % 64);
    }

    pub(super) fn contains(&self, place: usize) -> bool {
        self.words[place / 64] & 1 << (place % 64) != 0
    }

    fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    pub(super) fn first(&self) -> Option<usize> {
        self.iter().next()
    }

    pub(super) fn last(&self) -> Option<usize> {
        let word = self.words.iter().rposition(|&word| word != 0)?;
        Some(word * 64 + 63 - self.words[word].leading_zeros() as usize)
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(index * 64 + bit)
            })
        })
    }

    fn add(&mut self, others: &Self) {
        self.words.iter_mut().zip(&others.words).for_each(|(word, other)| *word |= other);
    }

    fn remove(&mut self, others: &Self) {
        self.words.iter_mut().zip(&others.words).for_each(|(word, other)| *word &= !other);
    }
}

impl Subject<'_> {
    /// All places where the items can end that begin at one of `starts`.
    pub(super) fn ends(
        &self,
        items: &[Item],
        starts: Places,
        steps: &mut Steps,
    ) -> Result<Places, OutOfSteps> {
        let mut places = starts;
        for item in items {
            steps.take(1 + bulk(self.text.len()))?;
            if places.is_empty() {
                break;
            }
            places = match item {
                Item::Star => match places.first() {
                    Some(first) => self.all_from(first, steps)?,
                    None => places,
                },
                Item::Group(group) => self.ends_of_group(group, places, steps)?,
                _ => {
                    let mut ends = Places::none(self.text.len());
                    for place in places.iter() {
                        if let Some(end) = self.fits(std::slice::from_ref(item), place, steps)? {
                            ends.insert(end);
                        }
                    }
                    ends
                }
            };
        }
        Ok(places)
    }

    fn ends_of_group(&self, group: &Group, starts: Places, steps: &mut Steps) -> Result<Places, OutOfSteps> {
        match group.kind {
            Kind::Once => self.ends_of_any(group, &starts, steps),
            Kind::Maybe => {
                let mut ends = self.ends_of_any(group, &starts, steps)?;
                ends.add(&starts);
                Ok(ends)
            }
            Kind::Repeated | Kind::MaybeRepeated => {
                let mut ends = match group.kind {
                    Kind::MaybeRepeated => starts.clone(),
                    _ => Places::none(self.text.len()),
                };
                let mut new = starts;
                while !new.is_empty() {
                    new = self.ends_of_any(group, &new, steps)?;
                    new.remove(&ends);
                    ends.add(&new);
                }
                Ok(ends)
            }
            Kind::Not => {
                let mut ends = Places::none(self.text.len());
                for start in starts.iter() {
                    let only = Places::only(start, self.text.len());
                    let mut others = self.all_from(start, steps)?;
                    others.remove(&self.ends_of_any(group, &only, steps)?);
                    ends.add(&others);
                }
                Ok(ends)
            }
        }
    }

    fn ends_of_any(&self, group: &Group, starts: &Places, steps: &mut Steps) -> Result<Places, OutOfSteps> {
        let mut ends = Places::none(self.text.len());
        for items in &group.alternatives {
            steps.take(1)?;
            ends.add(&self.ends(items, starts.clone(), steps)?);
        }
        Ok(ends)
    }

    fn all_from(&self, first: usize, steps: &mut Steps) -> Result<Places, OutOfSteps> {
        steps.take(1 + (self.text.len() - first) as u64 / 8)?;
        let mut places = Places::none(self.text.len());
        (first..=self.text.len())
            .filter(|&place| self.reading.is_boundary(self.text, place))
            .for_each(|place| places.insert(place));
        Ok(places)
    }
}
