//! Making and losing cables.

use std::os::fd::AsFd;
use std::time::Duration;

use subhost_net::bridge::{self, Settings};
use subhost_net::cable::{self, Cable, Deleted, create_all, create_all_waiting, delete_host_end, wait_gone};
use subhost_net::netns::Netns;
use subhost_net::observe::Observed;

use crate::host::{Test, cable, ip, ip_one, link_names, on_fresh_host, run, user_namespace, wait_for};

pub(crate) const TESTS: &[Test] = &[
    (
        "cable_has_the_names_macs_and_bridge_that_were_asked_for",
        cable_has_the_names_macs_and_bridge_that_were_asked_for,
    ),
    ("port_forwards_only_once_the_guest_has_brought_up_its_end", port_forwards_once_the_guest_is_up),
    ("cables_leave_the_bridges_own_mac_alone", cables_leave_the_bridges_own_mac_alone),
    ("host_end_gets_no_ipv6_address", host_end_gets_no_ipv6_address),
    ("sixteen_cables_in_one_batch", sixteen_cables_in_one_batch),
    ("five_hundred_cables_in_one_netns", five_hundred_cables_in_one_netns),
    ("long_name_becomes_altname", long_name_becomes_altname),
    ("error_in_the_middle_leaves_nothing", error_in_the_middle_leaves_nothing),
    ("impossible_macs_and_doubled_names_are_refused_before_anything_is_made", impossible_is_refused_before),
    ("taken_host_name_is_named_and_its_holder_untouched", taken_host_name_is_named_and_its_holder_untouched),
    ("taken_guest_name_is_named", taken_guest_name_is_named),
    ("taken_altname_is_named_and_leaves_nothing", taken_altname_is_named_and_leaves_nothing),
    ("of_many_makers_of_one_name_one_wins", of_many_makers_of_one_name_one_wins),
    ("dropped_netns_takes_its_cables_along", dropped_netns_takes_its_cables_along),
    ("name_of_a_dying_cable_is_waited_for", name_of_a_dying_cable_is_waited_for),
    (
        "name_that_stays_taken_is_waited_for_no_longer_than_asked",
        name_that_stays_taken_is_waited_for_no_longer,
    ),
    ("delete_takes_both_ends_and_finds_them_gone_later", delete_takes_both_ends_and_finds_them_gone_later),
    ("delete_refuses_a_link_that_is_not_ours", delete_refuses_a_link_that_is_not_ours),
    (
        "guest_that_deletes_its_end_leaves_nothing_to_delete",
        guest_that_deletes_its_end_leaves_nothing_to_delete,
    ),
];

fn guest() -> Netns {
    Netns::create(None).unwrap()
}

fn cable_has_the_names_macs_and_bridge_that_were_asked_for() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        let owner = user_namespace();
        let netns = Netns::create(Some(owner.as_fd())).unwrap();
        let made = create_all(netns.as_fd(), &[Cable { mtu: Some(1400), ..cable("web0", 0, Some(homenet)) }])
            .unwrap();

        let host = ip_one("link show web0");
        assert_eq!(host["ifindex"], made[0].host_ifindex);
        assert_eq!(host["address"], "fe:a7:dd:b4:02:00");
        assert_eq!(host["master"], "homenet");
        assert_eq!(host["mtu"], 1400);
        assert!(host["flags"].as_array().unwrap().contains(&"UP".into()));
        let ports: serde_json::Value = serde_json::from_str(&run("bridge -j link show")).unwrap();
        assert_eq!(ports[0]["ifname"], "web0");
        assert_eq!(ports[0]["master"], "homenet");

        let inside = netns.run_inside(|| ip_one("link show eth0")).unwrap();
        assert_eq!(inside["address"], "06:a7:dd:b4:02:00");
        assert_eq!(inside["mtu"], 1400);
        assert!(!inside["flags"].as_array().unwrap().contains(&"UP".into()));
        assert_eq!(link_names(), ["homenet", "web0"]);

        let observed = Observed::read().unwrap();
        assert_eq!(observed.ports_of(homenet).map(|link| link.name.as_str()).collect::<Vec<_>>(), ["web0"]);
        assert_eq!(host["link_netnsid"], observed.by_name("web0").unwrap().peer_netnsid.unwrap());
    });
}

/// Neither is waited for at creation: the bridge, nor the kernel taking queues away again.
fn port_forwards_once_the_guest_is_up() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        let netns = guest();
        create_all(netns.as_fd(), &[cable("web0", 0, Some(homenet))]).unwrap();
        let port = || ip_one("-d link show web0");
        let state = |port: &serde_json::Value| port["linkinfo"]["info_slave_data"]["state"].clone();
        assert_eq!(state(&port()), "disabled");
        let inside = netns.run_inside(|| ip_one("-d link show eth0")).unwrap();
        for end in [port(), inside] {
            assert_eq!((&end["num_tx_queues"], &end["num_rx_queues"]), (&1.into(), &1.into()), "{end}");
        }
        netns.run_inside(|| run("ip link set eth0 up")).unwrap();
        wait_for("the port", || state(&port()) == "forwarding");
        assert_eq!(port()["operstate"], "UP");
    });
}

fn cables_leave_the_bridges_own_mac_alone() {
    on_fresh_host(|| {
        // One with an address of its own, and one that has it from a real interface.
        bridge::create("own", &Settings::default()).unwrap();
        run("ip link add lan type bridge");
        run("ip link add nic address 52:54:00:12:34:56 master lan type veth");
        for name in ["own", "lan"] {
            let before = ip_one(&format!("link show {name}"))["address"].clone();
            let netns = guest();
            let index = bridge::find(name).unwrap();
            let cables =
                [cable(&format!("{name}0"), 0, Some(index)), cable(&format!("{name}1"), 1, Some(index))];
            create_all(netns.as_fd(), &cables).unwrap();
            assert_eq!(ip_one(&format!("link show {name}"))["address"], before);
        }
        assert_eq!(ip_one("link show lan")["address"], "52:54:00:12:34:56");
    });
}

fn host_end_gets_no_ipv6_address() {
    on_fresh_host(|| {
        let netns = guest();
        create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap();
        netns.run_inside(|| run("ip link set eth0 up")).unwrap();
        assert_eq!(ip_one("link show web0")["inet6_addr_gen_mode"], "none");
        assert_eq!(ip_one("link show web0")["operstate"], "UP");
        assert_eq!(ip_one("address show web0")["addr_info"], serde_json::json!([]));
    });
}

fn sixteen_cables_in_one_batch() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        let netns = guest();
        let cables: Vec<_> =
            (0..16).map(|index| cable(&format!("web{index}"), index, Some(homenet))).collect();
        let made = create_all(netns.as_fd(), &cables).unwrap();
        assert_eq!(made.len(), 16);
        let inside = netns.run_inside(|| ip("link show")).unwrap();
        for (index, made) in made.iter().enumerate() {
            let host = ip_one(&format!("link show web{index}"));
            assert_eq!(host["ifindex"], made.host_ifindex);
            assert_eq!(host["master"], "homenet");
            let inside = inside
                .as_array()
                .unwrap()
                .iter()
                .find(|link| link["ifname"] == format!("eth{index}"))
                .unwrap();
            assert_eq!(inside["address"], format!("06:a7:dd:b4:02:{index:02x}"));
        }
    });
}

fn five_hundred_cables_in_one_netns() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        let netns = guest();
        let cables: Vec<_> = (0..500)
            .map(|index: u16| Cable {
                guest_name: format!("eth{index}").parse().unwrap(),
                altname: Some(format!("a-long-name-for-web{index}")),
                ..cable(&format!("web{index}"), index.to_be_bytes()[1], Some(homenet))
            })
            .collect();
        assert_eq!(create_all(netns.as_fd(), &cables).unwrap().len(), 500);
        assert_eq!(link_names().len(), 501);
        assert_eq!(netns.run_inside(link_names).unwrap().len(), 500);
        assert_eq!(Observed::read().unwrap().ports_of(homenet).count(), 500);
    });
}

fn long_name_becomes_altname() {
    on_fresh_host(|| {
        let netns = guest();
        let names = subhost_net::name::host_end("accounting-production", 0).unwrap();
        create_all(
            netns.as_fd(),
            &[Cable { host_name: names.name, altname: names.altname, ..cable("x", 0, None) }],
        )
        .unwrap();
        let host = ip_one("link show accounting-production0");
        assert_eq!(host["ifname"], "account-wriidc0");
        assert_eq!(host["altnames"], serde_json::json!(["accounting-production0"]));
        let observed = Observed::read().unwrap();
        assert_eq!(observed.by_name("accounting-production0").unwrap().name, "account-wriidc0");
    });
}

fn error_in_the_middle_leaves_nothing() {
    on_fresh_host(|| {
        let netns = guest();
        let no_such_bridge = Some(4711);
        let cables = [cable("web0", 0, None), cable("web1", 1, no_such_bridge), cable("web2", 2, None)];
        let error = create_all(netns.as_fd(), &cables).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(22), "{error}");
        assert!(
            error.to_string().starts_with("create cable web1: Invalid argument (os error 22)"),
            "{error}"
        );
        assert_eq!(link_names(), Vec::<String>::new());
        assert_eq!(netns.run_inside(link_names).unwrap(), Vec::<String>::new());
    });
}

fn impossible_is_refused_before() {
    on_fresh_host(|| {
        let netns = guest();
        let mac = |text: &str| Cable { guest_mac: text.parse().unwrap(), ..cable("web0", 0, None) };
        for (cables, message) in [
            (
                vec![mac("07:a7:dd:b4:02:f2")],
                "hardware address `07:a7:dd:b4:02:f2`: is a multicast address, which no interface can have",
            ),
            (
                vec![mac("00:00:00:00:00:00")],
                "hardware address `00:00:00:00:00:00`: is all zero, which no interface can have",
            ),
            (vec![cable("web0", 0, None), cable("web0", 1, None)], "link `web0` exists already"),
            (vec![cable("web0", 0, None), cable("web1", 0, None)], "link `eth0` exists already"),
        ] {
            assert_eq!(create_all(netns.as_fd(), &cables).unwrap_err().to_string(), message);
            assert_eq!(link_names(), Vec::<String>::new());
        }
    });
}

fn taken_host_name_is_named_and_its_holder_untouched() {
    on_fresh_host(|| {
        run("ip link add web0 type bridge");
        let before = ip_one("link show web0");
        let netns = guest();
        let taken = Cable { altname: Some("website-0".into()), ..cable("web0", 0, None) };
        let error = create_all(netns.as_fd(), &[cable("web1", 1, None), taken]).unwrap_err();
        assert_eq!(error.to_string(), "link `web0` exists already");
        assert_eq!(ip_one("link show web0"), before);
        assert_eq!(link_names(), ["web0"]);
    });
}

fn taken_guest_name_is_named() {
    on_fresh_host(|| {
        let netns = guest();
        netns.run_inside(|| run("ip link add eth0 type bridge")).unwrap();
        for wait in [Duration::ZERO, Duration::from_secs(2)] {
            let error = create_all_waiting(netns.as_fd(), &[cable("web0", 0, None)], wait).unwrap_err();
            assert_eq!(error.to_string(), "link `eth0` exists already");
        }
        assert_eq!(link_names(), Vec::<String>::new());
    });
}

fn taken_altname_is_named_and_leaves_nothing() {
    on_fresh_host(|| {
        run("ip link add other type bridge");
        run("ip link property add dev other altname website-0");
        let netns = guest();
        let error = create_all(
            netns.as_fd(),
            &[Cable { altname: Some("website-0".into()), ..cable("web0", 0, None) }],
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "link `website-0` exists already");
        assert_eq!(link_names(), ["other"]);
    });
}

fn of_many_makers_of_one_name_one_wins() {
    let host = Netns::create(None).unwrap();
    for _ in 0..5 {
        let guests: Vec<_> = (0..6).map(|_| guest()).collect();
        let results: Vec<_> = std::thread::scope(|scope| {
            let make = |guest: &Netns| {
                host.run_inside(|| create_all(guest.as_fd(), &[cable("web0", 0, None)])).unwrap()
            };
            let threads: Vec<_> = guests.iter().map(|guest| scope.spawn(move || make(guest))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        for error in results.into_iter().filter_map(Result::err) {
            assert_eq!(error.to_string(), "link `web0` exists already");
        }
        let ends: usize = guests.iter().map(|guest| guest.run_inside(link_names).unwrap().len()).sum();
        assert_eq!(ends, 1);
        drop(guests);
        host.run_inside(|| wait_gone(&["web0".parse().unwrap()], Duration::from_secs(10))).unwrap().unwrap();
    }
}

fn dropped_netns_takes_its_cables_along() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        let netns = guest();
        create_all(netns.as_fd(), &[cable("web0", 0, Some(homenet)), cable("web1", 1, Some(homenet))])
            .unwrap();
        let names = ["web0".parse().unwrap(), "web1".parse().unwrap()];
        assert_eq!(
            wait_gone(&names, Duration::from_millis(20)).unwrap_err().to_string(),
            "wait for end of link web0: nothing within 20 ms"
        );
        drop(netns);
        wait_gone(&names, Duration::from_secs(10)).unwrap();
        assert_eq!(link_names(), ["homenet"]);
    });
}

fn name_of_a_dying_cable_is_waited_for() {
    on_fresh_host(|| {
        for _ in 0..10 {
            let netns = guest();
            let old = create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap();
            drop(netns);
            let next = guest();
            let wait = Duration::from_secs(10);
            let cables = [cable("web0", 0, None), cable("web1", 1, None)];
            let new = create_all_waiting(next.as_fd(), &cables, wait).unwrap();
            assert_ne!(old[0].host_ifindex, new[0].host_ifindex);
            assert_eq!(ip_one("link show web0")["ifindex"], new[0].host_ifindex);
            drop(next);
            wait_gone(&["web0".parse().unwrap(), "web1".parse().unwrap()], wait).unwrap();
        }
    });
}

fn name_that_stays_taken_is_waited_for_no_longer() {
    on_fresh_host(|| {
        run("ip link add web0 type bridge");
        let netns = guest();
        let start = std::time::Instant::now();
        let wait = Duration::from_millis(50);
        let error = create_all_waiting(netns.as_fd(), &[cable("web0", 0, None)], wait).unwrap_err();
        assert_eq!(error.to_string(), "link `web0` exists already");
        assert!(start.elapsed() >= wait);
    });
}

fn delete_takes_both_ends_and_finds_them_gone_later() {
    on_fresh_host(|| {
        let netns = guest();
        let made = create_all(
            netns.as_fd(),
            &[Cable { altname: Some("website-0".into()), ..cable("web0", 0, None) }],
        );
        let index = made.unwrap()[0].host_ifindex;
        let name = "web0".parse().unwrap();
        assert_eq!(delete_host_end(index, &name, Some("website-0")).unwrap(), Deleted::Deleted);
        assert_eq!(link_names(), Vec::<String>::new());
        assert_eq!(netns.run_inside(link_names).unwrap(), Vec::<String>::new());
        assert_eq!(delete_host_end(index, &name, Some("website-0")).unwrap(), Deleted::AlreadyGone);
    });
}

fn delete_refuses_a_link_that_is_not_ours() {
    on_fresh_host(|| {
        run("ip link add web0 type bridge");
        let index = Observed::read().unwrap().by_name("web0").unwrap().index;
        let error = delete_host_end(index, &"web0".parse().unwrap(), None).unwrap_err();
        assert_eq!(error.to_string(), format!("link {index} is not `web0` but `web0` (bridge)"));

        let netns = guest();
        let index = create_all(netns.as_fd(), &[cable("web1", 1, None)]).unwrap()[0].host_ifindex;
        let error = delete_host_end(index, &"web1".parse().unwrap(), Some("website-1")).unwrap_err();
        assert_eq!(error.to_string(), format!("link {index} is not `website-1` but `web1` (veth)"));
        assert_eq!(link_names(), ["web0", "web1"]);
    });
}

fn guest_that_deletes_its_end_leaves_nothing_to_delete() {
    on_fresh_host(|| {
        let netns = guest();
        let index = create_all(netns.as_fd(), &[cable("web0", 0, None)]).unwrap()[0].host_ifindex;
        netns.run_inside(|| run("ip link delete eth0")).unwrap();
        netns.run_inside(|| run("ip link add eth0 type bridge")).unwrap();
        // Somebody else takes the name on the host; it is not to be touched.
        run("ip link add web0 type bridge");
        let name = "web0".parse().unwrap();
        assert_eq!(cable::delete_host_end(index, &name, None).unwrap(), Deleted::AlreadyGone);
        assert_eq!(link_names(), ["web0"]);
    });
}
