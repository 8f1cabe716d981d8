//! A rule for the addresses that a guest may send from, kept by nftables where the frames come in.
//!
//! For the guest's hardware address [`Port::own_mac_only`](crate::port::Port) is enough, and no firewall that is flushed
//! takes that away. This is for IP addresses, and only where it is asked for: each cable has a table of its own,
//! `subhost-` and the host end's name, of the family `netdev`. Nothing is pasted together as text: it is netlink objects.

use std::net::IpAddr;

use nix::net::if_::if_nametoindex;

use crate::message::{Request, netfilter};
use crate::name::LinkName;
use crate::socket::Socket;
use crate::{Error, Result};

/// Lets a guest send from these addresses only: by IPv4 and ARP, by IPv6 and what that needs (a link-local address, and
/// none at all to look whether its own is free). All else that comes in by the cable is dropped, other protocols and
/// VLAN tags too. A rule that there was before for a cable of that name is replaced, in one transaction.
///
/// The rule may outlive the link (from Linux 6.16 on it does, and then holds for the next one of that name):
/// [`allow_all`] belongs to the end of a cable, and before the beginning of one without a rule.
///
/// The name is that of a link in the calling thread's network namespace, such as a cable's host end. Needs CAP_NET_ADMIN
/// and the kernel's `nf_tables`.
///
/// # Errors
/// [`Error::InvalidAddress`] for a multicast or zero address; what the kernel says.
pub fn allow_only(host_name: &LinkName, addresses: &[IpAddr]) -> Result<()> {
    for address in addresses {
        let why = match address {
            address if address.is_unspecified() => "is all zero, which no interface can have",
            address if address.is_multicast() => "is a multicast address, which no interface can have",
            _ => continue,
        };
        return Err(Error::InvalidAddress { text: address.to_string(), why });
    }
    // Newer kernels (6.16) would wait for a link of that name.
    if_nametoindex(host_name.as_str())
        .map_err(|errno| Error::os("find interface", host_name.as_str(), errno))?;
    transact(netfilter::allow_only(host_name.as_str(), addresses))
}

/// Takes the rule of a cable away, if there is one; the cable itself may be gone.
///
/// # Errors
/// What the kernel says.
pub fn allow_all(host_name: &LinkName) -> Result<()> {
    transact(netfilter::allow_all(host_name.as_str()))
}

fn transact(requests: Vec<Request>) -> Result<()> {
    Socket::open_netfilter()?.transact(&requests)?.into_iter().try_for_each(|answer| answer.map(drop))
}
