//! The rule for the addresses that a guest may send from.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use serde_json::Value;
use subhost_net::address::{Setup, configure};
use subhost_net::bridge::{self, Settings};
use subhost_net::cable::{create_all, wait_gone};
use subhost_net::guard::{allow_all, allow_only};
use subhost_net::netns::Netns;
use subhost_net::port::Port;

use crate::host::{Test, cable, guest_with_address, on_fresh_host, pings, pings_in_vain, run};

pub(crate) const TESTS: &[Test] = &[
    ("guest_is_heard_from_its_own_addresses_only", guest_is_heard_from_its_own_addresses_only),
    ("rule_is_what_nft_shows_and_is_replaced_whole", rule_is_what_nft_shows_and_is_replaced_whole),
    ("rule_of_a_cable_that_is_gone_is_no_hindrance", rule_of_a_gone_cable_is_no_hindrance),
    ("refused_rule_leaves_the_one_before", refused_rule_leaves_the_one_before),
    ("isolation_outlives_a_flushed_firewall", isolation_outlives_a_flushed_firewall),
];

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The tables of nftables.
fn tables() -> Vec<String> {
    let json: Value = serde_json::from_str(&run("nft -j list tables")).unwrap();
    let tables = json["nftables"].as_array().unwrap().iter();
    tables.filter_map(|entry| entry["table"]["name"].as_str().map(str::to_owned)).collect()
}

fn guest_is_heard_from_its_own_addresses_only() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip address add 192.0.2.254/24 dev homenet");
        run("ip address add 2001:db8::fe/64 dev homenet nodad");
        let guest = guest_with_address(cable("web0", 1, Some(homenet)));
        let second = ("eth1".parse().unwrap(), "2001:db8::1/64".parse().unwrap());
        configure(&guest, &Setup { addresses: vec![second], ..Setup::default() }).unwrap();
        let name = "web0".parse().unwrap();
        allow_only(&name, &addresses(&["192.0.2.1", "2001:db8::1"])).unwrap();
        assert!(pings(&guest, "192.0.2.254") && pings(&guest, "2001:db8::fe"));
        // By addresses that are not its own.
        guest
            .run_inside(|| {
                run("ip address flush dev eth1 scope global");
                run("ip address add 192.0.2.99/24 dev eth1");
                run("ip address add 2001:db8::99/64 dev eth1 nodad");
            })
            .unwrap();
        assert!(pings_in_vain(&guest, "192.0.2.254") && pings_in_vain(&guest, "2001:db8::fe"));
        allow_all(&name).unwrap();
        assert!(pings(&guest, "192.0.2.254") && pings(&guest, "2001:db8::fe"));
        assert_eq!(tables(), Vec::<String>::new());
    });
}

fn rule_is_what_nft_shows_and_is_replaced_whole() {
    on_fresh_host(|| {
        let netns = Netns::create(None).unwrap();
        create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap();
        let name = "web0".parse().unwrap();
        // More than would go out in one send of requests that are no transaction.
        let many: Vec<IpAddr> = (1..=60).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        allow_only(&name, &many).unwrap();
        assert_eq!(run("nft list table netdev subhost-web0").matches("accept").count(), 121);
        allow_only(&name, &addresses(&["192.0.2.7", "2001:db8::7"])).unwrap();
        let text = run("nft list table netdev subhost-web0");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "table netdev subhost-web0 {",
                "chain from-guest {",
                "type filter hook ingress device \"web0\" priority filter; policy drop;",
                "ip saddr 192.0.2.7 accept",
                "arp saddr ip 192.0.2.7 accept",
                "ip6 saddr 2001:db8::7 accept",
                "arp saddr ip 0.0.0.0 accept",
                "ip6 saddr :: accept",
                "ip6 saddr fe80::/64 accept",
                "}",
                "}",
            ],
            "{text}"
        );
        assert_eq!(tables(), ["subhost-web0"]);
    });
}

fn rule_of_a_gone_cable_is_no_hindrance() {
    on_fresh_host(|| {
        let name = || "web0".parse().unwrap();
        for _ in 0..3 {
            let netns = Netns::create(None).unwrap();
            create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap();
            allow_only(&name(), &addresses(&["192.0.2.7"])).unwrap();
            drop(netns);
            wait_gone(&[name()], Duration::from_secs(10)).unwrap();
        }
        // The table is left at most, until it is taken away, more than once without harm.
        allow_all(&name()).unwrap();
        allow_all(&name()).unwrap();
        assert_eq!(tables(), Vec::<String>::new());
    });
}

fn refused_rule_leaves_the_one_before() {
    on_fresh_host(|| {
        let netns = Netns::create(None).unwrap();
        create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap();
        let name = "web0".parse().unwrap();
        allow_only(&name, &addresses(&["192.0.2.7"])).unwrap();
        let before = run("nft list ruleset");
        let error = allow_only(&name, &addresses(&["224.0.0.1"])).unwrap_err().to_string();
        assert_eq!(error, "address `224.0.0.1`: is a multicast address, which no interface can have");
        assert_eq!(run("nft list ruleset"), before);
        let error = allow_only(&"web9".parse().unwrap(), &addresses(&["192.0.2.7"])).unwrap_err().to_string();
        assert_eq!(error, "find interface web9: No such device (os error 19)");
        assert_eq!(run("nft list ruleset"), before);
    });
}

/// A firewall that is loaded anew takes rules away, and not the bridge's flags.
fn isolation_outlives_a_flushed_firewall() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip address add 192.0.2.254/24 dev homenet");
        let port = Port { isolated: true, own_mac_only: true, ..Port::new(homenet) };
        let plugged =
            |name, index| subhost_net::cable::Cable { port: Some(port), ..cable(name, index, None) };
        let (one, two) = (guest_with_address(plugged("one0", 1)), guest_with_address(plugged("two0", 2)));
        allow_only(&"one0".parse().unwrap(), &addresses(&["192.0.2.1"])).unwrap();
        run("nft flush ruleset");
        assert_eq!(tables(), Vec::<String>::new());
        assert!(pings(&one, "192.0.2.254") && pings(&two, "192.0.2.254"));
        assert!(pings_in_vain(&one, "192.0.2.2") && pings_in_vain(&two, "192.0.2.1"));
        one.run_inside(|| run("ip link set eth1 address 06:a7:dd:b4:02:02")).unwrap();
        assert!(pings_in_vain(&one, "192.0.2.254"));
    });
}
