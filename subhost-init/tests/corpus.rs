//! What fuzzing found worth keeping: the properties of the fuzz targets hold for it.

#[path = "../fuzz/properties.rs"]
mod properties;
#[path = "../../subhost-config/fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn initctl() {
    replay("fuzz/corpus-min/initctl", 10, properties::initctl);
}

#[test]
fn packets() {
    replay("fuzz/corpus-min/packets", 10, properties::packets);
}

#[test]
fn account() {
    replay("fuzz/corpus-min/account", 10, properties::account);
}

#[test]
fn hierarchies() {
    replay("fuzz/corpus-min/hierarchies", 10, properties::hierarchies);
}
