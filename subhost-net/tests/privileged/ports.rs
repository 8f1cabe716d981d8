//! Ports of a bridge: what passes, and what the kernel says of them.

use std::os::fd::AsFd;

use serde_json::Value;
use subhost_net::bridge::{self, Found, Settings};
use subhost_net::cable::{Cable, create_all};
use subhost_net::netns::Netns;
use subhost_net::observe::{self, Observed, PortVlan};
use subhost_net::port::Port;

use crate::host::{
    Test, cable, guest_with_address, ip_one, link_names, on_fresh_host, pings, pings_in_vain, run,
};

pub(crate) const TESTS: &[Test] = &[
    ("plain_port_is_as_bridges_make_them", plain_port_is_as_bridges_make_them),
    ("port_is_as_it_was_asked_for", port_is_as_it_was_asked_for),
    ("isolated_guests_reach_the_host_and_not_each_other", isolated_guests),
    ("guest_with_another_mac_than_its_own_is_not_heard", guest_with_another_mac),
    ("flush_of_learnt_addresses_keeps_a_guests_own", flush_keeps_the_own_address),
    ("vlan_needs_a_bridge_that_filters_them", vlan_needs_a_bridge_that_filters_them),
    ("vlan_parts_guests_where_the_kernel_filters_them", vlan_parts_guests),
    ("bridge_is_found_or_made_and_never_changed", bridge_is_found_or_made_and_never_changed),
];

/// The attributes of a port as `ip` shows them.
fn port(name: &str) -> Value {
    ip_one(&format!("link show {name}"))["linkinfo"]["info_slave_data"].clone()
}

fn plugged(host_name: &str, index: u8, port: Port) -> Cable {
    Cable { port: Some(port), ..cable(host_name, index, None) }
}

fn plain_port_is_as_bridges_make_them() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        let netns = Netns::create(None).unwrap();
        create_all(netns.as_fd(), &[cable("web0", 0, Some(homenet))]).unwrap();
        run("ip link add by-hand master homenet type veth");
        let (ours, by_hand) = (port("web0"), port("by-hand"));
        for key in ["isolated", "locked", "hairpin", "learning", "flood", "mcast_flood", "bcast_flood"] {
            assert!(ours[key].is_boolean(), "{key} in {ours:#}");
            assert_eq!(ours[key], by_hand[key], "{key}");
        }
    });
}

fn port_is_as_it_was_asked_for() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        let plain = Port::new(homenet);
        let ports = [
            Port { isolated: true, ..plain },
            Port { own_mac_only: true, ..plain },
            Port { learning: false, ..plain },
            Port { flood_unknown: false, ..plain },
            Port { flood_multicast: false, ..plain },
            Port { flood_broadcast: false, ..plain },
            Port { isolated: true, own_mac_only: true, flood_unknown: false, ..plain },
        ];
        let names: Vec<_> = (0..ports.len()).map(|number| format!("web{number}")).collect();
        let cables: Vec<_> =
            (0..).zip(&ports).zip(&names).map(|((index, port), name)| plugged(name, index, *port)).collect();
        let netns = Netns::create(None).unwrap();
        create_all(netns.as_fd(), &cables).unwrap();
        let observed = Observed::read().unwrap();
        for (wanted, name) in ports.iter().zip(&names) {
            let witness = port(name);
            assert_eq!(witness["isolated"], wanted.isolated, "{name}");
            assert_eq!(witness["locked"], wanted.own_mac_only, "{name}");
            assert_eq!(witness["hairpin"], false, "{name}");
            assert_eq!(witness["learning"], wanted.learning && !wanted.own_mac_only, "{name}");
            assert_eq!(witness["flood"], wanted.flood_unknown, "{name}");
            assert_eq!(witness["mcast_flood"], wanted.flood_multicast, "{name}");
            assert_eq!(witness["bcast_flood"], wanted.flood_broadcast, "{name}");
            let link = ip_one(&format!("link show {name}"));
            assert!(link["flags"].as_array().unwrap().contains(&"UP".into()), "{link:#}");
            let port = observed.by_name(name).unwrap().port.unwrap();
            assert_eq!((port.isolated, port.locked), (wanted.isolated, wanted.own_mac_only));
        }
    });
}

fn isolated_guests() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip address add 192.0.2.254/24 dev homenet");
        let isolated = Port { isolated: true, ..Port::new(homenet) };
        let one = guest_with_address(plugged("one0", 1, isolated));
        let two = guest_with_address(plugged("two0", 2, isolated));
        let free = guest_with_address(plugged("free0", 3, Port::new(homenet)));
        assert!(pings(&one, "192.0.2.254") && pings(&two, "192.0.2.254"));
        assert!(pings(&one, "192.0.2.3") && pings(&free, "192.0.2.2"));
        assert!(pings_in_vain(&one, "192.0.2.2") && pings_in_vain(&two, "192.0.2.1"));
    });
}

fn guest_with_another_mac() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip address add 192.0.2.254/24 dev homenet");
        let honest = guest_with_address(plugged("honest0", 1, Port::new(homenet)));
        let bound = Port { own_mac_only: true, ..Port::new(homenet) };
        let guest = guest_with_address(plugged("web0", 2, bound));
        assert!(pings(&guest, "192.0.2.254") && pings(&guest, "192.0.2.1") && pings(&honest, "192.0.2.2"));
        // The address of the neighbour, and one of nobody.
        for stolen in ["06:a7:dd:b4:02:01", "06:00:00:00:00:99"] {
            guest.run_inside(|| run(&format!("ip link set eth2 address {stolen}"))).unwrap();
            assert!(pings_in_vain(&guest, "192.0.2.254") && pings_in_vain(&guest, "192.0.2.1"), "{stolen}");
        }
        assert!(pings(&honest, "192.0.2.254"));
        // Nothing of that was learnt.
        let entries: Value = serde_json::from_str(&run("bridge -j fdb show dev web0")).unwrap();
        let macs: Vec<_> =
            entries.as_array().unwrap().iter().filter_map(|entry| entry["mac"].as_str()).collect();
        assert!(macs.contains(&"06:a7:dd:b4:02:02") && !macs.contains(&"06:00:00:00:00:99"), "{entries:#}");
        guest.run_inside(|| run("ip link set eth2 address 06:a7:dd:b4:02:02")).unwrap();
        assert!(pings(&guest, "192.0.2.254"));
    });
}

fn flush_keeps_the_own_address() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip address add 192.0.2.254/24 dev homenet");
        let bound = Port { own_mac_only: true, ..Port::new(homenet) };
        let guest = guest_with_address(plugged("web0", 2, bound));
        run("ip link set homenet type bridge fdb_flush");
        assert!(pings(&guest, "192.0.2.254"));
    });
}

fn vlan_needs_a_bridge_that_filters_them() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        let netns = Netns::create(None).unwrap();
        let refused = |vlan| {
            let port = Port { vlan: Some(vlan), ..Port::new(homenet) };
            create_all(netns.as_fd(), &[plugged("web0", 0, port)]).unwrap_err().to_string()
        };
        let hint = "bridge `homenet` does not filter vlans; ip link set homenet type bridge vlan_filtering 1 makes it";
        assert_eq!(refused(7), hint);
        assert_eq!(refused(0), "vlan 0: is not 1 to 4094");
        assert_eq!(refused(4095), "vlan 4095: is not 1 to 4094");
        assert_eq!(link_names(), ["homenet"]);
    });
}

/// Not every kernel is built with it: one that is not says so, and has no such bridge then.
fn vlan_parts_guests() {
    on_fresh_host(|| {
        let settings = Settings { vlan_filtering: true, ..Settings::default() };
        let homenet = match bridge::create("homenet", &settings) {
            Ok(index) => index,
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP), "{error}");
                assert_eq!(link_names(), Vec::<String>::new());
                return;
            }
        };
        assert!(Observed::read().unwrap().by_name("homenet").unwrap().bridge.unwrap().vlan_filtering);
        let vlan = |id| Port { vlan: Some(id), own_mac_only: true, ..Port::new(homenet) };
        let one = guest_with_address(plugged("one0", 1, vlan(10)));
        let two = guest_with_address(plugged("two0", 2, vlan(10)));
        let other = guest_with_address(plugged("other0", 3, vlan(20)));
        let default = guest_with_address(plugged("default0", 4, vlan(1)));
        assert!(pings(&one, "192.0.2.2") && pings(&two, "192.0.2.1"));
        assert!(pings_in_vain(&one, "192.0.2.3") && pings_in_vain(&other, "192.0.2.2"));
        assert!(pings_in_vain(&default, "192.0.2.1") && pings_in_vain(&default, "192.0.2.3"));
        let witness: Value = serde_json::from_str(&run("bridge -j vlan show dev one0")).unwrap();
        assert_eq!(
            witness[0]["vlans"],
            serde_json::json!([{"vlan": 10, "flags": ["PVID", "Egress Untagged"]}])
        );
        let index = Observed::read().unwrap().by_name("one0").unwrap().index;
        let vlans = observe::vlans().unwrap();
        let found: Vec<_> = vlans.iter().filter(|vlan| vlan.port == index).collect();
        assert_eq!(found, [&PortVlan { port: index, id: 10, untagged: true, default: true }]);
    });
}

fn bridge_is_found_or_made_and_never_changed() {
    on_fresh_host(|| {
        let settings =
            Settings { mac: Some("02:00:00:00:00:01".parse().unwrap()), stp: true, ..Settings::default() };
        let made = bridge::find_or_create("homenet", &settings).unwrap();
        let link = ip_one("link show homenet");
        assert_eq!((made.made, &link["ifindex"]), (true, &made.index.into()));
        assert_eq!(link["address"], "02:00:00:00:00:01");
        assert_eq!(link["linkinfo"]["info_data"]["stp_state"], 1);
        assert!(Observed::read().unwrap().by_name("homenet").unwrap().bridge.unwrap().stp);
        let again = bridge::find_or_create("homenet", &Settings::default()).unwrap();
        assert_eq!(again, Found { index: made.index, made: false });
        assert_eq!(ip_one("link show homenet")["linkinfo"]["info_data"]["stp_state"], 1);
        run("ip link add nic type veth");
        assert_eq!(
            bridge::find_or_create("nic", &settings).unwrap_err().to_string(),
            "link `nic` is not a bridge but a link of kind veth"
        );
    });
    // Of many at once, one makes it and all have the same.
    let host = Netns::create(None).unwrap();
    let found: Vec<Found> = std::thread::scope(|scope| {
        let find =
            || host.run_inside(|| bridge::find_or_create("homenet", &Settings::default())).unwrap().unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(find)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(found.iter().filter(|found| found.made).count(), 1);
    assert!(found.iter().all(|other| other.index == found[0].index));
}
