//! Addresses of the guest: `ADDRESSES`, `ROUTES`, `GATEWAY`, `DNS`.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::spec_error::SpecError;
use crate::code;

/// An address of one of the guest's cables: an element of `ADDRESSES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressSpec {
    /// Which cable, from 0: the number behind `eth`.
    pub cable: u32,
    /// The address.
    pub address: IpAddr,
    /// How many bits of it name the network.
    pub prefix_len: u8,
}

impl AddressSpec {
    /// Reads `ethN=address/prefix`, or `address/prefix` for `eth0`.
    pub fn parse(text: &[u8]) -> Result<Self, SpecError> {
        const FORM: &str = "write `address/prefix` for eth0, else as in `eth1=192.0.2.7/24`";
        let wrong = |message: &str| SpecError::about(code::SETTING_VALUE, text, message).with_hint(FORM);
        let whole = std::str::from_utf8(text).map_err(|_| wrong("is not an address"))?;
        let (cable, rest) = match whole.split_once('=') {
            None => (0, whole),
            Some((card, rest)) => {
                let number = card.strip_prefix("eth").and_then(read_number);
                (number.ok_or_else(|| wrong("does not begin with a card of the guest"))?, rest)
            }
        };
        let (address, prefix_len) =
            read_network(rest).ok_or_else(|| wrong("is not an address with its prefix"))?;
        if address.is_multicast() || address.is_unspecified() {
            return Err(wrong("is not an address that a card can have"));
        }
        Ok(Self { cable, address, prefix_len })
    }
}

impl fmt::Display for AddressSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "eth{}={}/{}", self.cable, self.address, self.prefix_len)
    }
}

/// A route of the guest: an element of `ROUTES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteSpec {
    /// The network's address; what the prefix does not cover is zero.
    pub destination: IpAddr,
    /// How many bits of it name the network.
    pub prefix_len: u8,
    /// Who forwards, of the same family.
    pub gateway: IpAddr,
}

impl RouteSpec {
    /// Reads `network/prefix=gateway`.
    pub fn parse(text: &[u8]) -> Result<Self, SpecError> {
        const FORM: &str =
            "write `network/prefix=gateway`, as in `10.8.0.0/16=192.0.2.1`; the default route is GATEWAY";
        let wrong = |message: &str| SpecError::about(code::SETTING_VALUE, text, message).with_hint(FORM);
        let parts = std::str::from_utf8(text).ok().and_then(|text| text.split_once('='));
        let read = parts
            .and_then(|(network, gateway)| Some((read_network(network)?, host(gateway.as_bytes()).ok()?)));
        let Some(((destination, prefix_len), gateway)) = read else {
            return Err(wrong("is not a route"));
        };
        if destination.is_ipv4() != gateway.is_ipv4() {
            return Err(wrong("mixes IPv4 and IPv6"));
        }
        if destination != network_of(destination, prefix_len) {
            let network = network_of(destination, prefix_len);
            return Err(wrong("has bits set behind its prefix")
                .with_hint(format!("the network is {network}/{prefix_len}")));
        }
        Ok(Self { destination, prefix_len, gateway })
    }
}

impl fmt::Display for RouteSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}={}", self.destination, self.prefix_len, self.gateway)
    }
}

/// The address of a host.
pub(super) fn host(text: &[u8]) -> Result<IpAddr, SpecError> {
    let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
    match address {
        Some(address) if !address.is_multicast() && !address.is_unspecified() => Ok(address),
        _ => {
            let hint = "write an address without a prefix: 192.0.2.1, 2001:db8::1";
            Err(SpecError::about(code::SETTING_VALUE, text, "is not an address of a host").with_hint(hint))
        }
    }
}

/// One address twice.
pub(super) fn check_addresses(addresses: &[AddressSpec]) -> Vec<(usize, SpecError)> {
    let mut seen = BTreeSet::new();
    let repeated = addresses.iter().enumerate().filter(|(_, it)| !seen.insert(it.address));
    repeated.map(|(position, it)| (position, conflict(format!("{} is given twice", it.address)))).collect()
}

/// Two gateways of one family.
pub(super) fn check_gateways(gateways: &[IpAddr]) -> Vec<(usize, SpecError)> {
    let mut seen = BTreeSet::new();
    let repeated = gateways.iter().enumerate().filter(|(_, it)| !seen.insert(it.is_ipv4()));
    repeated
        .map(|(position, it)| (position, conflict(format!("{it} is a second gateway of its family"))))
        .collect()
}

/// Two routes to one network.
pub(super) fn check_routes(routes: &[RouteSpec]) -> Vec<(usize, SpecError)> {
    let mut seen = BTreeSet::new();
    let repeated = routes.iter().enumerate().filter(|(_, it)| !seen.insert((it.destination, it.prefix_len)));
    let message = |it: &RouteSpec| format!("{}/{} has two routes", it.destination, it.prefix_len);
    repeated.map(|(position, it)| (position, conflict(message(it)))).collect()
}

fn conflict(message: String) -> SpecError {
    SpecError::new(code::SETTING_CONFLICT, message)
}

fn read_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let prefix_len = u8::try_from(read_number(prefix)?).ok()?;
    (prefix_len <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, prefix_len))
}

/// Digits alone, without leading zeros.
fn read_number(text: &str) -> Option<u32> {
    let is_number =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if is_number { text.parse().ok() } else { None }
}

fn network_of(address: IpAddr, prefix_len: u8) -> IpAddr {
    let kept = u32::from(prefix_len);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(kept)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(kept)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_writes_the_same() {
        for (text, shown) in [
            ("192.0.2.7/24", "eth0=192.0.2.7/24"),
            ("eth1=192.0.2.7/32", "eth1=192.0.2.7/32"),
            ("eth10=2001:db8::7/64", "eth10=2001:db8::7/64"),
        ] {
            let read = AddressSpec::parse(text.as_bytes()).unwrap();
            assert_eq!(read.to_string(), shown);
            assert_eq!(AddressSpec::parse(shown.as_bytes()), Ok(read));
        }
        for text in [
            "",
            "192.0.2.7",
            "192.0.2.7/33",
            "2001:db8::/129",
            "eth=192.0.2.7/24",
            "eth01=192.0.2.7/24",
            "web0=192.0.2.7/24",
            "192.0.2.300/24",
            "0.0.0.0/0",
            "224.0.0.1/4",
            "192.0.2.7/+24",
            "192.0.2.7/",
        ] {
            assert!(AddressSpec::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_routes_and_writes_the_same() {
        for text in
            ["10.8.0.0/16=192.0.2.1", "2001:db8::/32=fe80::1", "10.0.0.1/32=10.0.0.2", "0.0.0.0/0=10.0.0.2"]
        {
            assert_eq!(RouteSpec::parse(text.as_bytes()).unwrap().to_string(), text);
        }
        let error = RouteSpec::parse(b"10.8.3.0/16=192.0.2.1").unwrap_err();
        assert_eq!(error.hint(), Some("the network is 10.8.0.0/16"));
        for text in
            ["", "10.8.0.0/16", "10.8.0.0=192.0.2.1", "default=192.0.2.1", "10.8.0.0/16=fe80::1", "::/0=::"]
        {
            assert!(RouteSpec::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_hosts_and_finds_what_is_there_twice() {
        assert!(host(b"192.0.2.1").is_ok() && host(b"2001:db8::1").is_ok());
        for text in ["", "192.0.2.1/24", "router", "0.0.0.0", "ff02::1"] {
            assert!(host(text.as_bytes()).is_err(), "{text}");
        }
        let hosts = ["192.0.2.1", "2001:db8::1", "192.0.2.2"].map(|text| host(text.as_bytes()).unwrap());
        assert_eq!(check_gateways(&hosts)[0].1.to_string(), "192.0.2.2 is a second gateway of its family");
        let address = |text: &str| AddressSpec::parse(text.as_bytes()).unwrap();
        assert_eq!(check_addresses(&[address("192.0.2.1/24"), address("eth1=192.0.2.1/16")])[0].0, 1);
        let route = |text: &str| RouteSpec::parse(text.as_bytes()).unwrap();
        assert_eq!(check_routes(&[route("10.0.0.0/8=192.0.2.1"), route("10.0.0.0/8=192.0.2.2")])[0].0, 1);
    }
}
