//! What is said about a port of a bridge. The message that creates a link overlooks all of it.

use super::{
    IFLA_AF_SPEC, IFLA_EXT_MASK, IFLA_LINKINFO, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE,
    RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK, Request, attribute, link, number, text,
};
use crate::mac::Mac;
use crate::port::PortState;

// linux/rtnetlink.h, linux/if_link.h, linux/if_bridge.h, linux/neighbour.h
const RTM_NEWNEIGH: u16 = 28;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_LEARNING: u16 = 8;
const IFLA_BRPORT_UNICAST_FLOOD: u16 = 9;
const IFLA_BRPORT_MCAST_FLOOD: u16 = 27;
const IFLA_BRPORT_BCAST_FLOOD: u16 = 30;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_BRPORT_LOCKED: u16 = 39;
const IFLA_BRIDGE_VLAN_INFO: u16 = 2;
const BRIDGE_VLAN_INFO_PVID: u16 = 1 << 1;
const BRIDGE_VLAN_INFO_UNTAGGED: u16 = 1 << 2;
const RTEXT_FILTER_BRVLAN: u32 = 1 << 1;
const NDA_LLADDR: u16 = 2;
const NDA_VLAN: u16 = 5;
const NTF_MASTER: u8 = 1 << 2;
/// NUD_NOARP and NUD_REACHABLE: an entry that is not learnt and does not age (`static` in `bridge fdb`).
const STATIC: u16 = 0x40 | 0x02;

const AF_BRIDGE: u8 = 7;

/// Says what passes at the port.
pub(crate) fn set_port(index: u32, name: &str, state: &PortState) -> Request {
    let flags = [
        (IFLA_BRPORT_ISOLATED, state.isolated),
        (IFLA_BRPORT_LOCKED, state.locked),
        (IFLA_BRPORT_MODE, state.hairpin),
        (IFLA_BRPORT_LEARNING, state.learning),
        (IFLA_BRPORT_UNICAST_FLOOD, state.flood_unknown),
        (IFLA_BRPORT_MCAST_FLOOD, state.flood_multicast),
        (IFLA_BRPORT_BCAST_FLOOD, state.flood_broadcast),
    ];
    let data = flags.map(|(kind, is_set)| attribute(kind, &[is_set.into()])).concat();
    let info = [text(IFLA_INFO_SLAVE_KIND, "bridge"), attribute(IFLA_INFO_SLAVE_DATA, &data)].concat();
    let body = [link(index, 0), attribute(IFLA_LINKINFO, &info)].concat();
    Request::new("set bridge port", name, NLM_F_ACK, RTM_NEWLINK, body)
}

/// Puts the untagged frames of the port into a VLAN.
pub(crate) fn join_vlan(index: u32, name: &str, id: u16) -> Request {
    let body = vlan(index, BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, id);
    Request::new("set vlan of port", name, NLM_F_ACK, RTM_SETLINK, body)
}

/// Takes the port out of a VLAN.
pub(crate) fn leave_vlan(index: u32, name: &str, id: u16) -> Request {
    Request::new("take vlan from port", name, NLM_F_ACK, RTM_DELLINK, vlan(index, 0, id))
}

/// Asks for the VLANs of all ports.
pub(crate) fn dump_vlans() -> Request {
    let body = [of_bridge(0), number(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN)].concat();
    Request::new("read vlans", "of this network namespace", NLM_F_DUMP, RTM_GETLINK, body)
}

/// Tells the bridge, for good, that an address is behind the port.
pub(crate) fn add_static_address(index: u32, name: &str, mac: Mac, vlan: Option<u16>) -> Request {
    // struct ndmsg: family, index, state, flags, type.
    let mut body = vec![AF_BRIDGE, 0, 0, 0];
    body.extend(index.to_ne_bytes());
    body.extend(STATIC.to_ne_bytes());
    body.extend([NTF_MASTER, 0]);
    body.extend(attribute(NDA_LLADDR, &mac.octets()));
    body.extend(vlan.into_iter().flat_map(|vlan| attribute(NDA_VLAN, &vlan.to_ne_bytes())));
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    Request::new("tell the bridge the address behind", name, flags, RTM_NEWNEIGH, body)
}

fn vlan(index: u32, flags: u16, id: u16) -> Vec<u8> {
    let info = [flags.to_ne_bytes(), id.to_ne_bytes()].concat();
    [of_bridge(index), attribute(IFLA_AF_SPEC, &attribute(IFLA_BRIDGE_VLAN_INFO, &info))].concat()
}

/// A link, as the bridge has it.
fn of_bridge(index: u32) -> Vec<u8> {
    let mut body = link(index, 0);
    body[0] = AF_BRIDGE;
    body
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
