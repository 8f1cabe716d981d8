//! What links and addresses are there: one dump of each, decoded as far as needed.

use std::net::IpAddr;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;

use crate::Result;
use crate::address::Prefixed;
use crate::decode::{attributes, i32_at, text, u16_at, u32_at};
use crate::mac::Mac;
use crate::message;
use crate::name::LINK_NAME_MAX;
use crate::port::PortState;
use crate::socket::Socket;

const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const NETNSA_NSID: u16 = 1;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BR_VLAN_FILTERING: u16 = 7;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_LEARNING: u16 = 8;
const IFLA_BRPORT_UNICAST_FLOOD: u16 = 9;
const IFLA_BRPORT_MCAST_FLOOD: u16 = 27;
const IFLA_BRPORT_BCAST_FLOOD: u16 = 30;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_BRPORT_LOCKED: u16 = 39;
const IFLA_BRIDGE_VLAN_INFO: u16 = 2;
const VLAN_INFO_PVID: u16 = 2;
const VLAN_INFO_UNTAGGED: u16 = 4;

/// All links of a network namespace with their addresses, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Observed {
    /// The links in the order of the kernel, which is by index.
    pub links: Vec<Link>,
    /// The addresses of all of them.
    pub addresses: Vec<LinkAddress>,
}

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Link {
    /// Its ifindex.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its further names.
    pub altnames: Vec<String>,
    /// Its kind (`bridge`, `veth`); none for physical interfaces and `lo`.
    pub kind: Option<String>,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Its address, if it has one of six bytes.
    pub mac: Option<Mac>,
    /// The address that its hardware has, if that is known.
    pub permanent_mac: Option<Mac>,
    /// The ifindex of the bridge (or bond…) that it is a port of.
    pub controller: Option<u32>,
    /// Whether it is administratively up.
    pub up: bool,
    /// The ifindex of a veth's other end, in that end's namespace.
    pub peer_index: Option<u32>,
    /// The id, in this namespace, of the namespace that a veth's other end is in; none if that is this one.
    pub peer_netnsid: Option<i32>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// What passes there, if it is a port of a bridge.
    pub port: Option<PortState>,
    /// How it works, if it is a bridge.
    pub bridge: Option<BridgeState>,
}

impl Link {
    /// Whether that is its name, or one of its altnames.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.name == name || self.altnames.iter().any(|altname| altname == name)
    }
}

/// How a bridge works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BridgeState {
    /// Whether it runs the spanning tree protocol.
    pub stp: bool,
    /// Whether VLANs mean something to it.
    pub vlan_filtering: bool,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinkAddress {
    /// The ifindex of the interface.
    pub link: u32,
    /// The address and its prefix.
    pub address: Prefixed,
}

/// A VLAN that a port of a bridge, or the bridge itself, is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PortVlan {
    /// The ifindex of the port or bridge.
    pub port: u32,
    /// The VLAN's number.
    pub id: u16,
    /// Frames of it go out without a tag.
    pub untagged: bool,
    /// Frames that come in without a tag are in it.
    pub default: bool,
}

/// Reads which VLANs the ports of the calling thread's network namespace are in. Needs no privilege.
///
/// # Errors
/// Of the netlink socket.
pub fn vlans() -> Result<Vec<PortVlan>> {
    read_vlans(&mut Socket::open()?)
}

pub(crate) fn read_vlans(socket: &mut Socket) -> Result<Vec<PortVlan>> {
    let answers = socket.dump(&message::dump_vlans())?;
    Ok(answers.iter().flat_map(|answer| decode_vlans(answer)).collect())
}

impl Observed {
    /// Reads the links and addresses of the calling thread's network namespace. Needs no privilege.
    ///
    /// # Errors
    /// Of the netlink socket.
    pub fn read() -> Result<Self> {
        let mut socket = Socket::open()?;
        let (links, addresses) =
            (socket.dump(&message::dump_links())?, socket.dump(&message::dump_addresses())?);
        Ok(Self {
            links: links.iter().filter_map(|answer| decode_link(answer)).collect(),
            addresses: addresses.iter().filter_map(|answer| decode_address(answer)).collect(),
        })
    }

    /// Reads the links of the calling thread's network namespace with one of these names or altnames, and no addresses: that
    /// takes as long with a thousand others. Needs no privilege.
    ///
    /// # Errors
    /// Of the netlink socket; that there is no such link is none.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        // Most names are asked for as nobody is to have them: this needs no lock, which a request by netlink may wait for.
        let may_be_there =
            |name: &&str| name.len() > LINK_NAME_MAX || if_nametoindex(*name) != Err(Errno::ENODEV);
        let names = names.into_iter().filter(may_be_there);
        let requests: Vec<_> = names.map(message::get_link_by_name).collect();
        let mut found = Self::default();
        if requests.is_empty() {
            return Ok(found);
        }
        for answer in Socket::open()?.transact(&requests)? {
            let link = match answer {
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => continue,
                answer => decode_link(&answer?),
            };
            found.links.extend(link.filter(|link| found.by_index(link.index).is_none()));
        }
        Ok(found)
    }

    /// The link with this name or altname.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.has_name(name))
    }

    /// The link with this ifindex.
    #[must_use]
    pub fn by_index(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The addresses of the link with this ifindex.
    pub fn addresses_of(&self, link: u32) -> impl Iterator<Item = Prefixed> {
        self.addresses.iter().filter(move |address| address.link == link).map(|address| address.address)
    }

    /// The ports of the bridge with this ifindex.
    pub fn ports_of(&self, bridge: u32) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.controller == Some(bridge))
    }
}

/// A link out of the payload of RTM_NEWLINK or RTM_DELLINK; none if that is of another family (a bridge's ports have
/// messages of their own) or too short to name one.
pub(crate) fn decode_link(payload: &[u8]) -> Option<Link> {
    let header = payload.get(..LINK_HEADER)?;
    if header[0] != 0 {
        return None;
    }
    let flags = u32_at(header, 8)?;
    let mut link = Link {
        index: u32_at(header, 4)?,
        up: flags & IFF_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        ..Link::default()
    };
    for (kind, value) in attributes(&payload[LINK_HEADER..]) {
        match kind {
            IFLA_ADDRESS => link.mac = <[u8; 6]>::try_from(value).ok().map(Mac::new),
            IFLA_PERM_ADDRESS => link.permanent_mac = <[u8; 6]>::try_from(value).ok().map(Mac::new),
            IFLA_IFNAME => link.name = text(value),
            IFLA_MTU => link.mtu = u32_at(value, 0).unwrap_or_default(),
            IFLA_LINK => link.peer_index = u32_at(value, 0).filter(|index| *index != 0),
            IFLA_MASTER => link.controller = u32_at(value, 0).filter(|index| *index != 0),
            IFLA_LINK_NETNSID => link.peer_netnsid = i32_at(value, 0),
            IFLA_LINKINFO => decode_info(&mut link, value),
            IFLA_PROP_LIST => {
                let names = attributes(value).filter(|(kind, _)| *kind == IFLA_ALT_IFNAME);
                link.altnames = names.map(|(_, value)| text(value)).collect();
            }
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

/// What kind of link it is, and of what kind its controller.
fn decode_info(link: &mut Link, info: &[u8]) {
    let of = |wanted| attributes(info).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    link.kind = of(IFLA_INFO_KIND).map(text);
    if link.kind.as_deref() == Some("bridge") {
        link.bridge = of(IFLA_INFO_DATA).map(decode_bridge);
    }
    if of(IFLA_INFO_SLAVE_KIND).map(text).as_deref() == Some("bridge") {
        link.port = of(IFLA_INFO_SLAVE_DATA).map(decode_port);
    }
}

fn decode_bridge(data: &[u8]) -> BridgeState {
    let mut bridge = BridgeState::default();
    for (kind, value) in attributes(data) {
        match kind {
            IFLA_BR_STP_STATE => bridge.stp = u32_at(value, 0) != Some(0),
            IFLA_BR_VLAN_FILTERING => bridge.vlan_filtering = is_on(value),
            _ => {}
        }
    }
    bridge
}

fn decode_port(data: &[u8]) -> PortState {
    let mut port = PortState::default();
    for (kind, value) in attributes(data) {
        let field = match kind {
            IFLA_BRPORT_MODE => &mut port.hairpin,
            IFLA_BRPORT_LEARNING => &mut port.learning,
            IFLA_BRPORT_UNICAST_FLOOD => &mut port.flood_unknown,
            IFLA_BRPORT_MCAST_FLOOD => &mut port.flood_multicast,
            IFLA_BRPORT_BCAST_FLOOD => &mut port.flood_broadcast,
            IFLA_BRPORT_ISOLATED => &mut port.isolated,
            IFLA_BRPORT_LOCKED => &mut port.locked,
            _ => continue,
        };
        *field = is_on(value);
    }
    port
}

fn is_on(value: &[u8]) -> bool {
    value.first().is_some_and(|byte| *byte != 0)
}

/// An address out of an RTM_NEWADDR.
fn decode_address(payload: &[u8]) -> Option<LinkAddress> {
    let [family, length, ..] = *payload else { return None };
    let link = u32_at(payload, 4)?;
    let of = |wanted| {
        attributes(payload.get(ADDRESS_HEADER..)?).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
    };
    // The other end's address is in IFA_ADDRESS where there is one.
    let value = of(IFA_LOCAL).or_else(|| of(IFA_ADDRESS))?;
    let address = match i32::from(family) {
        libc::AF_INET => IpAddr::from(<[u8; 4]>::try_from(value).ok()?),
        libc::AF_INET6 => IpAddr::from(<[u8; 16]>::try_from(value).ok()?),
        _ => return None,
    };
    Some(LinkAddress { link, address: Prefixed::new(address, length).ok()? })
}

/// The id of a network namespace out of an RTM_NEWNSID.
pub(crate) fn decode_netns_id(payload: &[u8]) -> Option<i32> {
    // After the family, padded to four bytes.
    let id = attributes(payload.get(4..)?).find(|(kind, _)| *kind == NETNSA_NSID);
    id.and_then(|(_, value)| i32_at(value, 0)).filter(|id| *id >= 0)
}

/// The VLANs out of an RTM_NEWLINK of the bridge family.
fn decode_vlans(payload: &[u8]) -> Vec<PortVlan> {
    let Some(port) = u32_at(payload, 4) else { return Vec::new() };
    let attribute = attributes(payload.get(LINK_HEADER..).unwrap_or_default())
        .filter(|(kind, _)| *kind == IFLA_AF_SPEC)
        .flat_map(|(_, value)| attributes(value))
        .filter(|(kind, _)| *kind == IFLA_BRIDGE_VLAN_INFO);
    let vlan = |(_, value): (u16, &[u8])| {
        let flags = u16_at(value, 0)?;
        let (untagged, default) = (flags & VLAN_INFO_UNTAGGED != 0, flags & VLAN_INFO_PVID != 0);
        Some(PortVlan { port, id: u16_at(value, 2)?, untagged, default })
    };
    attribute.filter_map(vlan).collect()
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;
    use crate::port::Port;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_le_bytes(), kind.to_le_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn header(family: u8) -> Vec<u8> {
        vec![family, 0, 1, 0, 5, 0, 0, 0, 0x43, 0x10, 0, 0, 0, 0, 0, 0]
    }

    #[test]
    fn reads_a_host_end() {
        let payload = [
            header(0),
            attribute(3, b"web0\0"),
            attribute(4, &1500_u32.to_le_bytes()),
            attribute(1, &[0xfe, 0xa7, 0xdd, 0xb4, 2, 0xf2]),
            attribute(10, &4_u32.to_le_bytes()),
            attribute(5, &2_u32.to_le_bytes()),
            attribute(37, &0_i32.to_le_bytes()),
            attribute(54, &[6, 7, 8, 9, 10, 11]),
            attribute(18 | 0x8000, &attribute(1, b"veth\0")),
            attribute(52 | 0x8000, &[attribute(53, b"website0\0"), attribute(53, b"second\0")].concat()),
            attribute(999, &[1; 40]),
        ]
        .concat();
        let expected = Link {
            index: 5,
            name: "web0".into(),
            altnames: vec!["website0".into(), "second".into()],
            kind: Some("veth".into()),
            mac: Some(Mac::new([0xfe, 0xa7, 0xdd, 0xb4, 2, 0xf2])),
            controller: Some(4),
            permanent_mac: Some(Mac::new([6, 7, 8, 9, 10, 11])),
            loopback: false,
            up: true,
            peer_index: Some(2),
            peer_netnsid: Some(0),
            mtu: 1500,
            port: None,
            bridge: None,
        };
        assert_eq!(decode_link(&payload), Some(expected));
    }

    #[test]
    fn reads_a_port_and_a_bridge() {
        let on = |kind| attribute(kind, &[1]);
        let port = [on(33), on(39), attribute(4, &[0]), attribute(8, &[0]), on(9), on(27), on(30)].concat();
        let info =
            [attribute(1, b"veth\0"), attribute(4, b"bridge\0"), attribute(5 | 0x8000, &port)].concat();
        let payload = [header(0), attribute(3, b"web0\0"), attribute(18 | 0x8000, &info)].concat();
        let expected = Port { isolated: true, own_mac_only: true, ..Port::new(7) }.state();
        assert_eq!(decode_link(&payload).unwrap().port, Some(expected));

        let data = [attribute(5, &1_u32.to_le_bytes()), on(7)].concat();
        let info = [attribute(1, b"bridge\0"), attribute(2 | 0x8000, &data)].concat();
        let link = decode_link(&[header(0), attribute(3, b"br0\0"), attribute(18, &info)].concat()).unwrap();
        assert_eq!((link.port, link.bridge), (None, Some(BridgeState { stp: true, vlan_filtering: true })));
    }

    #[test]
    fn reads_the_vlans_of_a_port() {
        let vlans = [attribute(2, &[6, 0, 100, 0]), attribute(2, &[0, 0, 0xfe, 0x0f])].concat();
        let payload = [header(7), attribute(3, b"web0\0"), attribute(26 | 0x8000, &vlans)].concat();
        let vlan = |id, both| PortVlan { port: 5, id, untagged: both, default: both };
        assert_eq!(decode_vlans(&payload), [vlan(100, true), vlan(4094, false)]);
        assert_eq!(decode_vlans(&header(7)), []);
    }

    #[test]
    fn longer_attributes_of_newer_kernels_are_read_as_far_as_known() {
        let payload = [header(0), attribute(3, b"x\0"), attribute(4, &[0xdc, 5, 0, 0, 9, 9, 9, 9])].concat();
        assert_eq!(decode_link(&payload).unwrap().mtu, 1500);
    }

    #[test]
    fn passes_over_messages_of_the_bridge_family_and_without_a_name() {
        assert_eq!(decode_link(&[header(7), attribute(3, b"web0\0")].concat()), None);
        assert_eq!(decode_link(&header(0)), None);
        assert_eq!(decode_link(&[0; 15]), None);
    }

    #[test]
    fn finds_by_either_name_and_by_controller() {
        let link = |index, name: &str, altname: &str, controller| Link {
            index,
            name: name.into(),
            altnames: vec![altname.into()],
            controller,
            ..Link::default()
        };
        let observed = Observed {
            links: vec![link(1, "br0", "lan", None), link(2, "a0", "alpha0", Some(1))],
            ..Default::default()
        };
        assert_eq!(observed.by_name("lan").unwrap().index, 1);
        assert_eq!(observed.by_name("a0").unwrap().index, 2);
        assert_eq!(observed.by_name("b0"), None);
        assert_eq!(observed.by_index(2).unwrap().name, "a0");
        assert_eq!(observed.ports_of(1).map(|link| link.index).collect::<Vec<_>>(), [2]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_link_or_none(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (decode_link(&payload), decode_vlans(&payload), decode_address(&payload));
        }
    }
}
