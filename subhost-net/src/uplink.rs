//! Interfaces of the host in a guest: a macvlan on one, or one that goes inside as a whole and comes back.

use std::os::fd::{AsFd, BorrowedFd};

use crate::mac::Mac;
use crate::name::{self, LinkName};
use crate::netns::Netns;
use crate::observe::{self, Link};
use crate::socket::Socket;
use crate::{Error, Result, message};

/// What passes between the macvlans of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MacvlanMode {
    /// They reach each other, though not the host itself.
    #[default]
    Bridge,
    /// They do not reach each other.
    Private,
    /// They reach each other if the switch outside sends their frames back.
    Vepa,
    /// The only one on its interface, whose address it takes over.
    Passthru,
}

/// An interface with an address of its own on one of the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macvlan {
    /// The ifindex of the host's interface.
    pub parent: u32,
    /// The name in the namespace.
    pub guest_name: LinkName,
    /// Its address.
    pub guest_mac: Mac,
    /// Its MTU in bytes; none for that of the host's interface.
    pub mtu: Option<u32>,
    /// What passes between those of one interface.
    pub mode: MacvlanMode,
}

/// Makes a macvlan, born in `netns` with its name, address and MTU, and down. It goes with the namespace.
///
/// Needs CAP_NET_ADMIN over both network namespaces.
///
/// # Errors
/// [`Error::LinkExists`] for a name that is taken in `netns`, [`Error::InvalidMac`], or what the kernel says.
pub fn create_macvlan(netns: BorrowedFd<'_>, macvlan: &Macvlan) -> Result<()> {
    macvlan.guest_mac.check_of_interface()?;
    let answer = Socket::open()?.request(message::create_macvlan(netns, macvlan));
    taken(answer.map(drop), &macvlan.guest_name)
}

/// An interface of the host that is in a guest: what is needed to bring it back as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its name on the host.
    pub host_name: LinkName,
    /// Its address on the host.
    pub mac: Option<Mac>,
    /// The address that its hardware has, by which it is known again.
    pub permanent_mac: Option<Mac>,
    /// Its MTU on the host.
    pub mtu: u32,
    /// Its ifindex inside.
    pub guest_ifindex: u32,
}

/// Moves an interface of the calling thread's network namespace into another one, where it has another name, and is
/// down and without the addresses that it had.
///
/// A real one goes back to the host's first network namespace when the guest's ends, with the name that it has then;
/// [`move_back`] brings it to where it was, and as it was. Needs CAP_NET_ADMIN over both.
///
/// # Errors
/// [`Error::NotMovable`] for `lo`, a bridge, and a port of one; [`Error::LinkExists`] for a name that is taken inside;
/// or what the kernel says.
pub fn move_in(netns: &Netns, host_name: &LinkName, guest_name: &LinkName) -> Result<Moved> {
    name::check_any(host_name.as_str())?;
    let mut socket = Socket::open()?;
    let answer = socket.request(message::get_link_by_name(host_name.as_str()))?;
    let link = observe::decode_link(&answer).unwrap_or_default();
    let refuse = |why| Err(Error::NotMovable { name: link.name.clone(), why });
    match &link {
        Link { loopback: true, .. } => {
            return refuse("is the loopback interface, of which each namespace has its own");
        }
        Link { bridge: Some(_), .. } => return refuse("is a bridge"),
        Link { controller: Some(_), .. } => return refuse("is a port of a bridge or bond"),
        _ => {}
    }
    let answer = socket.request(message::move_link(&link, netns.as_fd(), guest_name)).map(drop);
    if let Err(first) = taken(answer, guest_name) {
        return Err(undo(&mut socket, netns, &link, first));
    }
    let guest_ifindex = netns.run_inside(|| index_of(guest_name))??;
    Ok(moved(&link, LinkName::new(&link.name)?, guest_ifindex))
}

/// Where the name is taken inside, the kernel moves the link first and refuses the name then.
fn undo(socket: &mut Socket, netns: &Netns, link: &Link, first: Error) -> Error {
    let there = socket.request(message::get_link_by_index(link.index)).ok();
    if there.and_then(|answer| observe::decode_link(&answer)).is_some_and(|there| there.name == link.name) {
        return first;
    }
    let back = LinkName::new(&link.name).and_then(|name| {
        let guest_ifindex = netns.run_inside(|| index_of(&name))??;
        move_back(netns, &moved(link, name, guest_ifindex))
    });
    match back {
        Ok(()) => first,
        Err(cleanup) => Error::WithCleanup { first: Box::new(first), cleanup: Box::new(cleanup) },
    }
}

fn moved(link: &Link, host_name: LinkName, guest_ifindex: u32) -> Moved {
    let Link { mac, permanent_mac, mtu, .. } = *link;
    Moved { host_name, mac, permanent_mac, mtu, guest_ifindex }
}

/// Brings an interface back from `netns` to the network namespace of the calling thread, with the name, address and MTU
/// that it had there, and down.
///
/// # Errors
/// [`Error::Os`] with `ENODEV` if the guest has taken it away; [`Error::NotThatLink`] if another one has its ifindex now;
/// [`Error::LinkExists`] if its name is taken meanwhile.
pub fn move_back(netns: &Netns, moved: &Moved) -> Result<()> {
    let here = Netns::current()?;
    let name = moved.host_name.as_str();
    netns.run_inside(|| {
        let mut socket = Socket::open()?;
        let answer = socket.request(message::get_link_by_index(moved.guest_ifindex))?;
        let link = observe::decode_link(&answer).unwrap_or_default();
        if link.permanent_mac != moved.permanent_mac {
            let (index, expected) = (moved.guest_ifindex, name.to_owned());
            return Err(Error::NotThatLink { index, expected, found: format!("`{}`", link.name) });
        }
        taken(
            socket.request(message::move_link(&link, here.as_fd(), &moved.host_name)).map(drop),
            &moved.host_name,
        )
    })??;
    let mut socket = Socket::open()?;
    let index = index_of(&moved.host_name)?;
    socket.request(message::restore_link(index, moved)).map(drop)
}

fn index_of(name: &LinkName) -> Result<u32> {
    nix::net::if_::if_nametoindex(name.as_str())
        .map_err(|errno| Error::os("find moved interface", name.as_str(), errno))
}

fn taken(result: Result<()>, name: &LinkName) -> Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
            Err(Error::LinkExists { name: name.to_string() })
        }
        other => other,
    }
}
