//! What serde makes of the types that travel, with the feature `serde`.

use std::time::Duration;

use serde_json::{from_value, json, to_value};
use subhost_init::cgroup::{DeviceIo, DeviceRule, Limits, Pressure, Usage};
use subhost_init::launch::Ended;
use subhost_init::process::ProcessIdentity;

#[test]
fn a_process_is_found_again_by_what_was_written() {
    let me = ProcessIdentity::of(std::process::id()).unwrap();
    let again: ProcessIdentity = from_value(to_value(&me).unwrap()).unwrap();
    assert!(again.open().unwrap().is_some());
}

#[test]
fn what_was_used_comes_back() {
    let usage = Usage {
        cpu: Some(Duration::from_millis(1500)),
        memory_bytes: Some(4096),
        io: Some(vec![DeviceIo { device: (8, 0), read_bytes: 1, written_bytes: 2 }]),
        pressure: [None, Some(Pressure { percent: 0.5, total: Duration::from_secs(1) }), None],
        ..Usage::default()
    };
    let value = to_value(&usage).unwrap();
    assert_eq!(value["cpu"], json!({ "secs": 1, "nanos": 500_000_000 }));
    assert_eq!(value["memory_peak_bytes"], json!(null));
    assert_eq!(from_value::<Usage>(value).unwrap(), usage);
}

#[test]
fn choices_are_words() {
    assert_eq!(to_value(Ended::PowerOff).unwrap(), json!("power_off"));
    assert_eq!(to_value(Ended::Exited(3)).unwrap(), json!({ "exited": 3 }));
    let null = json!({ "kind": "char", "major": 1, "minor": 3, "writable": true });
    assert_eq!(to_value(DeviceRule::ALWAYS[0]).unwrap(), null);
    assert_eq!(from_value::<DeviceRule>(null).unwrap(), DeviceRule::ALWAYS[0]);
    let limits = Limits { tasks: Some(100), ..Limits::default() };
    assert_eq!(from_value::<Limits>(json!({ "tasks": 100 })).unwrap(), limits);
}
