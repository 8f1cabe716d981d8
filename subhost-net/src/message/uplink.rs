//! Links that are made on, or moved to, another network namespace.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{
    CREATE, IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINK, IFLA_MTU, NLM_F_ACK, RTM_NEWLINK, Request, attribute, link,
    namespace, number, of_kind, text,
};
use crate::name::LinkName;
use crate::observe::Link;
use crate::uplink::{Macvlan, MacvlanMode, Moved};

// linux/rtnetlink.h, linux/if_link.h, linux/net_namespace.h
const RTM_GETNSID: u16 = 90;
const IFLA_MACVLAN_MODE: u16 = 1;
const NETNSA_FD: u16 = 3;

/// Makes a macvlan in `netns` on a link of this network namespace.
pub(crate) fn create_macvlan(netns: BorrowedFd<'_>, macvlan: &Macvlan) -> Request {
    let mode = match macvlan.mode {
        MacvlanMode::Private => 1,
        MacvlanMode::Vepa => 2,
        MacvlanMode::Bridge => 4,
        MacvlanMode::Passthru => 8,
    };
    let name = macvlan.guest_name.as_str();
    let body = [
        link(0, 0),
        text(IFLA_IFNAME, name),
        number(IFLA_LINK, macvlan.parent),
        attribute(IFLA_ADDRESS, &macvlan.guest_mac.octets()),
        namespace(netns),
        macvlan.mtu.map_or_else(Vec::new, |mtu| number(IFLA_MTU, mtu)),
        of_kind("macvlan", &[number(IFLA_MACVLAN_MODE, mode)]),
    ];
    Request::new("create macvlan", name, CREATE, RTM_NEWLINK, body.concat())
}

/// Moves a link to `netns` under another name.
pub(crate) fn move_link(moved: &Link, netns: BorrowedFd<'_>, name: &LinkName) -> Request {
    let body = [link(moved.index, 0), text(IFLA_IFNAME, name.as_str()), namespace(netns)].concat();
    let object = format!("{} to another netns as {name}", moved.name);
    Request::new("move link", object, NLM_F_ACK, RTM_NEWLINK, body)
}

/// Gives a link the address and MTU that it had.
pub(crate) fn restore_link(index: u32, moved: &Moved) -> Request {
    let mut body = [link(index, 0), number(IFLA_MTU, moved.mtu)].concat();
    body.extend(moved.mac.into_iter().flat_map(|mac| attribute(IFLA_ADDRESS, &mac.octets())));
    Request::new("restore link", moved.host_name.as_str(), NLM_F_ACK, RTM_NEWLINK, body)
}

/// Asks for the id that a network namespace has in this one.
pub(crate) fn get_netns_id(netns: BorrowedFd<'_>, object: String) -> Request {
    // struct rtgenmsg: no family.
    let body = [vec![0; 4], attribute(NETNSA_FD, &netns.as_raw_fd().to_ne_bytes())].concat();
    Request::new("ask for the id of", object, NLM_F_ACK, RTM_GETNSID, body)
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
