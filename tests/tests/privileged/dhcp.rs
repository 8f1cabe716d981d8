//! `dhcp`: what it prints is taken by real servers, and one of them gives a guest its address by it.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::Running;

use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case { name: "dhcp_entries_are_taken_by_three_servers", needs: &[Need::Program], body: taken },
    Case {
        name: "a_guest_gets_the_address_of_its_dhcp_entry",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: leased,
    },
    Case { name: "dhcp_prints_nothing_that_contradicts_itself", needs: &[Need::Program], body: conflicts },
];

/// An address of the bridge's network that no pool has.
const ADDRESS: &str = "10.80.3.7";

fn taken(host: &Host) -> Verdict {
    let web = format!(
        "HOSTNAME=web.lan\nBRIDGES=( br0:{MAC} br1: )\nADDRESSES=( {ADDRESS}/16 2001:db8::7/64 eth1=10.81.0.7/24 )"
    );
    host.config("web", &web)?;
    // Names that are something else in one of the languages.
    for (at, name) in ["5m", "1", "host", "subnet", "a.b_c-d", "infinite", "10.80.9.9"].iter().enumerate() {
        host.config(name, &format!("BRIDGES=( br0:06:00:00:00:00:{at:02x} )\n"))?;
    }
    fs::create_dir_all(host.subhost_dir().join("tree/root"))?;
    fs::write(host.subhost_dir().join("tree/config"), "BRIDGES=( br0: )\n")?;
    let file = |name: &str, text: &str| {
        let path = host.directory().join(name);
        fs::write(&path, text).map(|()| path.to_string_lossy().into_owned())
    };
    let print = |format: &str| host.done(&["dhcp", "--format", format]);
    let entries = print("dnsmasq")?;
    assert_eq!(entries.lines().count(), 10, "{entries}");
    let dnsmasq = |file: String| host.witness("dnsmasq", &["--test", &format!("--conf-file={file}")]);
    dnsmasq(file("dnsmasq", &entries)?)?;
    let isc = format!("subnet 10.80.0.0 netmask 255.255.0.0 {{ }}\n{}", print("isc")?);
    host.witness("dhcpd", &["-t", "-4", "-cf", &file("isc", &isc)?])?;
    let entries = file("kea-entries", &print("kea")?)?;
    let kea = format!(
        r#"{{ "Dhcp4": {{ "interfaces-config": {{ "interfaces": [] }}, "subnet4": [{{ "subnet": "10.80.0.0/16" }}],
            "lease-database": {{ "type": "memfile", "persist": false }}, "reservations-global": true,
            "reservations": <?include "{entries}"?> }} }}"#
    );
    host.witness("kea-dhcp4", &["-t", &file("kea", &kea)?])?;
    // What the C library finds in the two files.
    file("hosts", &print("hosts")?)?;
    file("ethers", &print("ethers")?)?;
    let script = "mount --bind \"$0/hosts\" /etc/hosts && getent hosts web-eth1.lan 10.80.3.7";
    let directory = host.directory().to_string_lossy().into_owned();
    let found = host.witness("unshare", &["--mount", "sh", "-c", script, &directory])?;
    assert!(found.contains("10.81.0.7 ") && found.contains(" web.lan"), "{found}");
    let ethers = fs::read_to_string(host.directory().join("ethers"))?;
    assert!(ethers.lines().any(|line| line == format!("{MAC} web.lan")), "{ethers}");
    // One that has a mistake is seen to be refused.
    assert!(dnsmasq(file("wrong", "dhcp-host=06:x,1.2.3\n")?).is_err());
    Ok(())
}

/// The card has no MAC address in the configuration: the entry has the one that the boot makes up.
fn leased(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let config = format!(
        "DISKS=( vda:1:{} )\nBRIDGES=( {BRIDGE}: )\nHOSTNAME=tiny\nADDRESSES={ADDRESS}/16\n",
        image.display()
    );
    host.config(&name, &config)?;
    let entries = host.directory().join("entries");
    fs::write(&entries, host.done(&["dhcp", "--format", "dnsmasq", &name])?)?;
    let pid = host.directory().join("dnsmasq.pid");
    let mut dnsmasq = Command::new("dnsmasq");
    dnsmasq.args([
        "--keep-in-foreground",
        "--port=0",
        "--user=root",
        "--bind-interfaces",
        "--leasefile-ro",
        "--no-ping",
    ]);
    dnsmasq.args([&format!("--interface={BRIDGE}"), "--dhcp-range=10.80.200.1,10.80.200.9"]);
    dnsmasq.arg(format!("--conf-file={}", entries.display())).arg(format!("--pid-file={}", pid.display()));
    let server = Running::start(dnsmasq)?;
    let begin = Instant::now();
    while !pid.exists() {
        assert!(begin.elapsed() < Duration::from_secs(20), "dnsmasq does not come up");
        std::thread::sleep(Duration::from_millis(10));
    }
    boot(host, &name)?;
    let words = [
        "enter",
        &name,
        "--",
        "busybox",
        "udhcpc",
        "-f",
        "-n",
        "-q",
        "-t",
        "20",
        "-T",
        "1",
        "-i",
        "eth0",
        "-s",
        "/bin/true",
    ];
    let outcome = host.subhostctl(&words)?;
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    let lease = said.lines().find_map(|line| line.split("lease of ").nth(1)?.split([' ', ',']).next());
    assert_eq!(lease.and_then(|lease| lease.parse::<Ipv4Addr>().ok()), ADDRESS.parse().ok(), "{outcome}");
    host.done(&["stop", &name])?;
    drop(server);
    Ok(())
}

fn conflicts(host: &Host) -> Verdict {
    for (name, address) in [("one", "192.0.2.1"), ("two", "192.0.2.2"), ("three", "192.0.2.2")] {
        let octet = name.len();
        let mac = if name == "three" {
            "06:00:00:00:00:09".to_owned()
        } else {
            format!("06:00:00:00:00:{octet:02x}")
        };
        host.config(name, &format!("BRIDGES=( br0:{mac} )\nADDRESSES={address}/24\n"))?;
    }
    let outcome = host.subhostctl(&["dhcp", "--format", "dnsmasq"])?;
    let file = |name: &str| host.root_dir().join(name).join("config").display().to_string();
    assert!(outcome.code == 2 && outcome.stdout.is_empty(), "{outcome}");
    assert!(outcome.stderr.contains("MAC address 06:00:00:00:00:03 is that of two"), "{outcome}");
    assert!(outcome.stderr.contains("address 192.0.2.2 is that of two"), "{outcome}");
    for name in ["one", "two", "three"] {
        assert!(outcome.stderr.contains(&file(name)), "{outcome}");
    }
    assert_eq!(host.done(&["dhcp", "--format", "dnsmasq", "one", "three"])?.lines().count(), 2);
    assert_eq!(host.subhostctl(&["dhcp", "one"])?.code, 2);
    host.config("wrong", "BRIDGES=( \n")?;
    let outcome = host.subhostctl(&["dhcp", "--format", "hosts", "one", "wr*"])?;
    assert!(
        outcome.code == 2 && outcome.stdout.is_empty() && outcome.stderr.contains(&file("wrong")),
        "{outcome}"
    );
    Ok(())
}
