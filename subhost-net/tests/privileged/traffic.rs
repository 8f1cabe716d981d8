//! Real traffic over cables: all pairs of many guests, a transfer by HTTP, an address by DHCP.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use subhost_net::bridge::{self, Settings};
use subhost_net::cable::{Cable, create_all, delete_host_end, wait_gone};
use subhost_net::guard::allow_only;
use subhost_net::netns::Netns;
use subhost_net::port::Port;

use crate::host::{
    Test, cable, guest_mac, guest_with_address, ip, ip_one, link_names, on_fresh_host, pings, run, wait_for,
};

pub(crate) const TESTS: &[Test] = &[
    ("two_guests_reach_each_other", || all_pairs(2)),
    ("sixty_four_guests_reach_each_other_and_isolated_ones_do_not", || all_pairs(64)),
    ("file_is_fetched_by_http", file_is_fetched_by_http),
    ("address_is_given_by_dhcp", address_is_given_by_dhcp),
    ("guest_gives_the_host_no_route_and_no_address", guest_gives_the_host_no_route_and_no_address),
    ("guest_takes_no_address_of_a_neighbour_by_arp", guest_takes_no_address_of_a_neighbour_by_arp),
    ("isolated_guests_hear_no_rogue_server_and_no_rogue_router", isolated_guests_hear_no_rogue),
    ("cable_is_added_to_a_running_guest_and_taken_away", cable_is_added_and_taken_away),
    ("guest_cannot_fill_the_bridges_table", guest_cannot_fill_the_bridges_table),
    ("end_that_a_guest_gave_away_is_found_by_its_ifindex", end_that_a_guest_gave_away),
];

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

fn start(command: &str) -> Running {
    let mut words = command.split(' ');
    let child =
        Command::new(words.next().unwrap()).args(words).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    Running(child.unwrap())
}

fn plugged(host_name: &str, index: u8, port: Port) -> Cable {
    Cable { port: Some(port), ..cable(host_name, index, None) }
}

/// A socket inside a guest, which can be used from here.
fn socket_in(guest: &Netns, address: &str) -> UdpSocket {
    let socket = guest.run_inside(|| UdpSocket::bind((address, 7000))).unwrap().unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Every guest sends to every other one; of the isolated ones, which are the odd ones, none hears another.
fn all_pairs(count: u8) {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        for isolated in [false, true] {
            let guest = |number: u8| {
                let port = Port { isolated: isolated && number % 2 == 1, ..Port::new(homenet) };
                guest_with_address(plugged(&format!("web{number}"), number, port))
            };
            let guests: Vec<Netns> = (1..=count).map(guest).collect();
            if count > 2 {
                // The kernel finds no more than 1024 neighbours, of all namespaces together.
                guests.iter().zip(1..).for_each(|(guest, number)| tell_neighbours(guest, number, count));
            }
            let address = |number: u8| format!("192.0.2.{number}");
            let sockets: Vec<(u8, UdpSocket)> = (1..)
                .zip(&guests)
                .map(|(number, guest)| (number, socket_in(guest, &address(number))))
                .collect();
            for (number, socket) in &sockets {
                for other in (1..=count).filter(|other| other != number) {
                    socket.send_to(b"x", (address(other), 7000)).unwrap();
                }
            }
            for (number, socket) in &sockets {
                let cut = |other: u8| isolated && number % 2 == 1 && other % 2 == 1;
                let expected: BTreeSet<IpAddr> = (1..=count)
                    .filter(|other| other != number && !cut(*other))
                    .map(|other| address(other).parse().unwrap())
                    .collect();
                assert_eq!(senders(socket, expected.len()), expected, "to {number}, isolated {isolated}");
            }
            drop((sockets, guests));
            let names: Vec<_> = (1..=count).map(|number| format!("web{number}").parse().unwrap()).collect();
            wait_gone(&names, Duration::from_secs(20)).unwrap();
        }
    });
}

/// Tells a guest the hardware addresses of all others.
fn tell_neighbours(guest: &Netns, number: u8, count: u8) {
    let mut batch = tempfile::NamedTempFile::new().unwrap();
    for other in (1..=count).filter(|other| *other != number) {
        let mac = guest_mac(other);
        writeln!(batch, "neighbour add 192.0.2.{other} lladdr {mac} dev eth{number} nud permanent").unwrap();
    }
    guest.run_inside(|| run(&format!("ip -batch {}", batch.path().display()))).unwrap();
}

/// Who has sent, once there are so many, or after the time in which they would have come.
fn senders(socket: &UdpSocket, enough: usize) -> BTreeSet<IpAddr> {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut senders = BTreeSet::new();
    loop {
        match socket.recv_from(&mut [0; 16]) {
            Ok((_, sender)) => drop(senders.insert(sender.ip())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if senders.len() >= enough || Instant::now() > deadline {
                    return senders;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn file_is_fetched_by_http() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip address add 192.0.2.254/24 dev homenet");
        run("ip link set lo up");
        let port = Port { isolated: true, own_mac_only: true, ..Port::new(homenet) };
        let guest = guest_with_address(plugged("web0", 1, port));
        let directory = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..4_000_000_u32).flat_map(u32::to_le_bytes).collect();
        fs::write(directory.path().join("file"), &bytes).unwrap();
        let shown = directory.path().display();
        let _server = start(&format!("busybox httpd -f -p 192.0.2.254:8080 -h {shown}"));
        wait_for("the server", || TcpStream::connect("192.0.2.254:8080").is_ok());
        let fetched = directory.path().join("fetched");
        let command = format!("busybox wget -q -O {} http://192.0.2.254:8080/file", fetched.display());
        guest.run_inside(|| run(&command)).unwrap();
        assert!(fs::read(fetched).unwrap() == bytes);
    });
}

fn address_is_given_by_dhcp() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip address add 192.0.2.254/24 dev homenet");
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let _server = start(&format!(
            "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root --interface=homenet \
             --bind-interfaces --leasefile-ro --pid-file={} --dhcp-range=192.0.2.100,192.0.2.200 \
             --dhcp-host=06:a7:dd:b4:02:02,192.0.2.50",
            at("pid").display()
        ));
        wait_for("the server", || at("pid").exists());
        let script =
            "#!/bin/sh\n[ \"$1\" = bound ] && ip address add \"$ip/$mask\" dev \"$interface\"\nexit 0\n";
        fs::write(at("script"), script).unwrap();
        fs::set_permissions(at("script"), fs::Permissions::from_mode(0o755)).unwrap();
        for own_mac_only in [false, true] {
            let guest = Netns::create(None).unwrap();
            let name = format!("web{}", u8::from(own_mac_only));
            let port = Port { own_mac_only, ..Port::new(homenet) };
            create_all(guest.as_fd(), &[plugged(&name, 2, port)]).unwrap();
            let inside = guest.run_inside(|| {
                run("ip link set eth2 up");
                run(&format!("busybox udhcpc -f -n -q -t 20 -T 1 -i eth2 -s {}", at("script").display()));
                ip_one("address show eth2")
            });
            let inside = inside.unwrap();
            let addresses = inside["addr_info"].as_array().unwrap().iter();
            let v4: Vec<_> =
                addresses.filter(|info| info["family"] == "inet").map(|info| &info["local"]).collect();
            assert_eq!(v4, ["192.0.2.50"], "{inside:#}");
            // The next one has the same address, and what this one says last would lead the bridge astray.
            drop(guest);
            wait_gone(&[name.parse().unwrap()], Duration::from_secs(30)).unwrap();
        }
    });
}

/// A guest that plays a router on its cable, and on another one that nobody guards.
fn guest_gives_the_host_no_route_and_no_address() {
    on_fresh_host(|| {
        let guest = guest_with_address(cable("web0", 1, None));
        let inside = guest.run_inside(|| start("sleep 60")).unwrap();
        run(&format!("ip link add unguarded type veth peer name eth2 netns {}", inside.0.id()));
        run("ip link set unguarded up");
        let _router = guest
            .run_inside(|| {
                run("ip link set eth2 up");
                run("ip address add 2001:db8:1::1/64 dev eth1 nodad");
                run("ip address add 2001:db8:2::1/64 dev eth2 nodad");
                start(
                    "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root --bind-interfaces \
                     --interface=eth1 --interface=eth2 --leasefile-ro --pid-file= --enable-ra \
                     --ra-param=eth1,4 --ra-param=eth2,4 \
                     --dhcp-range=2001:db8:1::,ra-only --dhcp-range=2001:db8:2::,ra-only",
                )
            })
            .unwrap();
        let advertised = |name: &str| {
            let counters = run(&format!("cat /proc/thread-self/net/dev_snmp6/{name}"));
            let line = counters.lines().find(|line| line.starts_with("Icmp6InRouterAdvertisements"));
            line.is_some_and(|line| !line.ends_with("\t0"))
        };
        let routes = |name: &str| run(&format!("ip -6 route show dev {name}"));
        wait_for("a route by the unguarded one", || routes("unguarded").contains("default via"));
        wait_for("a router's words on the cable", || advertised("web0"));
        assert_eq!(routes("web0"), "");
        assert_eq!(ip_one("address show web0")["addr_info"], serde_json::json!([]));
    });
}

/// The hardware address that the host has for one of these guests.
fn neighbour(address: &str) -> String {
    let found = ip(&format!("neighbour show {address}"));
    found[0]["lladdr"].as_str().unwrap_or_default().to_owned()
}

/// Tells everybody, as the owner of the address would, and under its own hardware address.
fn guest_takes_no_address_of_a_neighbour_by_arp() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip address add 192.0.2.254/24 dev homenet");
        let bound = Port { own_mac_only: true, ..Port::new(homenet) };
        let thief = guest_with_address(plugged("thief0", 1, bound));
        let owner = guest_with_address(plugged("owner0", 2, bound));
        thief.run_inside(|| run("ip address add 192.0.2.2/32 dev eth1")).unwrap();
        let lie = || {
            assert!(pings(&owner, "192.0.2.254"));
            assert_eq!(neighbour("192.0.2.2"), guest_mac(2).to_string());
            // More than a second, for which the kernel trusts what it has just heard.
            let words = ["arping", "-U", "-c", "3", "-w", "4", "-I", "eth1", "-s", "192.0.2.2", "192.0.2.2"];
            let mut arping = Command::new("busybox");
            arping.args(words).stdout(Stdio::null());
            // That nobody answers is an error to it.
            thief.run_inside(|| arping.status()).unwrap().unwrap();
            neighbour("192.0.2.2")
        };
        // A bridge that looks at hardware addresses alone believes it.
        assert_eq!(lie(), guest_mac(1).to_string());
        run("ip neighbour flush all");
        allow_only(&"thief0".parse().unwrap(), &["192.0.2.1".parse().unwrap()]).unwrap();
        assert_eq!(lie(), guest_mac(2).to_string());
    });
}

/// A guest that offers addresses, and another one that plays a router, to one that asks.
fn isolated_guests_hear_no_rogue() {
    for isolated in [false, true] {
        on_fresh_host(|| {
            let homenet = bridge::create("homenet", &Settings::default()).unwrap();
            let port = Port { isolated, own_mac_only: isolated, ..Port::new(homenet) };
            let rogue = guest_with_address(plugged("rogue0", 1, port));
            let victim = guest_with_address(plugged("victim0", 2, port));
            let directory = tempfile::tempdir().unwrap();
            let pid = directory.path().join("pid");
            let _server = rogue
                .run_inside(|| {
                    run("ip address add 2001:db8:1::1/64 dev eth1 nodad");
                    start(&format!(
                        "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root --bind-interfaces \
                         --interface=eth1 --leasefile-ro --no-ping --pid-file={} --enable-ra --ra-param=eth1,4 \
                         --dhcp-range=192.0.2.100,192.0.2.200 --dhcp-range=2001:db8:1::,ra-only",
                        pid.display()
                    ))
                })
                .unwrap();
            wait_for("the server", || pid.exists());
            let leased = victim.run_inside(|| {
                let mut client = Command::new("busybox");
                client.args([
                    "udhcpc",
                    "-f",
                    "-n",
                    "-q",
                    "-t",
                    "3",
                    "-T",
                    "1",
                    "-i",
                    "eth2",
                    "-s",
                    "/bin/true",
                ]);
                client.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
            });
            assert_eq!(leased.unwrap(), !isolated);
            let routes = || victim.run_inside(|| run("ip -6 route show dev eth2")).unwrap();
            if isolated {
                assert!(!routes().contains("default"), "{}", routes());
            } else {
                wait_for("a route by the rogue router", || routes().contains("default"));
            }
        });
    }
}

fn cable_is_added_and_taken_away() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip address add 192.0.2.254/24 dev homenet");
        let guest = guest_with_address(plugged("web0", 1, Port::new(homenet)));
        let _running = guest.run_inside(|| start("sleep 60")).unwrap();
        let made = create_all(guest.as_fd(), &[plugged("web1", 2, Port::new(homenet))]).unwrap();
        assert_eq!(guest.run_inside(link_names).unwrap(), ["eth1", "eth2"]);
        delete_host_end(made[0].host_ifindex, &"web1".parse().unwrap(), None).unwrap();
        assert_eq!(guest.run_inside(link_names).unwrap(), ["eth1"]);
        assert_eq!(link_names(), ["homenet", "web0"]);
        assert!(pings(&guest, "192.0.2.254"));
    });
}

fn guest_cannot_fill_the_bridges_table() {
    on_fresh_host(|| {
        let homenet = bridge::create("homenet", &Settings::default()).unwrap();
        let learnt = |name: &str| {
            let entries: Value =
                serde_json::from_str(&run(&format!("bridge -j fdb show dev {name}"))).unwrap();
            let entries = entries.as_array().unwrap().iter().filter(|entry| entry["state"] != "permanent");
            // A kernel that knows VLANs has each twice.
            entries.map(|entry| entry["mac"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>().len()
        };
        for (name, index, own_mac_only, range) in [("free0", 1, false, 20..=22), ("bound0", 2, true, 1..=1)] {
            let port = Port { own_mac_only, ..Port::new(homenet) };
            let guest = guest_with_address(plugged(name, index, port));
            let socket = socket_in(&guest, &format!("192.0.2.{index}"));
            socket.set_broadcast(true).unwrap();
            for number in 0..20 {
                guest
                    .run_inside(|| {
                        run(&format!("ip link set eth{index} address 06:00:00:00:00:{number:02x}"))
                    })
                    .unwrap();
                socket.send_to(b"x", "192.0.2.255:9").unwrap();
            }
            assert!(range.contains(&learnt(name)), "{name}: {}", run(&format!("bridge fdb show dev {name}")));
        }
    });
}

fn end_that_a_guest_gave_away() {
    on_fresh_host(|| {
        let (guest, nested) = (Netns::create(None).unwrap(), Netns::create(None).unwrap());
        let made = create_all(guest.as_fd(), &[cable("web0", 0, None)]).unwrap();
        let holder = nested.run_inside(|| start("sleep 60")).unwrap();
        guest.run_inside(|| run(&format!("ip link set eth0 name mine netns {}", holder.0.id()))).unwrap();
        drop(guest);
        // The namespace that the guest has made of its own keeps it.
        assert!(wait_gone(&["web0".parse().unwrap()], Duration::from_millis(300)).is_err());
        delete_host_end(made[0].host_ifindex, &"web0".parse().unwrap(), None).unwrap();
        assert_eq!(link_names(), Vec::<String>::new());
        assert_eq!(nested.run_inside(link_names).unwrap(), Vec::<String>::new());
    });
}
