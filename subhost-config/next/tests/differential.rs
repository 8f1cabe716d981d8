//! Generated scripts: what is accepted gives what bash gives, and nothing panics.

mod oracle;

use oracle::{bash, bash_value_of_a, evaluate, ours};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use subhost_config::quote;

/// Bytes that stand for themselves wherever they are.
fn plain() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_./:@%^+=,#!é-]{1,4}"
}

/// A piece of a word in any quoting, or a reference.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => plain(),
        1 => "[~{}\\]]",
        2 => "'[ -&(-~\n\té]{0,6}'",
        2 => "\"[ !#%-\\[\\]^_a-~\n\té]{0,6}\"",
        1 => "\"(\\\\[\"$`\\\\a\n]|[a-z ]){0,4}\"",
        2 => "\\\\[ -~\n]",
        2 => r"\$'(\\[abefnrtv\\'?]|\\x[0-9a-f]{1,2}|\\[0-7]{1,3}|\\u00(41|e9|7f|a0|30)|\\u20ac|\\c[a-z]|[ -&(-\[\]-~]){0,4}'",
        1 => "\\$\"[a-z .]{0,3}\"",
        2 => "\\$[A-D]",
        1 => "\\$\\{[A-D]\\}",
        1 => "\"(\\$[A-D]|\\$\\{[A-D]\\}|[a-z .]){0,3}\"",
        1 => Just("\\\n".to_owned()),
        1 => Just("$".to_owned()),
        1 => "[*?\\[]",
    ]
}

fn word() -> impl Strategy<Value = String> {
    proptest::collection::vec(piece(), 0..4).prop_map(|pieces| pieces.concat())
}

fn index() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[0-9]", 1 => "0x[0-9a-f]", 1 => "0[0-7]", 1 => "-[1-3]", 1 => " [0-9] "]
}

fn element() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => word(),
        1 => (index(), "\\+?", word()).prop_map(|(index, plus, word)| format!("[{index}]{plus}={word}")),
        1 => Just("#comment ) ' \"\n".to_owned()),
    ]
}

fn array() -> impl Strategy<Value = String> {
    proptest::collection::vec((element(), "[ \n\t]{1,2}"), 0..5).prop_map(|elements| {
        let inside: String = elements.into_iter().map(|(element, gap)| element + &gap).collect();
        format!("({inside})")
    })
}

fn assignment() -> impl Strategy<Value = String> {
    let subscript =
        prop_oneof![5 => Just(String::new()), 1 => index().prop_map(|index| format!("[{index}]"))];
    prop_oneof![
        3 => ("[A-D]", subscript, "\\+?", word()).prop_map(|(name, at, plus, word)| name + &at + &plus + "=" + &word),
        2 => ("[A-D]", "\\+?", array()).prop_map(|(name, plus, array)| name + &plus + "=" + &array),
    ]
}

fn statement() -> impl Strategy<Value = String> {
    let assignments = proptest::collection::vec(assignment(), 1..3).prop_map(|list| list.join(" "));
    let command = prop_oneof![
        8 => Just(""), 1 => Just("export "), 1 => Just("declare "), 1 => Just("declare -a "), 1 => Just("readonly "),
    ];
    let end = prop_oneof![4 => Just("\n"), 1 => Just(";"), 1 => Just(" ; "), 1 => Just(" # c \\\n"), 1 => Just("\n\n")];
    (command, assignments, end).prop_map(|(command, assignments, end)| format!("{command}{assignments}{end}"))
}

fn script() -> impl Strategy<Value = String> {
    proptest::collection::vec(statement(), 1..6).prop_map(|statements| statements.concat())
}

/// More in a long run: `PROPTEST_CASES=20000`.
fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn accepted_scripts_give_what_bash_gives(script in script()) {
        let (lines, diagnostics) = ours(script.as_bytes());
        if !diagnostics.iter().any(|diagnostic| diagnostic.is_error()) {
            let (theirs, complaints) = bash(script.as_bytes(), &lines);
            prop_assert_eq!(complaints, "");
            prop_assert_eq!(lines, theirs);
        }
    }

    #[test]
    fn bash_reads_a_quoted_value_back(value in proptest::collection::vec(1..=255u8, 0..12)) {
        let mut script = b"A=".to_vec();
        script.extend(quote(&value));
        let (variables, diagnostics) = evaluate(&script);
        prop_assert_eq!(diagnostics, []);
        prop_assert_eq!(variables.get("A").and_then(|a| a.value.first()), Some(&value[..]));
        prop_assert_eq!(bash_value_of_a(&script), value);
    }
}

#[test]
fn most_generated_scripts_are_accepted() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let accepted = (0..500).filter(|_| {
        let script = script().new_tree(&mut runner).unwrap().current();
        !ours(script.as_bytes()).1.iter().any(|diagnostic| diagnostic.is_error())
    });
    let accepted = accepted.count();
    assert!(accepted > 150, "{accepted} of 500: the comparison with bash would say little");
}
