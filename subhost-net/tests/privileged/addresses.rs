//! Addresses and routes, set from outside.

use std::net::IpAddr;
use std::os::fd::AsFd;

use serde_json::Value;
use subhost_net::address::{Prefixed, Route, Setup, configure};
use subhost_net::bridge::{self, Settings};
use subhost_net::cable::create_all;
use subhost_net::netns::Netns;
use subhost_net::observe::Observed;

use crate::host::{Test, cable, ip, ip_one, on_fresh_host, pings, pings_in_vain, run, user_namespace};

pub(crate) const TESTS: &[Test] = &[
    ("addresses_and_routes_are_those_that_were_asked_for", addresses_and_routes),
    ("guest_reaches_the_world_through_its_default_gateway", through_the_gateway),
    ("refused_address_or_route_is_named", refused_is_named),
    ("observed_addresses_are_those_of_ip", observed_addresses),
];

fn setup(addresses: &[(&str, &str)], routes: &[(Option<&str>, Option<&str>, Option<&str>)]) -> Setup {
    let route = |(to, via, interface): &(Option<&str>, Option<&str>, Option<&str>)| Route {
        to: to.map(|to| to.parse().unwrap()),
        via: via.map(|via| via.parse::<IpAddr>().unwrap()),
        interface: interface.map(|name| name.parse().unwrap()),
    };
    Setup {
        addresses: addresses.iter().map(|(name, at)| (name.parse().unwrap(), at.parse().unwrap())).collect(),
        routes: routes.iter().map(route).collect(),
        up: Vec::new(),
    }
}

fn addresses_and_routes() {
    on_fresh_host(|| {
        let owner = user_namespace();
        let netns = Netns::create(Some(owner.as_fd())).unwrap();
        create_all(netns.as_fd(), &[cable("web0", 0, None), cable("web1", 1, None), cable("web2", 2, None)])
            .unwrap();
        let mut wanted = setup(
            &[("eth0", "192.0.2.7/24"), ("eth0", "2001:db8::7/64"), ("eth1", "10.1.2.3/32")],
            &[
                (Some("10.9.0.0/16"), None, Some("eth1")),
                (None, Some("192.0.2.1"), None),
                (None, Some("2001:db8::1"), None),
                (Some("2001:db8:7::/48"), Some("fe80::1"), Some("eth0")),
            ],
        );
        wanted.up.push("eth2".parse().unwrap());
        configure(&netns, &wanted).unwrap();
        netns
            .run_inside(|| {
                let of = |name: &str| -> Vec<String> {
                    let link = ip_one(&format!("address show {name}"));
                    assert!(link["flags"].as_array().unwrap().contains(&"UP".into()), "{link:#}");
                    let infos = link["addr_info"].as_array().unwrap().iter();
                    let not_own = infos.filter(|info| info["scope"] == "global");
                    not_own
                        .map(|info| format!("{}/{}", info["local"].as_str().unwrap(), info["prefixlen"]))
                        .collect()
                };
                assert_eq!(of("eth0"), ["192.0.2.7/24", "2001:db8::7/64"]);
                assert_eq!(of("eth1"), ["10.1.2.3/32"]);
                assert_eq!(of("eth2"), Vec::<String>::new());
                assert_eq!(of("lo"), Vec::<String>::new());
                let link = ip_one("address show eth0");
                assert_eq!(link["addr_info"][0]["broadcast"], "192.0.2.255");
                let is_usable = |info: &Value| info["scope"] != "global" || info["tentative"].is_null();
                assert!(link["addr_info"].as_array().unwrap().iter().all(is_usable), "{link:#}");
                let routes = |family: &str| -> Vec<(String, Option<String>, String)> {
                    let routes = ip(&format!("{family} route show"));
                    let text = |value: &Value| value.as_str().map(str::to_owned);
                    let route = |route: &Value| {
                        (text(&route["dst"]).unwrap(), text(&route["gateway"]), text(&route["dev"]).unwrap())
                    };
                    routes.as_array().unwrap().iter().map(route).collect()
                };
                let is = |to: &str, via: Option<&str>, on: &str| {
                    (to.to_owned(), via.map(str::to_owned), on.to_owned())
                };
                let v4 = routes("-4");
                assert!(v4.contains(&is("default", Some("192.0.2.1"), "eth0")), "{v4:?}");
                assert!(v4.contains(&is("10.9.0.0/16", None, "eth1")), "{v4:?}");
                let v6 = routes("-6");
                assert!(v6.contains(&is("default", Some("2001:db8::1"), "eth0")), "{v6:?}");
                assert!(v6.contains(&is("2001:db8:7::/48", Some("fe80::1"), "eth0")), "{v6:?}");
                run("busybox ping -c 1 -W 5 127.0.0.1");
            })
            .unwrap();
    });
}

fn through_the_gateway() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip address add 192.0.2.254/24 dev homenet");
        run("ip address add 2001:db8::fe/64 dev homenet nodad");
        run("ip address add 198.51.100.1/32 dev homenet");
        run("ip address add 2001:db8:ffff::1/128 dev homenet nodad");
        let netns = Netns::create(None).unwrap();
        create_all(netns.as_fd(), &[cable("web0", 0, Some(homenet))]).unwrap();
        let addresses = [("eth0", "192.0.2.1/24"), ("eth0", "2001:db8::1/64")];
        configure(&netns, &setup(&addresses, &[])).unwrap();
        assert!(pings(&netns, "192.0.2.254") && pings(&netns, "2001:db8::fe"));
        assert!(pings_in_vain(&netns, "198.51.100.1"));
        let gateways = [(None, Some("192.0.2.254"), None), (None, Some("2001:db8::fe"), None)];
        configure(&netns, &setup(&[], &gateways)).unwrap();
        assert!(pings(&netns, "198.51.100.1") && pings(&netns, "2001:db8:ffff::1"));
    });
}

fn refused_is_named() {
    on_fresh_host(|| {
        let netns = Netns::create(None).unwrap();
        create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap();
        let error = |setup: Setup| configure(&netns, &setup).unwrap_err().to_string();
        assert_eq!(
            error(setup(&[("eth7", "192.0.2.1/24")], &[])),
            "find interface eth7: No such device (os error 19)"
        );
        assert_eq!(
            error(setup(&[("eth0", "0.0.0.0/8")], &[])),
            "address `0.0.0.0/8`: is all zero, which no interface can have"
        );
        assert_eq!(
            error(setup(&[("eth0", "ff02::1/64")], &[])),
            "address `ff02::1/64`: is a multicast address, which no interface can have"
        );
        assert_eq!(
            error(setup(&[], &[(Some("10.0.0.0/8"), Some("2001:db8::1"), None)])),
            "address `2001:db8::1`: is of another family than its route"
        );
        assert_eq!(
            error(setup(&[], &[(Some("10.0.0.0/8"), None, None)])),
            "address `10.0.0.0/8`: is a route without a next hop and an interface"
        );
        let out_of_reach = error(setup(&[("eth0", "192.0.2.1/24")], &[(None, Some("203.0.113.1"), None)]));
        assert!(out_of_reach.starts_with("add route default via 203.0.113.1: "), "{out_of_reach}");
        assert!(out_of_reach.contains("gateway"), "{out_of_reach}");
        let twice = error(setup(&[("eth0", "192.0.2.1/24")], &[]));
        assert!(twice.starts_with("add address 192.0.2.1/24 to eth0: File exists"), "{twice}");
    });
}

fn observed_addresses() {
    on_fresh_host(|| {
        run("ip link set lo up");
        run("ip link add nic type veth");
        for number in 0..300 {
            run(&format!("ip address add 10.0.{}.{}/24 dev nic", number / 256, number % 256));
        }
        run("ip address add 192.0.2.1 peer 192.0.2.2/32 dev nic");
        let observed = Observed::read().unwrap();
        let nic = observed.by_name("nic").unwrap().index;
        let of = |index: u32| observed.addresses_of(index);
        let expected = |text: &str| -> Prefixed { text.parse().unwrap() };
        assert_eq!(of(1).collect::<Vec<_>>(), [expected("127.0.0.1/8"), expected("::1/128")]);
        assert_eq!(of(nic).filter(|address| address.address().is_ipv4()).count(), 301);
        assert!(of(nic).any(|address| address == expected("10.0.1.43/24")));
        assert!(of(nic).any(|address| address == expected("192.0.2.1/32")));
    });
}
