//! What is rendered as JSON is JSON, and says what the diagnostic says. The witness is `serde_json`.

use proptest::prelude::*;
use serde_json::Value;
use subhost_config::{Diagnostic, Source, Span, parse, render_json};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_diagnostic_is_read_back(message in any::<String>(), hint in any::<Option<String>>(), name in any::<String>(),
                                   text in any::<Vec<u8>>(), start in 0..40usize, length in 0..40usize) {
        let source = Source::new(name.clone(), text);
        let mut diagnostic = Diagnostic::warning("W0501", message.clone()).at(Span::new(start, start + length));
        diagnostic.hint.clone_from(&hint);
        let json = render_json(&[diagnostic, Diagnostic::error("E1005", "m")], &source);
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

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let source = Source::new("config", b"\xff\xfe=1\n");
    let (_, diagnostics) = parse(&source);
    let read: Value = serde_json::from_str(&render_json(&diagnostics, &source)).unwrap();
    assert_eq!(read[0]["severity"], "error");
    assert_eq!((read[0]["line"].as_u64(), read[0]["start"].as_u64()), (Some(1), Some(0)));
}
