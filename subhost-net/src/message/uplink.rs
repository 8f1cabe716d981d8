//! Links that are made on, or moved to, another network namespace.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::MacVlanMode;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use rtnetlink::{LinkMacVlan, LinkUnspec};

use super::Request;
use crate::name::LinkName;
use crate::observe::Link;
use crate::uplink::{Macvlan, MacvlanMode, Moved};

/// Makes a macvlan in `netns` on a link of this network namespace.
pub(crate) fn create_macvlan(netns: BorrowedFd<'_>, macvlan: &Macvlan) -> Request {
    let mode = match macvlan.mode {
        MacvlanMode::Bridge => MacVlanMode::Bridge,
        MacvlanMode::Private => MacVlanMode::Private,
        MacvlanMode::Vepa => MacVlanMode::Vepa,
        MacvlanMode::Passthru => MacVlanMode::Passthrough,
    };
    let name = macvlan.guest_name.as_str();
    let mut link = LinkMacVlan::new(name, macvlan.parent, mode)
        .address(macvlan.guest_mac.octets().to_vec())
        .setns_by_fd(netns.as_raw_fd());
    if let Some(mtu) = macvlan.mtu {
        link = link.mtu(mtu);
    }
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    Request::new("create macvlan", name, flags, RouteNetlinkMessage::NewLink(link.build()))
}

/// Moves a link to `netns` under another name.
pub(crate) fn move_link(link: &Link, netns: BorrowedFd<'_>, name: &LinkName) -> Request {
    let message = LinkUnspec::new_with_index(link.index).name(name.as_str()).setns_by_fd(netns.as_raw_fd());
    let object = format!("{} to another netns as {name}", link.name);
    Request::new("move link", object, NLM_F_ACK, RouteNetlinkMessage::NewLink(message.build()))
}

/// Gives a link the address and MTU that it had.
pub(crate) fn restore_link(index: u32, moved: &Moved) -> Request {
    let mut message = LinkUnspec::new_with_index(index).mtu(moved.mtu);
    if let Some(mac) = moved.mac {
        message = message.address(mac.octets().to_vec());
    }
    let name = moved.host_name.as_str();
    Request::new("restore link", name, NLM_F_ACK, RouteNetlinkMessage::NewLink(message.build()))
}

/// Asks for the id that a network namespace has in this one.
pub(crate) fn get_netns_id(netns: BorrowedFd<'_>, object: String) -> Request {
    let mut message = NsidMessage::default();
    // A descriptor that is open is no negative number.
    let fd = u32::try_from(netns.as_raw_fd()).unwrap_or(u32::MAX);
    message.attributes.push(NsidAttribute::Fd(fd));
    Request::new("ask for the id of", object, NLM_F_ACK, RouteNetlinkMessage::GetNsId(message))
}
