//! Netlink requests as bytes, numbered and joined for one send.

mod address;
mod limit;
pub(crate) mod netfilter;
mod port;
mod uplink;

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::bridge::Settings;
use crate::cable::Cable;
use crate::mac::Mac;
use crate::name::LINK_NAME_MAX;

pub(crate) use address::{add_address, add_route, delete_address, dump_addresses};
pub(crate) use limit::{add_bucket, add_ingress, create_ifb, delete_ingress, delete_root, redirect_ingress};
pub(crate) use port::{add_static_address, dump_vlans, join_vlan, leave_vlan, set_port};
pub(crate) use uplink::{create_macvlan, get_netns_id, move_link, restore_link};

// linux/netlink.h, linux/rtnetlink.h
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
/// What is nested is marked as such, where the kernel insists.
const NLA_F_NESTED: u16 = 0x8000;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWLINKPROP: u16 = 108;

// linux/if_link.h, linux/veth.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BR_VLAN_FILTERING: u16 = 7;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
const VETH_INFO_PEER: u16 = 1;
const IF_OPER_DORMANT: u8 = 5;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

const AF_INET6: u8 = 10;
const IFF_UP: u32 = 1;

/// Makes what is not there.
const CREATE: u16 = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;

/// One request, and the words for its error.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// What it does, as a verb with its kind of object.
    pub(crate) operation: &'static str,
    /// What it does it to.
    pub(crate) object: String,
    flags: u16,
    /// The message type, and what follows the header.
    kind: u16,
    body: Vec<u8>,
}

impl Request {
    fn new(operation: &'static str, object: impl Into<String>, flags: u16, kind: u16, body: Vec<u8>) -> Self {
        Self { operation, object: object.into(), flags: NLM_F_REQUEST | flags, kind, body }
    }

    /// Whether the kernel answers in any case, and not only if it refuses.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.flags & NLM_F_ACK != 0
    }

    /// The request as the kernel reads it, its length a multiple of four.
    pub(crate) fn to_bytes(&self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(16 + self.body.len()).unwrap_or(u32::MAX);
        let mut bytes = [length.to_ne_bytes(), [0; 4], sequence.to_ne_bytes(), [0; 4]].concat();
        bytes[4..6].copy_from_slice(&self.kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&self.flags.to_ne_bytes());
        bytes.extend(&self.body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

/// Makes both ends of a cable: the guest end in `netns` with its name, address and MTU, the host end here with its
/// own, on its bridge, and down.
///
/// The kernel overlooks much of what a host end needs in the message that creates it, and until then it is down. (The guest
/// end could not be up: the kernel configures it before it ties the two, ENOTCONN.)
///
/// Two things are said for speed. An end that is not told how many queues it has gets one for each processor, all but
/// one of which the kernel takes away again, waiting for all processors each time. And a bridge that is told of a port
/// that is up makes it forward, for which it goes through all its ports; the port has no carrier and is stopped again in
/// the same way. A dormant one is only looked at when the guest brings up its end.
pub(crate) fn create_cable(netns: BorrowedFd<'_>, cable: &Cable) -> Request {
    let queues = [number(IFLA_NUM_TX_QUEUES, 1), number(IFLA_NUM_RX_QUEUES, 1)].concat();
    let mtu = cable.mtu.map_or_else(Vec::new, |mtu| number(IFLA_MTU, mtu));
    let guest = [
        link(0, 0),
        text(IFLA_IFNAME, cable.guest_name.as_str()),
        attribute(IFLA_ADDRESS, &cable.guest_mac.octets()),
        queues.clone(),
        namespace(netns),
        mtu.clone(),
    ];
    let host = [
        link(0, 0),
        text(IFLA_IFNAME, cable.host_name.as_str()),
        attribute(IFLA_ADDRESS, &cable.host_mac().octets()),
        queues,
        attribute(IFLA_OPERSTATE, &[IF_OPER_DORMANT]),
        mtu,
        cable.port.as_ref().map_or_else(Vec::new, |port| number(IFLA_MASTER, port.bridge)),
        of_kind("veth", &[attribute(VETH_INFO_PEER, &guest.concat())]),
    ];
    Request::new("create cable", cable.host_name.as_str(), CREATE, RTM_NEWLINK, host.concat())
}

/// Makes a bridge, up, whose address is `mac` for good.
pub(crate) fn create_bridge(name: &str, mac: Mac, settings: &Settings) -> Request {
    let mut data = Vec::new();
    if settings.stp {
        data.push(number(IFLA_BR_STP_STATE, 1));
    }
    if settings.vlan_filtering {
        data.push(attribute(IFLA_BR_VLAN_FILTERING, &[1]));
    }
    let address = attribute(IFLA_ADDRESS, &mac.octets());
    let body = [link(0, IFF_UP), text(IFLA_IFNAME, name), address, of_kind("bridge", &data)];
    Request::new("create bridge", name, CREATE, RTM_NEWLINK, body.concat())
}

/// Asks for the link with this name or altname.
pub(crate) fn get_link_by_name(name: &str) -> Request {
    let kind = if name.len() <= LINK_NAME_MAX { IFLA_IFNAME } else { IFLA_ALT_IFNAME };
    get_link(name, NLM_F_ACK, [link(0, 0), text(kind, name)].concat())
}

/// Asks for the link with this ifindex.
pub(crate) fn get_link_by_index(index: u32) -> Request {
    get_link(&format!("number {index}"), NLM_F_ACK, link(index, 0))
}

/// Asks for all links.
pub(crate) fn dump_links() -> Request {
    get_link("of this network namespace", NLM_F_DUMP, link(0, 0))
}

/// Statistics are the larger half of a link's answer, and nobody here reads them.
fn get_link(object: &str, flags: u16, mut body: Vec<u8>) -> Request {
    body.extend(number(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS));
    Request::new("read link", object, flags, RTM_GETLINK, body)
}

/// Gives the link a further name.
pub(crate) fn add_altname(index: u32, altname: &str) -> Request {
    let names = attribute(IFLA_PROP_LIST | NLA_F_NESTED, &text(IFLA_ALT_IFNAME, altname));
    Request::new("add altname", altname, CREATE, RTM_NEWLINKPROP, [link(index, 0), names].concat())
}

/// Brings the link up, and keeps it from giving itself an IPv6 address.
pub(crate) fn set_up_without_ipv6_address(index: u32, name: &str) -> Request {
    let mode = attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
    let families = attribute(IFLA_AF_SPEC, &attribute(AF_INET6.into(), &mode));
    Request::new("bring up link", name, NLM_F_ACK, RTM_NEWLINK, [link(index, IFF_UP), families].concat())
}

/// Brings the link up.
pub(crate) fn set_up(index: u32, name: &str) -> Request {
    Request::new("bring up link", name, NLM_F_ACK, RTM_NEWLINK, link(index, IFF_UP))
}

/// Deletes a link.
pub(crate) fn delete_link(index: u32, name: &str) -> Request {
    Request::new("delete link", name, NLM_F_ACK, RTM_DELLINK, link(index, 0))
}

/// What a message of a link begins with, struct ifinfomsg: no family and no type, its index, flags, and which of them change.
fn link(index: u32, flags: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), flags.to_ne_bytes()].concat()
}

/// What a new link is, and what only such a one has.
fn of_kind(kind: &str, data: &[Vec<u8>]) -> Vec<u8> {
    let kind = text(IFLA_INFO_KIND, kind);
    let data = if data.is_empty() { Vec::new() } else { attribute(IFLA_INFO_DATA, &data.concat()) };
    attribute(IFLA_LINKINFO, &[kind, data].concat())
}

/// The network namespace that a link is to be in.
fn namespace(netns: BorrowedFd<'_>) -> Vec<u8> {
    attribute(IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes())
}

/// An attribute in bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_ne_bytes())
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), b"\0"].concat())
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::port::Port;

    /// Bytes written as hexadecimal digits in any grouping, each line with an explanation after `#`.
    pub(super) fn golden(text: &str) -> String {
        text.lines()
            .map(|line| line.split('#').next().unwrap_or_default())
            .collect::<String>()
            .replace(' ', "")
    }

    pub(super) fn hex(request: &Request) -> String {
        request.to_bytes(7).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn cable() -> Cable {
        Cable {
            host_name: "web0".parse().unwrap(),
            altname: None,
            host_mac: None,
            guest_name: "eth0".parse().unwrap(),
            guest_mac: "06:a7:dd:b4:02:f2".parse().unwrap(),
            mtu: Some(9000),
            port: Some(Port::new(7)),
        }
    }

    #[test]
    fn cable_is_one_message_with_both_ends() {
        // Descriptor 0 stands for the namespace.
        let stdin = std::io::stdin();
        let request = create_cable(stdin.as_fd(), &cable());
        let expected = golden(
            "c0000000 1000 0506 07000000 00000000     # 192 bytes, NEWLINK, REQUEST ACK EXCL CREATE, sequence 7
             00 00 0000 00000000 00000000 00000000    # host end, down
             0900 0300 77656230 00000000              # IFNAME web0
             0a00 0100 fea7ddb402f2 0000              # ADDRESS
             0800 1f00 01000000                       # NUM_TX_QUEUES 1
             0800 2000 01000000                       # NUM_RX_QUEUES 1
             0500 1000 05000000                       # OPERSTATE dormant
             0800 0400 28230000                       # MTU 9000
             0800 0a00 07000000                       # MASTER 7
             6000 1200                                # LINKINFO
                 0900 0100 76657468 00000000          # KIND veth
                 5000 0200                            # DATA
                     4c00 0100                        # PEER
                     00 00 0000 00000000 00000000 00000000
                     0900 0300 65746830 00000000      # IFNAME eth0
                     0a00 0100 06a7ddb402f2 0000      # ADDRESS
                     0800 1f00 01000000               # NUM_TX_QUEUES 1
                     0800 2000 01000000               # NUM_RX_QUEUES 1
                     0800 1c00 00000000               # NET_NS_FD 0
                     0800 0400 28230000               # MTU 9000",
        );
        assert_eq!(hex(&request), expected);
    }

    #[test]
    fn cable_without_bridge_and_mtu_leaves_them_out() {
        let stdin = std::io::stdin();
        let request = create_cable(stdin.as_fd(), &Cable { mtu: None, port: None, ..cable() });
        let expected = golden(
            "a8000000 1000 0506 07000000 00000000
             00 00 0000 00000000 00000000 00000000
             0900 0300 77656230 00000000              # IFNAME web0
             0a00 0100 fea7ddb402f2 0000              # ADDRESS
             0800 1f00 01000000                       # NUM_TX_QUEUES 1
             0800 2000 01000000                       # NUM_RX_QUEUES 1
             0500 1000 05000000                       # OPERSTATE dormant
             5800 1200                                # LINKINFO
                 0900 0100 76657468 00000000          # KIND veth
                 4800 0200                            # DATA
                     4400 0100                        # PEER
                     00 00 0000 00000000 00000000 00000000
                     0900 0300 65746830 00000000      # IFNAME eth0
                     0a00 0100 06a7ddb402f2 0000      # ADDRESS
                     0800 1f00 01000000               # NUM_TX_QUEUES 1
                     0800 2000 01000000               # NUM_RX_QUEUES 1
                     0800 1c00 00000000               # NET_NS_FD 0",
        );
        assert_eq!(hex(&request), expected);
    }

    #[test]
    fn bridge_has_an_address_and_is_up() {
        let expected = golden(
            "44000000 1000 0506 07000000 00000000
             00 00 0000 00000000 01000000 01000000
             0800 0300 62723000                       # IFNAME br0
             0a00 0100 06a7ddb402f2 0000              # ADDRESS
             1000 1200                                # LINKINFO
                 0b00 0100 6272696467650000           # KIND bridge",
        );
        assert_eq!(hex(&create_bridge("br0", cable().guest_mac, &Settings::default())), expected);
        let settings = Settings { stp: true, vlan_filtering: true, mac: None };
        let data = golden(
            "1400 0200                                # DATA
                 0800 0500 01000000                   # STP_STATE
                 0500 0700 01000000                   # VLAN_FILTERING",
        );
        let with_settings = hex(&create_bridge("br0", cable().guest_mac, &settings));
        assert!(with_settings.ends_with(&data), "{with_settings}");
    }

    #[test]
    fn questions_leave_out_statistics() {
        let by_name = golden(
            "34000000 1200 0500 07000000 00000000     # GETLINK, REQUEST ACK
             00 00 0000 00000000 00000000 00000000
             0900 0300 77656230 00000000              # IFNAME web0
             0800 1d00 08000000                       # EXT_MASK SKIP_STATS",
        );
        assert_eq!(hex(&get_link_by_name("web0")), by_name);
        let by_altname = golden(
            "44000000 1200 0500 07000000 00000000
             00 00 0000 00000000 00000000 00000000
             1a00 3500 612d6e61 6d652d6c 6f6e6765 722d7468 616e2d31 35000000 # ALT_IFNAME a-name-longer-than-15
             0800 1d00 08000000",
        );
        assert_eq!(hex(&get_link_by_name("a-name-longer-than-15")), by_altname);
        let by_index = golden(
            "28000000 1200 0500 07000000 00000000
             00 00 0000 09000000 00000000 00000000
             0800 1d00 08000000",
        );
        assert_eq!(hex(&get_link_by_index(9)), by_index);
        let dump = golden(
            "28000000 1200 0103 07000000 00000000     # REQUEST DUMP
             00 00 0000 00000000 00000000 00000000
             0800 1d00 08000000",
        );
        assert_eq!(hex(&dump_links()), dump);
    }

    #[test]
    fn changes_go_by_ifindex() {
        let altname = golden(
            "34000000 6c00 0506 07000000 00000000     # NEWLINKPROP
             00 00 0000 09000000 00000000 00000000
             1400 3480                                # PROP_LIST, nested
                 1000 3500 6c6f6e672d6e616d652d3000   # ALT_IFNAME long-name-0",
        );
        assert_eq!(hex(&add_altname(9, "long-name-0")), altname);
        let ipv6 = golden(
            "30000000 1000 0500 07000000 00000000     # NEWLINK without CREATE
             00 00 0000 09000000 01000000 01000000    # UP, and only UP changes
             1000 1a00                                # AF_SPEC
                 0c00 0a00                            # AF_INET6
                     0500 0800 01000000               # ADDR_GEN_MODE none",
        );
        assert_eq!(hex(&set_up_without_ipv6_address(9, "web0")), ipv6);
        let delete = golden(
            "20000000 1100 0500 07000000 00000000     # DELLINK
             00 00 0000 09000000 00000000 00000000",
        );
        assert_eq!(hex(&delete_link(9, "web0")), delete);
        let up = golden(
            "20000000 1000 0500 07000000 00000000     # NEWLINK without CREATE
             00 00 0000 09000000 01000000 01000000    # UP, and only UP changes",
        );
        assert_eq!(hex(&set_up(9, "web0")), up);
    }
}
