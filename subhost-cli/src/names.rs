//! Names of subhosts as people give them: one, or a pattern that several match.

use std::str::FromStr;

use crate::error::{Complaint, Error};
use crate::layout::{Name, NameError};

/// A name, or a pattern of names as a shell has it: `*`, `?`, `[a-c]`, `[!a-c]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// This one, whether it is there or not.
    One(Name),
    /// Those that are there and match.
    Like(String),
}

impl FromStr for Names {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Names, NameError> {
        if !text.contains(['*', '?', '[']) {
            return Ok(Names::One(text.parse()?));
        }
        // What can be in no name can be in no pattern of one either.
        let plain: String = text.chars().map(|c| if "*?[]!^".contains(c) { '_' } else { c }).collect();
        match plain.parse::<Name>() {
            Ok(_) => Ok(Names::Like(text.to_owned())),
            Err(mut error) => {
                text.clone_into(&mut error.text);
                Err(error)
            }
        }
    }
}

/// The names that were meant, in the order given and each once; a pattern stands for those that are `there`.
///
/// # Errors
/// Nothing matches a pattern, or what is there cannot be told.
pub fn expand(
    given: &[Names],
    what: &str,
    there: impl FnOnce() -> Result<Vec<Name>, Error>,
) -> Result<Vec<Name>, Error> {
    let is_pattern = |names: &Names| matches!(names, Names::Like(_));
    let there = if given.iter().any(is_pattern) { there()? } else { Vec::new() };
    let (mut meant, mut complaints) = (Vec::new(), Vec::new());
    for names in given {
        let found: Vec<&Name> = match names {
            Names::One(name) => vec![name],
            Names::Like(pattern) => there.iter().filter(|name| matches(pattern, name.as_str())).collect(),
        };
        if let (Names::Like(pattern), []) = (names, &*found) {
            complaints.push(
                Complaint::new(format!("{pattern}: no {what} has such a name"))
                    .hint("subhostctl list shows those there"),
            );
        }
        for name in found {
            if !meant.contains(name) {
                meant.push(name.clone());
            }
        }
    }
    if complaints.is_empty() { Ok(meant) } else { Err(Error::Refused(complaints)) }
}

/// Whether a name matches a pattern. Of bytes, as names have no others; at most as many steps as the product of both lengths.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut next) = (0, 0);
    // Where the last `*` stands, and how far it reaches.
    let mut star = None;
    while next < name.len() {
        match pattern.get(at).copied() {
            Some(b'*') => {
                star = Some((at, next));
                at += 1;
                continue;
            }
            Some(_) => {
                if let Some(length) = one(&pattern[at..], name[next]) {
                    (at, next) = (at + length, next + 1);
                    continue;
                }
            }
            None => {}
        }
        let Some((before, reached)) = star else { return false };
        star = Some((before, reached + 1));
        (at, next) = (before + 1, reached + 1);
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// The length of what stands first in the pattern, if that is not `*` and stands for this byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'[' => match set(pattern, byte) {
            Some((length, is_in)) => is_in.then_some(length),
            // Without an end it is a bracket, which no name has.
            None => None,
        },
        plain => (*plain == byte).then_some(1),
    }
}

/// The length of the set that the pattern begins with, and whether the byte is in it; none where it has no end.
fn set(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let (mut at, mut is_in) = (first, false);
    loop {
        match *pattern.get(at..)? {
            // As the first it stands for itself.
            [b']', ..] if at > first => return Some((at + 1, is_in != negated)),
            [from, b'-', to, ..] if to != b']' => {
                is_in |= (from..=to).contains(&byte);
                at += 3;
            }
            [plain, ..] => {
                is_in |= plain == byte;
                at += 1;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_as_in_a_shell() {
        let yes = [
            ("web*", "web"),
            ("web*", "web-1.a"),
            ("*", "x"),
            ("*b*", "abc"),
            ("*a*b*c", "xaxbxxc"),
            ("w?b", "web"),
            ("web[0-3]", "web3"),
            ("web[!0-3]", "web4"),
            ("web[^0-3]", "web4"),
            ("[]a]", "a"),
            ("[a-]", "-"),
            ("**", "a"),
        ];
        let no = [
            ("web*", "we"),
            ("w?b", "wb"),
            ("web[0-3]", "web4"),
            ("web[!0-3]", "web3"),
            ("*a", "ab"),
            ("web[0", "web0"),
            ("?", "ab"),
            ("[!a]", "a"),
        ];
        assert_eq!(yes.iter().find(|(pattern, name)| !matches(pattern, name)), None);
        assert_eq!(no.iter().find(|(pattern, name)| matches(pattern, name)), None);
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let (pattern, name) = (format!("{}b", "a*".repeat(30)), "a".repeat(63));
        assert!(!matches(&pattern, &name));
    }

    fn meant(given: &[&str]) -> Result<Vec<String>, String> {
        let given: Vec<Names> = given.iter().map(|text| text.parse().unwrap()).collect();
        let there = || Ok(["db", "web1", "web2"].map(|name| name.parse().unwrap()).to_vec());
        let names = expand(&given, "subhost", there).map_err(|error| error.to_string())?;
        Ok(names.iter().map(Name::to_string).collect())
    }

    #[test]
    fn each_is_meant_once_and_a_plain_name_need_not_be_there() {
        assert_eq!(meant(&["web2", "web*", "other"]).unwrap(), ["web2", "web1", "other"]);
        assert_eq!(
            meant(&["x*", "*", "y?"]).unwrap_err(),
            "x*: no subhost has such a name; y?: no subhost has such a name"
        );
    }

    #[test]
    fn what_is_in_no_name_is_in_no_pattern() {
        for bad in ["../*", "-*", "a b*", "*/x", "a\n*", "", "ä*"] {
            assert!(bad.parse::<Names>().is_err(), "{bad}");
        }
        assert_eq!("*".parse::<Names>().unwrap(), Names::Like("*".to_owned()));
    }
}
