//! What holds for any bytes. The fuzz targets run it on what libFuzzer makes up, `tests/corpus.rs` on what was kept.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use subhost_config::schema::{Environment, SubhostConfig};
use subhost_config::{Diagnostic, Evaluator, Source, Sources, Variable, Variables, code, parse, render};

/// A text is read or refused, and each complaint is about a place in it and safe to print.
pub(crate) fn parser(bytes: &[u8]) {
    let source = Source::new("fuzz", bytes);
    let (_, diagnostics) = parse(&source);
    check(&diagnostics, &source.into());
}

const MEMORY: usize = 1 << 20;
const STEPS: u64 = 20_000;

/// As many values of a script are quoted and read back, none longer than this.
const QUOTED: usize = 8;
const QUOTED_BYTES: usize = 4096;

/// A script ends within its budgets. Its values can be read back, each by itself when quoted, and all of them as
/// `declare -p` lines. No bash is asked: what is made up here could tell it to remove files.
pub(crate) fn evaluator(bytes: &[u8]) {
    let source = Source::new("fuzz", bytes);
    let (variables, mut diagnostics) =
        evaluate(&source, &Evaluator::new().memory_budget(MEMORY).step_budget(STEPS));
    let (_, of_settings) = SubhostConfig::from_variables(&variables, &Environment::empty());
    let is_accepted = !diagnostics.iter().any(Diagnostic::is_error);
    diagnostics.extend(of_settings);
    check(&diagnostics, variables.sources());

    let values: Vec<&[u8]> = variables.iter().flat_map(|(_, it)| it.value.elements()).collect();
    let held: usize = values.iter().map(|value| value.len()).sum();
    assert!(held <= MEMORY, "{held} bytes of values");
    values.into_iter().filter(|value| value.len() <= QUOTED_BYTES).take(QUOTED).for_each(quote);

    let lines = variables.to_declare_p();
    // The order of keys depends on how they came.
    let has_keys = lines.windows(10).any(|window| window == b"declare -A");
    // As in bash, a value that was there when its variable got an attribute stays as it is, until it is read back. As arithmetic
    // it may then mean anything.
    let is_odd = |it: &Variable| it.attributes.integer && !it.value.elements().into_iter().all(is_number);
    if is_accepted && !has_keys && !variables.iter().any(|(_, it)| is_odd(it)) {
        let (again, diagnostics) = evaluate(&Source::new("again", lines.clone()), &Evaluator::new());
        let errors: Vec<_> = diagnostics.iter().filter(|it| it.is_error()).collect();
        // `declare` keeps attributes of a variable of bash itself, and garbles two bytes.
        let expected = [code::SHELL_VARIABLE_READ, code::GARBLED_BYTE];
        let text = String::from_utf8_lossy(&lines);
        assert!(errors.iter().all(|it| expected.contains(&it.code)), "{text}{errors:?}");
        if errors.is_empty() && variables.iter().any(|(_, it)| it.attributes.lower || it.attributes.upper) {
            let said = again.to_declare_p();
            let (last, _) = evaluate(&Source::new("last", said.clone()), &Evaluator::new());
            assert_eq!(String::from_utf8_lossy(&last.to_declare_p()), String::from_utf8_lossy(&said));
        } else if errors.is_empty() {
            assert_eq!(String::from_utf8_lossy(&again.to_declare_p()), text);
        }
    }
}

fn is_number(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<i64>().is_ok_and(|it| it.to_string() == text))
}

/// A quoted value is read back, in every place where it may stand.
pub(crate) fn quote(bytes: &[u8]) {
    let value: Vec<u8> = bytes.iter().copied().filter(|&byte| byte != 0).collect();
    let quoted = subhost_config::quote(&value);
    let elements = |script: Vec<u8>| {
        let (variables, diagnostics) = evaluate(&Source::new("quoted", script), &Evaluator::new());
        assert_eq!(diagnostics, []);
        let elements = variables.get("A").expect("it is set").value.elements();
        elements.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    assert_eq!(elements([b"A=", &quoted[..]].concat()), std::slice::from_ref(&value));
    // Bash garbles these two in arrays, so that they are refused there.
    if !value.contains(&1) && !value.contains(&0x7f) {
        let script = [b"A=( x ", &quoted[..], b" )"].concat();
        assert_eq!(elements(script), [b"x".to_vec(), value]);
    }
}

fn evaluate(source: &Source, evaluator: &Evaluator) -> (Variables, Vec<Diagnostic>) {
    let (script, mut diagnostics) = parse(source);
    let (variables, more) = evaluator.run(&script);
    diagnostics.extend(more);
    (variables, diagnostics)
}

fn check(diagnostics: &[Diagnostic], sources: &Sources) {
    for diagnostic in diagnostics {
        if let Some(span) = diagnostic.span {
            assert!(
                span.start() <= span.end() && span.end() <= sources.of(span).text().len(),
                "{diagnostic:?}"
            );
        }
        let text = render(diagnostic, sources, false);
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
    }
}
