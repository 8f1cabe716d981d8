//! What fuzzing found worth keeping, and every case: the properties of the fuzz targets hold for it.

#[path = "../fuzz/properties.rs"]
mod properties;
#[path = "../fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn parser() {
    replay("fuzz/corpus-min/parser", 20, properties::parser);
    replay("tests/cases", 400, properties::parser);
}

#[test]
fn evaluator() {
    replay("fuzz/corpus-min/evaluator", 20, properties::evaluator);
    replay("tests/cases", 400, properties::evaluator);
}

#[test]
fn quote() {
    replay("fuzz/corpus-min/quote", 10, properties::quote);
    replay("tests/cases", 400, properties::quote);
}
