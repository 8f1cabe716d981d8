//! Addresses and routes of a guest's interfaces, set from outside before anything runs inside.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use nix::net::if_::if_nametoindex;

use crate::message::{self, Request};
use crate::name::LinkName;
use crate::netns::Netns;
use crate::socket::Socket;
use crate::{Error, Result};

const LOOPBACK: &str = "lo";

/// An IP address with the length of its network's prefix, as `192.0.2.7/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefixed {
    address: IpAddr,
    length: u8,
}

impl Prefixed {
    /// An address whose network's prefix has `length` bits.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`] for a length that is more than the address has.
    pub fn new(address: IpAddr, length: u8) -> Result<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if length > bits {
            let text = format!("{address}/{length}");
            return Err(Error::InvalidAddress { text, why: "has a longer prefix than the address is" });
        }
        Ok(Self { address, length })
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits of it are the network's.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether an interface can have it.
    fn check_of_interface(self) -> Result<()> {
        let why = match self.address {
            address if address.is_unspecified() => "is all zero, which no interface can have",
            address if address.is_multicast() => "is a multicast address, which no interface can have",
            _ => return Ok(()),
        };
        Err(Error::InvalidAddress { text: self.to_string(), why })
    }
}

impl fmt::Display for Prefixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// `ADDRESS/LENGTH` with the length in decimal digits.
impl FromStr for Prefixed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why| Error::InvalidAddress { text: text.to_owned(), why };
        let (address, length) = text.split_once('/').ok_or_else(|| refuse("has no /LENGTH of its prefix"))?;
        let address = address.parse().map_err(|_| refuse("is not an IPv4 or IPv6 address"))?;
        if length.is_empty() || length.len() > 3 || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refuse("has no number as length of its prefix"));
        }
        let length = length.parse().map_err(|_| refuse("has a longer prefix than the address is"))?;
        Self::new(address, length).map_err(|_| refuse("has a longer prefix than the address is"))
    }
}

/// A way to somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Route {
    /// Where to; bits behind the prefix are refused by the kernel. None for anywhere: the default route.
    pub to: Option<Prefixed>,
    /// The next hop; none if it is on the interface's own network.
    pub via: Option<IpAddr>,
    /// The interface; none where the next hop tells.
    pub interface: Option<LinkName>,
}

/// What a guest's network is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Setup {
    /// Addresses with the interface that gets each, which is brought up. IPv6 addresses are there at once, without a
    /// second of looking for duplicates.
    pub addresses: Vec<(LinkName, Prefixed)>,
    /// Routes, in the order in which they are added: the way to a next hop comes before it.
    pub routes: Vec<Route>,
    /// Further interfaces that are brought up.
    pub up: Vec<LinkName>,
}

/// Sets addresses and routes in a network namespace, where it brings `lo` up in any case.
///
/// All of it is one send, from a thread inside. The first refusal is the error, and the rest is done nevertheless: this
/// is for a namespace that is dropped then. Needs CAP_NET_ADMIN over it.
///
/// # Errors
/// [`Error::InvalidAddress`] before anything is done; [`Error::Os`] for an interface that is not there, or with the
/// kernel's words.
pub fn configure(netns: &Netns, setup: &Setup) -> Result<()> {
    setup.addresses.iter().try_for_each(|(_, address)| address.check_of_interface())?;
    for route in &setup.routes {
        if let (Some(to), Some(via)) = (route.to, route.via)
            && to.address.is_ipv4() != via.is_ipv4()
        {
            return Err(Error::InvalidAddress {
                text: via.to_string(),
                why: "is of another family than its route",
            });
        }
    }
    netns.run_inside(|| {
        let mut requests = vec![message::set_up(index_of(LOOPBACK)?, LOOPBACK)];
        let mut up: Vec<&LinkName> = Vec::new();
        for name in setup.addresses.iter().map(|(name, _)| name).chain(&setup.up) {
            if !up.contains(&name) {
                up.push(name);
                requests.push(message::set_up(index_of(name.as_str())?, name.as_str()));
            }
        }
        for (name, address) in &setup.addresses {
            requests.push(message::add_address(index_of(name.as_str())?, name.as_str(), *address));
        }
        for route in &setup.routes {
            requests.push(route.request()?);
        }
        Socket::open()?.transact(&requests)?.into_iter().try_for_each(|answer| answer.map(drop))
    })?
}

impl Route {
    fn request(&self) -> Result<Request> {
        let interface = self.interface.as_ref().map(|name| index_of(name.as_str())).transpose()?;
        if self.via.is_none() && interface.is_none() {
            let text = self.to.map_or_else(|| "default".to_owned(), |to| to.to_string());
            return Err(Error::InvalidAddress {
                text,
                why: "is a route without a next hop and an interface",
            });
        }
        Ok(message::add_route(self, interface))
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) => write!(f, "{to}")?,
            None => f.write_str("default")?,
        }
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        match &self.interface {
            Some(interface) => write!(f, " dev {interface}"),
            None => Ok(()),
        }
    }
}

fn index_of(name: &str) -> Result<u32> {
    if_nametoindex(name).map_err(|errno| Error::os("find interface", name, errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_addresses_with_their_prefix() {
        for text in ["192.0.2.7/24", "0.0.0.0/0", "10.0.0.1/32", "2001:db8::1/64", "::/0", "fe80::1/128"] {
            assert_eq!(text.parse::<Prefixed>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_none_and_says_why() {
        for (text, why) in [
            ("192.0.2.7", "has no /LENGTH of its prefix"),
            ("192.0.2.7/", "has no number as length of its prefix"),
            ("192.0.2.7/33", "has a longer prefix than the address is"),
            ("2001:db8::1/129", "has a longer prefix than the address is"),
            ("192.0.2.7/999", "has a longer prefix than the address is"),
            ("192.0.2.7/+4", "has no number as length of its prefix"),
            ("192.0.2/24", "is not an IPv4 or IPv6 address"),
            ("192.0.2.7;flush ruleset/24", "is not an IPv4 or IPv6 address"),
            ("192.0.2.7 /24", "is not an IPv4 or IPv6 address"),
            ("}/24", "is not an IPv4 or IPv6 address"),
        ] {
            assert_eq!(text.parse::<Prefixed>().unwrap_err().to_string(), format!("address `{text}`: {why}"));
        }
    }
}
