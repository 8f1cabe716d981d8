//! Ranges of host ids for guests, from a pool of our own: no two guests that live share an id.

use crate::error::{Complaint, Context, Error};
use crate::layout::Layout;
use crate::lock::{Lock, lock_range};
use crate::state::Record;

/// First host id of the pool.
pub const POOL_FIRST: u32 = 524_288;
/// Ids of one range.
pub const RANGE_COUNT: u32 = 65_536;
/// Ranges in the pool; its last id stays below 2^31, as some programs take ids for signed numbers.
pub const POOL_RANGES: u32 = (0x8000_0000 - POOL_FIRST) / RANGE_COUNT;

/// A range that is ours as long as this lives.
#[derive(Debug)]
pub struct IdRange {
    /// First host id.
    pub first: u32,
    /// Number of ids.
    pub count: u32,
    /// Its index in the pool, if it came from there.
    pub index: Option<u32>,
    _locks: Vec<Lock>,
}

impl IdRange {
    /// The range of a subhost that lingers, which its record keeps for it.
    ///
    /// # Errors
    /// The locks cannot be read.
    pub fn of(layout: &Layout, record: &Record) -> Result<IdRange, Error> {
        let lock = record.range_index.map(|index| lock_range(layout, index)).transpose();
        // Another command may hold it for a moment, until it has read the record.
        let locks = lock.step("reserve a range of ids")?.flatten().into_iter().collect();
        Ok(IdRange {
            first: record.first_id,
            count: record.id_count,
            index: record.range_index,
            _locks: locks,
        })
    }
}

/// Reserves a range: the fixed one of a configuration, or the first free one of the pool.
///
/// A range is in use while its byte is locked (by a supervisor) or a record of a living subhost names it (its
/// supervisor may have been killed), or of one that lingers.
///
/// # Errors
/// The locks or records cannot be read, or no range is free.
pub fn reserve(layout: &Layout, fixed: Option<(u32, u32)>) -> Result<IdRange, Error> {
    if let Some((first, count)) = fixed {
        let last = first.saturating_add(count - 1);
        for record in crate::observe::recorded(layout).unwrap_or_default() {
            if first < record.first_id.saturating_add(record.id_count) && record.first_id <= last {
                return Err(Error::refused(Complaint::new(format!(
                    "USERNS={first}:{count}: overlaps the ids of subhost {}, {}:{}",
                    record.name, record.first_id, record.id_count
                ))));
            }
        }
        // The ranges of the pool that it covers are taken as well, so that two boots at once see each other.
        let covered = |index: &u32| {
            let start = POOL_FIRST + index * RANGE_COUNT;
            first < start + RANGE_COUNT && start <= last
        };
        let mut locks = Vec::new();
        for index in (0..POOL_RANGES).filter(covered) {
            match lock_range(layout, index).step("reserve a range of ids")? {
                Some(lock) => locks.push(lock),
                None => {
                    return Err(Error::refused(Complaint::new(format!(
                        "USERNS={first}:{count}: another subhost has been given ids of it"
                    ))));
                }
            }
        }
        return Ok(IdRange { first, count, index: None, _locks: locks });
    }
    let mut recorded: Option<Vec<Record>> = None;
    for index in 0..POOL_RANGES {
        let Some(lock) = lock_range(layout, index).step("reserve a range of ids")? else { continue };
        // Only an unlocked byte needs the records, and they are read once.
        let used = match &recorded {
            Some(used) => used,
            None => recorded.insert(crate::observe::recorded(layout).unwrap_or_default()),
        };
        let first = POOL_FIRST + index * RANGE_COUNT;
        let overlaps = |record: &Record| {
            first < record.first_id.saturating_add(record.id_count) && record.first_id < first + RANGE_COUNT
        };
        // A subhost may have come and gone, and linger, since they were read.
        let is_free = || !crate::observe::recorded(layout).unwrap_or_default().iter().any(overlaps);
        if !used.iter().any(overlaps) && is_free() {
            return Ok(IdRange { first, count: RANGE_COUNT, index: Some(index), _locks: vec![lock] });
        }
    }
    Err(Error::refused(Complaint::new(format!("all {POOL_RANGES} ranges of ids are in use"))))
}
