//! Limits of what passes through a cable.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

use serde_json::Value;
use subhost_net::bridge::{self, Settings};
use subhost_net::cable::{Deleted, create_all};
use subhost_net::limit::{Limits, Rate, lift, limit};
use subhost_net::name::LinkName;
use subhost_net::netns::Netns;
use subhost_net::observe::Observed;

use crate::host::{Test, cable, guest_with_address, ip_one, link_names, on_fresh_host, run};

pub(crate) const TESTS: &[Test] = &[
    ("limits_are_what_tc_shows", limits_are_what_tc_shows),
    ("limit_holds_back_what_goes_to_the_guest_and_what_comes_from_it", limit_holds_back),
    ("lifted_limits_leave_nothing", lifted_limits_leave_nothing),
    ("limit_of_a_cable_that_is_gone_is_found_by_the_next_of_its_name", limit_of_a_gone_cable),
    ("refused_limit_leaves_nothing", refused_limit_leaves_nothing),
];

const SLOW: Rate = Rate { bits_per_second: 80_000, burst_bytes: Some(3000) };

fn tc(words: &str) -> Vec<Value> {
    serde_json::from_str(&run(&format!("tc -j {words}"))).unwrap()
}

/// The ifindex and name of the host end of a cable that was just made.
fn web0() -> (u32, LinkName) {
    (Observed::read().unwrap().by_name("web0").unwrap().index, "web0".parse().unwrap())
}

fn limits_are_what_tc_shows() {
    on_fresh_host(|| {
        let netns = Netns::create(None).unwrap();
        create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap();
        let (index, name) = web0();
        let fast = Rate { bits_per_second: 40_000_000_000, burst_bytes: None };
        limit(index, &name, &Limits { to_guest: Some(SLOW), from_guest: Some(fast) }).unwrap();
        let qdiscs = tc("qdisc show dev web0");
        let of = |kind: &str| qdiscs.iter().find(|qdisc| qdisc["kind"] == kind).unwrap();
        // Bytes a second.
        assert_eq!((&of("tbf")["root"], &of("tbf")["options"]["rate"]), (&true.into(), &10_000.into()));
        assert_eq!(of("ingress")["parent"], "ffff:fff1");
        let names: Vec<String> = link_names();
        let ifb = names.iter().find(|name| name.starts_with("ifb-")).unwrap();
        let link = ip_one(&format!("link show {ifb}"));
        assert_eq!(link["altnames"], serde_json::json!(["web0-from-guest"]));
        assert_eq!(
            (&link["linkinfo"]["info_kind"], &link["inet6_addr_gen_mode"]),
            (&"ifb".into(), &"none".into())
        );
        assert_eq!(tc(&format!("qdisc show dev {ifb}"))[0]["options"]["rate"], 5_000_000_000_u64);
        let filters = tc("filter show dev web0 ingress");
        let action = filters.iter().find_map(|filter| filter["options"]["actions"].get(0)).unwrap();
        assert_eq!((&action["kind"], &action["mirred_action"]), (&"mirred".into(), &"redirect".into()));
        assert_eq!(action["to_dev"], **ifb);
    });
}

/// How many datagrams of a kilobyte are sent: no more than a socket keeps for its reader.
const SENT: usize = 60;

/// Sends from one namespace to an address in another, and counts what arrives.
fn arrives(sender: &Netns, receiver: &Netns, address: &str) -> usize {
    let socket = receiver.run_inside(|| UdpSocket::bind((address, 7000))).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    sender
        .run_inside(|| {
            let from = UdpSocket::bind("0.0.0.0:0").unwrap();
            // What a full queue drops is no error.
            let send = |_| from.send_to(&[7; 1000], (address, 7000)).is_ok();
            (0..SENT).filter(|number| send(*number)).count()
        })
        .unwrap();
    let mut buffer = [0; 2000];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count()
}

fn limit_holds_back() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        let guest = guest_with_address(cable("web0", 1, Some(homenet)));
        let other = guest_with_address(cable("other0", 2, Some(homenet)));
        // Both know each other's hardware address, so that no datagram waits for it.
        let (one, two) = ("192.0.2.1", "192.0.2.2");
        assert!(arrives(&guest, &other, two) > SENT / 2 && arrives(&other, &guest, one) > SENT / 2);
        let (index, name) = web0();
        // A few at once, and a few that wait: all of it would take six seconds.
        limit(index, &name, &Limits { to_guest: Some(SLOW), from_guest: None }).unwrap();
        assert!((1..SENT / 4).contains(&arrives(&other, &guest, one)));
        assert!(arrives(&guest, &other, two) > SENT / 2);
        lift(index, &name).unwrap();
        limit(index, &name, &Limits { to_guest: None, from_guest: Some(SLOW) }).unwrap();
        assert!((1..SENT / 4).contains(&arrives(&guest, &other, two)));
        assert!(arrives(&other, &guest, one) > SENT / 2);
    });
}

fn lifted_limits_leave_nothing() {
    on_fresh_host(|| {
        let netns = Netns::create(None).unwrap();
        create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap();
        let (index, name) = web0();
        let before = tc("qdisc show dev web0");
        limit(index, &name, &Limits { to_guest: Some(SLOW), from_guest: Some(SLOW) }).unwrap();
        assert_eq!(lift(index, &name).unwrap(), Deleted::Deleted);
        assert_eq!(tc("qdisc show dev web0"), before);
        assert_eq!(link_names(), ["web0"]);
        assert_eq!(lift(index, &name).unwrap(), Deleted::AlreadyGone);
        assert_eq!(lift(9999, &"web7".parse().unwrap()).unwrap(), Deleted::AlreadyGone);
    });
}

fn limit_of_a_gone_cable() {
    on_fresh_host(|| {
        for _ in 0..3 {
            let netns = Netns::create(None).unwrap();
            let made = create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap();
            let name = "web0".parse().unwrap();
            limit(made[0].host_ifindex, &name, &Limits { to_guest: None, from_guest: Some(SLOW) }).unwrap();
            drop(netns);
            subhost_net::cable::wait_gone(&[name], Duration::from_secs(10)).unwrap();
            assert_eq!(link_names().len(), 1, "{:?}", link_names());
        }
        assert_eq!(lift(9999, &"web0".parse().unwrap()).unwrap(), Deleted::Deleted);
        assert_eq!(link_names(), Vec::<String>::new());
    });
}

fn refused_limit_leaves_nothing() {
    on_fresh_host(|| {
        let netns = Netns::create(None).unwrap();
        create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap();
        let (index, name) = web0();
        let to = |rate| limit(index, &name, &Limits { to_guest: Some(rate), from_guest: Some(SLOW) });
        assert_eq!(
            to(Rate { bits_per_second: 7, burst_bytes: None }).unwrap_err().to_string(),
            "rate of 7 bit/s: is less than a byte each second"
        );
        assert_eq!(
            to(Rate { bits_per_second: 8000, burst_bytes: Some(100) }).unwrap_err().to_string(),
            "rate of 8000 bit/s: is a burst that no whole frame fits in"
        );
        // Somebody else's link with the name that is needed, and somebody else's filter.
        limit(index, &name, &Limits { to_guest: None, from_guest: Some(SLOW) }).unwrap();
        let ifb = link_names().into_iter().find(|name| name.starts_with("ifb-")).unwrap();
        lift(index, &name).unwrap();
        run(&format!("ip link add {ifb} type bridge"));
        let refused =
            limit(index, &name, &Limits { to_guest: Some(SLOW), from_guest: Some(SLOW) }).unwrap_err();
        assert!(refused.to_string().contains("is not `web0-from-guest` but"), "{refused}");
        assert!(tc("qdisc show dev web0").iter().all(|qdisc| qdisc["kind"] != "tbf"));
        assert_eq!(ip_one(&format!("link show {ifb}"))["linkinfo"]["info_kind"], "bridge");
        let error = limit(9999, &"web9".parse().unwrap(), &Limits { to_guest: Some(SLOW), from_guest: None });
        assert!(error.unwrap_err().to_string().starts_with("limit what leaves by web9: No such device"));
    });
}
