//! Tables, and thousands of generated patterns against bash.

use super::*;
use crate::real_bash::{Random, cases, outputs, quoted};

fn pattern(text: &str, extglob: bool) -> Pattern {
    let mut marked = Marked::default();
    marked.push(text.as_bytes(), false);
    Pattern::new(&marked, PatternOptions { extglob, nocase: false })
}

fn steps() -> Steps {
    Steps::new(1_000_000)
}

#[test]
fn matches_like_bash() {
    for (text, extglob, subject, expected) in [
        ("a*c", false, "abbc", true),
        ("a*c", false, "abbd", false),
        ("a?c", false, "aéc", true),
        ("[a-c]x", false, "bx", true),
        ("[!a-c]x", false, "bx", false),
        ("[^a-c]x", false, "dx", true),
        ("[]a]", false, "]", true),
        ("[a-]", false, "-", true),
        ("[[:alpha:]_]", false, "é", true),
        ("[[:digit:]]", false, "é", false),
        ("[[=a=]b]", false, "a", true),
        ("[[.-.]-0]", false, ".", true),
        ("[a", false, "[a", true),
        ("\\*", false, "*", true),
        ("\\*", false, "a", false),
        ("@(a|b)c", true, "bc", true),
        ("@(a|b)c", false, "bc", false),
        ("+(a|b)", true, "abab", true),
        ("*(a|b)", true, "", true),
        ("?(a)b", true, "aab", false),
        ("!(a|b)", true, "ab", true),
        ("!(a|b)", true, "b", false),
        ("@(a@(b|c)|d)", true, "ac", true),
    ] {
        let pattern = pattern(text, extglob);
        assert_eq!(pattern.refusal(), None, "{text}");
        assert_eq!(pattern.matches(subject.as_bytes(), &mut steps()), Ok(expected), "{text} on {subject}");
    }
}

#[test]
fn refuses_what_bash_reads_in_two_ways() {
    for (text, refused, refused_to_find) in [
        ("@(a", true, true),
        ("*!(a)", true, true),
        ("*@(a|)", true, true),
        ("*@(a|)b", false, false),
        ("*@(a|)b@(|c)", false, false),
        ("?@(a|)", false, true),
        ("a\\", true, true),
        ("[[=a=]]", true, true),
        ("[[:what:]]", true, true),
        ("[[.space.]]", true, true),
        ("[a-", true, true),
        ("[*", false, true),
        ("[!]a]", false, true),
        ("(a)", false, true),
        ("a(", false, false),
        ("[", false, false),
    ] {
        let pattern = pattern(text, true);
        assert_eq!(pattern.refusal().is_some(), refused, "{text}");
        assert_eq!(pattern.refusal_of_find().is_some(), refused_to_find, "{text}");
    }
    let deep = "@(".repeat(60) + &")".repeat(60);
    assert_eq!(pattern(&deep, true).refusal(), Some("extended patterns nested too deep"));

    let mut marked = Marked::default();
    marked.push(b"\\", false);
    marked.push(b"*", true);
    let pattern = Pattern::new(&marked, PatternOptions::default());
    assert_eq!(pattern.refusal(), Some("a plain backslash before quoted text"));
}

#[test]
fn finds_the_longest_and_the_shortest() {
    let text = b"/srv/disks/web.old.raw";
    for (shape, prefix, long_prefix, suffix, long_suffix) in [
        ("*/", Some(1), Some(11), None, None),
        (".*", None, None, Some(18), Some(14)),
        ("*", Some(0), Some(22), Some(22), Some(0)),
        ("/*/", Some(5), Some(11), None, None),
        ("*.raw", Some(22), Some(22), Some(18), Some(0)),
        ("[a-z]", None, None, Some(21), Some(21)),
    ] {
        let pattern = pattern(shape, false);
        assert_eq!(pattern.prefix(text, false, &mut steps()), Ok(prefix), "#{shape}");
        assert_eq!(pattern.prefix(text, true, &mut steps()), Ok(long_prefix), "##{shape}");
        assert_eq!(pattern.suffix(text, false, &mut steps()), Ok(suffix), "%{shape}");
        assert_eq!(pattern.suffix(text, true, &mut steps()), Ok(long_suffix), "%%{shape}");
    }
    assert_eq!(pattern("s*k", false).find(text, 2, Anchor::None, &mut steps()), Ok(Some(7..9)));
}

#[test]
fn quotes_make_text_of_everything() {
    let mut marked = Marked::default();
    marked.push(b"*", true);
    marked.push(b"*", false);
    let half_quoted = Pattern::new(&marked, PatternOptions::default());
    assert!(!half_quoted.is_literal());
    assert_eq!(half_quoted.matches(b"*a", &mut steps()), Ok(true));
    assert_eq!(half_quoted.matches(b"aa", &mut steps()), Ok(false));

    let mut marked = Marked::default();
    marked.push("[é]?@(a)\\".as_bytes(), true);
    let all_quoted = Pattern::new(&marked, PatternOptions { extglob: true, nocase: false });
    assert!(all_quoted.is_literal());
    assert_eq!(all_quoted.matches("[é]?@(a)\\".as_bytes(), &mut steps()), Ok(true));
}

#[test]
fn hostile_patterns_end_in_time() {
    let many = 1 << 20;
    let text = vec![b'a'; many];
    let mut shapes: Vec<(Vec<u8>, bool)> = Vec::new();
    for (piece, extglob) in [("*a", false), ("[", false), ("[a", false), ("?", false), ("[!]", false)] {
        shapes.push((piece.repeat(many / piece.len()).into_bytes(), extglob));
    }
    for piece in ["@(", "+(a|", "!(", "\\[", "[\\]", "[[:a", "@(a)", "*(a)*", "(", "|", "@(a[)"] {
        shapes.push((piece.repeat(many / piece.len()).into_bytes(), true));
    }
    shapes.push((b"+(+(+(+(a|aa)|a)|*(a)a)|!(!(!(a)|b)))b".to_vec(), true));
    shapes.push((b"*(*(*(*(*(a)))))b".to_vec(), true));
    shapes.push((b"*a*a*a*a*a*a*a*a*a*b".to_vec(), false));
    for (shape, extglob) in shapes {
        let mut marked = Marked::default();
        marked.push(&shape, false);
        let pattern = Pattern::new(&marked, PatternOptions { extglob, nocase: false });
        let shown = String::from_utf8_lossy(&shape[..shape.len().min(40)]).into_owned();
        let begin = std::time::Instant::now();
        for at in [many / 2, many - 40] {
            let text = &text[at..];
            let _ = pattern.matches(text, &mut steps());
            let _ = pattern.prefix(text, true, &mut steps());
            let _ = pattern.suffix(text, false, &mut steps());
            let _ = pattern.find(text, 0, Anchor::None, &mut steps());
        }
        assert!(begin.elapsed().as_secs() < 20, "{shown} takes {:?}", begin.elapsed());
    }
}

/// A piece of a pattern, in quotes or not.
fn generate(random: &mut Random, pieces: &[&[u8]], depth: usize, extglob: bool) -> Vec<(Vec<u8>, bool)> {
    let mut parts: Vec<(Vec<u8>, bool)> = Vec::new();
    for _ in 0..random.below(4) + usize::from(depth == 0) {
        let is_quoted = random.below(8) == 0;
        if extglob && depth < 3 && random.below(5) == 0 {
            let kind = *random.choose(b"@?*+!");
            parts.push((vec![kind, b'('], false));
            for alternative in 0..random.below(3) + 1 {
                if alternative > 0 {
                    parts.push((b"|".to_vec(), false));
                }
                parts.extend(generate(random, pieces, depth + 1, extglob));
            }
            parts.push((b")".to_vec(), false));
        } else {
            parts.push((random.choose::<&[u8]>(pieces).to_vec(), is_quoted));
        }
    }
    parts
}

const ORDINARY: &[&[u8]] = &[
    b"a",
    b"b",
    b"ab",
    b"*",
    b"*",
    b"?",
    b"[ab]",
    b"[!a]",
    b"[^b-c]",
    b"[[:alpha:]]",
    b"[]a]",
    b"[a-c]",
    b"\xc3\xa9",
    b"[\xc3\xa9b]",
    b"A",
    b".",
    b"\\a",
    b"\\*",
    b"\\",
];
const ODD: &[&[u8]] = &[
    b"a",
    b"b",
    b"*",
    b"?",
    b"[",
    b"]",
    b"!",
    b"-",
    b"[!",
    b"[]",
    b"[a",
    b"^",
    b"[:alpha:]",
    b"[[:upper:]",
    b"[.a.]",
    b"[=b=]",
    b"[=b=]c",
    b"[.-.]",
    b"\\",
    b"\xff",
    b"\xc3",
    b"\xc3\xa9",
    b"(",
    b")",
    b"|",
    b"@(",
    b"+(",
    b"*(",
    b"!(",
    b"?(",
    b"[\xff-\xc3]",
    b"\xe2\x84\xaa",
    b"k",
    b"[a-",
    b"\\]",
    b"[k-\xc3\xa9]",
];
const TEXT: &[&[u8]] = &[
    b"a",
    b"a",
    b"b",
    b"b",
    b"ab",
    b"c",
    b"A",
    b"k",
    b".",
    b"*",
    b"[",
    b"]",
    b"\\",
    b"-",
    b"\xc3\xa9",
    b"(",
    b"|",
    b"\xe2\x84\xaa",
    b")",
    b"!",
    b"@(",
    b"K",
];
const BROKEN: &[&[u8]] = &[b"\xff", b"\xc3", b"\xa9", b"\xf8\x88\x80\x80\x80", b"\xed\xa0\x80", b"\xc3\x89"];

/// What is asked of bash: each form as it prints, `P` for the pattern.
const FORMS: [(&str, usize); 8] = [
    ("case $t in P) r=1;; *) r=0;; esac", 0),
    ("r=${t#P}", 1),
    ("r=${t##P}", 2),
    ("r=${t%P}", 3),
    ("r=${t%%P}", 4),
    ("r=${t/P/<&>}", 5),
    ("r=${t/#P/<&>}", 6),
    ("r=${t/%P/<&>}", 7),
];

fn ours(pattern: &Pattern, text: &[u8], form: usize) -> Vec<u8> {
    let mut steps = Steps::new(100_000_000);
    let replaced = |anchor, steps: &mut Steps| match pattern.find(text, 0, anchor, steps).unwrap() {
        Some(Range { start, end }) => [&text[..start], b"<", &text[start..end], b">", &text[end..]].concat(),
        None => text.to_vec(),
    };
    match form {
        0 => vec![b'0' + u8::from(pattern.matches(text, &mut steps).unwrap())],
        1 | 2 => text[pattern.prefix(text, form == 2, &mut steps).unwrap().unwrap_or(0)..].to_vec(),
        3 | 4 => text[..pattern.suffix(text, form == 4, &mut steps).unwrap().unwrap_or(text.len())].to_vec(),
        5 => replaced(Anchor::None, &mut steps),
        6 => replaced(Anchor::Start, &mut steps),
        _ => replaced(Anchor::End, &mut steps),
    }
}

/// How many answers of bash are others than ours, and how many of a thousand patterns are refused.
fn compare(random: &mut Random, pieces: &[&[u8]], odd: bool, count: usize) -> (usize, usize) {
    let mut script = Vec::new();
    let mut asked = Vec::new();
    let (mut patterns, mut refused) = (0, 0);
    while asked.len() < count {
        let extglob = random.below(3) > 0;
        let nocase = random.below(6) == 0;
        let parts = generate(random, pieces, 0, extglob);
        let mut marked = Marked::default();
        let mut shape = String::new();
        let mut line = format!(
            "shopt -{} extglob; shopt -{} nocasematch\n",
            if extglob { 's' } else { 'u' },
            if nocase { 's' } else { 'u' },
        )
        .into_bytes();
        for (number, (part, is_quoted)) in parts.iter().enumerate() {
            marked.push(part, *is_quoted);
            line.extend(format!("p{number}=").into_bytes());
            line.extend(quoted(part));
            line.push(b'\n');
            let quote = if *is_quoted { "\"" } else { "" };
            shape += &format!("{quote}${{p{number}}}{quote}");
        }
        let sensitive = Pattern::new(&marked, PatternOptions { extglob, nocase: false });
        let insensitive = Pattern::new(&marked, PatternOptions { extglob, nocase });
        patterns += 1;
        if insensitive.refusal().is_some() {
            refused += 1;
            continue;
        }
        script.extend(line);
        for _ in 0..3 {
            let mut text = Vec::new();
            for _ in 0..random.below(7) {
                let from = if odd && random.below(6) == 0 { BROKEN } else { TEXT };
                text.extend_from_slice(random.choose::<&[u8]>(from));
            }
            // There bash takes half a character and the backslash for one, and prints what is in its memory.
            if text.windows(2).any(|pair| pair[0] >= 0xc0 && pair[1] == b'\\') {
                continue;
            }
            script.extend_from_slice(b"t=");
            script.extend(quoted(&text));
            script.push(b'\n');
            for (form, number) in FORMS {
                let pattern = if (1..=4).contains(&number) { &sensitive } else { &insensitive };
                if number >= 5 && pattern.refusal_of_find().is_some() {
                    continue;
                }
                script.extend(format!("{}; printf '%s\\0' \"$r\"\n", form.replace('P', &shape)).into_bytes());
                asked.push((
                    parts.clone(),
                    marked.clone(),
                    extglob,
                    nocase,
                    text.clone(),
                    form,
                    ours(pattern, &text, number),
                ));
            }
        }
    }
    let answers = outputs(&script, asked.len());
    let mut differences = 0;
    for ((parts, marked, extglob, nocase, text, form, ours), theirs) in asked.iter().zip(&answers) {
        if ours != theirs {
            differences += 1;
            if differences <= 25 {
                println!(
                    "{:?}",
                    parts
                        .iter()
                        .map(|(p, q)| format!("{}{}", p.escape_ascii(), if *q { "Q" } else { "" }))
                        .collect::<Vec<_>>()
                );
                println!(
                    "{form} extglob {extglob} nocase {nocase}: pattern {} text {}: ours {} bash {}",
                    escaped(marked).escape_ascii(),
                    text.escape_ascii(),
                    ours.escape_ascii(),
                    theirs.escape_ascii()
                );
            }
        }
    }
    (differences, refused * 1000 / patterns)
}

#[test]
fn generated_patterns_match_as_in_bash() {
    let (differences, refused) = compare(&mut Random::new(), ORDINARY, false, cases(20_000));
    assert_eq!(differences, 0);
    assert!(refused < 250, "{refused} of 1000 patterns are refused: the comparison would say little");
}

#[test]
fn odd_patterns_and_broken_texts_match_as_in_bash() {
    let mut random = Random::new();
    let (differences, refused) = compare(&mut random, ODD, true, cases(20_000));
    assert_eq!(differences, 0);
    assert!(refused < 700, "{refused} of 1000");
    let (differences, refused) = compare(&mut random, &[ORDINARY, BROKEN].concat(), true, cases(20_000));
    assert_eq!(differences, 0);
    assert!(refused < 250, "{refused} of 1000");
}

#[test]
fn classes_hold_what_bash_has_in_them() {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
        "upper", "word", "xdigit",
    ];
    // All characters in a long run, else one of a hundred and all that are near ASCII.
    let step = 1_000_000 / cases(10_000).clamp(1, 1_000_000);
    let codes = (1..0x500).chain((0x500..0x11_0000).step_by(step.max(1)));
    let characters: Vec<char> = codes.filter_map(char::from_u32).collect();
    let mut script = b"c=(".to_vec();
    for character in &characters {
        script.extend(quoted(character.to_string().as_bytes()));
        script.push(b' ');
    }
    script.extend_from_slice(b")\nfor x in \"${c[@]}\"; do r=\n");
    for name in NAMES {
        script.extend(format!("case $x in [[:{name}:]]) r+=1;; *) r+=0;; esac\n").into_bytes());
    }
    script.extend_from_slice(b"printf '%s\\0' $r\ndone\n");
    let patterns = NAMES.map(|name| pattern(&format!("[[:{name}:]]"), false));
    for (character, answer) in characters.iter().zip(outputs(&script, characters.len())) {
        let text = character.to_string();
        let ours = patterns.iter().map(|pattern| pattern.matches(text.as_bytes(), &mut steps()).unwrap());
        let ours: Vec<u8> = ours.map(|matches| b'0' + u8::from(matches)).collect();
        assert_eq!(ours.escape_ascii().to_string(), answer.escape_ascii().to_string(), "{character:?}");
    }
}
