//! Cables a network namespace to a bridge: `plug NETNS BRIDGE [ADDRESS/PREFIX]`. Needs root.
//!
//! The namespace is one that `ip netns add` has made; it gets `eth0`, or the first name that is free. The cable goes with
//! the namespace.

use std::collections::BTreeSet;
use std::error::Error;
use std::os::fd::AsFd;

use subhost_net::address::{self, Setup};
use subhost_net::cable::{self, Cable};
use subhost_net::mac::Mac;
use subhost_net::name::LinkName;
use subhost_net::netns::Netns;
use subhost_net::observe::Observed;
use subhost_net::{bridge, name};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [netns, bridge, address @ ..] = &words[..] else {
        return Err("usage: plug NETNS BRIDGE [ADDRESS/PREFIX]".into());
    };
    let guest = Netns::open_named(netns)?;
    let taken: BTreeSet<String> =
        guest.run_inside(Observed::read)??.links.into_iter().map(|link| link.name).collect();
    let index = (0..).find(|n| !taken.contains(&format!("eth{n}"))).ok_or("no name is free")?;

    let host_end = name::host_end(netns, index)?;
    let machine_id = std::fs::read("/etc/machine-id").unwrap_or_default();
    let cable = Cable {
        host_name: host_end.name.clone(),
        altname: host_end.altname,
        host_mac: None,
        guest_name: format!("eth{index}").parse()?,
        guest_mac: Mac::stable(&machine_id, netns, index),
        mtu: None,
        port: Some(bridge::find(bridge)?.into()),
    };
    cable::create_all(guest.as_fd(), &[cable])?;
    if let Some(written) = address.first() {
        let eth: LinkName = format!("eth{index}").parse()?;
        let setup =
            Setup { addresses: vec![(eth.clone(), written.parse()?)], up: vec![eth], ..Setup::default() };
        address::configure(&guest, &setup)?;
    }
    println!("eth{index} of {netns} is {} on {bridge}", host_end.name);
    Ok(())
}
