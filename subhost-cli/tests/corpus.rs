//! What fuzzing found worth keeping: the properties of the fuzz targets hold for it.

#[path = "../fuzz/properties.rs"]
mod properties;
#[path = "../../subhost-config/fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn control() {
    replay("fuzz/corpus-min/control", 10, properties::control);
}

#[test]
fn handover() {
    replay("fuzz/corpus-min/handover", 10, properties::handover);
}

#[test]
fn state() {
    replay("fuzz/corpus-min/state", 10, properties::state);
}

#[test]
fn subid() {
    replay("fuzz/corpus-min/subid", 10, properties::subid);
}

#[test]
fn fstab() {
    replay("fuzz/corpus-min/fstab", 10, properties::fstab);
}

#[test]
fn scripts() {
    replay("fuzz/corpus-min/scripts", 10, properties::scripts);
}

#[test]
fn import() {
    replay("fuzz/corpus-min/import", 7, properties::import);
}
