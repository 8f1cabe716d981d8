//! `[[ text =~ expression ]]`: extended regular expressions as glibc reads them.

#[cfg(test)]
mod tests;
mod translate;

use std::collections::BTreeSet;

use regex_lite::RegexBuilder;

use crate::marked::Marked;

/// The product of the lengths of text and expression, repetitions counted, above which matching is refused.
const MAX_WORK: usize = 1 << 24;

/// The size of a compiled expression in bytes.
const MAX_COMPILED_BYTES: usize = 1 << 22;

/// Whether the expression matches somewhere in the text; quoted bytes of it stand for themselves.
///
/// Refused is what glibc complains of, and all that the two engines may take for different things: text that is
/// no valid UTF-8, back-references, empty alternatives, repetitions of repetitions, ranges beyond ASCII.
pub(crate) fn regex_matches(text: &[u8], pattern: &Marked, nocase: bool) -> Result<bool, String> {
    let not_utf8 = |_| "a regular expression or a text that is no valid UTF-8".to_owned();
    let mut text = std::str::from_utf8(text).map_err(not_utf8)?.to_owned();
    let expression = std::str::from_utf8(pattern.bytes()).map_err(not_utf8)?;
    if expression.is_empty() {
        return Ok(true);
    }
    if nocase {
        text = text.chars().map(translate::folded).collect();
    }
    let quoted = pattern.quoted();
    let characters: Vec<(char, bool)> =
        expression.char_indices().map(|(place, character)| (character, quoted[place])).collect();
    let mut in_text = BTreeSet::new();
    in_text.extend(text.chars());
    let translated = translate::translate(&characters, &in_text, nocase)?;
    if translated.weight.saturating_mul(text.len() + 1) > MAX_WORK {
        return Err("a regular expression and a text that are too long together".to_owned());
    }
    let regex = RegexBuilder::new(&translated.regex)
        .dot_matches_new_line(true)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|_| "a regular expression that is too large".to_owned())?;
    Ok(regex.is_match(&text))
}
