//! Addresses and routes.

use std::net::IpAddr;

use super::{AF_INET6, CREATE, NLM_F_ACK, NLM_F_DUMP, Request, attribute, number};
use crate::address::{Prefixed, Route};

// linux/rtnetlink.h, linux/if_addr.h
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;

const AF_INET: u8 = 2;

/// Gives an interface an address.
pub(crate) fn add_address(index: u32, name: &str, prefixed: Prefixed) -> Request {
    let mut body = address(index, prefixed);
    if prefixed.address().is_ipv6() {
        body.extend(number(IFA_FLAGS, IFA_F_NODAD));
    }
    Request::new("add address", format!("{prefixed} to {name}"), CREATE, RTM_NEWADDR, body)
}

/// Takes an address from an interface.
pub(crate) fn delete_address(index: u32, prefixed: Prefixed) -> Request {
    let object = format!("{prefixed} of interface {index}");
    Request::new("delete address", object, NLM_F_ACK, RTM_DELADDR, address(index, prefixed))
}

/// An address with its network.
fn address(index: u32, prefixed: Prefixed) -> Vec<u8> {
    let octets = octets(prefixed.address());
    let broadcast = match prefixed.address() {
        IpAddr::V4(ip) if prefixed.length() < 31 => {
            let broadcast = u32::MAX >> prefixed.length() | u32::from(ip);
            attribute(IFA_BROADCAST, &broadcast.to_be_bytes())
        }
        _ => Vec::new(),
    };
    // struct ifaddrmsg: family, length, flags, scope, index.
    let head = [family(prefixed.address()), prefixed.length(), 0, RT_SCOPE_UNIVERSE];
    let index = index.to_ne_bytes();
    [&head[..], &index, &attribute(IFA_ADDRESS, &octets), &attribute(IFA_LOCAL, &octets), &broadcast].concat()
}

/// Adds a route.
pub(crate) fn add_route(route: &Route, interface: Option<u32>) -> Request {
    let family = route.to.map(|to| to.address()).or(route.via).map_or(AF_INET, family);
    // What is reached without a next hop is on the network itself.
    let scope = if route.via.is_some() { RT_SCOPE_UNIVERSE } else { RT_SCOPE_LINK };
    let length = route.to.map_or(0, |to| to.length());
    // struct rtmsg: family, two lengths, type of service, table, protocol, scope, type, flags.
    let mut body = vec![family, length, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST, 0, 0, 0, 0];
    body.extend(route.to.into_iter().flat_map(|to| attribute(RTA_DST, &octets(to.address()))));
    body.extend(route.via.into_iter().flat_map(|via| attribute(RTA_GATEWAY, &octets(via))));
    body.extend(interface.into_iter().flat_map(|index| number(RTA_OIF, index)));
    Request::new("add route", route.to_string(), CREATE, RTM_NEWROUTE, body)
}

/// Asks for all addresses.
pub(crate) fn dump_addresses() -> Request {
    Request::new("read addresses", "of this network namespace", NLM_F_DUMP, RTM_GETADDR, vec![0; 8])
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::super::tests::{golden, hex};
    use super::*;

    #[test]
    fn addresses_have_their_broadcast_or_no_look_for_duplicates() {
        let v4 = golden(
            "30000000 1400 0506 07000000 00000000     # NEWADDR, EXCL CREATE
             02 18 00 00 09000000                     # AF_INET, 24 bits, index 9
             0800 0100 c0000207                       # ADDRESS 192.0.2.7
             0800 0200 c0000207                       # LOCAL
             0800 0400 c00002ff                       # BROADCAST 192.0.2.255",
        );
        assert_eq!(hex(&add_address(9, "eth0", "192.0.2.7/24".parse().unwrap())), v4);
        let v6 = golden(
            "48000000 1400 0506 07000000 00000000
             0a 40 00 00 09000000                     # AF_INET6, 64 bits
             1400 0100 20010db8000000000000000000000007
             1400 0200 20010db8000000000000000000000007
             0800 0800 02000000                       # FLAGS NODAD",
        );
        assert_eq!(hex(&add_address(9, "eth0", "2001:db8::7/64".parse().unwrap())), v6);
    }

    #[test]
    fn routes_say_no_more_than_they_were_told() {
        let default = Route { to: None, via: Some("192.0.2.1".parse().unwrap()), interface: None };
        let expected = golden(
            "24000000 1800 0506 07000000 00000000     # NEWROUTE, EXCL CREATE
             02 00 00 00 fe 04 00 01 00000000         # AF_INET, main table, static, universe, unicast
             0800 0500 c0000201                       # GATEWAY",
        );
        assert_eq!(hex(&add_route(&default, None)), expected);
        let on_link = Route { to: Some("10.9.0.0/16".parse().unwrap()), via: None, interface: None };
        let expected = golden(
            "2c000000 1800 0506 07000000 00000000
             02 10 00 00 fe 04 fd 01 00000000         # 16 bits, scope link
             0800 0100 0a090000                       # DST
             0800 0400 09000000                       # OIF 9",
        );
        assert_eq!(hex(&add_route(&on_link, Some(9))), expected);
    }
}
