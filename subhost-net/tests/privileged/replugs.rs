//! A network namespace that is kept when its guest restarts.

use std::os::fd::AsFd;

use subhost_net::bridge::{self, Settings};
use subhost_net::cable::{CreatedCable, create_all};
use subhost_net::netns::Netns;
use subhost_net::observe::Observed;
use subhost_net::replug::renew;
use subhost_net::uplink::move_in;

use crate::host::{Test, cable, ip_one, link_names, on_fresh_host, run};

pub(crate) const TESTS: &[Test] = &[
    ("a_renewed_netns_has_its_cables_as_they_were_born", a_renewed_netns_has_its_cables_as_they_were_born),
    ("a_cable_that_is_not_whole_is_not_renewed", a_cable_that_is_not_whole_is_not_renewed),
];

/// All that `ip` tells of the links, addresses and routes of a namespace.
fn told(netns: &Netns) -> [String; 4] {
    let words = ["-d link", "address", "-4 route show table all", "-6 route show table all"];
    netns.run_inside(|| words.map(|words| run(&format!("ip -o {words}")))).unwrap()
}

fn a_renewed_netns_has_its_cables_as_they_were_born() {
    on_fresh_host(|| {
        bridge::create("br0", &Settings::default()).unwrap();
        let bridge = Observed::read().unwrap().by_name("br0").unwrap().index;
        let cables = [cable("web0", 1, Some(bridge)), cable("web1", 2, None)];
        let netns = Netns::create(None).unwrap();
        netns.run_inside(|| run("ip link set lo up")).unwrap();
        let made = create_all(netns.as_fd(), &cables).unwrap();
        let as_born = told(&netns);
        let host = ip_one("-d link show web0");
        let whole: Vec<_> = made.iter().zip(cables).map(|(it, cable)| (it.host_ifindex, cable)).collect();
        // The guest has renamed, crossed, added, and left rules behind.
        let commands = "ip link set eth1 name x
            ip link set eth2 name eth1 address 06:00:00:00:00:77 mtu 1400
            ip link set x up
            ip link set eth1 up
            ip address add 192.0.2.7/24 dev x
            ip address add 192.0.2.9/32 dev lo
            ip address add 2001:db8::7/64 dev x
            ip route add default via 192.0.2.1
            ip link add eth2 type veth peer name eth7
            ip link add br9 type bridge
            ip link set eth1 master br9
            tc qdisc add dev x root tbf rate 1mbit burst 10k latency 1s
            nft add table inet mine";
        for _ in 0..2 {
            netns
                .run_inside(|| {
                    for command in commands.lines() {
                        run(command.trim());
                    }
                })
                .unwrap();
            assert!(renew(&netns, &whole).unwrap());
            assert_eq!(told(&netns), as_born);
            assert_eq!(netns.run_inside(|| run("nft list ruleset")).unwrap(), "");
        }
        let after = ip_one("-d link show web0");
        for key in ["ifindex", "address", "master", "mtu", "link_netnsid"] {
            assert_eq!(after[key], host[key], "{key}");
        }
    });
}

fn a_cable_that_is_not_whole_is_not_renewed() {
    for spoil in
        ["away", "ip link delete eth1", "host ip link set web0 name other", "host ip link set web0 nomaster"]
    {
        on_fresh_host(|| {
            bridge::create("br0", &Settings::default()).unwrap();
            let bridge = Observed::read().unwrap().by_name("br0").unwrap().index;
            let cable = cable("web0", 1, Some(bridge));
            let netns = Netns::create(None).unwrap();
            let [CreatedCable { host_ifindex }] =
                create_all(netns.as_fd(), std::slice::from_ref(&cable)).unwrap()[..]
            else {
                panic!("one cable")
            };
            let elsewhere = Netns::create(None).unwrap();
            let away = || drop(move_in(&elsewhere, &cable.guest_name, &"x".parse().unwrap()).unwrap());
            match spoil.strip_prefix("host ") {
                Some(spoil) => {
                    // Before 6.2 none is renamed that is up.
                    run("ip link set web0 down");
                    run(spoil);
                }
                None if spoil == "away" => netns.run_inside(away).unwrap(),
                None => drop(netns.run_inside(|| run(spoil)).unwrap()),
            }
            assert!(!renew(&netns, &[(host_ifindex, cable)]).unwrap(), "{spoil}: {:?}", link_names());
        });
    }
}
