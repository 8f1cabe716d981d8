//! What a guest's network is given and kept to, as settings say it.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::wire;

use crate::tiny::insert;
use crate::{BRIDGE, MAC, boot, bridge};

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "addresses_routes_and_name_servers_are_there_before_the_guest_starts",
        needs: NEEDS,
        body: addresses,
    },
    Case { name: "isolated_guests_reach_the_host_and_not_each_other", needs: NEEDS, body: isolated },
    Case { name: "an_isolated_guest_sends_from_its_own_addresses_only", needs: NEEDS, body: addressed },
    Case { name: "a_limit_goes_with_its_guest_whoever_is_killed", needs: NEEDS, body: limited },
    Case { name: "stop_with_wait_comes_back_when_the_cables_are_gone", needs: NEEDS, body: waited },
    Case { name: "addresses_that_cannot_be_are_refused_in_one_go", needs: NEEDS, body: refused },
];

const PATIENCE: Duration = Duration::from_secs(20);
const OTHER_MAC: &str = "06:a7:dd:b4:02:f3";

/// The two lines, and more.
fn config(host: &Host, name: &str, image: &std::path::Path, mac: &str, more: &str) -> std::io::Result<()> {
    let lines = format!("DISKS=( vda:1:{} )\nBRIDGES=( {BRIDGE}:{mac} )\n{more}\n", image.display());
    host.config(name, &lines)
}

fn addresses(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let more = "ADDRESSES=( 192.0.2.7/24 eth0=2001:db8::7/64 )\nROUTES=( 198.51.100.0/24=192.0.2.9 )\n\
                GATEWAY=( 192.0.2.1 2001:db8::1 )\nDNS=( 192.0.2.53 2001:db8::53 )\nMTU=1400\n";
    config(host, &name, &image, MAC, more)?;
    std::fs::write(host.directory().join("resolv.conf"), "nameserver 203.0.113.1\n")?;
    insert(host, &image, "resolv.conf", "/etc/resolv.conf", 0o100_644)?;
    let enter = |words: &[&str]| host.done(&[&["enter", &name, "--"], words].concat());
    boot(host, &name)?;
    let shown = enter(&["ip", "address", "show", "eth0"])?;
    for part in ["mtu 1400 ", " 192.0.2.7/24 ", " 2001:db8::7/64 "] {
        assert!(shown.contains(part), "{shown}");
    }
    let (v4, v6) = (enter(&["ip", "-4", "route"])?, enter(&["ip", "-6", "route"])?);
    assert!(v4.contains("default via 192.0.2.1 dev eth0"), "{v4}");
    assert!(v4.contains("198.51.100.0/24 via 192.0.2.9 dev eth0"), "{v4}");
    assert!(v6.contains("default via 2001:db8::1 dev eth0"), "{v6}");
    let servers = "nameserver 192.0.2.53\nnameserver 2001:db8::53\n";
    assert_eq!(enter(&["cat", "/etc/resolv.conf"])?, servers);
    host.done(&["stop", &name])?;
    // Its disk has what it had.
    let place = format!("{}?offset=1048576", image.display());
    assert_eq!(host.witness("debugfs", &["-R", "cat /etc/resolv.conf", &place])?, "nameserver 203.0.113.1\n");
    // Where that is a link into /run, it is there that they are.
    for request in ["rm /etc/resolv.conf", "symlink /etc/resolv.conf ../run/resolvconf/resolv.conf"] {
        host.witness("debugfs", &["-w", "-R", request, &place])?;
    }
    boot(host, &name)?;
    assert_eq!(enter(&["cat", "/run/resolvconf/resolv.conf"])?, servers);
    host.done(&["stop", &name])?;
    for request in ["rm /etc/resolv.conf", "symlink /etc/resolv.conf /tmp/resolv.conf"] {
        host.witness("debugfs", &["-w", "-R", request, &place])?;
    }
    let outcome = host.subhostctl(&["boot", &name, "--detach"])?;
    assert!(
        outcome.code == 0 && outcome.stderr.contains("DNS: not set, as /etc/resolv.conf links"),
        "{outcome}"
    );
    host.done(&["stop", &name])?;
    Ok(())
}

fn isolated(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let other = host.directory().join("other.raw");
    std::fs::copy(&image, &other)?;
    let (one, two) = (host.name("one"), host.name("two"));
    config(host, &one, &image, MAC, "ISOLATED=yes")?;
    config(host, &two, &other, OTHER_MAC, "ISOLATED=yes")?;
    boot(host, &one)?.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    boot(host, &two)?.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    let octets = |last| subhost_tests::fixture::address_of(0, [6, 0xa7, 0xdd, 0xb4, 2, last]);
    assert!(wire::page((octets(0xf2), 80).into(), PATIENCE)?.contains(&one));
    assert!(wire::page((octets(0xf3), 80).into(), PATIENCE)?.contains(&two));
    let page = format!("http://{}/", std::net::Ipv4Addr::from(octets(0xf3)));
    let fetched = host.subhostctl(&["enter", &one, "--", "wget", "-q", "-T", "2", "-O", "-", &page])?;
    assert_ne!(fetched.code, 0, "{fetched}");
    // Under the other's hardware address it is not heard at all.
    host.done(&["enter", &one, "--", "ip", "link", "set", "eth0", "address", OTHER_MAC])?;
    let ping = host.subhostctl(&["enter", &one, "--", "ping", "-c", "1", "-W", "2", "10.80.0.1"])?;
    assert_ne!(ping.code, 0, "{ping}");
    assert!(wire::page((octets(0xf3), 80).into(), PATIENCE)?.contains(&two));
    host.done(&["stop", &one])?;
    host.done(&["stop", &two])?;
    Ok(())
}

fn addressed(host: &Host) -> Verdict {
    bridge(host)?;
    host.witness("ip", &["address", "add", "192.0.2.254/24", "dev", BRIDGE])?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    config(host, &name, &image, MAC, "ISOLATED=yes\nADDRESSES=192.0.2.7/24")?;
    let ping = |from: &str| {
        let words = ["ping", "-c", "1", "-W", "2", "-I", from, "192.0.2.254"];
        host.subhostctl(&[&["enter", &name, "--"], &words[..]].concat()).map(|outcome| outcome.code == 0)
    };
    for kill in [false, true] {
        let guest = boot(host, &name)?;
        assert!(ping("192.0.2.7")?);
        host.done(&["enter", &name, "--", "ip", "address", "add", "192.0.2.8/24", "dev", "eth0"])?;
        assert!(!ping("192.0.2.8")?);
        assert!(ping("192.0.2.7")?);
        let table = host.witness("nft", &["list", "ruleset"])?;
        assert!(table.contains(&format!("table netdev subhost-{name}0")), "{table}");
        if kill {
            guest.supervisor()?.signal(Signal::KILL)?;
            assert!(guest.supervisor()?.ends(PATIENCE)?);
        }
        host.done(&["stop", &name])?;
        assert_eq!(host.witness("nft", &["list", "ruleset"])?, "");
    }
    Ok(())
}

/// The links that limit what comes from a guest.
fn shapers() -> std::io::Result<Vec<String>> {
    let is_shaper = |link: &Value| link["linkinfo"]["info_kind"] == "ifb";
    let links = wire::links()?;
    Ok(links.iter().filter(|link| is_shaper(link)).map(|link| link["ifname"].to_string()).collect())
}

fn limited(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    config(host, &name, &image, MAC, "RATE=80mbit")?;
    for kill in [false, true] {
        let guest = boot(host, &name)?;
        let qdiscs: Vec<Value> =
            serde_json::from_str(&host.witness("tc", &["-j", "qdisc", "show", "dev", &format!("{name}0")])?)?;
        let bucket = qdiscs.iter().find(|qdisc| qdisc["kind"] == "tbf").ok_or("no tbf")?;
        // Bytes a second.
        assert_eq!(bucket["options"]["rate"], 10_000_000);
        assert_eq!(shapers()?.len(), 1);
        if kill {
            guest.supervisor()?.signal(Signal::KILL)?;
            assert!(guest.supervisor()?.ends(PATIENCE)?);
            guest.signal_init(Signal::KILL)?;
            assert!(guest.ends(PATIENCE)?);
        }
        host.done(&["stop", &name])?;
        assert_eq!(shapers()?, Vec::<String>::new());
    }
    Ok(())
}

fn waited(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    config(host, &name, &image, MAC, "")?;
    for _ in 0..5 {
        boot(host, &name)?;
        assert!(wire::link(&format!("{name}0"))?.is_some());
        host.done(&["stop", "--wait", &name])?;
        assert!(wire::link(&format!("{name}0"))?.is_none());
    }
    // Where there is nothing to wait for, it does not.
    host.done(&["stop", "--wait", &name])?;
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let more = "ADDRESSES=( 192.0.2.7/24 eth1=198.51.100.7/24 )\nGATEWAY=203.0.113.1\nROUTES=( 10.0.0.0/8=192.0.3.1 )\n";
    config(host, &name, &image, MAC, more)?;
    for command in ["plan", "check", "boot"] {
        let outcome = host.subhostctl(&[command, &name])?;
        assert_eq!(outcome.code, 2, "{command}: {outcome}");
        for complaint in [
            "ADDRESSES: 198.51.100.7/24 is for eth1, and there is no such cable",
            "GATEWAY: 203.0.113.1 is in the network of none of ADDRESSES",
            "ROUTES: 192.0.3.1 is in the network of none of ADDRESSES",
        ] {
            assert!(outcome.stderr.contains(complaint), "{command}: {outcome}");
        }
    }
    Ok(())
}
