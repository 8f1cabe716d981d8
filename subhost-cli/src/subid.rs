//! Which ids of the host are for guests: those that `/etc/subuid` and `/etc/subgid` give to root, or else a pool of our own;
//! never any that they give to somebody else (subuid(5)).

use std::fs;
use std::io;
use std::ops::Range;

use crate::error::{Complaint, Context, Error};

/// The pool; its last id stays below 2^31, as some programs take ids for signed numbers.
const POOL: Range<u32> = 524_288..0x8000_0000;

/// The ids of the host that guests may be given, in order.
///
/// # Errors
/// A file cannot be read, or gives root what cannot be used.
pub fn ids_for_guests() -> Result<Vec<Range<u32>>, Error> {
    let read = |path: &str| match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.step(format!("read {path}")),
    };
    let (uids, gids) = (read("/etc/subuid")?, read("/etc/subgid")?);
    spans([("/etc/subuid", &uids), ("/etc/subgid", &gids)]).map_err(Error::refused)
}

/// The same of what both files say, each with its name.
///
/// # Errors
/// What they give root cannot be used.
pub fn spans(files: [(&'static str, &str); 2]) -> Result<Vec<Range<u32>>, Complaint> {
    let [uids, gids] = [entries(files[0])?, entries(files[1])?];
    let mut spans = match (uids.roots.is_empty(), gids.roots.is_empty()) {
        (true, true) => vec![POOL],
        (false, false) => common(&uids.roots, &gids.roots),
        (no_uids, _) => {
            let [(has, _), (has_not, _)] = if no_uids { [files[1], files[0]] } else { files };
            return Err(Complaint::new(format!("{has} has an entry for root, and {has_not} has none"))
                .hint("the same line in both gives these ids to guests, in neither a pool of our own"));
        }
    };
    for taken in uids.others.iter().chain(&gids.others) {
        spans = spans.iter().flat_map(|span| without(span, taken)).collect();
    }
    Ok(spans)
}

/// What a file gives to root, and to others.
#[derive(Default)]
struct Entries {
    roots: Vec<Range<u32>>,
    others: Vec<Range<u32>>,
}

/// Lines `NAME:FIRST:COUNT`. What others have of lines that are none of these is nobody's, as for those who read them
/// otherwise; of root's own it is said.
fn entries((path, text): (&str, &str)) -> Result<Entries, Complaint> {
    let mut entries = Entries::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let is_roots = ["root:", "0:"].iter().any(|begin| line.starts_with(begin));
        match range(line) {
            Some(range) if is_roots => entries.roots.push(range),
            Some(range) => entries.others.push(range),
            None if is_roots => {
                return Err(Complaint::new(format!("{path}:{number}: {line:?} is not root:FIRST:COUNT")));
            }
            None => {}
        }
    }
    Ok(entries)
}

fn range(line: &str) -> Option<Range<u32>> {
    let mut words = line.split(':').skip(1).map(str::parse::<u32>);
    let (first, count) = (words.next()?.ok()?, words.next()?.ok()?);
    // Neither root's own id nor the last one, which means none.
    let is_range = words.next().is_none() && first > 0 && count > 0;
    first.checked_add(count).filter(|_| is_range).map(|end| first..end)
}

fn common(one: &[Range<u32>], other: &[Range<u32>]) -> Vec<Range<u32>> {
    let both = |a: &Range<u32>, b: &Range<u32>| a.start.max(b.start)..a.end.min(b.end);
    one.iter().flat_map(|a| other.iter().map(move |b| both(a, b))).filter(|span| !span.is_empty()).collect()
}

fn without(span: &Range<u32>, taken: &Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let before = span.start..span.end.min(taken.start).max(span.start);
    let after = span.start.max(taken.end).min(span.end)..span.end;
    [before, after].into_iter().filter(|span| !span.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uids: &str, gids: &str) -> Result<Vec<(u32, u32)>, String> {
        let spans = spans([("/etc/subuid", uids), ("/etc/subgid", gids)]);
        spans
            .map(|spans| spans.iter().map(|span| (span.start, span.end)).collect())
            .map_err(|complaint| complaint.message)
    }

    #[test]
    fn without_an_entry_of_root_it_is_the_pool_but_what_others_have() {
        assert_eq!(of("", "").unwrap(), [(POOL.start, POOL.end)]);
        assert_eq!(of("ann:100000:65536\n", "ann:100000:65536\n").unwrap(), [(POOL.start, POOL.end)]);
        // As some systems give to their first user.
        let ann = "ann:524288:65536\nbob:655360:1\n";
        assert_eq!(of(ann, "").unwrap(), [(589_824, 655_360), (655_361, POOL.end)]);
        assert_eq!(of("", ann).unwrap(), of(ann, ann).unwrap());
        // Lines that are none.
        for line in [
            "ann",
            "ann:",
            "ann:1",
            "ann:x:1",
            "ann:524288:-1",
            "ann:524288:1:1",
            "rooty:x",
            "#root:1",
            ":::",
        ] {
            assert_eq!(of(line, line).unwrap(), [(POOL.start, POOL.end)], "{line}");
        }
    }

    #[test]
    fn what_root_has_in_both_and_nobody_else_is_for_guests() {
        assert_eq!(of("root:1000000:200000", "0:1000000:200000").unwrap(), [(1_000_000, 1_200_000)]);
        assert_eq!(of("root:1000000:200000\n", "root:1100000:200000\n").unwrap(), [(1_100_000, 1_200_000)]);
        let two = "root:2000000:65536\nann:9:9\n\n root:1000000:65536\n";
        assert_eq!(of(two, two).unwrap(), [(2_000_000, 2_065_536), (1_000_000, 1_065_536)]);
        assert_eq!(of("root:1000:9", "root:2000:9").unwrap(), [(0, 0); 0]);
        let ann = "root:1000000:200000\nann:1050000:10\n";
        assert_eq!(of(ann, "root:1000000:200000").unwrap(), [(1_000_000, 1_050_000), (1_050_010, 1_200_000)]);
        assert_eq!(of("root:1000000:9\nann:1:2000000", "root:1000000:9").unwrap(), [(0, 0); 0]);
    }

    #[test]
    fn an_entry_of_root_that_cannot_be_meant_is_refused() {
        let good = "root:1000000:65536";
        for line in [
            "root:",
            "root:1",
            "root:a:1",
            "root:1:",
            "root:0:65536",
            "root:1:0",
            "root:4294967295:2",
            "0:1:1:1",
        ] {
            let message = of(good, &format!("ann:1:1\n{line}\n")).unwrap_err();
            assert!(message.starts_with("/etc/subgid:2: ") && message.contains(line), "{message}");
        }
        assert_eq!(of(good, "").unwrap_err(), "/etc/subuid has an entry for root, and /etc/subgid has none");
        assert_eq!(of("", good).unwrap_err(), "/etc/subgid has an entry for root, and /etc/subuid has none");
    }
}
