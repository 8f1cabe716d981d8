//! Ranges of host ids for guests: no two guests that live share an id.

use std::ops::Range;

use crate::error::{Complaint, Context, Error};
use crate::idindex::{Used, named, used};
use crate::layout::Layout;
use crate::lock::{Lock, lock_ids};
use crate::state::Record;
use crate::subid::ids_for_guests;

/// Ids of one range.
pub const RANGE_COUNT: u32 = 65_536;

/// A range that is ours as long as this lives.
#[derive(Debug)]
pub struct IdRange {
    /// First host id.
    pub first: u32,
    /// Number of ids.
    pub count: u32,
    /// What keeps others from it.
    pub lock: Option<Lock>,
}

/// The range of a guest that runs without its supervisor, or lingers: its record keeps others away.
///
/// # Errors
/// The locks cannot be read.
pub fn hold(layout: &Layout, record: &Record) -> Result<IdRange, Error> {
    let (first, count) = (record.first_id, record.id_count);
    // Another command may have it for a moment, until it has read that record.
    Ok(IdRange { first, count, lock: lock(layout, first, count)? })
}

/// Reserves a range: the fixed one of a configuration, or the first free one of those for guests.
///
/// A range is in use while it is locked (by a supervisor) or a record of a living subhost names it (its
/// supervisor may have been killed), or of one that lingers.
///
/// # Errors
/// The locks, the records or the ids for guests cannot be read, or no range is free.
pub fn reserve(layout: &Layout, fixed: Option<(u32, u32)>) -> Result<IdRange, Error> {
    match fixed {
        Some((first, count)) => reserve_fixed(layout, first, count),
        None => reserve_free(layout),
    }
}

fn reserve_fixed(layout: &Layout, first: u32, count: u32) -> Result<IdRange, Error> {
    let refused = |why: String| Error::refused(Complaint::new(format!("USERNS={first}:{count}: {why}")));
    // First the lock, so that two boots at once see each other.
    let Some(lock) = lock(layout, first, count)? else {
        return Err(refused("another subhost has been given ids of it".to_owned()));
    };
    let wanted = first..first.saturating_add(count);
    let used = recorded(layout)?;
    match used.iter().find(|used| overlaps(&used.ids, &wanted) && used.is_there()) {
        Some(Used { name, ids, .. }) => {
            Err(refused(format!("overlaps the ids of subhost {name}, {}:{}", ids.start, ids.end - ids.start)))
        }
        None => Ok(IdRange { first, count, lock: Some(lock) }),
    }
}

fn reserve_free(layout: &Layout) -> Result<IdRange, Error> {
    let spans = ids_for_guests()?;
    let ranges = || spans.iter().flat_map(ranges_of);
    // The second names of records are enough to choose by. Of which of them the subhost has ended and was not swept, only a look
    // at each tells: that is for when no other ids are left.
    let named = named(layout).step("list the records")?;
    if let Some(range) = first_free(layout, ranges(), merged(named.into_values()), |_| true)? {
        return Ok(range);
    }
    let living = recorded(layout)?.into_iter().filter(Used::is_there).map(|used| used.ids);
    if let Some(range) = first_free(layout, ranges(), merged(living), Used::is_there)? {
        return Ok(range);
    }
    let what = match ranges().count() {
        0 => format!("no {RANGE_COUNT} ids in a row are for guests"),
        ranges => format!("all ids for guests are in use, which are {ranges} times {RANGE_COUNT}"),
    };
    Err(Error::refused(
        Complaint::new(what)
            .hint("/etc/subuid and /etc/subgid say which are root's, and which somebody else's"),
    ))
}

/// The whole ranges that some ids make.
fn ranges_of(span: &Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let count = (span.end - span.start) / RANGE_COUNT;
    let start = span.start;
    (0..count).map(move |number| {
        let first = start + number * RANGE_COUNT;
        first..first + RANGE_COUNT
    })
}

/// Locks the first range that is not taken, and not used then by a record that counts.
fn first_free(
    layout: &Layout,
    ranges: impl Iterator<Item = Range<u32>>,
    mut taken: Vec<Range<u32>>,
    counts: impl Fn(&Used) -> bool,
) -> Result<Option<IdRange>, Error> {
    for range in ranges {
        if taken.iter().any(|taken| overlaps(taken, &range)) {
            continue;
        }
        let Some(lock) = lock(layout, range.start, RANGE_COUNT)? else { continue };
        // A subhost may have come and lost its supervisor, or linger, before it was locked.
        let used = recorded(layout)?.into_iter().filter(&counts).map(|used| used.ids);
        taken = merged(used);
        if !taken.iter().any(|taken| overlaps(taken, &range)) {
            return Ok(Some(IdRange { first: range.start, count: RANGE_COUNT, lock: Some(lock) }));
        }
    }
    Ok(None)
}

/// The same ids, as few ranges as they make.
fn merged(ids: impl Iterator<Item = Range<u32>>) -> Vec<Range<u32>> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u32>> = Vec::new();
    for range in ids {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

fn lock(layout: &Layout, first: u32, count: u32) -> Result<Option<Lock>, Error> {
    lock_ids(layout, first, count).step("reserve a range of ids")
}

fn recorded(layout: &Layout) -> Result<Vec<Used>, Error> {
    used(layout).step("list the records")
}

fn overlaps(one: &Range<u32>, other: &Range<u32>) -> bool {
    one.start < other.end && other.start < one.end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_a_row_are_one_range() {
        let merged = |ids: &[(u32, u32)]| -> Vec<(u32, u32)> {
            merged(ids.iter().map(|(start, end)| *start..*end)).iter().map(|it| (it.start, it.end)).collect()
        };
        assert_eq!(merged(&[(30, 40), (0, 10), (10, 20), (12, 15)]), [(0, 20), (30, 40)]);
        assert_eq!(merged(&[]), []);
    }

    #[test]
    fn a_span_has_the_whole_ranges_that_fit() {
        let firsts = |span: Range<u32>| ranges_of(&span).map(|range| range.start).collect::<Vec<_>>();
        assert_eq!(firsts(10..65_546 + 65_536), [10, 65_546]);
        assert_eq!(firsts(10..65_545), [0; 0]);
    }
}
