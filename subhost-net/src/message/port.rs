//! What is said about a port of a bridge. The message that creates a link overlooks all of it.

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::link::{
    AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags, LinkAttribute, LinkExtentMask, LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::LinkBridgePort;

use super::Request;
use crate::mac::Mac;
use crate::port::PortState;

/// NUD_NOARP and NUD_REACHABLE: an entry that is not learnt and does not age (`static` in `bridge fdb`).
const STATIC: u16 = 0x40 | 0x02;

/// Says what passes at the port.
pub(crate) fn set_port(index: u32, name: &str, state: &PortState) -> Request {
    let link = LinkBridgePort::new(index)
        .isolated(state.isolated)
        .locked(state.locked)
        .hairpin(state.hairpin)
        .learning(state.learning)
        .flood(state.flood_unknown)
        .mcast_flood(state.flood_multicast)
        .bcast_flood(state.flood_broadcast)
        .build();
    Request::new("set bridge port", name, NLM_F_ACK, RouteNetlinkMessage::NewLink(link))
}

/// Puts the untagged frames of the port into a VLAN.
pub(crate) fn join_vlan(index: u32, name: &str, id: u16) -> Request {
    let flags = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
    let link = vlan(index, BridgeVlanInfo { flags, vid: id });
    Request::new("set vlan of port", name, NLM_F_ACK, RouteNetlinkMessage::SetLink(link))
}

/// Takes the port out of a VLAN.
pub(crate) fn leave_vlan(index: u32, name: &str, id: u16) -> Request {
    let link = vlan(index, BridgeVlanInfo { flags: BridgeVlanInfoFlags::empty(), vid: id });
    Request::new("take vlan from port", name, NLM_F_ACK, RouteNetlinkMessage::DelLink(link))
}

/// Asks for the VLANs of all ports.
pub(crate) fn dump_vlans() -> Request {
    let mut link = LinkMessage::default();
    link.header.interface_family = AddressFamily::Bridge;
    link.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::Brvlan]));
    let object = "of this network namespace";
    Request::new("read vlans", object, NLM_F_DUMP, RouteNetlinkMessage::GetLink(link))
}

/// Tells the bridge, for good, that an address is behind the port.
pub(crate) fn add_static_address(index: u32, name: &str, mac: Mac, vlan: Option<u16>) -> Request {
    let mut entry = NeighbourMessage::default();
    entry.header.family = AddressFamily::Bridge;
    entry.header.ifindex = index;
    entry.header.state = NeighbourState::from(STATIC);
    entry.header.flags = NeighbourFlags::Controller;
    entry.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.octets().to_vec()));
    entry.attributes.extend(vlan.map(NeighbourAttribute::Vlan));
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    let message = RouteNetlinkMessage::NewNeighbour(entry);
    Request::new("tell the bridge the address behind", name, flags, message)
}

fn vlan(index: u32, info: BridgeVlanInfo) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.interface_family = AddressFamily::Bridge;
    link.header.index = index;
    link.attributes.push(LinkAttribute::AfSpecBridge(vec![AfSpecBridge::VlanInfo(info)]));
    link
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::super::tests::{golden, hex};
    use super::*;
    use crate::port::Port;

    #[test]
    fn port_is_set_by_what_its_controller_knows_of_it() {
        let state = Port { isolated: true, own_mac_only: true, ..Port::new(7) }.state();
        let expected = golden(
            "6c000000 1000 0500 07000000 00000000     # NEWLINK without CREATE
             00 00 0000 09000000 00000000 00000000
             4c00 1200                                # LINKINFO
                 0b00 0400 6272696467650000           # SLAVE_KIND bridge
                 3c00 0500                            # SLAVE_DATA
                     0500 2100 01000000               # ISOLATED
                     0500 2700 01000000               # LOCKED
                     0500 0400 00000000               # MODE: no hairpin
                     0500 0800 00000000               # LEARNING
                     0500 0900 01000000               # UNICAST_FLOOD
                     0500 1b00 01000000               # MCAST_FLOOD
                     0500 1e00 01000000               # BCAST_FLOOD",
        );
        assert_eq!(hex(&set_port(9, "web0", &state)), expected);
    }

    #[test]
    fn vlans_and_addresses_are_of_the_bridge_family() {
        let join = golden(
            "2c000000 1300 0500 07000000 00000000     # SETLINK
             07 00 0000 09000000 00000000 00000000    # AF_BRIDGE
             0c00 1a00                                # AF_SPEC
                 0800 0200 0600 6400                  # VLAN_INFO: PVID UNTAGGED, 100",
        );
        assert_eq!(hex(&join_vlan(9, "web0", 100)), join);
        let leave = golden(
            "2c000000 1100 0500 07000000 00000000     # DELLINK
             07 00 0000 09000000 00000000 00000000
             0c00 1a00
                 0800 0200 0000 0100                  # VLAN_INFO: 1",
        );
        assert_eq!(hex(&leave_vlan(9, "web0", 1)), leave);
        let dump = golden(
            "28000000 1200 0103 07000000 00000000     # GETLINK, DUMP
             07 00 0000 00000000 00000000 00000000
             0800 1d00 02000000                       # EXT_MASK BRVLAN",
        );
        assert_eq!(hex(&dump_vlans()), dump);
        let mac = "06:a7:dd:b4:02:f2".parse().unwrap();
        let entry = golden(
            "30000000 1c00 0505 07000000 00000000     # NEWNEIGH, ACK REPLACE CREATE
             07 00 0000 09000000 4200 04 00           # AF_BRIDGE, NOARP REACHABLE, NTF_MASTER
             0a00 0200 06a7ddb402f2 0000              # LLADDR
             0600 0500 6400 0000                      # VLAN 100",
        );
        assert_eq!(hex(&add_static_address(9, "web0", mac, Some(100))), entry);
    }
}
