//! Hostile sizes and bytes: each limit is a diagnostic, and nothing panics.

use proptest::prelude::*;
use subhost_config::{Diagnostic, Evaluator, MAX_SOURCE_BYTES, Source, Variables, code, parse, render};

fn run(text: impl Into<Vec<u8>>) -> (Variables, Vec<Diagnostic>) {
    let (script, mut diagnostics) = parse(&Source::new("script", text));
    let (variables, more) = Evaluator::new().step_budget(100_000).run(&script);
    diagnostics.extend(more);
    (variables, diagnostics)
}

fn codes(text: impl Into<Vec<u8>>) -> Vec<&'static str> {
    run(text).1.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn a_refused_statement_sets_nothing_and_the_rest_is_still_read() {
    let (variables, _) =
        run("A=1\nA=(x $(y) z) B=2\nC=3 | D=4\nexport E=5 F=`g`\nH=6\nreadonly H\nH=7\nI=8\n");
    let lines = String::from_utf8(variables.to_declare_p()).unwrap();
    assert_eq!(lines, "declare -- A=\"1\"\ndeclare -r H=\"6\"\ndeclare -- I=\"8\"\n");
}

#[test]
fn too_long_a_word_is_refused() {
    assert_eq!(codes(format!("A={}", "x".repeat(1024 * 1024 + 1))), [code::WORD_TOO_LONG]);
}

#[test]
fn too_large_a_text_is_refused() {
    assert_eq!(codes(vec![b'\n'; MAX_SOURCE_BYTES + 1])[0], code::SOURCE_TOO_LARGE);
}

#[test]
fn values_beyond_the_memory_budget_are_refused() {
    let (script, _) = parse(&Source::new("script", format!("A=1\n{}", "A=$A$A\n".repeat(60))));
    let found: Vec<_> = Evaluator::new()
        .memory_budget(1 << 20)
        .run(&script)
        .1
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect();
    assert_eq!(found, [code::MEMORY_BUDGET]);
}

/// On the small stack of a thread in a debug build.
#[test]
fn too_deep_a_nesting_is_refused() {
    for open in [
        "A=$(",
        "A=\"${a:-",
        "A=${a:-",
        "if a\nthen\n",
        "( ",
        "{ ",
        "A=$((",
        "((",
        "A=$(( (",
        "A=$(( -",
        "[[ (",
        "[[ ! ",
        "! ",
        "A=(",
        "case a in a) ",
        "for x in a; do ",
        "while a; do ",
        "f() { ",
        "A=${a[",
        "A=`\\`",
        "A=({",
        "A=${a#+(",
        "A=${a/[",
        "a && ",
        "A=$((a?",
        "A[",
        "a[a[",
    ] {
        let codes = codes(open.repeat(100_000));
        assert!(codes.iter().any(|code| code.starts_with('E')), "{open:?}: {codes:?}");
    }
}

/// Calls within calls, each with as much nesting as the syntax allows, on the same stack.
#[test]
fn too_deep_a_recursion_is_refused() {
    let nested = |open: &str, close: &str, count: usize, inside: &str| {
        format!("{}{inside}{}", open.repeat(count), close.repeat(count))
    };
    let bodies = [
        "f".to_owned(),
        nested("if true; then ", "; fi", 50, "f"),
        nested("{ ", "; }", 50, "f"),
        nested("for x in 1; do ", "; done", 50, "f"),
        nested("while true; do ", "; done", 50, "f"),
        nested("case x in x) ", ";; esac", 50, "f"),
        format!("A={}; f", nested("${B:-", "}", 25, "x")),
        format!("A={}; f", nested("\"${B:-", "}\"", 20, "x")),
        format!("[[ {} ]]; f", nested("( ", " )", 40, "x")),
        nested(
            "if true; then ",
            "; fi",
            40,
            &format!(": $((A30)) {}; f", nested("${B:-", "}", 7, "$((A30))")),
        ),
    ];
    let deep: String = (1..=30).map(|number| format!("A{number}='(A{})'\n", number - 1)).collect();
    for body in bodies {
        let found = codes(format!("A0=1\n{deep}f() {{ {body}; }}\nf\n"));
        assert!(found.contains(&code::RECURSION), "{body}: {found:?}");
    }
}

/// Arithmetic that evaluates the values of variables, which are arithmetic too.
#[test]
fn too_deep_an_arithmetic_is_refused() {
    let mut text = String::from("A0=1\n");
    for number in 1..200 {
        text += &format!("A{number}='{}A{}{}'\n", "(".repeat(20), number - 1, ")".repeat(20));
    }
    assert_eq!(codes(format!("{text}B=$((A199))\n")), [code::BAD_ARITHMETIC]);
}

#[test]
fn a_flood_of_refusals_is_cut_off_and_says_so() {
    let many = codes("echo\n".repeat(100_000));
    assert_eq!((many.len(), many.last()), (201, Some(&code::TOO_MANY)));
}

#[test]
fn a_flood_of_warnings_hides_no_error() {
    let found = codes("A=$B\n".repeat(1_000) + "UID=1");
    assert_eq!(found.len(), 102);
    assert_eq!(found[100..], [code::TOO_MANY_WARNINGS, code::SHELL_VARIABLE_SET]);
}

#[test]
fn a_hundred_thousand_elements_are_no_limit() {
    let text = format!("A=({})", "vda:1:/disks/a.raw\n".repeat(100_000));
    let (script, diagnostics) = parse(&Source::new("big", text));
    assert_eq!(diagnostics, []);
    let (variables, diagnostics) = Evaluator::new().run(&script);
    assert_eq!(diagnostics, []);
    assert_eq!(variables.get("A").map(|a| a.value.elements().len()), Some(100_000));
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        3 => proptest::sample::select(vec![
            "A", "=", "+=", "(", ")", "[", "]", "$", "${", "}", "$(", "((", "))", "`", "'", "\"", "$'", "\\", "\n", "\r\n",
            ";", ";;", "&&", "||", "|", "&", "<", ">", "<<", "<(", "#", " ", "\t", "~", "{", ",", "..", "*", "!", "if ",
            "then ", "fi ", "case ", "in ", "esac ", "for ", "do ", "done ", "{ ", "[[ ", " ]]", "function ", "export ",
            "declare -a ", "DISKS", "=(", "vda:1:/a", "[1]=", "é", "\u{feff}", "<<E\n", "E\n", "f()", "declare -A ", "let ",
            "printf -v A ", "${A[@]", ":-", "//", "@Q}", "^^", "local ", "-n ", "IFS=", "unset ", "return ", "=~", "-eq ",
        ]).prop_map(|token| token.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8_000) })]

    #[test]
    fn no_text_makes_it_panic(text in hostile()) {
        let (variables, diagnostics) = run(text);
        variables.to_declare_p();
        for diagnostic in &diagnostics {
            let text = render(diagnostic, variables.sources(), false);
            prop_assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
        }
    }
}
