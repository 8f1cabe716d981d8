//! Upper and lower case as glibc's C.UTF-8 has it: one character becomes one character, so `ß` stays.

use crate::pattern::Pattern;
use crate::pattern::character::{self, Reading};
use crate::steps::{OutOfSteps, Steps};

/// What happens to which characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaseChange {
    /// `${v^}`, `${v@u}`
    UpperFirst,
    /// `${v^^}`, `${v@U}`, `declare -u`
    UpperAll,
    /// `${v,}`
    LowerFirst,
    /// `${v,,}`, `${v@L}`, `declare -l`
    LowerAll,
    /// `${v~}`
    ToggleFirst,
    /// `${v~~}`
    ToggleAll,
}

/// Characters whose mapping is younger than Unicode 15, which glibc 2.36 has.
const NEWER: [(u32, u32); 8] = [
    (0x19b, 0x19b),
    (0x264, 0x264),
    (0x1c89, 0x1c8a),
    (0xa7cb, 0xa7cf),
    (0xa7d2, 0xa7d5),
    (0xa7da, 0xa7dc),
    (0x10d50, 0x10d85),
    (0x16ea0, 0x16ed3),
];

/// Why bash does not change the case of this text in a way worth copying: with half characters in it, it
/// prints some of them twice.
pub(crate) fn case_refusal(text: &[u8]) -> Option<&'static str> {
    (Reading::of(text) == Reading::Bytes).then_some("text that is no valid UTF-8 has no upper and lower case")
}

/// The text with the case of those characters changed that the pattern matches, each held against it alone.
///
/// bash reads such a pattern with extended patterns on and heeds case in it, whatever is set. An empty pattern
/// matches nothing, as in `${v^^""}`; for `${v^^$empty}` there is none.
pub(crate) fn change_case(
    text: &[u8],
    change: CaseChange,
    pattern: Option<&Pattern>,
    steps: &mut Steps,
) -> Result<Vec<u8>, OutOfSteps> {
    let is_first_only =
        matches!(change, CaseChange::UpperFirst | CaseChange::LowerFirst | CaseChange::ToggleFirst);
    let mut changed = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((code, length)) = character::decode(rest) {
        steps.take(1)?;
        let (character, behind) = rest.split_at(length);
        let new = match change {
            CaseChange::UpperFirst | CaseChange::UpperAll => upper(code),
            CaseChange::LowerFirst | CaseChange::LowerAll => lower(code),
            CaseChange::ToggleFirst | CaseChange::ToggleAll if lower(code) != code => lower(code),
            CaseChange::ToggleFirst | CaseChange::ToggleAll => upper(code),
        };
        let is_matched = match pattern {
            Some(pattern) if new != code => pattern.matches(character, steps)?,
            _ => true,
        };
        match char::from_u32(new).filter(|_| is_matched && new != code) {
            Some(new) => changed.extend_from_slice(new.encode_utf8(&mut [0; 4]).as_bytes()),
            None => changed.extend_from_slice(character),
        }
        rest = behind;
        if is_first_only {
            break;
        }
    }
    changed.extend_from_slice(rest);
    Ok(changed)
}

/// `towupper`
pub(crate) fn upper(code: u32) -> u32 {
    match code {
        _ if is_newer(code) => code,
        // Their mapping to several characters is the one that Rust knows; this is the one to a title case.
        0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => code + 8,
        0x1fb3 | 0x1fc3 | 0x1ff3 => code + 9,
        _ => single(code, char::from_u32(code).map(char::to_uppercase)),
    }
}

/// `towlower`
pub(crate) fn lower(code: u32) -> u32 {
    match code {
        _ if is_newer(code) => code,
        // To `i`, without the dot above that Rust adds.
        0x130 => 0x69,
        _ => single(code, char::from_u32(code).map(char::to_lowercase)),
    }
}

fn is_newer(code: u32) -> bool {
    NEWER.iter().any(|&(first, last)| (first..=last).contains(&code))
}

/// The mapping if it is one character.
fn single(code: u32, mapping: Option<impl Iterator<Item = char>>) -> u32 {
    let mut mapping = mapping.into_iter().flatten();
    match (mapping.next(), mapping.next()) {
        (Some(character), None) => u32::from(character),
        _ => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marked::Marked;
    use crate::pattern::PatternOptions;
    use crate::real_bash::{Random, cases, outputs, quoted};

    const CHANGES: [(&str, CaseChange); 6] = [
        ("^", CaseChange::UpperFirst),
        ("^^", CaseChange::UpperAll),
        (",", CaseChange::LowerFirst),
        (",,", CaseChange::LowerAll),
        ("~", CaseChange::ToggleFirst),
        ("~~", CaseChange::ToggleAll),
    ];

    fn steps() -> Steps {
        Steps::new(1_000_000)
    }

    fn pattern(text: &[u8], is_quoted: bool) -> Pattern {
        let mut marked = Marked::default();
        marked.push(text, is_quoted);
        Pattern::new(&marked, PatternOptions { extglob: true, nocase: false })
    }

    #[test]
    fn changes_one_character_into_one() {
        for (text, shape, change, expected) in [
            ("ab ab", None, CaseChange::UpperFirst, "Ab ab"),
            ("straße é", None, CaseChange::UpperAll, "STRAßE É"),
            ("ÀB", None, CaseChange::LowerFirst, "àB"),
            ("İI", None, CaseChange::LowerAll, "ii"),
            ("aB", None, CaseChange::ToggleFirst, "AB"),
            ("ǅaB", None, CaseChange::ToggleAll, "ǆAb"),
            ("abcab", Some("[ac]"), CaseChange::UpperAll, "AbCAb"),
            ("abcab", Some("@(b|c)"), CaseChange::UpperAll, "aBCaB"),
            ("abcab", Some("ab"), CaseChange::UpperAll, "abcab"),
            ("abc", Some("b"), CaseChange::UpperFirst, "abc"),
            ("", None, CaseChange::UpperFirst, ""),
        ] {
            let shape = shape.map(|shape| pattern(shape.as_bytes(), false));
            let changed = change_case(text.as_bytes(), change, shape.as_ref(), &mut steps()).unwrap();
            assert_eq!(String::from_utf8(changed).unwrap(), expected, "{text} {change:?}");
        }
        assert_eq!(change_case(b"abc", CaseChange::UpperAll, None, &mut Steps::new(2)), Err(OutOfSteps));
        assert!(case_refusal(b"a\xc3").is_some());
        assert_eq!(case_refusal("aé".as_bytes()), None);
    }

    #[test]
    fn all_characters_change_as_in_bash() {
        let codes: Vec<u32> = (1..0x11_0000).filter(|&code| char::from_u32(code).is_some()).collect();
        let chunks: Vec<String> = codes
            .chunks(64)
            .map(|codes| codes.iter().copied().filter_map(char::from_u32).collect())
            .collect();
        let mut script = Vec::new();
        for chunk in &chunks {
            script.extend_from_slice(b"v=");
            script.extend(quoted(chunk.as_bytes()));
            script.extend_from_slice(b"; printf '%s\\0' \"${v^^}\" \"${v,,}\" \"${v~~}\"\n");
        }
        let answers = outputs(&script, chunks.len() * 3);
        for (chunk, answers) in chunks.iter().zip(answers.chunks(3)) {
            let changes = [CaseChange::UpperAll, CaseChange::LowerAll, CaseChange::ToggleAll];
            for (change, answer) in changes.into_iter().zip(answers) {
                let ours = change_case(chunk.as_bytes(), change, None, &mut steps()).unwrap();
                assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(answer), "{change:?}");
            }
        }
    }

    #[test]
    fn generated_texts_change_as_in_bash() {
        const PIECES: [&[u8]; 16] = [
            b"a",
            b"B",
            b"c",
            b" ",
            b"-",
            b"1",
            "é".as_bytes(),
            "Ñ".as_bytes(),
            "ß".as_bytes(),
            "İ".as_bytes(),
            "ǅ".as_bytes(),
            "ᾳ".as_bytes(),
            b"*",
            b"_",
            b"\xf4\x90\x80\x80",
            "日".as_bytes(),
        ];
        const SHAPES: [&[u8]; 14] = [
            b"",
            b"?",
            b"*",
            b"a",
            b"[a-c]",
            b"[[:lower:]]",
            b"[!a]",
            "é".as_bytes(),
            "[é-ñ]".as_bytes(),
            b"@(a|B)",
            b"!(a)",
            b"aB",
            b"\\a",
            b"+([[:upper:]])",
        ];
        let mut random = Random::new();
        let mut script = Vec::new();
        let mut asked = Vec::new();
        for _ in 0..cases(5_000) {
            let text: Vec<u8> = (0..random.below(7)).flat_map(|_| *random.choose(&PIECES)).copied().collect();
            let (sign, change) = *random.choose(&CHANGES);
            let shape = *random.choose(&SHAPES);
            let is_quoted = random.below(5) == 0;
            script.extend_from_slice(b"v=");
            script.extend(quoted(&text));
            script.extend_from_slice(b"; p=");
            script.extend(quoted(shape));
            let quote = if is_quoted { "\"" } else { "" };
            let option = if random.below(2) == 0 { 's' } else { 'u' };
            script.extend(
                format!("; shopt -{option} extglob nocasematch; r=${{v{sign}{quote}$p{quote}}}; printf '%s\\0' \"$r\"\n")
                    .into_bytes(),
            );
            // An empty pattern counts as none, unless it has quotes.
            let pattern = Some(pattern(shape, is_quoted)).filter(|_| is_quoted || !shape.is_empty());
            asked.push((
                change_case(&text, change, pattern.as_ref(), &mut steps()).unwrap(),
                text,
                sign,
                shape,
            ));
        }
        let answers = outputs(&script, asked.len());
        for ((ours, text, sign, shape), answer) in asked.iter().zip(answers) {
            let shown = format!("{}{sign}{}", text.escape_ascii(), shape.escape_ascii());
            assert_eq!(ours.escape_ascii().to_string(), answer.escape_ascii().to_string(), "{shown}");
        }
    }
}
