//! What each supervisor holds: open descriptors and memory. One that is there before and after has to hold as much.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::observe::{entries, insert_each, pids, stat_of, text_of};
use super::{Kind, Thing};

/// How the command line of one begins.
const COMMAND: &str = "subhostctl\0--supervise\0";

/// What an allocator may keep of what was needed for a moment, in KiB.
const KEPT: u64 = 512;

/// By what identifies each.
pub(super) type Supervisors = BTreeMap<String, Held>;

/// What one of them holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    descriptors: BTreeSet<Thing>,
    /// Memory that is its own, in KiB.
    private: u64,
}

pub(super) fn all() -> io::Result<Supervisors> {
    let mut found = Supervisors::new();
    for pid in pids()? {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let Ok(words) = text_of(&proc.join("cmdline")) else { continue };
        if let Some(name) = words.strip_prefix(COMMAND)
            && let Some(stat) = stat_of(&proc)
        {
            let name = name.trim_end_matches('\0');
            let who = format!("{pid}, supervisor of {name}, started at tick {}", stat.start);
            let descriptors = descriptors(&proc, &who);
            found.insert(who, Held { descriptors, private: private(&proc) });
        }
    }
    Ok(found)
}

/// What those of `before` hold more in `later`.
pub(super) fn grown(before: &Supervisors, later: &Supervisors) -> Vec<Thing> {
    let mut things = Vec::new();
    for (who, held) in before {
        let Some(now) = later.get(who) else { continue };
        things.extend(now.descriptors.difference(&held.descriptors).cloned());
        if now.private > held.private + KEPT {
            things.push((Kind::Memory, format!("{who}: {} KiB, after {} KiB", now.private, held.private)));
        }
    }
    things
}

/// By what each is, without the numbers of inodes and terminals: a new run brings new ones.
fn descriptors(proc: &Path, who: &str) -> BTreeSet<Thing> {
    let mut things = BTreeSet::new();
    for link in entries(&proc.join("fd")) {
        let Ok(target) = std::fs::read_link(link) else { continue };
        let what = target.to_string_lossy().replace(|c: char| c.is_ascii_digit(), "");
        insert_each(&mut things, Kind::Descriptor, &format!("{who}: {what}"));
    }
    things
}

/// What it has written to: pages of the program count for nobody, or for the last one who runs it.
fn private(proc: &Path) -> u64 {
    let table = text_of(&proc.join("smaps_rollup")).unwrap_or_default();
    let line = table.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(descriptors: &[&str], private: u64) -> Supervisors {
        let descriptors = descriptors.iter().map(|it| (Kind::Descriptor, (*it).to_owned())).collect();
        Supervisors::from([("7".to_owned(), Held { descriptors, private })])
    }

    #[test]
    fn growth_is_what_there_is_more_of_beyond_what_an_allocator_keeps() {
        let before = one(&["7: socket", "7: /dev/ptmx"], 100);
        assert_eq!(grown(&before, &one(&["7: socket"], 100 + KEPT)), []);
        let more = grown(&before, &one(&["7: socket", "7: socket #2"], 101 + KEPT));
        assert_eq!(more.len(), 2, "{more:?}");
        assert_eq!(more[0], (Kind::Descriptor, "7: socket #2".to_owned()));
        assert_eq!(more[1].0, Kind::Memory);
    }

    #[test]
    fn one_that_is_new_is_a_process_that_is_left_and_no_growth() {
        assert_eq!(grown(&Supervisors::new(), &one(&["7: socket"], 9999)), []);
    }
}
