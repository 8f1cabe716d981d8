//! What links are there: one dump, decoded as far as needed.

use crate::Result;
use crate::mac::Mac;

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
    pub fn read() -> Result<Self> {
        unimplemented!()
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
