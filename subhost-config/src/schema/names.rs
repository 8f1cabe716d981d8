//! Names of settings: those without effect, and those that are nearly right.

use super::settings::{SETTINGS, Support};
use crate::code;
use crate::diagnostic::Diagnostic;

/// What there is to say about a variable of this name. `prefix` is what stands before it in the environment.
pub(super) fn warning(name: &str, prefix: &str) -> Option<Diagnostic> {
    match SETTINGS.iter().find(|setting| setting.name == name).map(|setting| setting.support) {
        Some(Support::Full) => None,
        Some(Support::Ignored) => {
            let message = format!("{prefix}{name} has no effect yet");
            Some(Diagnostic::warning(code::NO_EFFECT_YET, message))
        }
        Some(Support::Refused) => {
            let message = format!("{prefix}{name} is not supported yet");
            let hint = "it protects or limits, so it is refused rather than left without effect: take it out";
            Some(Diagnostic::error(code::NOT_SUPPORTED_YET, message).hint(hint))
        }
        None => {
            let nearest = nearest_setting(name)?;
            let message = format!("{prefix}{name} is no setting; did you mean {prefix}{nearest}?");
            Some(Diagnostic::warning(code::DID_YOU_MEAN, message))
        }
    }
}

/// The setting that is this name with a slip or two, if it is written like one.
fn nearest_setting(name: &str) -> Option<&'static str> {
    let is_setting_like = name.len() <= 32
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_setting_like {
        return None;
    }
    let distances =
        SETTINGS.iter().map(|setting| (distance(name.as_bytes(), setting.name.as_bytes()), setting.name));
    // A slip for every four letters: MTU and MTA are different words.
    let near = distances
        .filter(|&(distance, setting)| distance <= (setting.len() / 4).clamp(1, 2) && setting.len() > 3);
    near.min().map(|(_, setting)| setting)
}

/// How many letters to insert, leave out, change or swap with their neighbour.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut before_last = vec![0; other.len() + 1];
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, &a) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, &b) in other.iter().enumerate() {
            let change = last[column] + usize::from(a != b);
            let mut best = change.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && a == other[column - 1] && one[row - 1] == b {
                best = best.min(before_last[column - 1] + 1);
            }
            next.push(best);
        }
        before_last = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_leaves_other_words_alone() {
        for (name, nearest) in [
            ("DISK", Some("DISKS")),
            ("DIKSS", Some("DISKS")),
            ("BRIDGE", Some("BRIDGES")),
            ("HOSTNAM", Some("HOSTNAME")),
            ("RUN_LEVEL", Some("RUNLEVEL")),
            ("STOPTIMEOUT", Some("STOP_TIMEOUT")),
            ("disks", None),
            ("OWNER", None),
            ("IMAGE", None),
            ("DESCRIPTION", None),
            ("MAC", None),
            ("A", None),
        ] {
            assert_eq!(nearest_setting(name), nearest, "{name}");
        }
    }
}
