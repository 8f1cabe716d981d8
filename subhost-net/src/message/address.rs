//! Addresses and routes.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{AddressMessageBuilder, RouteMessageBuilder};

use super::Request;
use crate::address::{Prefixed, Route};

/// Gives an interface an address.
pub(crate) fn add_address(index: u32, name: &str, address: Prefixed) -> Request {
    let length = address.length();
    let message = match address.address() {
        IpAddr::V4(ip) => {
            AddressMessageBuilder::<std::net::Ipv4Addr>::new().index(index).address(ip, length).build()
        }
        IpAddr::V6(ip) => {
            let mut message =
                AddressMessageBuilder::<std::net::Ipv6Addr>::new().index(index).address(ip, length).build();
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            message
        }
    };
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    let object = format!("{address} to {name}");
    Request::new("add address", object, flags, RouteNetlinkMessage::NewAddress(message))
}

/// Takes an address from an interface.
pub(crate) fn delete_address(index: u32, address: Prefixed) -> Request {
    let length = address.length();
    let message = match address.address() {
        IpAddr::V4(ip) => {
            AddressMessageBuilder::<std::net::Ipv4Addr>::new().index(index).address(ip, length).build()
        }
        IpAddr::V6(ip) => {
            AddressMessageBuilder::<std::net::Ipv6Addr>::new().index(index).address(ip, length).build()
        }
    };
    let object = format!("{address} of interface {index}");
    Request::new("delete address", object, NLM_F_ACK, RouteNetlinkMessage::DelAddress(message))
}

/// Adds a route.
pub(crate) fn add_route(route: &Route, interface: Option<u32>) -> Request {
    let is_v4 = match (route.to, route.via) {
        (Some(to), _) => to.address().is_ipv4(),
        (None, Some(via)) => via.is_ipv4(),
        (None, None) => true,
    };
    let mut message = if is_v4 {
        RouteMessageBuilder::<std::net::Ipv4Addr>::new().build()
    } else {
        RouteMessageBuilder::<std::net::Ipv6Addr>::new().build()
    };
    fill(&mut message, route, interface);
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    Request::new("add route", route.to_string(), flags, RouteNetlinkMessage::NewRoute(message))
}

fn fill(message: &mut RouteMessage, route: &Route, interface: Option<u32>) {
    use netlink_packet_route::route::RouteAttribute;
    if let Some(to) = route.to {
        message.header.destination_prefix_length = to.length();
        message.attributes.push(RouteAttribute::Destination(to.address().into()));
    }
    match route.via {
        Some(via) => message.attributes.push(RouteAttribute::Gateway(via.into())),
        // What is reached without a next hop is on the network itself.
        None => message.header.scope = RouteScope::Link,
    }
    message.attributes.extend(interface.map(RouteAttribute::Oif));
}

/// Asks for all addresses.
pub(crate) fn dump_addresses() -> Request {
    let mut message = AddressMessage::default();
    message.header.scope = AddressScope::Universe;
    let object = "of this network namespace";
    Request::new("read addresses", object, NLM_F_DUMP, RouteNetlinkMessage::GetAddress(message))
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
