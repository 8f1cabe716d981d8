//! Netlink requests as bytes: each built by rtnetlink's builders, then numbered and joined for one send.

mod address;
mod limit;
pub(crate) mod netfilter;
mod port;
mod uplink;

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
    LinkExtentMask, LinkMessage, Prop, State,
};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::bridge::Settings;
use crate::cable::Cable;
use crate::mac::Mac;
use crate::name::LINK_NAME_MAX;

pub(crate) use address::{add_address, add_route, delete_address, dump_addresses};
pub(crate) use limit::{add_bucket, add_ingress, create_ifb, delete_ingress, delete_root, redirect_ingress};
pub(crate) use port::{add_static_address, dump_vlans, join_vlan, leave_vlan, set_port};
pub(crate) use uplink::{create_macvlan, get_netns_id, move_link, restore_link};

const IFLA_ALT_IFNAME: u16 = 53;

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
    fn new(
        operation: &'static str,
        object: impl Into<String>,
        flags: u16,
        body: RouteNetlinkMessage,
    ) -> Self {
        let mut bytes = vec![0; body.buffer_len()];
        body.serialize(&mut bytes);
        Self::raw(operation, object, flags, body.message_type(), bytes)
    }

    fn raw(operation: &'static str, object: impl Into<String>, flags: u16, kind: u16, body: Vec<u8>) -> Self {
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
    let mut guest = LinkMessageBuilder::<LinkUnspec>::new()
        .name(cable.guest_name.as_str())
        .address(cable.guest_mac.octets().to_vec())
        .append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1))
        .setns_by_fd(netns.as_raw_fd());
    let mut host = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(cable.host_name.as_str())
        .address(cable.host_mac().octets().to_vec())
        .append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1))
        .append_extra_attribute(LinkAttribute::OperState(State::Dormant));
    if let Some(mtu) = cable.mtu {
        guest = guest.mtu(mtu);
        host = host.mtu(mtu);
    }
    if let Some(port) = &cable.port {
        host = host.controller(port.bridge);
    }
    // The builder's own `peer()` knows nothing but a name.
    let host = host.set_info_data(InfoData::Veth(InfoVeth::Peer(guest.build())));
    Request::new(
        "create cable",
        cable.host_name.as_str(),
        NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
        RouteNetlinkMessage::NewLink(host.build()),
    )
}

/// Makes a bridge, up, whose address is `mac` for good.
pub(crate) fn create_bridge(name: &str, mac: Mac, settings: &Settings) -> Request {
    let mut bridge = LinkBridge::new(name).address(mac.octets().to_vec()).up();
    if settings.stp {
        bridge = bridge.stp_state(BridgeStpState::KernelStp);
    }
    if settings.vlan_filtering {
        bridge = bridge.vlan_filtering(true);
    }
    let bridge = bridge.build();
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    Request::new("create bridge", name, flags, RouteNetlinkMessage::NewLink(bridge))
}

/// Asks for the link with this name or altname.
pub(crate) fn get_link_by_name(name: &str) -> Request {
    let link = if name.len() <= LINK_NAME_MAX {
        LinkUnspec::new_with_name(name)
    } else {
        let mut value = name.as_bytes().to_vec();
        value.push(0);
        LinkMessageBuilder::<LinkUnspec>::new()
            .append_extra_attribute(LinkAttribute::Other(DefaultNla::new(IFLA_ALT_IFNAME, value)))
    };
    get_link(name, NLM_F_ACK, link)
}

/// Asks for the link with this ifindex.
pub(crate) fn get_link_by_index(index: u32) -> Request {
    get_link(&format!("number {index}"), NLM_F_ACK, LinkUnspec::new_with_index(index))
}

/// Asks for all links.
pub(crate) fn dump_links() -> Request {
    get_link("of this network namespace", NLM_F_DUMP, LinkMessageBuilder::<LinkUnspec>::new())
}

/// Statistics are the larger half of a link's answer, and nobody here reads them.
fn get_link(object: &str, flags: u16, link: LinkMessageBuilder<LinkUnspec>) -> Request {
    let mask = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
    let link = link.append_extra_attribute(mask).build();
    Request::new("read link", object, flags, RouteNetlinkMessage::GetLink(link))
}

/// Gives the link a further name.
pub(crate) fn add_altname(index: u32, altname: &str) -> Request {
    let mut link = by_index(index);
    link.attributes.push(LinkAttribute::PropList(vec![Prop::AltIfName(altname.to_owned())]));
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    Request::new("add altname", altname, flags, RouteNetlinkMessage::NewLinkProp(link))
}

/// Brings the link up, and keeps it from giving itself an IPv6 address.
pub(crate) fn set_up_without_ipv6_address(index: u32, name: &str) -> Request {
    let mut link = LinkUnspec::new_with_index(index).up().build();
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    link.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]));
    Request::new("bring up link", name, NLM_F_ACK, RouteNetlinkMessage::NewLink(link))
}

/// Brings the link up.
pub(crate) fn set_up(index: u32, name: &str) -> Request {
    let link = LinkUnspec::new_with_index(index).up().build();
    Request::new("bring up link", name, NLM_F_ACK, RouteNetlinkMessage::NewLink(link))
}

/// Deletes a link.
pub(crate) fn delete_link(index: u32, name: &str) -> Request {
    Request::new("delete link", name, NLM_F_ACK, RouteNetlinkMessage::DelLink(by_index(index)))
}

/// An attribute in bytes, for those that netlink-packet-route does not know.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn by_index(index: u32) -> LinkMessage {
    LinkUnspec::new_with_index(index).build()
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
