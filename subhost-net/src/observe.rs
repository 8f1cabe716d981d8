//! What links are there: one dump, decoded as far as needed.

use crate::Result;
use crate::decode::{attributes, i32_at, text, u32_at};
use crate::mac::Mac;
use crate::message;
use crate::socket::Socket;

const LINK_HEADER: usize = 16;
const IFF_UP: u32 = 1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_INFO_KIND: u16 = 1;

/// All links of a network namespace at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The links in the order of the kernel, which is by index.
    pub links: Vec<Link>,
}

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Its hardware address, if it has one of six bytes.
    pub mac: Option<Mac>,
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
}

impl Observed {
    /// Reads the links of the calling thread's network namespace. Needs no privilege.
    ///
    /// # Errors
    /// Of the netlink socket.
    pub fn read() -> Result<Self> {
        let answers = Socket::open()?.dump(&message::dump_links())?;
        Ok(Self { links: answers.iter().filter_map(|answer| decode_link(answer)).collect() })
    }

    /// The link with this name or altname.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Link> {
        self.links
            .iter()
            .find(|link| link.name == name || link.altnames.iter().any(|altname| altname == name))
    }

    /// The link with this ifindex.
    #[must_use]
    pub fn by_index(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
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
    let mut link =
        Link { index: u32_at(header, 4)?, up: u32_at(header, 8)? & IFF_UP != 0, ..Link::default() };
    for (kind, value) in attributes(&payload[LINK_HEADER..]) {
        match kind {
            IFLA_ADDRESS => link.mac = <[u8; 6]>::try_from(value).ok().map(Mac::new),
            IFLA_IFNAME => link.name = text(value),
            IFLA_MTU => link.mtu = u32_at(value, 0).unwrap_or_default(),
            IFLA_LINK => link.peer_index = u32_at(value, 0).filter(|index| *index != 0),
            IFLA_MASTER => link.controller = u32_at(value, 0).filter(|index| *index != 0),
            IFLA_LINK_NETNSID => link.peer_netnsid = i32_at(value, 0),
            IFLA_LINKINFO => {
                link.kind =
                    attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND).map(|(_, value)| text(value));
            }
            IFLA_PROP_LIST => {
                let names = attributes(value).filter(|(kind, _)| *kind == IFLA_ALT_IFNAME);
                link.altnames = names.map(|(_, value)| text(value)).collect();
            }
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;
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
            up: true,
            peer_index: Some(2),
            peer_netnsid: Some(0),
            mtu: 1500,
        };
        assert_eq!(decode_link(&payload), Some(expected));
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
        let observed =
            Observed { links: vec![link(1, "br0", "lan", None), link(2, "a0", "alpha0", Some(1))] };
        assert_eq!(observed.by_name("lan").unwrap().index, 1);
        assert_eq!(observed.by_name("a0").unwrap().index, 2);
        assert_eq!(observed.by_name("b0"), None);
        assert_eq!(observed.by_index(2).unwrap().name, "a0");
        assert_eq!(observed.ports_of(1).map(|link| link.index).collect::<Vec<_>>(), [2]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_link_or_none(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_link(&payload);
        }
    }
}
