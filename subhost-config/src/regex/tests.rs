//! Tables, and generated expressions against bash.

use super::*;
use crate::real_bash::{Random, cases, outputs, quoted};

fn marked(parts: &[(&str, bool)]) -> Marked {
    let mut marked = Marked::default();
    parts.iter().for_each(|(part, is_quoted)| marked.push(part.as_bytes(), *is_quoted));
    marked
}

fn matches(text: &str, expression: &str) -> Result<bool, String> {
    regex_matches(text.as_bytes(), &marked(&[(expression, false)]), false)
}

#[test]
fn matches_like_bash() {
    for (text, expression, expected) in [
        ("web-01.raw", "^[a-z]+-[0-9]{2}\\.raw$", true),
        ("web-1.raw", "^[a-z]+-[0-9]{2}\\.raw$", false),
        ("a\nb", "a.b", true),
        ("a\nb", "^b", false),
        ("a", "", true),
        ("ab", "(a|b)*$", true),
        ("ab", "(^a|c)b$", true),
        ("a.img", "(\\.raw$|\\.img$)", true),
        ("a.img.gz", "\\.raw$|\\.img$", false),
        ("é", "^.$", true),
        ("é", "^[[:alpha:]]$", true),
        ("é", "[^[:alpha:]]", false),
        ("\\", "[\\n]", true),
        ("]", "[]a]", true),
        ("a]", "a]", true),
        ("&", "[a&&b]", true),
        ("aa", "^a{,2}$", true),
        ("aaa", "^a{,2}$", false),
        ("_", "\\w", true),
        (" ", "\\S", false),
    ] {
        assert_eq!(matches(text, expression), Ok(expected), "{text} =~ {expression}");
    }
    assert_eq!(regex_matches(b"a.b", &marked(&[("a", false), (".b", true)]), false), Ok(true));
    assert_eq!(regex_matches(b"acb", &marked(&[("a", false), (".b", true)]), false), Ok(false));
    assert_eq!(regex_matches("ÉſK".as_bytes(), &marked(&[("ésk", false)]), true), Ok(true));
    assert_eq!(regex_matches(b"b", &marked(&[("[[:upper:]]", false)]), true), Ok(true));
}

#[test]
fn refuses_what_the_engines_read_differently() {
    for expression in [
        "(",
        ")",
        "a)",
        "()",
        "(|a)",
        "a|",
        "|a",
        "*a",
        "^*",
        "(*a)",
        "a**",
        "a*?",
        "a{1}{2}",
        "a{",
        "a{x}",
        "a{2,1}",
        "a{,}",
        "a{1001}",
        "a{0}",
        "[a",
        "[z-a]",
        "[à-ÿ]",
        "[a-c-e]",
        "[[:foo:]]",
        "[[.a.]]",
        "[[=a=]]",
        "[[:]",
        "(a)\\1",
        "\\d",
        "\\b",
        "\\<",
        "\\`",
        "a\\",
        "(?:a)",
        "(?i)a",
        "\\x61",
        "[[:ALPHA:]]",
    ] {
        assert!(matches("a", expression).is_err(), "{expression}");
    }
    let deep = "(".repeat(100_000) + "a" + &")".repeat(100_000);
    assert!(matches("a", &deep).is_err());
    assert!(matches("a", "((((a{1000}){1000}){1000}){1000}){1000}").is_err());
    assert!(
        matches(&"a".repeat(1 << 21), "(a|a)*(a|a)*(a|a)*(a|a)*(a|a)*(a|a)*(a|a)*(a|a)*(a|a)*(a|a)*(a|a)*b")
            .is_err()
    );
    assert!(regex_matches(b"\xff", &marked(&[("a", false)]), false).is_err());
    assert!(regex_matches(b"a", &marked(&[("[a", false), ("]", true), ("]", false)]), false).is_err());
    assert!(regex_matches(b"a", &marked(&[("\\", false), (".", true)]), false).is_err());
}

#[test]
fn the_largest_that_is_matched_takes_no_long_time() {
    let begin = std::time::Instant::now();
    let text = "a".repeat(16_000);
    assert_eq!(matches(&text, "(a|a)*(a?a?){250}b"), Ok(false));
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
}

const PIECES: &[&str] = &[
    "a",
    "b",
    "ab",
    "é",
    "É",
    "A",
    "k",
    "1",
    "_",
    " ",
    ".",
    ".",
    "*",
    "+",
    "?",
    "^",
    "$",
    "|",
    "(",
    ")",
    "[ab]",
    "[^a]",
    "[a-c]",
    "[]a]",
    "[^]b]",
    "[a-]",
    "[[:alpha:]]",
    "[^[:upper:]]",
    "[[:digit:]_]",
    "[é]",
    "[^éb]",
    "[A-C]",
    "[--a]",
    "{2}",
    "{1,2}",
    "{,2}",
    "{1,}",
    "{",
    "}",
    "]",
    "[",
    "\\.",
    "\\",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "\\(",
    "\\-",
    "[\\]",
    "[.a]",
    "[[:space:][:punct:]]",
    "[a&&b]",
    "[a~~b]",
    "\\$",
    "-",
    "\n",
    "ſ",
    "ǆ",
    "[[:lower:]-]",
    "/",
    "[*.]",
    ",",
    "\\*",
    "[a^]",
];
const TEXT: &[&str] = &[
    "a", "a", "b", "ab", "A", "B", "é", "É", "1", "_", " ", ".", "*", "\n", "]", "[", "-", "\\", "k",
    "\u{212a}", "ſ", "s", "ǅ", "^", "$", "{2}", "日", "&", "~", "(", "\u{2028}", "\u{301}", "٣",
];

#[test]
fn generated_expressions_match_as_in_bash() {
    let mut random = Random::new();
    let mut script = Vec::new();
    let mut asked = Vec::new();
    let mut tried = 0;
    while asked.len() < cases(20_000) {
        let mut parts: Vec<(&str, bool)> = Vec::new();
        for _ in 0..random.below(5) + 1 {
            match random.below(5) {
                0 => {
                    parts.push(("(", false));
                    for _ in 0..random.below(3) + 1 {
                        parts.push((*random.choose(PIECES), false));
                    }
                    parts.push((*random.choose(&["", "|a", "|b*", "$", "$|a", "|^a$"]), false));
                    parts.push((")", false));
                    parts.push((*random.choose(&["", "", "*", "+", "?", "{2}", "{1,3}"]), false));
                }
                _ => parts.push((*random.choose(PIECES), random.below(8) == 0)),
            }
        }
        let text: String = (0..random.below(6)).map(|_| *random.choose(TEXT)).collect();
        let nocase = random.below(3) == 0;
        tried += 1;
        let Ok(ours) = regex_matches(text.as_bytes(), &marked(&parts), nocase) else { continue };
        let option = if nocase { 's' } else { 'u' };
        script.extend(format!("shopt -{option} nocasematch; t=").into_bytes());
        script.extend(quoted(text.as_bytes()));
        let mut word = String::new();
        for (number, (part, is_quoted)) in parts.iter().enumerate() {
            script.extend(format!("; p{number}=").into_bytes());
            script.extend(quoted(part.as_bytes()));
            let quote = if *is_quoted { "\"" } else { "" };
            word += &format!("{quote}${{p{number}}}{quote}");
        }
        script.extend(format!("; [[ $t =~ {word} ]]; printf '%s\\0' $?\n").into_bytes());
        asked.push((parts, text, nocase, ours));
    }
    assert!(tried < asked.len() * 6, "{} of {tried} expressions are accepted: too few", asked.len());
    let answers = outputs(&script, asked.len());
    for ((parts, text, nocase, ours), answer) in asked.iter().zip(answers) {
        let ours = if *ours { "0" } else { "1" };
        assert_eq!(ours, answer.escape_ascii().to_string(), "{text:?} =~ {parts:?}, nocase {nocase}");
    }
}
