//! A guest that restarts keeps its network namespace and its cables, and finds both as they were at its first start.

use std::os::fd::AsFd;

use crate::cable::Cable;
use crate::message::{self, netfilter};
use crate::name::LinkName;
use crate::netns::Netns;
use crate::observe::{self, Link, LinkAddress, Observed};
use crate::socket::Socket;
use crate::uplink::Moved;
use crate::{Error, Result};

/// The MTU that the kernel gives a cable by itself.
const MTU: u32 = 1500;

/// Makes `netns`, all of whose processes have ended, as good as new, and keeps its cables, each given with the ifindex
/// of its host end. Returns false when one of them is not whole any more: then the namespace is to be given up.
///
/// The guest ends are pulled out and put back, which takes everything from them that the guest gave them: addresses,
/// routes, queues, another name or hardware address. They are down, as after [`create_all`](crate::cable::create_all);
/// the host ends stay what they are, on their bridges. Other interfaces that the guest has made are deleted, and so are its
/// addresses on `lo` and its nftables rules. Routing rules, `ipsec` and the settings in `/proc/sys/net` stay.
///
/// Needs CAP_NET_ADMIN over both network namespaces and the one of the calling thread, and CAP_SYS_ADMIN.
///
/// # Errors
/// What the kernel says; the namespace is to be given up then, too.
pub fn renew(netns: &Netns, cables: &[(u32, Cable)]) -> Result<bool> {
    let (host, id) = (Observed::read()?, netns.id_here()?);
    let mut guest_ends = Vec::new();
    for (host_ifindex, cable) in cables {
        let whole = host.by_index(*host_ifindex).filter(|link| is_whole(link, cable, id));
        let Some(guest_end) = whole.and_then(|link| link.peer_index) else { return Ok(false) };
        guest_ends.push(guest_end);
    }
    // Owned by the host, and gone at the end of this function with whatever could not be put back.
    let outside = Netns::create(None)?;
    let pulled = netns.run_inside(|| {
        let mut socket = Socket::open()?;
        let links = Observed::read()?;
        for (index, (_, cable)) in guest_ends.iter().zip(cables) {
            let Some(link) = links.by_index(*index) else { return Ok(false) };
            socket.request(message::move_link(link, outside.as_fd(), &cable.guest_name))?;
        }
        clear(&mut socket)?;
        Ok::<_, Error>(true)
    })??;
    if !pulled {
        return Ok(false);
    }
    outside.run_inside(|| {
        let mut socket = Socket::open()?;
        for (_, cable) in cables {
            let link = find(&mut socket, &cable.guest_name)?;
            socket.request(message::restore_link(link.index, &as_new(cable)))?;
            socket.request(message::move_link(&link, netns.as_fd(), &cable.guest_name))?;
        }
        Ok(true)
    })?
}

/// The host end is ours, where it was, and leads to that namespace.
fn is_whole(link: &Link, cable: &Cable, netns: Option<i32>) -> bool {
    link.kind.as_deref() == Some("veth")
        && link.name == cable.host_name.as_str()
        && link.controller == cable.port.map(|port| port.bridge)
        && link.peer_netnsid.is_some()
        && link.peer_netnsid == netns
}

fn as_new(cable: &Cable) -> Moved {
    Moved {
        host_name: cable.guest_name.clone(),
        mac: Some(cable.guest_mac),
        permanent_mac: None,
        mtu: cable.mtu.unwrap_or(MTU),
        guest_ifindex: 0,
    }
}

fn find(socket: &mut Socket, name: &LinkName) -> Result<Link> {
    let answer = socket.request(message::get_link_by_name(name.as_str()))?;
    Ok(observe::decode_link(&answer).unwrap_or_default())
}

/// Takes away what the guest has made in the network namespace of the calling thread.
fn clear(socket: &mut Socket) -> Result<()> {
    for link in Observed::read()?.links {
        // One goes with another, and what the kernel has put into each namespace by itself cannot be deleted.
        if link.kind.is_some() {
            let _ = socket.request(message::delete_link(link.index, &link.name));
        }
    }
    for LinkAddress { link, address } in Observed::read()?.addresses {
        if !address.address().is_loopback() {
            socket.request(message::delete_address(link, address))?;
        }
    }
    // Without nftables in the kernel there is nothing to delete.
    if let Ok(mut socket) = Socket::open_netfilter() {
        let _ = socket.transact(&netfilter::delete_all());
    }
    Ok(())
}
