//! A network namespace that plays the host, and the witnesses run inside it.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use subhost_net::address::{Setup, configure};
use subhost_net::cable::{Cable, create_all};
use subhost_net::mac::Mac;
use subhost_net::netns::Netns;
use subhost_net::port::Port;

/// A test by its name.
pub(crate) type Test = (&'static str, fn());

/// The address that guests have in these tests; the last byte counts.
pub(crate) fn guest_mac(last: u8) -> Mac {
    Mac::new([0x06, 0xa7, 0xdd, 0xb4, 0x02, last])
}

/// The host end `HOST`, the guest end `ethN` with `guest_mac(N)`.
pub(crate) fn cable(host_name: &str, index: u8, bridge: Option<u32>) -> Cable {
    Cable {
        host_name: host_name.parse().unwrap(),
        altname: None,
        host_mac: None,
        guest_name: format!("eth{index}").parse().unwrap(),
        guest_mac: guest_mac(index),
        mtu: None,
        port: bridge.map(Port::new),
    }
}

/// Runs `test` in a fresh network namespace.
pub(crate) fn on_fresh_host<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    Netns::create(None).unwrap().run_inside(test).unwrap()
}

/// A guest with this one cable, up, `ethN` with the address 192.0.2.N.
pub(crate) fn guest_with_address(cable: Cable) -> Netns {
    let netns = Netns::create(None).unwrap();
    let number = cable.guest_mac.octets()[5];
    let host_name = cable.host_name.clone();
    let address = (cable.guest_name.clone(), format!("192.0.2.{number}/24").parse().unwrap());
    create_all(netns.as_fd(), &[cable]).unwrap();
    let setup = Setup { addresses: vec![address], ..Setup::default() };
    configure(&netns, &setup).unwrap();
    // The kernel opens the bridge's port in its own time.
    let show = format!("link show {host_name}");
    wait_for("the cable", || ip_one(&show)["operstate"] == "UP");
    netns
}

/// Waits until something happens that soon will.
pub(crate) fn wait_for(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !happened() {
        assert!(Instant::now() < deadline, "not in thirty seconds: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether an address answers a guest, however busy the machine is.
pub(crate) fn pings(guest: &Netns, address: &str) -> bool {
    ping(guest, &["-c", "10", "-w", "10", "-A", address])
}

/// Whether an address does not answer a guest, in the time in which it would have.
pub(crate) fn pings_in_vain(guest: &Netns, address: &str) -> bool {
    !ping(guest, &["-c", "2", "-W", "1", address])
}

/// Pings, after the neighbours that were found before are forgotten.
fn ping(guest: &Netns, words: &[&str]) -> bool {
    guest
        .run_inside(|| {
            run("ip neighbour flush all");
            let mut ping = Command::new("busybox");
            ping.arg("ping").args(words).stdout(Stdio::null());
            ping.status().unwrap().success()
        })
        .unwrap()
}

/// Runs a program in the network namespace of the calling thread, and returns what it printed.
pub(crate) fn run(command: &str) -> String {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `ip -d -j` with these words.
pub(crate) fn ip(words: &str) -> Value {
    parse(&run(&format!("ip -d -j {words}")))
}

/// The only thing that `ip -d -j` with these words prints.
pub(crate) fn ip_one(words: &str) -> Value {
    let Value::Array(mut all) = ip(words) else { panic!("ip {words} printed no list") };
    assert_eq!(all.len(), 1, "ip {words} printed {all:?}");
    all.remove(0)
}

/// The names of all links but `lo`.
pub(crate) fn link_names() -> Vec<String> {
    let links = ip("link show");
    let names = links.as_array().unwrap().iter().filter_map(|link| link["ifname"].as_str());
    names.filter(|name| *name != "lo").map(str::to_owned).collect()
}

/// `ip` prints nothing at all for an empty list.
fn parse(text: &str) -> Value {
    if text.trim().is_empty() { Value::Array(Vec::new()) } else { serde_json::from_str(text).unwrap() }
}

/// A fresh user namespace without an id map, owned by root.
pub(crate) fn user_namespace() -> OwnedFd {
    user_namespace_of("unshare --user cat")
}

/// The user namespace that `command` makes, which ends in a `cat` inside it.
pub(crate) fn user_namespace_of(command: &str) -> OwnedFd {
    let mut words = command.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let mut child = command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // What cat echoes shows that all before it have done their work.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"x").unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    let namespace = std::fs::File::open(format!("/proc/{}/ns/user", child.id())).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    namespace.into()
}
