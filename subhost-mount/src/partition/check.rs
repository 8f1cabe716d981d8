//! What holds of every table that is given out: extents inside the image, disjoint, and clear of the table.

use super::mbr::is_extended_code;
use super::{Found, MAX_PARTITIONS, Partition, Scheme};
use crate::TableProblem;

/// Finds the first lie in a table.
pub(super) fn check(found: &Found, scheme: Scheme, len_bytes: u64) -> Result<(), TableProblem> {
    if found.partitions.len() > MAX_PARTITIONS {
        return Err(TableProblem::TooManyPartitions { limit: MAX_PARTITIONS });
    }
    for partition in &found.partitions {
        inside_image(partition, len_bytes)?;
    }
    if scheme == Scheme::Gpt {
        disjoint(found.partitions.iter().collect())?;
        return clear_of_table(found, |_| true);
    }
    let extended = found.partitions.iter().find(|partition| is_extended_code(&partition.type_code));
    let is_logical = |partition: &&Partition| partition.index > 4;
    disjoint(found.partitions.iter().filter(|partition| !is_logical(partition)).collect())?;
    disjoint(found.partitions.iter().filter(is_logical).collect())?;
    for logical in found.partitions.iter().filter(is_logical) {
        if !extended.is_some_and(|extended| contains(extended, logical)) {
            return Err(TableProblem::OutsideExtended { index: logical.index });
        }
    }
    // The extended partition does hold the records of its logical ones.
    clear_of_table(found, |partition| !is_extended_code(&partition.type_code))?;
    match extended {
        Some(extended) if extended.start_bytes == 0 => {
            Err(TableProblem::CoversTable { index: extended.index, at: 0 })
        }
        _ => Ok(()),
    }
}

/// That a partition lies inside the image.
pub(super) fn inside_image(partition: &Partition, len_bytes: u64) -> Result<(), TableProblem> {
    let end = partition.range().end().unwrap_or(u64::MAX);
    if end > len_bytes {
        return Err(TableProblem::BeyondEnd { index: partition.index, end, len_bytes });
    }
    Ok(())
}

fn contains(outer: &Partition, inner: &Partition) -> bool {
    // Both ends exist: `inside_image` came first.
    inner.start_bytes >= outer.start_bytes && inner.range().end() <= outer.range().end()
}

fn disjoint(mut partitions: Vec<&Partition>) -> Result<(), TableProblem> {
    partitions.sort_by_key(|partition| partition.start_bytes);
    for pair in partitions.windows(2) {
        if let [first, second] = pair
            && first.range().overlaps(&second.range())
        {
            return Err(TableProblem::Overlap { first: first.index, second: second.index });
        }
    }
    Ok(())
}

fn clear_of_table(found: &Found, applies: impl Fn(&Partition) -> bool) -> Result<(), TableProblem> {
    for partition in found.partitions.iter().filter(|partition| applies(partition)) {
        if let Some(part) = found.table.iter().find(|part| part.overlaps(&partition.range())) {
            return Err(TableProblem::CoversTable { index: partition.index, at: part.start });
        }
    }
    Ok(())
}
