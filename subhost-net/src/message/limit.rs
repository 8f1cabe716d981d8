//! Queueing disciplines and the filter that leads what comes in to another link.

use netlink_packet_core::{DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};
use rtnetlink::LinkIfb;

use super::{Request, attribute};
use crate::limit::Rate;
use crate::name::LinkName;

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TC_LINKLAYER_ETHERNET: u8 = 1;

const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TC_U32_TERMINAL: u8 = 1;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TC_ACT_STOLEN: u32 = 4;
const TCA_EGRESS_REDIR: u32 = 1;

const ROOT: TcHandle = TcHandle { major: 0xffff, minor: 0xffff };
/// Where the ingress qdisc is put, and what it is called.
const INGRESS: TcHandle = TcHandle { major: 0xffff, minor: 0xfff1 };
const INGRESS_HANDLE: TcHandle = TcHandle { major: 0xffff, minor: 0 };

/// The first filter, for frames of any protocol: ETH_P_ALL in network byte order.
const FIRST_OF_ALL: u32 = 1 << 16 | (0x0003_u16.to_be() as u32);

const CREATE: u16 = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;

/// Lets no more than the rate leave by the link.
pub(crate) fn add_bucket(index: u32, name: &str, rate: Rate) -> Request {
    let slow = u32::try_from(rate.bytes_per_second()).unwrap_or(u32::MAX);
    // struct tc_tbf_qopt: two struct tc_ratespec, of which the second one is for a peak rate, and three sizes.
    let mut parameters = vec![0, TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
    parameters.extend(slow.to_ne_bytes());
    parameters.extend([0; 12]);
    for size in [rate.queue_bytes(), 0, 0] {
        parameters.extend(size.to_ne_bytes());
    }
    let options = vec![
        option(TCA_TBF_PARMS, parameters),
        option(TCA_TBF_BURST, rate.burst().to_ne_bytes().to_vec()),
        option(TCA_TBF_RATE64, rate.bytes_per_second().to_ne_bytes().to_vec()),
    ];
    let message = with(TcHandle::default(), ROOT, index, "tbf", options);
    Request::new("limit what leaves by", name, CREATE, RouteNetlinkMessage::NewQueueDiscipline(message))
}

/// Lets filters see what comes in by the link.
pub(crate) fn add_ingress(index: u32, name: &str) -> Request {
    let message = with(INGRESS_HANDLE, INGRESS, index, "ingress", Vec::new());
    Request::new("filter what comes in by", name, CREATE, RouteNetlinkMessage::NewQueueDiscipline(message))
}

/// Leads all that comes in by a link out by another one.
pub(crate) fn redirect_ingress(index: u32, name: &str, to: u32) -> Request {
    // struct tc_u32_sel with one key that matches anything: mask, value, offset, offset mask.
    let mut selector = vec![TC_U32_TERMINAL, 0, 1];
    selector.resize(16 + 16, 0);
    // struct tc_mirred: index, capabilities, action, two counts, what to do, where to.
    let mirred: Vec<u8> =
        [0, 0, TC_ACT_STOLEN, 0, 0, TCA_EGRESS_REDIR, to].into_iter().flat_map(u32::to_ne_bytes).collect();
    let mut action = attribute(TCA_ACT_KIND, b"mirred\0");
    action.extend(attribute(TCA_ACT_OPTIONS, &attribute(TCA_MIRRED_PARMS, &mirred)));
    let options = vec![option(TCA_U32_SEL, selector), option(TCA_U32_ACT, attribute(1, &action))];
    let mut message = with(TcHandle::default(), INGRESS_HANDLE, index, "u32", options);
    message.header.info = FIRST_OF_ALL;
    Request::new("redirect what comes in by", name, CREATE, RouteNetlinkMessage::NewTrafficFilter(message))
}

/// Takes the limit of what leaves by the link away.
pub(crate) fn delete_root(index: u32, name: &str) -> Request {
    let message = with(TcHandle::default(), ROOT, index, "tbf", Vec::new());
    Request::new("lift the limit of", name, NLM_F_ACK, RouteNetlinkMessage::DelQueueDiscipline(message))
}

/// Takes the filters of what comes in by the link away.
pub(crate) fn delete_ingress(index: u32, name: &str) -> Request {
    let message = with(INGRESS_HANDLE, INGRESS, index, "ingress", Vec::new());
    Request::new("lift the filter of", name, NLM_F_ACK, RouteNetlinkMessage::DelQueueDiscipline(message))
}

/// Makes an intermediate device.
pub(crate) fn create_ifb(name: &LinkName) -> Request {
    let link = LinkIfb::new(name.as_str()).build();
    Request::new("create ifb", name.as_str(), CREATE, RouteNetlinkMessage::NewLink(link))
}

fn with(handle: TcHandle, parent: TcHandle, index: u32, kind: &str, options: Vec<TcOption>) -> TcMessage {
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.handle = handle;
    message.header.parent = parent;
    message.attributes.push(TcAttribute::Kind(kind.to_owned()));
    if !options.is_empty() {
        message.attributes.push(TcAttribute::Options(options));
    }
    message
}

fn option(kind: u16, value: Vec<u8>) -> TcOption {
    TcOption::Other(DefaultNla::new(kind, value))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::super::tests::{golden, hex};
    use super::*;

    #[test]
    fn bucket_has_its_rate_burst_and_queue() {
        let rate = Rate { bits_per_second: 8_000_000, burst_bytes: Some(10_000) };
        let expected = golden(
            "6c000000 2400 0506 07000000 00000000     # NEWQDISC, EXCL CREATE
             00 00 0000 09000000 00000000 ffffffff 00000000 # index 9, root
             0800 0100 74626600                       # KIND tbf
             4000 0200                                # OPTIONS
                 2800 0100                            # PARMS
                     0001 0000 0000 0000 40420f00     # ethernet, 1,000,000 bytes a second
                     0000 0000 0000 0000 00000000     # no peak rate
                     60ea0000 00000000 00000000       # limit 60,000: 50 ms and the burst
                 0800 0600 10270000                   # BURST 10,000
                 0c00 0400 40420f0000000000           # RATE64",
        );
        assert_eq!(hex(&add_bucket(9, "web0", rate)), expected);
    }

    #[test]
    fn all_that_comes_in_is_led_elsewhere() {
        let ingress = golden(
            "30000000 2400 0506 07000000 00000000
             00 00 0000 09000000 0000ffff f1ffffff 00000000
             0c00 0100 696e677265737300               # KIND ingress",
        );
        assert_eq!(hex(&add_ingress(9, "web0")), ingress);
        let redirect = golden(
            "8c000000 2c00 0506 07000000 00000000     # NEWTFILTER
             00 00 0000 09000000 00000000 0000ffff 00030100 # below ffff:, priority 1, any protocol
             0800 0100 75333200                       # KIND u32
             6000 0200                                # OPTIONS
                 2400 0500                            # SEL: terminal, one key that matches all
                     01 00 01 00 0000 0000 0000 0000 00000000
                     00000000 00000000 00000000 00000000
                 3800 0700                            # ACT
                     3400 0100                        # the first
                         0b00 0100 6d69727265640000   # KIND mirred
                         2400 0200                    # OPTIONS
                             2000 0200                # PARMS: stolen, redirect to 12
                                 00000000 00000000 04000000 00000000 00000000 01000000 0c000000",
        );
        let bytes = hex(&redirect_ingress(9, "web0", 12));
        assert_eq!(bytes, redirect);
    }

    #[test]
    fn what_was_set_is_taken_away_by_its_place() {
        let root = golden(
            "2c000000 2500 0500 07000000 00000000     # DELQDISC
             00 00 0000 09000000 00000000 ffffffff 00000000
             0800 0100 74626600                       # KIND tbf",
        );
        assert_eq!(hex(&delete_root(9, "web0")), root);
        let ingress = golden(
            "30000000 2500 0500 07000000 00000000
             00 00 0000 09000000 0000ffff f1ffffff 00000000
             0c00 0100 696e677265737300               # KIND ingress",
        );
        assert_eq!(hex(&delete_ingress(9, "web0")), ingress);
        let ifb = golden(
            "3c000000 1000 0506 07000000 00000000     # NEWLINK, EXCL CREATE
             00 00 0000 00000000 00000000 00000000
             0d00 0300 6966622d61626364 00000000 # IFNAME ifb-abcd
             0c00 1200 0800 0100 69666200             # LINKINFO: KIND ifb",
        );
        assert_eq!(hex(&create_ifb(&"ifb-abcd".parse().unwrap())), ifb);
    }
}
