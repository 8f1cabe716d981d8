//! What only tools show of the current network namespace: what is done to its traffic (rules of nftables, and queues,
//! classes and filters), and the ids of the namespaces that it has had cables to, which go only with those.
//!
//! Each takes a run of its tool, so this is looked at last.

use std::collections::BTreeSet;
use std::io;

use super::observe::insert_each;
use super::{Kind, Thing};
use crate::wire::{json, list, text};

pub(super) fn all() -> io::Result<BTreeSet<Thing>> {
    let mut things = BTreeSet::new();
    let ruleset = json("nft", &["-j", "--stateless", "list", "ruleset"])?;
    for object in ruleset["nftables"].as_array().into_iter().flatten() {
        if object.get("metainfo").is_none() {
            insert_each(&mut things, Kind::Rule, &object.to_string());
        }
    }
    let mut devices = BTreeSet::new();
    for mut queue in list("tc", &["-j", "qdisc", "show"])? {
        // The kernel gives each link one by itself, without a handle.
        if queue["handle"] == "0:" {
            continue;
        }
        devices.extend(queue["dev"].as_str().map(str::to_owned));
        if let Some(fields) = queue.as_object_mut() {
            fields.remove("refcnt");
        }
        insert_each(&mut things, Kind::Queue, &format!("qdisc {queue}"));
    }
    for device in devices {
        let lists: [&[&str]; 4] = [&["class"], &["filter"], &["filter", "ingress"], &["filter", "egress"]];
        for what in lists {
            // As text: of some filters what it writes is no JSON.
            let words = [&[what[0], "show", "dev", &device], &what[1..]].concat();
            for line in text("tc", &words)?.lines() {
                insert_each(
                    &mut things,
                    Kind::Queue,
                    &format!("{} on {device}: {}", what.join(" "), line.trim()),
                );
            }
        }
    }
    for id in list("ip", &["-j", "netns", "list-id"])? {
        things.insert((Kind::Peer, id["nsid"].to_string()));
    }
    Ok(things)
}
