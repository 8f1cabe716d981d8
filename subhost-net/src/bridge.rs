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

/// Makes a bridge in the calling thread's network namespace, up, and returns its ifindex.
///
/// It gets a random address of its own, which stays: a bridge without one takes the lowest address of its ports,
/// and changes it as they come and go. Needs CAP_NET_ADMIN.
///
/// # Errors
/// [`Error::LinkExists`], [`Error::InvalidName`], or what the kernel says.
pub fn create(name: &str) -> Result<u32> {
    let name = LinkName::new(name)?;
    let mut socket = Socket::open()?;
    match socket.request(message::create_bridge(name.as_str(), random_mac())) {
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

fn missing(name: &str) -> Result<Error> {
    let there = list()?.into_iter().map(|link| link.name).collect();
    Ok(Error::BridgeMissing { name: name.to_owned(), there })
}

/// std's hash maps are keyed by the system's random numbers, and so is a hash of nothing.
fn random_mac() -> Mac {
    Mac::stable(&RandomState::new().hash_one(()).to_le_bytes(), BRIDGE, 0)
}
