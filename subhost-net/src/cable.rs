//! Cables: veth pairs whose guest end is born in a network namespace and whose host end is on a bridge.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;

use crate::mac::Mac;
use crate::message::Request;
use crate::name::{self, LinkName};
use crate::observe::{self, Link, Observed, PortVlan};
use crate::port::Port;
use crate::socket::{LinkEvents, Socket};
use crate::{Error, Result, message};

const VETH: &str = "veth";

/// The settings of each interface of the calling thread's network namespace.
const IPV4_SETTINGS: &str = "/proc/sys/net/ipv4/conf";
const IPV6_SETTINGS: &str = "/proc/sys/net/ipv6/conf";

/// The VLAN that a bridge puts its new ports in, if nobody told it another.
const DEFAULT_VLAN: u16 = 1;

/// A cable to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cable {
    /// The name of the end on the host.
    pub host_name: LinkName,
    /// A further, longer name for it.
    pub altname: Option<String>,
    /// Its address; none for [`Mac::host_end`] of the guest's.
    pub host_mac: Option<Mac>,
    /// The name of the end in the namespace.
    pub guest_name: LinkName,
    /// Its address.
    pub guest_mac: Mac,
    /// The MTU of both ends, in bytes; none for the kernel's choice (1500).
    pub mtu: Option<u32>,
    /// The bridge that the host end becomes a port of; none for a cable that ends on the host.
    pub port: Option<Port>,
}

impl Cable {
    /// The address that the host end gets.
    #[must_use]
    pub fn host_mac(&self) -> Mac {
        self.host_mac.unwrap_or_else(|| Mac::host_end(self.guest_mac))
    }

    /// The port, if it is not one as the kernel makes it.
    fn special_port(&self) -> Option<&Port> {
        self.port.as_ref().filter(|port| !port.is_plain())
    }
}

/// A cable that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CreatedCable {
    /// The ifindex of its host end.
    pub host_ifindex: u32,
}

/// What [`delete_host_end`] found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The link was there and is gone now, and its peer with it.
    Deleted,
    /// There was no such link.
    AlreadyGone,
}

/// Makes all cables, or none, and returns them in the same order.
///
/// The host ends are born in the network namespace of the calling thread, with name, address and MTU, on their bridge,
/// and are up once nothing can pass that should not: they give themselves no IPv6 address, and take none from the guest; the guest ends in `netns`, with name, address and MTU, down.
/// Each cable is one message, so that there is no moment at which only one end of it exists; all go out in one send.
/// If one cannot be made, the others are deleted again, which costs some 16 ms each.
///
/// Needs CAP_NET_ADMIN over both network namespaces, and `/proc`.
///
/// # Errors
/// [`Error::LinkExists`] for a name that is taken, here or in `netns`; [`Error::InvalidMac`] for a multicast or zero
/// address; otherwise the kernel's errno and words, for the first cable that was refused.
pub fn create_all(netns: BorrowedFd<'_>, cables: &[Cable]) -> Result<Vec<CreatedCable>> {
    create_all_waiting(netns, cables, Duration::ZERO)
}

/// [`create_all`] that waits up to `wait_for_name` for host names to become free.
///
/// The host end of a cable whose namespace has ended lives on for up to some 20 ms, while the kernel cleans up;
/// two seconds are ample for a name that is held by such a one. A name that stays taken is an error as before.
///
/// # Errors
/// As [`create_all`].
pub fn create_all_waiting(
    netns: BorrowedFd<'_>,
    cables: &[Cable],
    wait_for_name: Duration,
) -> Result<Vec<CreatedCable>> {
    check(cables)?;
    let mut batch = Batch { socket: Socket::open()?, netns, cables, made: vec![None; cables.len()] };
    batch.check_bridges()?;
    match batch.create(wait_for_name).and_then(|()| batch.finish()).and_then(|()| batch.verify()) {
        Ok(()) => {
            Ok(batch.made.iter().flatten().map(|&host_ifindex| CreatedCable { host_ifindex }).collect())
        }
        Err(first) => Err(batch.delete_made(first)),
    }
}

/// Deletes a cable by its host end, once the link with `ifindex` is proved to be a veth of this name, and of this
/// altname where one is given.
///
/// It returns when both ends are gone, after some 16 ms; a cable also goes with its namespace, for nothing.
/// Needs CAP_NET_ADMIN.
///
/// # Errors
/// [`Error::NotThatLink`] if another link has that ifindex now; it is left alone.
pub fn delete_host_end(ifindex: u32, name: &LinkName, altname: Option<&str>) -> Result<Deleted> {
    let mut socket = Socket::open()?;
    let answer = match socket.request(message::get_link_by_index(ifindex)) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(Deleted::AlreadyGone),
        other => other?,
    };
    let Some(link) = observe::decode_link(&answer) else { return Ok(Deleted::AlreadyGone) };
    let has_altname = altname.is_none_or(|altname| link.altnames.iter().any(|name| name == altname));
    if link.name != name.as_str() || link.kind.as_deref() != Some(VETH) || !has_altname {
        let expected = altname.unwrap_or(name.as_str()).to_owned();
        return Err(Error::NotThatLink { index: ifindex, expected, found: describe(&link) });
    }
    match socket.request(message::delete_link(ifindex, name.as_str())) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(Deleted::AlreadyGone),
        other => other.map(|_| Deleted::Deleted),
    }
}

/// Waits until no link of the calling thread's network namespace has one of these names.
///
/// For those who dropped a namespace and want to see its cables gone; needs no privilege.
///
/// # Errors
/// [`Error::TimedOut`] if one is still there after `within`.
pub fn wait_gone(names: &[LinkName], within: Duration) -> Result<()> {
    let deadline = Instant::now() + within;
    let mut events = LinkEvents::open()?;
    loop {
        let links = Observed::read()?;
        let Some(left) = names.iter().find(|name| links.by_name(name.as_str()).is_some()) else {
            return Ok(());
        };
        if events.next_deleted(deadline)?.is_none() {
            return Err(Error::TimedOut { what: "end of link", object: left.to_string(), waited: within });
        }
    }
}

/// What the kernel would refuse without a word, or half-way.
fn check(cables: &[Cable]) -> Result<()> {
    let (mut host_names, mut guest_names) = (BTreeSet::new(), BTreeSet::new());
    for cable in cables {
        cable.guest_mac.check_of_interface()?;
        cable.host_mac().check_of_interface()?;
        if let Some(altname) = &cable.altname {
            name::check_any(altname)?;
        }
        if let Some(port) = &cable.port {
            port.check()?;
        }
        let names = [Some(cable.host_name.as_str()), cable.altname.as_deref()];
        if let Some(name) = names.into_iter().flatten().find(|name| !host_names.insert(*name)) {
            return Err(Error::LinkExists { name: name.to_owned() });
        }
        if !guest_names.insert(cable.guest_name.as_str()) {
            return Err(Error::LinkExists { name: cable.guest_name.to_string() });
        }
    }
    Ok(())
}

/// Cables on their way: `made` has the host end's ifindex of each that exists.
struct Batch<'a> {
    socket: Socket,
    netns: BorrowedFd<'a>,
    cables: &'a [Cable],
    made: Vec<Option<u32>>,
}

impl Batch<'_> {
    /// A VLAN means something only where the bridge looks at it.
    fn check_bridges(&mut self) -> Result<()> {
        let mut bridges: Vec<u32> = self
            .cables
            .iter()
            .filter_map(|cable| cable.port.filter(|port| port.vlan.is_some()))
            .map(|port| port.bridge)
            .collect();
        bridges.sort_unstable();
        bridges.dedup();
        for index in bridges {
            let answer = self.socket.request(message::get_link_by_index(index))?;
            let link = observe::decode_link(&answer).unwrap_or_default();
            if !link.bridge.is_some_and(|bridge| bridge.vlan_filtering) {
                return Err(Error::NoVlanFiltering { bridge: link.name });
            }
        }
        Ok(())
    }

    fn create(&mut self, wait_for_name: Duration) -> Result<()> {
        let deadline = Instant::now() + wait_for_name;
        // Listening starts before the first try, so that no end can slip through between try and wait.
        let mut events = if wait_for_name.is_zero() { None } else { Some(LinkEvents::open()?) };
        let mut vanished_before = None;
        while let Some(taken) = self.try_pending()? {
            let cable = &self.cables[taken];
            if self.find(cable.host_name.as_str())?.is_none() {
                // Either the name became free this moment, or it is the guest end's that is taken.
                if vanished_before == Some(taken) {
                    return Err(Error::LinkExists { name: cable.guest_name.to_string() });
                }
                vanished_before = Some(taken);
                continue;
            }
            let freed = match &mut events {
                Some(events) => events.next_deleted(deadline)?.is_some(),
                None => false,
            };
            if !freed {
                return Err(Error::LinkExists { name: cable.host_name.to_string() });
            }
        }
        Ok(())
    }

    /// Tries to make all that are not made yet; returns the first one whose name is taken.
    fn try_pending(&mut self) -> Result<Option<usize>> {
        let pending: Vec<usize> = (0..self.cables.len()).filter(|&at| self.made[at].is_none()).collect();
        let requests: Vec<_> =
            pending.iter().map(|&at| message::create_cable(self.netns, &self.cables[at])).collect();
        let answers = self.socket.transact(&requests)?;

        let (mut created, mut taken, mut refused) = (Vec::new(), None, None);
        for (&at, answer) in pending.iter().zip(answers) {
            match answer {
                Ok(_) => created.push(at),
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => taken = taken.or(Some(at)),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        self.look_up(&created)?;
        refused.map_or(Ok(taken), Err)
    }

    /// Learns the ifindex of new host ends, which the kernel tells at creation from 6.2 on only.
    ///
    /// By ioctl rather than by netlink: that needs no lock, while each netlink request for a link waits for the one
    /// lock of all network configuration, which the end of some other namespace can hold for 16 ms.
    fn look_up(&mut self, created: &[usize]) -> Result<()> {
        let mut lost = Ok(());
        for &at in created {
            let name = self.cables[at].host_name.as_str();
            match if_nametoindex(name) {
                Ok(index) => self.made[at] = Some(index),
                Err(errno) => lost = lost.and(Err(Error::os("find new cable", name, errno))),
            }
        }
        lost
    }

    /// What the kernel overlooks in the message that makes a link. By ifindex: a message by name, in the same send as
    /// the creating one, would give our altname to the link that had the name before, when that one fails.
    fn finish(&mut self) -> Result<()> {
        let mut requests = Vec::new();
        for (cable, &index) in self.cables.iter().zip(self.made.iter().flatten()) {
            let name = cable.host_name.as_str();
            refuse_router_advertisements(name)?;
            requests.extend(cable.altname.as_ref().map(|altname| message::add_altname(index, altname)));
            requests
                .extend(cable.special_port().into_iter().flat_map(|port| port_requests(index, cable, port)));
            requests.push(message::set_up_without_ipv6_address(index, name));
        }
        let mut without_ipv6 = Vec::new();
        for (request, answer) in requests.iter().zip(self.socket.transact(&requests)?) {
            match answer {
                // No IPv6 in this kernel, or none on so small an MTU: nothing to turn off.
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => without_ipv6.push(request),
                Err(Error::Os { object, source, .. }) if source.raw_os_error() == Some(libc::EEXIST) => {
                    return Err(Error::LinkExists { name: object });
                }
                other => drop(other?),
            }
        }
        let made = self.cables.iter().zip(self.made.iter().flatten());
        let of = |object: &str| made.clone().find(|(cable, _)| cable.host_name.as_str() == object);
        let up: Vec<_> = without_ipv6
            .iter()
            .filter_map(|request| of(&request.object))
            .map(|(cable, &index)| message::set_up(index, cable.host_name.as_str()))
            .collect();
        self.socket.transact(&up)?.into_iter().try_for_each(|answer| answer.map(drop))
    }

    /// Looks whether the ports are as they were asked for: what a kernel does not know of it passes over without a word.
    fn verify(&mut self) -> Result<()> {
        let special = self.cables.iter().zip(self.made.iter().flatten());
        let special: Vec<_> =
            special.filter_map(|(cable, index)| Some((cable, cable.special_port()?, *index))).collect();
        let requests: Vec<_> =
            special.iter().map(|(_, _, index)| message::get_link_by_index(*index)).collect();
        let answers = self.socket.transact(&requests)?;
        let mut vlans = None;
        for ((cable, port, index), answer) in special.iter().zip(answers) {
            let name = cable.host_name.as_str();
            let link = observe::decode_link(&answer?);
            if link.and_then(|link| link.port) != Some(port.state()) {
                return Err(Error::Reply {
                    operation: "set bridge port",
                    object: name.to_owned(),
                    what: "it is not as it was asked for",
                });
            }
            let Some(vlan) = port.vlan else { continue };
            let vlans = match &mut vlans {
                Some(vlans) => vlans,
                none => none.insert(observe::read_vlans(&mut self.socket)?),
            };
            let of_port = vlans.iter().filter(|found| found.port == *index);
            if !of_port.eq([&PortVlan { port: *index, id: vlan, untagged: true, default: true }]) {
                return Err(Error::Reply {
                    operation: "set vlan of port",
                    object: name.to_owned(),
                    what: "it is not in that one alone",
                });
            }
        }
        Ok(())
    }

    fn find(&mut self, name: &str) -> Result<Option<Link>> {
        match self.socket.request(message::get_link_by_name(name)) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            answer => answer.map(|answer| observe::decode_link(&answer)),
        }
    }

    /// Deletes what was made, after `first`, which stays the error.
    fn delete_made(&mut self, first: Error) -> Error {
        let made = self.cables.iter().zip(&self.made);
        let requests: Vec<_> = made
            .filter_map(|(cable, index)| Some(message::delete_link((*index)?, cable.host_name.as_str())))
            .collect();
        let cleanup = match self.socket.transact(&requests) {
            Ok(answers) => answers.into_iter().find_map(Result::err),
            Err(error) => Some(error),
        };
        match cleanup {
            Some(cleanup) if cleanup.raw_os_error() != Some(libc::ENODEV) => {
                Error::WithCleanup { first: Box::new(first), cleanup: Box::new(cleanup) }
            }
            _ => first,
        }
    }
}

/// Keeps the guest from giving the host addresses, routes and a default gateway, which the kernel takes from any link
/// that is no port of a bridge, also where it gives itself no address.
fn refuse_router_advertisements(name: &str) -> Result<()> {
    let path = Path::new(IPV6_SETTINGS).join(name).join("accept_ra");
    match std::fs::write(&path, "0") {
        // No IPv6 in this kernel, or none on so small an MTU.
        Err(error) if error.kind() == io::ErrorKind::NotFound && Path::new(IPV4_SETTINGS).exists() => Ok(()),
        other => other.map_err(|error| Error::os("write", path.display().to_string(), error)),
    }
}

/// What makes a new port what it is to be, while its link is still down.
fn port_requests(index: u32, cable: &Cable, port: &Port) -> Vec<Request> {
    let name = cable.host_name.as_str();
    let mut requests = vec![message::set_port(index, name, &port.state())];
    if let Some(vlan) = port.vlan {
        requests.push(message::join_vlan(index, name, vlan));
        if vlan != DEFAULT_VLAN {
            requests.push(message::leave_vlan(index, name, DEFAULT_VLAN));
        }
    }
    if port.own_mac_only {
        requests.push(message::add_static_address(index, name, cable.guest_mac, port.vlan));
    }
    requests
}

fn describe(link: &Link) -> String {
    let kind = link.kind.as_deref().unwrap_or("physical");
    let altnames: String = link.altnames.iter().map(|altname| format!(", altname `{altname}`")).collect();
    format!("`{}` ({kind}{altnames})", link.name)
}
