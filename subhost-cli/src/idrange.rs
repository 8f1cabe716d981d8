//! Ranges of host ids for guests: no two guests that live share an id.

use std::ops::Range;

use crate::error::{Complaint, Context, Error};
use crate::layout::Layout;
use crate::lock::{Lock, lock_first, lock_ids};
use crate::observe::{is_there, records};
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
    match recorded(layout).iter().find(|record| uses(record, first, count)) {
        Some(record) => Err(refused(format!(
            "overlaps the ids of subhost {}, {}:{}",
            record.name, record.first_id, record.id_count
        ))),
        None => Ok(IdRange { first, count, lock: Some(lock) }),
    }
}

fn reserve_free(layout: &Layout) -> Result<IdRange, Error> {
    let spans = ids_for_guests()?;
    let mut known: Option<Vec<Record>> = None;
    let mut ranges = 0;
    let whole = |first: &u32, end: u32| end - first >= RANGE_COUNT;
    let firsts = |span: &Range<u32>| {
        let end = span.end;
        span.clone().step_by(RANGE_COUNT as usize).take_while(move |first| whole(first, end))
    };
    let mut firsts = spans.iter().flat_map(firsts).inspect(|_| ranges += 1);
    let mut next = || lock_first(layout, &mut firsts, RANGE_COUNT).step("reserve a range of ids");
    // Only one that is not locked needs the records.
    while let Some((first, lock)) = next()? {
        let is_used = |records: &[Record]| records.iter().any(|record| uses(record, first, RANGE_COUNT));
        // A subhost may have come and gone, and linger, since those that are known were read.
        let is_free = match &known {
            Some(known) => !is_used(known) && !is_used(&recorded(layout)),
            None => !is_used(known.insert(recorded(layout))),
        };
        if is_free {
            return Ok(IdRange { first, count: RANGE_COUNT, lock: Some(lock) });
        }
    }
    let what = match ranges {
        0 => format!("no {RANGE_COUNT} ids in a row are for guests"),
        _ => format!("all ids for guests are in use, which are {ranges} times {RANGE_COUNT}"),
    };
    Err(Error::refused(
        Complaint::new(what)
            .hint("/etc/subuid and /etc/subgid say which are root's, and which somebody else's"),
    ))
}

fn lock(layout: &Layout, first: u32, count: u32) -> Result<Option<Lock>, Error> {
    lock_ids(layout, first, count).step("reserve a range of ids")
}

fn recorded(layout: &Layout) -> Vec<Record> {
    records(layout).unwrap_or_default()
}

fn uses(record: &Record, first: u32, count: u32) -> bool {
    let overlaps = first < record.first_id.saturating_add(record.id_count)
        && record.first_id < first.saturating_add(count);
    overlaps && is_there(record)
}
