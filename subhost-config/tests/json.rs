//! What is rendered as JSON is JSON, and says what the diagnostic says. The witness is `serde_json`.

use proptest::prelude::*;
use serde_json::{Value, json};
use subhost_config::schema::{Environment, SubhostConfig};
use subhost_config::{Diagnostic, Evaluator, IncludePolicy, Source, Sources, Span, parse, render_json};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_diagnostic_is_read_back(message in any::<String>(), hint in any::<Option<String>>(), name in any::<String>(),
                                   text in any::<Vec<u8>>(), start in 0..40usize, length in 0..40usize) {
        let source = Source::new(name.clone(), text);
        let mut diagnostic = Diagnostic::warning("W0501", message.clone()).at(Span::new(start, start + length));
        diagnostic.hint.clone_from(&hint);
        let json = render_json(&[diagnostic, Diagnostic::error("E1005", "m")], &Sources::from(&source));
        prop_assert!(!json.contains('\n'));
        let read: Value = serde_json::from_str(&json).unwrap();
        let first = &read[0];
        prop_assert_eq!(first["message"].as_str(), Some(message.as_str()));
        prop_assert_eq!(first["hint"].as_str(), hint.as_deref());
        prop_assert_eq!(first["file"].as_str(), Some(name.as_str()));
        prop_assert_eq!((first["severity"].as_str(), first["code"].as_str()), (Some("warning"), Some("W0501")));
        let number = |member: &str| usize::try_from(first[member].as_u64().unwrap()).unwrap();
        prop_assert_eq!(number("start"), start.min(source.text().len()));
        prop_assert_eq!(number("end"), (start + length).min(source.text().len()));
        prop_assert_eq!((number("line"), number("column")), {
            let place = source.location(start);
            (place.line, place.column)
        });
        let members = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(members(first), members(&read[1]));
        prop_assert!(read[1]["line"].is_null() && read[1]["file"].is_null());
    }
}

/// The texts of a run whose file includes another, where both are wrong.
#[test]
fn an_included_file_has_its_own_places() {
    let directory = tempfile::tempdir().unwrap();
    let included = directory.path().join("common");
    std::fs::write(&included, "A=1\nB=\"$UID\"\n").unwrap();
    let source = Source::new("config", format!("# é\n. {}\nexit\nRUNLEVEL=7x\n", included.display()));
    let (script, mut diagnostics) = parse(&source);
    let policy = IncludePolicy::directories([directory.path()]).by_anybody();
    let (variables, more) = Evaluator::new().includes(policy).run(&script);
    diagnostics.extend(more);
    let (_, more) = SubhostConfig::from_variables(&variables, &Environment::empty());
    diagnostics.extend(more);
    let read: Value = serde_json::from_str(&render_json(&diagnostics, variables.sources())).unwrap();
    let places: Vec<Value> = read
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            Value::from(["file", "line", "column", "start", "code"].map(|member| it[member].clone()).to_vec())
        })
        .collect();
    let start = source.text().windows(4).position(|it| it == b"exit").unwrap();
    assert_eq!(
        places,
        [
            json!(["config", 3, 1, start, "E0201"]),
            json!([included.to_str().unwrap(), 2, 4, 7, "E0303"]),
            json!(["config", 4, 1, start + 5, "E1005"]),
        ]
    );
}

/// A refused statement that had begun makes evaluation begin anew without it.
#[test]
fn places_hold_where_evaluation_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("bad"), "A=1\nB=$(reboot)\n").unwrap();
    std::fs::write(directory.join("good"), "RUNLEVEL=3; LIST=( x y )\nUID=1\nC=2\n").unwrap();
    let [bad, good] = ["bad", "good"].map(|name| directory.join(name).to_str().unwrap().to_owned());
    let source = Source::new("config", format!("X=1 && . {bad}\n. {good}\n. {good}\nD=$((08))\n"));
    let (script, _) = parse(&source);
    let policy = IncludePolicy::directories([directory]).by_anybody();
    let (variables, diagnostics) = Evaluator::new().includes(policy).run(&script);
    let place = |span: Span| {
        let source = variables.sources().of(span);
        let place = source.location(span.start());
        (source.name().to_owned(), place.line, place.column)
    };
    let places: Vec<_> = diagnostics.iter().map(|it| (place(it.span.unwrap()), it.code)).collect();
    assert_eq!(
        places,
        [(("config".to_owned(), 4, 6), "E0308"), ((bad, 2, 3), "E0210"), ((good.clone(), 2, 1), "E0304"),]
    );
    assert_eq!(variables.get("C").map(|it| place(it.set_at)), Some((good, 3, 1)));
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let source = Source::new("config", b"\xff\xfe=1\n");
    let (_, diagnostics) = parse(&source);
    let read: Value = serde_json::from_str(&render_json(&diagnostics, &source.into())).unwrap();
    assert_eq!(read[0]["severity"], "error");
    assert_eq!((read[0]["line"].as_u64(), read[0]["start"].as_u64()), (Some(1), Some(0)));
}
