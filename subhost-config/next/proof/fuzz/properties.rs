//! What holds for any bytes. The fuzz targets run it on what libFuzzer makes up, `tests/corpus.rs` on what was kept.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use subhost_config::schema::{Environment, SubhostConfig};
use subhost_config::{Diagnostic, Evaluator, Source, Variables, parse, render};

/// A text is read or refused, and each complaint is about a place in it and safe to print.
pub(crate) fn parser(bytes: &[u8]) {
    let source = Source::new("fuzz", bytes);
    let (_, diagnostics) = parse(&source);
    check(&diagnostics, &source);
}

/// A script gives variables, whose `declare -p` lines are a script that gives the same ones.
pub(crate) fn evaluator(bytes: &[u8]) {
    let source = Source::new("fuzz", bytes);
    let (variables, mut diagnostics) = evaluate(&source);
    let (_, of_settings) = SubhostConfig::from_variables(&variables, &source, &Environment::empty());
    let is_accepted = !diagnostics.iter().any(Diagnostic::is_error);
    diagnostics.extend(of_settings);
    check(&diagnostics, &source);

    let lines = variables.to_declare_p();
    // The order of keys depends on how they came; and bash garbles two bytes, where we refuse them.
    let is_plain = !lines.windows(10).any(|window| window == b"declare -A")
        && !lines.contains(&1)
        && !lines.contains(&0x7f);
    if is_accepted && is_plain {
        let (again, diagnostics) = evaluate(&Source::new("again", lines.clone()));
        if !diagnostics.iter().any(Diagnostic::is_error) {
            assert_eq!(String::from_utf8_lossy(&again.to_declare_p()), String::from_utf8_lossy(&lines));
        }
    }
}

/// A quoted value is read back, in every place where it may stand.
pub(crate) fn quote(bytes: &[u8]) {
    let value: Vec<u8> = bytes.iter().copied().filter(|&byte| byte != 0).collect();
    let quoted = subhost_config::quote(&value);
    let elements = |script: Vec<u8>| {
        let (variables, diagnostics) = evaluate(&Source::new("quoted", script));
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

fn evaluate(source: &Source) -> (Variables, Vec<Diagnostic>) {
    let (script, mut diagnostics) = parse(source);
    let (variables, more) = Evaluator::new().memory_budget(1 << 20).step_budget(20_000).run(&script);
    diagnostics.extend(more);
    (variables, diagnostics)
}

fn check(diagnostics: &[Diagnostic], source: &Source) {
    for diagnostic in diagnostics {
        if let Some(span) = diagnostic.span {
            assert!(span.start() <= span.end() && span.end() <= source.text().len(), "{diagnostic:?}");
        }
        let text = render(diagnostic, source, false);
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
    }
}
