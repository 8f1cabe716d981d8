//! Macvlans, and interfaces of the host that go inside and come back.

use std::os::fd::AsFd;

use subhost_net::address::{Setup, configure};
use subhost_net::bridge::{self, Settings};
use subhost_net::cable::create_all;
use subhost_net::netns::Netns;
use subhost_net::observe::Observed;
use subhost_net::uplink::{Macvlan, MacvlanMode, create_macvlan, move_back, move_in};

use crate::host::{Test, cable, guest_mac, ip_one, link_names, on_fresh_host, pings, pings_in_vain, run};

pub(crate) const TESTS: &[Test] = &[
    ("macvlan_has_what_was_asked_for_and_goes_with_its_netns", macvlan_has_what_was_asked_for),
    ("macvlans_reach_each_other_by_their_mode", macvlans_reach_each_other_by_their_mode),
    ("interface_goes_in_and_comes_back_as_it_was", interface_goes_in_and_comes_back_as_it_was),
    ("what_cannot_be_moved_stays", what_cannot_be_moved_stays),
];

/// A veth that plays the network card `nic`, and what the wire leads to: the address 192.0.2.254.
fn wired() -> (u32, Netns) {
    let outside = Netns::create(None).unwrap();
    create_all(outside.as_fd(), &[cable("nic", 9, None)]).unwrap();
    let address = ("eth9".parse().unwrap(), "192.0.2.254/24".parse().unwrap());
    configure(&outside, &Setup { addresses: vec![address], ..Setup::default() }).unwrap();
    (Observed::read().unwrap().by_name("nic").unwrap().index, outside)
}

fn macvlan(parent: u32, index: u8, mode: MacvlanMode) -> Macvlan {
    let guest_name = "eth0".parse().unwrap();
    Macvlan { parent, guest_name, guest_mac: guest_mac(index), mtu: None, mode }
}

/// A guest with a macvlan and the address 192.0.2.N.
fn guest(parent: u32, index: u8, mode: MacvlanMode) -> Netns {
    let netns = Netns::create(None).unwrap();
    create_macvlan(netns.as_fd(), &macvlan(parent, index, mode)).unwrap();
    let address = ("eth0".parse().unwrap(), format!("192.0.2.{index}/24").parse().unwrap());
    configure(&netns, &Setup { addresses: vec![address], ..Setup::default() }).unwrap();
    netns
}

fn macvlan_has_what_was_asked_for() {
    for (mode, word) in [
        (MacvlanMode::Bridge, "bridge"),
        (MacvlanMode::Private, "private"),
        (MacvlanMode::Vepa, "vepa"),
        (MacvlanMode::Passthru, "passthru"),
    ] {
        on_fresh_host(|| {
            let (nic, _outside) = wired();
            let netns = Netns::create(None).unwrap();
            let wanted = Macvlan { mtu: Some(1400), ..macvlan(nic, 1, mode) };
            create_macvlan(netns.as_fd(), &wanted).unwrap();
            let link = netns.run_inside(|| ip_one("link show eth0")).unwrap();
            assert_eq!(link["linkinfo"]["info_kind"], "macvlan");
            assert_eq!(link["linkinfo"]["info_data"]["mode"], word);
            assert_eq!((&link["mtu"], &link["link_index"]), (&1400.into(), &nic.into()));
            let mac = if mode == MacvlanMode::Passthru { "fe:a7:dd:b4:02:09" } else { "06:a7:dd:b4:02:01" };
            assert_eq!(link["address"], mac, "{word}");
            assert_eq!(link_names(), ["nic"]);
        });
    }
    on_fresh_host(|| {
        let (nic, _outside) = wired();
        let netns = Netns::create(None).unwrap();
        let make =
            |parent, mac: u8| create_macvlan(netns.as_fd(), &macvlan(parent, mac, MacvlanMode::Bridge));
        make(nic, 1).unwrap();
        assert_eq!(make(nic, 2).unwrap_err().to_string(), "link `eth0` exists already");
        let elsewhere = Netns::create(None).unwrap();
        let error = create_macvlan(elsewhere.as_fd(), &macvlan(9999, 1, MacvlanMode::Bridge)).unwrap_err();
        assert!(error.to_string().starts_with("create macvlan eth0: No such device"), "{error}");
        let parent = Macvlan {
            guest_mac: "01:00:00:00:00:01".parse().unwrap(),
            ..macvlan(nic, 1, MacvlanMode::Bridge)
        };
        let error = create_macvlan(netns.as_fd(), &parent).unwrap_err().to_string();
        assert_eq!(
            error,
            "hardware address `01:00:00:00:00:01`: is a multicast address, which no interface can have"
        );
        assert_eq!(netns.run_inside(link_names).unwrap(), ["eth0"]);
    });
}

fn macvlans_reach_each_other_by_their_mode() {
    on_fresh_host(|| {
        let (nic, _outside) = wired();
        run("ip link set nic up");
        let (one, two) = (guest(nic, 1, MacvlanMode::Bridge), guest(nic, 2, MacvlanMode::Bridge));
        assert!(pings(&one, "192.0.2.254") && pings(&one, "192.0.2.2") && pings(&two, "192.0.2.1"));
        let three = guest(nic, 3, MacvlanMode::Private);
        assert!(
            pings(&three, "192.0.2.254")
                && pings_in_vain(&three, "192.0.2.1")
                && pings_in_vain(&one, "192.0.2.3")
        );
    });
}

fn interface_goes_in_and_comes_back_as_it_was() {
    on_fresh_host(|| {
        let (_, _outside) = wired();
        run("ip link set nic mtu 1400");
        let before = ip_one("link show nic");
        let netns = Netns::create(None).unwrap();
        let (nic, eth0) = ("nic".parse().unwrap(), "eth0".parse().unwrap());
        let moved = move_in(&netns, &nic, &eth0).unwrap();
        assert_eq!(link_names(), Vec::<String>::new());
        let address = ("eth0".parse().unwrap(), "192.0.2.1/24".parse().unwrap());
        configure(&netns, &Setup { addresses: vec![address], ..Setup::default() }).unwrap();
        assert!(pings(&netns, "192.0.2.254"));
        // Whatever the guest did to it.
        netns
            .run_inside(|| {
                run("ip link set eth0 down");
                run("ip link set eth0 name mine mtu 1300 address 06:00:00:00:00:77");
                run("ip link add eth0 type bridge");
            })
            .unwrap();
        move_back(&netns, &moved).unwrap();
        let after = ip_one("link show nic");
        assert_eq!((&after["address"], &after["mtu"]), (&before["address"], &before["mtu"]));
        assert_eq!(netns.run_inside(link_names).unwrap(), ["eth0"]);
        // It is gone from there.
        let gone = move_back(&netns, &moved).unwrap_err();
        assert!(
            gone.raw_os_error() == Some(libc::ENODEV) || gone.to_string().contains("is not `nic`"),
            "{gone}"
        );
        assert_eq!(link_names(), ["nic"]);
    });
}

fn what_cannot_be_moved_stays() {
    on_fresh_host(|| {
        bridge::create("homenet", &Settings::default()).unwrap();
        run("ip link add port master homenet type veth peer name other");
        let netns = Netns::create(None).unwrap();
        let eth0 = "eth0".parse().unwrap();
        for (name, why) in [
            (
                "lo",
                "link `lo` cannot be moved: it is the loopback interface, of which each namespace has its own",
            ),
            ("homenet", "link `homenet` cannot be moved: it is a bridge"),
            ("port", "link `port` cannot be moved: it is a port of a bridge or bond"),
            ("nothing", "read link nothing: No such device (os error 19)"),
        ] {
            assert_eq!(move_in(&netns, &name.parse().unwrap(), &eth0).unwrap_err().to_string(), why);
        }
        netns.run_inside(|| run("ip link add eth0 type bridge")).unwrap();
        let taken = move_in(&netns, &"other".parse().unwrap(), &eth0).unwrap_err();
        assert_eq!(taken.to_string(), "link `eth0` exists already");
        let mut names = link_names();
        names.sort();
        assert_eq!(names, ["homenet", "other", "port"]);
    });
}
