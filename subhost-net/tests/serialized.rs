//! What serde makes of the types that travel, with the feature `serde`.

use serde_json::{from_value, json, to_value};
use subhost_net::address::{Route, Setup};
use subhost_net::cable::Cable;
use subhost_net::mac::Mac;
use subhost_net::name::LinkName;
use subhost_net::observe::Observed;
use subhost_net::port::Port;

#[test]
fn names_and_addresses_are_text() {
    let cable = Cable {
        host_name: LinkName::new("web0").unwrap(),
        altname: None,
        host_mac: None,
        guest_name: LinkName::new("eth0").unwrap(),
        guest_mac: Mac::new([6, 0xa7, 0xdd, 0xb4, 2, 0xf2]),
        mtu: Some(1400),
        port: Some(Port::new(7)),
    };
    let value = to_value(&cable).unwrap();
    assert_eq!(value["host_name"], "web0");
    assert_eq!(value["guest_mac"], "06:a7:dd:b4:02:f2");
    assert_eq!(value["port"]["bridge"], 7);
    assert_eq!(from_value::<Cable>(value).unwrap(), cable);
}

#[test]
fn a_plan_of_addresses_comes_back() {
    let to = "198.51.100.0/24".parse().unwrap();
    let setup = Setup {
        addresses: vec![(LinkName::new("eth0").unwrap(), "192.0.2.7/24".parse().unwrap())],
        routes: vec![Route { to: Some(to), via: Some("192.0.2.1".parse().unwrap()), interface: None }],
        up: Vec::new(),
    };
    let value = to_value(&setup).unwrap();
    let route = json!({ "to": "198.51.100.0/24", "via": "192.0.2.1", "interface": null });
    assert_eq!(value, json!({ "addresses": [["eth0", "192.0.2.7/24"]], "routes": [route], "up": [] }));
    assert_eq!(from_value::<Setup>(value).unwrap(), setup);
}

#[test]
fn what_is_no_address_is_refused() {
    for (text, why) in [("06:a7", "06:a7"), ("01:00:00:00:00", "01:00")] {
        let error = from_value::<Mac>(json!(text)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(from_value::<LinkName>(json!("a/b")).is_err());
}

#[test]
fn the_links_of_this_host_come_back() {
    let seen = Observed::read().unwrap();
    assert!(seen.links.iter().any(|link| link.loopback), "{seen:?}");
    assert_eq!(from_value::<Observed>(to_value(&seen).unwrap()).unwrap(), seen);
}
