//! Bridges: found by name, listed, made.

use std::hash::{BuildHasher, RandomState};

use crate::mac::Mac;
use crate::name::{self, LinkName};
use crate::observe::{self, Link, Observed};
use crate::socket::Socket;
use crate::{Error, Result, message};

const BRIDGE: &str = "bridge";

/// The ifindex of the bridge with this name or altname in the calling thread's network namespace.
///
/// Needs no privilege.
///
/// # Errors
/// [`Error::BridgeMissing`] with the names of those that exist, [`Error::NotABridge`], [`Error::InvalidName`] for a
/// name that no link can have.
pub fn find(name: &str) -> Result<u32> {
    name::check_any(name)?;
    let answer = match Socket::open()?.request(message::get_link_by_name(name)) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Err(missing(name)?),
        other => other?,
    };
    let Some(link) = observe::decode_link(&answer) else { return Err(missing(name)?) };
    if link.kind.as_deref() != Some(BRIDGE) {
        return Err(Error::NotABridge { name: name.to_owned(), kind: link.kind });
    }
    Ok(link.index)
}

/// All bridges of the calling thread's network namespace.
///
/// Needs no privilege.
///
/// # Errors
/// Of the netlink socket.
pub fn list() -> Result<Vec<Link>> {
    let links = Observed::read()?.links;
    Ok(links.into_iter().filter(|link| link.kind.as_deref() == Some(BRIDGE)).collect())
}

/// How a bridge is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its address; none for one by chance, which it keeps whatever ports come and go.
    pub mac: Option<Mac>,
    /// It runs the spanning tree protocol, and a new port is silent for twice the forward delay (2 × 15 s).
    pub stp: bool,
    /// Its ports can be in VLANs.
    pub vlan_filtering: bool,
}

/// A bridge that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its ifindex.
    pub index: u32,
    /// Whether it was made for this: one that was there before is as somebody else made it.
    pub made: bool,
}

/// Makes a bridge, up, and returns its ifindex.
///
/// It has an address of its own, by chance where none is given, so that it does not change with its ports. Nothing in
/// this crate deletes a bridge. Needs CAP_NET_ADMIN.
///
/// # Errors
/// [`Error::InvalidName`], [`Error::LinkExists`], or the kernel's refusal: `EOPNOTSUPP` where it has no VLAN filtering.
pub fn create(name: &str, settings: &Settings) -> Result<u32> {
    let name = LinkName::new(name)?;
    let mut socket = Socket::open()?;
    let mac = settings.mac.unwrap_or_else(random_mac);
    match socket.request(message::create_bridge(name.as_str(), mac, settings)) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
            return Err(Error::LinkExists { name: name.to_string() });
        }
        other => other?,
    };
    let answer = socket.request(message::get_link_by_name(name.as_str()))?;
    observe::decode_link(&answer).map(|link| link.index).ok_or_else(|| Error::Reply {
        operation: "create bridge",
        object: name.to_string(),
        what: "the new bridge cannot be found",
    })
}

/// Finds a bridge by name or altname, or makes it where there is none. One that is there is left as it is, also where
/// its settings are others.
///
/// # Errors
/// As [`find`], but for [`Error::BridgeMissing`], and as [`create`].
pub fn find_or_create(name: &str, settings: &Settings) -> Result<Found> {
    loop {
        match find(name) {
            Ok(index) => return Ok(Found { index, made: false }),
            Err(Error::BridgeMissing { .. }) => {}
            Err(error) => return Err(error),
        }
        match create(name, settings) {
            Ok(index) => return Ok(Found { index, made: true }),
            // Somebody else made it meanwhile.
            Err(Error::LinkExists { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

fn missing(name: &str) -> Result<Error> {
    let there = list()?.into_iter().map(|link| link.name).collect();
    Ok(Error::BridgeMissing { name: name.to_owned(), there })
}

/// std's hash maps are keyed by the system's random numbers, and so is a hash of nothing.
fn random_mac() -> Mac {
    Mac::stable(&RandomState::new().hash_one(()).to_le_bytes(), BRIDGE, 0)
}
