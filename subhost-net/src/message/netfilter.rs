//! The few objects of nf_tables that a rule for addresses is made of (include/uapi/linux/netfilter/nf_tables.h).
//! Numbers are in network byte order there.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE};

use super::{Request, attribute};

const NFPROTO_NETDEV: u8 = 5;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_HOOK_DEV: u16 = 3;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;

const NF_NETDEV_INGRESS: u32 = 0;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NFT_REG_VERDICT: u32 = 0;
const NFT_REG_1: u32 = 1;
const NFT_META_PROTOCOL: u32 = 1;
const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
const NFT_CMP_EQ: u32 = 0;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;

/// Where the sender's address is: in an IPv4 header, in an ARP packet for IPv4 over Ethernet, in an IPv6 header.
const IPV4_SOURCE: u32 = 12;
const ARP_SENDER: u32 = 14;
const IPV6_SOURCE: u32 = 8;

/// The network of all link-local addresses, as far as they are used: `fe80::/64`.
const LINK_LOCAL: [u8; 8] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0];

/// What is nested is marked as such.
const NLA_F_NESTED: u16 = 0x8000;

const CHAIN: &str = "from-guest";

/// One transaction that lets only frames from these addresses in by the link.
pub(crate) fn allow_only(link: &str, addresses: &[IpAddr]) -> Vec<Request> {
    let mut requests = vec![new_table(link), delete_table(link), new_table(link), new_chain(link)];
    let mut accept = |protocol, offset, source: &[u8]| requests.push(accept(link, protocol, offset, source));
    for address in addresses {
        match address {
            IpAddr::V4(address) => {
                accept(ETH_P_IP, IPV4_SOURCE, &address.octets());
                accept(ETH_P_ARP, ARP_SENDER, &address.octets());
            }
            IpAddr::V6(address) => accept(ETH_P_IPV6, IPV6_SOURCE, &address.octets()),
        }
    }
    // Who asks whether an address is free has none yet.
    if addresses.iter().any(IpAddr::is_ipv4) {
        accept(ETH_P_ARP, ARP_SENDER, &[0; 4]);
    }
    if addresses.iter().any(IpAddr::is_ipv6) {
        accept(ETH_P_IPV6, IPV6_SOURCE, &[0; 16]);
        accept(ETH_P_IPV6, IPV6_SOURCE, &LINK_LOCAL);
    }
    transaction(link, requests)
}

/// One transaction after which there is no rule for the link. Made first, its table is there to be deleted.
pub(crate) fn allow_all(link: &str) -> Vec<Request> {
    transaction(link, vec![new_table(link), delete_table(link)])
}

/// One transaction after which there is no table at all in the network namespace.
pub(crate) fn delete_all() -> Vec<Request> {
    let body = header(0, 0);
    let delete = Request::raw(
        "delete all nftables tables of",
        "this network namespace",
        NLM_F_ACK,
        NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE,
        body,
    );
    transaction("this network namespace", vec![delete])
}

fn transaction(link: &str, requests: Vec<Request>) -> Vec<Request> {
    let mark = |kind| {
        let body = header(0, NFNL_SUBSYS_NFTABLES);
        // Without an acknowledgement: the kernel refuses a mark only where it refuses all.
        Request::raw("change nftables for", link, 0, kind, body)
    };
    let mut all = vec![mark(NFNL_MSG_BATCH_BEGIN)];
    all.extend(requests);
    all.push(mark(NFNL_MSG_BATCH_END));
    all
}

fn table_name(link: &str) -> Vec<u8> {
    format!("subhost-{link}\0").into_bytes()
}

fn new_table(link: &str) -> Request {
    let body = attribute(NFTA_TABLE_NAME, &table_name(link));
    object("create nftables table for", link, NLM_F_CREATE, NFT_MSG_NEWTABLE, &body)
}

fn delete_table(link: &str) -> Request {
    let body = attribute(NFTA_TABLE_NAME, &table_name(link));
    object("delete nftables table for", link, 0, NFT_MSG_DELTABLE, &body)
}

/// A chain where frames come in by the link, which drops what no rule accepts.
fn new_chain(link: &str) -> Request {
    let hook = [
        number(NFTA_HOOK_HOOKNUM, NF_NETDEV_INGRESS),
        number(NFTA_HOOK_PRIORITY, 0),
        attribute(NFTA_HOOK_DEV, &[link.as_bytes(), b"\0"].concat()),
    ];
    let body = [
        attribute(NFTA_CHAIN_TABLE, &table_name(link)),
        text(NFTA_CHAIN_NAME, CHAIN),
        nested(NFTA_CHAIN_HOOK, &hook),
        number(NFTA_CHAIN_POLICY, NF_DROP),
        text(NFTA_CHAIN_TYPE, "filter"),
    ];
    object("create nftables chain for", link, NLM_F_CREATE, NFT_MSG_NEWCHAIN, &body.concat())
}

/// Accepts frames of a protocol that have these bytes at this place of its header.
fn accept(link: &str, protocol: u16, offset: u32, source: &[u8]) -> Request {
    let length = u32::try_from(source.len()).unwrap_or(u32::MAX);
    let verdict = nested(NFTA_DATA_VERDICT, &[number(1, NF_ACCEPT)]);
    let expressions = [
        expression("meta", &[number(1, NFT_REG_1), number(2, NFT_META_PROTOCOL)]),
        compare(&protocol.to_be_bytes()),
        expression(
            "payload",
            &[
                number(1, NFT_REG_1),
                number(2, NFT_PAYLOAD_NETWORK_HEADER),
                number(3, offset),
                number(4, length),
            ],
        ),
        compare(source),
        expression("immediate", &[number(1, NFT_REG_VERDICT), nested(2, &[verdict])]),
    ];
    let body = [
        attribute(NFTA_RULE_TABLE, &table_name(link)),
        text(NFTA_RULE_CHAIN, CHAIN),
        nested(NFTA_RULE_EXPRESSIONS, &expressions),
    ];
    object("create nftables rule for", link, NLM_F_CREATE | NLM_F_APPEND, NFT_MSG_NEWRULE, &body.concat())
}

fn compare(value: &[u8]) -> Vec<u8> {
    let value = nested(3, &[attribute(NFTA_DATA_VALUE, value)]);
    expression("cmp", &[number(1, NFT_REG_1), number(2, NFT_CMP_EQ), value])
}

fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
    nested(NFTA_LIST_ELEM, &[text(NFTA_EXPR_NAME, name), nested(NFTA_EXPR_DATA, data)])
}

fn object(operation: &'static str, link: &str, flags: u16, kind: u16, attributes: &[u8]) -> Request {
    let mut body = header(NFPROTO_NETDEV, 0);
    body.extend(attributes);
    Request::raw(operation, link, NLM_F_ACK | flags, NFNL_SUBSYS_NFTABLES << 8 | kind, body)
}

/// struct nfgenmsg: family, version 0, and a number in network byte order.
fn header(family: u8, resource: u16) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    vec![family, 0, high, low]
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), b"\0"].concat())
}

fn nested(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, &attributes.concat())
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::super::tests::{golden, hex};
    use super::*;

    #[test]
    fn transaction_begins_anew_and_ends() {
        let requests = allow_only("web0", &["192.0.2.7".parse().unwrap()]);
        let operations: Vec<_> = requests.iter().map(|request| request.operation).collect();
        assert_eq!(
            operations,
            [
                "change nftables for",
                "create nftables table for",
                "delete nftables table for",
                "create nftables table for",
                "create nftables chain for",
                "create nftables rule for",
                "create nftables rule for",
                "create nftables rule for",
                "change nftables for",
            ]
        );
        assert_eq!(hex(&requests[0]), golden("14000000 1000 0100 07000000 00000000 00 00 000a"));
        assert_eq!(hex(&requests[8]), golden("14000000 1100 0100 07000000 00000000 00 00 000a"));
        let table = golden(
            "28000000 000a 0504 07000000 00000000     # NFT_MSG_NEWTABLE, ACK CREATE
             05 00 0000                               # netdev
             1100 0100 737562686f73742d77656230 00 000000 # NAME subhost-web0",
        );
        assert_eq!(hex(&requests[1]), table);
    }

    #[test]
    fn chain_drops_what_no_rule_accepts() {
        let expected = golden(
            "6c000000 030a 0504 07000000 00000000     # NFT_MSG_NEWCHAIN
             05 00 0000
             1100 0100 737562686f73742d77656230 00 000000 # TABLE
             0f00 0300 66726f6d2d6775657374 00 00     # NAME from-guest
             2000 0480                                # HOOK
                 0800 0100 00000000                   # ingress
                 0800 0200 00000000                   # priority 0
                 0900 0300 77656230 00 000000         # DEV web0
             0800 0500 00000000                       # POLICY drop
             0b00 0700 66696c746572 00 00             # TYPE filter",
        );
        assert_eq!(hex(&new_chain("web0")), expected);
    }

    #[test]
    fn rule_compares_protocol_and_source() {
        let body = golden(
            "2400 0180                                # meta: protocol to register 1
                 0900 0100 6d657461 00 000000
                 1400 0280 0800 0100 00000001 0800 0200 00000001
             2c00 0180                                # cmp: equal 0800
                 0800 0100 636d7000
                 2000 0280 0800 0100 00000001 0800 0200 00000000 0c00 0380 0600 0100 0800 0000
             3400 0180                                # payload: 4 bytes at 12 of the network header
                 0c00 0100 7061796c6f616400
                 2400 0280 0800 0100 00000001 0800 0200 00000001 0800 0300 0000000c 0800 0400 00000004
             2c00 0180                                # cmp: equal 192.0.2.7
                 0800 0100 636d7000
                 2000 0280 0800 0100 00000001 0800 0200 00000000 0c00 0380 0800 0100 c0000207
             3000 0180                                # immediate: accept
                 0e00 0100 696d6d656469617465 00 0000
                 1c00 0280 0800 0100 00000000 1000 0280 0c00 0280 0800 0100 00000001",
        );
        let rule = hex(&accept("web0", ETH_P_IP, IPV4_SOURCE, &[192, 0, 2, 7]));
        assert!(rule.ends_with(&body), "{rule}\n{body}");
    }
}
