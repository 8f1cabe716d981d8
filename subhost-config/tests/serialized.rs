//! What serde makes of the types that travel, with the feature `serde`.

use serde_json::{json, to_value};
use subhost_config::schema::Origin;
use subhost_config::{Source, parse};

#[test]
fn a_diagnostic_has_its_code_and_place() {
    let (_, diagnostics) = parse(&Source::new("config", "A=1\necho hi\n"));
    let value = to_value(&diagnostics).unwrap();
    assert_eq!(value[0]["severity"], "error");
    assert_eq!(value[0]["code"], "E0201");
    assert_eq!(value[0]["span"], json!({ "start": 4, "end": 8 }));
    assert_eq!(value.as_array().unwrap().len(), diagnostics.len());
}

#[test]
fn where_a_value_came_from_is_a_word_and_its_name() {
    assert_eq!(to_value(Origin::Default).unwrap(), json!("default"));
    assert_eq!(to_value(Origin::Flag("--init".to_owned())).unwrap(), json!({ "flag": "--init" }));
}
