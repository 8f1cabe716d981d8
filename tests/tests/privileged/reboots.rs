//! Reboots from inside: what is kept, and what is as new.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::guest::Guest;
use subhost_tests::host::Host;

use crate::initctl::booted_again;
use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "fifty_reboots_from_inside_keep_netns_cables_macs_and_names",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: fifty_reboots,
    },
    Case {
        name: "a_reboot_waits_for_who_looks_into_the_run_before",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: held,
    },
    Case {
        name: "a_reboot_gives_a_spoilt_network_back_as_new",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: spoilt,
    },
];

const PATIENCE: Duration = Duration::from_secs(45);

fn inode(path: &Path) -> std::io::Result<u64> {
    fs::metadata(path).map(|meta| meta.ino())
}

/// What outside and inside tell of the cables, but for whether they are up.
fn cables(host: &Host, name: &str) -> std::io::Result<Vec<String>> {
    let mut told = Vec::new();
    for index in 0..2 {
        let outside = host.witness("ip", &["-j", "-o", "link", "show", "dev", &format!("{name}{index}")])?;
        let inside =
            host.witness("ip", &["-n", name, "-j", "-o", "link", "show", "dev", &format!("eth{index}")])?;
        for text in [outside, inside] {
            let link: serde_json::Value = serde_json::from_str(&text)?;
            let keys = ["ifindex", "ifname", "address", "master", "mtu", "link_index"];
            told.push(keys.map(|key| format!("{key}={}", link[0][key])).join(" "));
        }
    }
    Ok(told)
}

fn two_cables(host: &Host) -> Result<(String, Guest), Box<dyn std::error::Error>> {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("tiny");
    let bridges = format!("BRIDGES=( {BRIDGE}:{MAC} : )");
    host.config(&name, &format!("DISKS=( vda:1:{} )\n{bridges}\n", image.display()))?;
    let guest = boot(host, &name)?;
    Ok((name, guest))
}

fn fifty_reboots(host: &Host) -> Verdict {
    let (name, guest) = two_cables(host)?;
    host.done(&["stop", &name])?;
    // In the foreground, so that what the supervisor says is seen.
    drop(guest);
    let supervisor = host.start(&["boot", &name])?;
    if let Err(error) = reboots(host, &name) {
        return Err(format!("{error}: {}", supervisor.finish(Duration::from_secs(1))?).into());
    }
    host.done(&["stop", &name])?;
    Ok(())
}

fn reboots(host: &Host, name: &str) -> Verdict {
    let deadline = Instant::now() + PATIENCE;
    let mut guest = loop {
        match host.guest(name)?.filter(|guest| guest.state() == "running") {
            Some(guest) => break guest,
            None => assert!(Instant::now() < deadline, "it does not run"),
        }
    };
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    let pin = Path::new("/run/netns").join(name);
    let namespaces = |guest: &Guest| {
        ["user", "net"].map(|kind| fs::read_link(format!("/proc/{}/ns/{kind}", guest.init_pid())).ok())
    };
    let before = (cables(host, name)?, namespaces(&guest));
    let pinned = inode(&pin)?;
    let begun = Instant::now();
    for round in 0..50 {
        host.subhostctl(&["enter", name, "--", "reboot", "-f"])?;
        guest = booted_again(host, name, &guest)?;
        // The pin follows the record, by which the guest is seen to run.
        let deadline = Instant::now() + PATIENCE;
        while inode(&pin).ok() != Some(pinned) {
            assert!(Instant::now() < deadline, "reboot {round}: another netns, or none, is pinned");
        }
        assert_eq!((cables(host, name)?, namespaces(&guest)), before, "reboot {round}");
    }
    eprintln!("figure: fifty reboots in {} ms", begun.elapsed().as_millis());
    // And the network works as it did at first.
    guest.wait_for_line("/var/log/boot", "rc 2 done", PATIENCE)?;
    let page = subhost_tests::wire::page(crate::address(80), PATIENCE)?;
    assert_eq!(page, format!("This is {name}, a subhost.\n"));
    Ok(())
}

fn spoilt(host: &Host) -> Verdict {
    let (name, first) = two_cables(host)?;
    let before = cables(host, &name)?;
    host.done(&["enter", &name, "--", "ip", "link", "set", "eth1", "down"])?;
    host.done(&["enter", &name, "--", "ip", "link", "set", "eth1", "name", "wan"])?;
    host.done(&["enter", &name, "--", "ip", "address", "add", "192.0.2.1/24", "dev", "wan"])?;
    host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
    let second = booted_again(host, &name, &first)?;
    assert_eq!(cables(host, &name)?, before);
    let addresses = host.witness("ip", &["-n", &name, "address"])?;
    assert!(!addresses.contains("192.0.2.1"), "{addresses}");
    // One that is gone is made again, and then the other one is new, too.
    host.done(&["enter", &name, "--", "ip", "link", "delete", "eth1"])?;
    host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
    booted_again(host, &name, &second)?;
    assert_eq!(cables(host, &name)?.len(), before.len());
    host.done(&["stop", &name])?;
    Ok(())
}

/// Whoever has a mount namespace of a guest open keeps its disks in use.
fn held(host: &Host) -> Verdict {
    let (name, first) = two_cables(host)?;
    let namespace = fs::File::open(format!("/proc/{}/ns/mnt", first.init_pid()))?;
    host.subhostctl(&["enter", &name, "--", "reboot", "-f"])?;
    assert!(first.ends(PATIENCE)?, "still there after a reboot");
    assert!(!first.supervisor()?.ends(Duration::from_millis(300))?, "its supervisor has not waited");
    drop(namespace);
    booted_again(host, &name, &first)?;
    host.done(&["stop", &name])?;
    Ok(())
}
