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

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use std::os::fd::AsFd;

    use super::super::tests::{golden, hex};
    use super::*;

    #[test]
    fn macvlan_is_born_inside_on_a_link_of_this_side() {
        // Descriptor 0 stands for the namespace.
        let stdin = std::io::stdin();
        let macvlan = Macvlan {
            parent: 2,
            guest_name: "eth0".parse().unwrap(),
            guest_mac: "06:a7:dd:b4:02:f2".parse().unwrap(),
            mtu: Some(1400),
            mode: MacvlanMode::Private,
        };
        let expected = golden(
            "6c000000 1000 0506 07000000 00000000     # NEWLINK, EXCL CREATE
             00 00 0000 00000000 00000000 00000000
             0900 0300 65746830 00000000              # IFNAME eth0
             0800 0500 02000000                       # LINK 2
             0a00 0100 06a7ddb402f2 0000              # ADDRESS
             0800 1c00 00000000                       # NET_NS_FD 0
             0800 0400 78050000                       # MTU 1400
             1c00 1200                                # LINKINFO
                 0c00 0100 6d6163766c616e00           # KIND macvlan
                 0c00 0200 0800 0100 01000000         # DATA: MODE private",
        );
        assert_eq!(hex(&create_macvlan(stdin.as_fd(), &macvlan)), expected);
    }

    #[test]
    fn link_is_moved_and_restored_by_ifindex() {
        let stdin = std::io::stdin();
        let link = Link { index: 9, name: "nic".to_owned(), ..Link::default() };
        let moved = golden(
            "34000000 1000 0500 07000000 00000000     # NEWLINK without CREATE
             00 00 0000 09000000 00000000 00000000
             0900 0300 65746830 00000000              # IFNAME eth0
             0800 1c00 00000000                       # NET_NS_FD 0",
        );
        assert_eq!(hex(&move_link(&link, stdin.as_fd(), &"eth0".parse().unwrap())), moved);
        let back = Moved {
            host_name: "nic".parse().unwrap(),
            mac: Some("06:a7:dd:b4:02:f2".parse().unwrap()),
            permanent_mac: None,
            mtu: 1500,
            guest_ifindex: 3,
        };
        let restored = golden(
            "34000000 1000 0500 07000000 00000000
             00 00 0000 09000000 00000000 00000000
             0800 0400 dc050000                       # MTU 1500
             0a00 0100 06a7ddb402f2 0000              # ADDRESS",
        );
        assert_eq!(hex(&restore_link(9, &back)), restored);
    }

    #[test]
    fn netns_is_asked_for_by_descriptor() {
        let stdin = std::io::stdin();
        let expected = golden(
            "1c000000 5a00 0500 07000000 00000000     # GETNSID
             00 00 0000
             0800 0300 00000000                       # FD 0",
        );
        assert_eq!(hex(&get_netns_id(stdin.as_fd(), String::new())), expected);
    }
}
