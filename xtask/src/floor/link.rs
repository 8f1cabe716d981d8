//! One netlink message: a veth pair, its host end up on a bridge, its other end born in another namespace.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/veth.h
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST_ACK_EXCL_CREATE: u16 = 0x1 | 0x4 | 0x200 | 0x400;
const NLMSG_ERROR: u16 = 2;
const IFF_UP: u32 = 1;
const NLA_F_NESTED: u16 = 0x8000;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;

/// A socket to the kernel's network configuration.
pub(super) fn socket() -> Result<OwnedFd> {
    // NETLINK_ROUTE is 0, the protocol that none stands for.
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
}

/// Whose network namespace the guest's end is born in.
pub(super) enum Peer {
    /// A process, by its pid as the sender sees it.
    Pid(u32),
    /// The namespace behind a descriptor of the sender.
    Fd(u32),
}

/// The message that makes the pair `floorN` and `ethN`.
pub(super) fn cable(bridge: u32, index: usize, mac: [u8; 6], namespace: Peer) -> Vec<u8> {
    let mut peer = vec![0; 16];
    attribute(&mut peer, IFLA_IFNAME, &terminated(&format!("eth{index}")));
    attribute(&mut peer, IFLA_ADDRESS, &mac);
    match namespace {
        Peer::Pid(pid) => attribute(&mut peer, IFLA_NET_NS_PID, &pid.to_ne_bytes()),
        Peer::Fd(fd) => attribute(&mut peer, IFLA_NET_NS_FD, &fd.to_ne_bytes()),
    }
    let mut data = Vec::new();
    attribute(&mut data, VETH_INFO_PEER | NLA_F_NESTED, &peer);
    let mut info = Vec::new();
    attribute(&mut info, IFLA_INFO_KIND, b"veth\0");
    attribute(&mut info, IFLA_INFO_DATA | NLA_F_NESTED, &data);

    let mut body = Vec::new();
    // ifinfomsg: family, type and index are zero.
    body.extend([0; 8]);
    body.extend(IFF_UP.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    attribute(&mut body, IFLA_IFNAME, &terminated(&format!("floor{index}")));
    attribute(&mut body, IFLA_MASTER, &bridge.to_ne_bytes());
    attribute(&mut body, IFLA_LINKINFO | NLA_F_NESTED, &info);

    let mut message = u32::try_from(16 + body.len()).unwrap_or(0).to_ne_bytes().to_vec();
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_ACK_EXCL_CREATE.to_ne_bytes());
    // Sequence number and port are not looked at.
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// Sends a message and takes its acknowledgement. Allocates nothing.
pub(super) fn transact(socket: impl AsFd, message: &[u8]) -> Result<()> {
    send(&socket, message, SendFlags::empty())?;
    let mut answer = [0; 1024];
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    let is_error = length >= 20 && answer[4..6] == NLMSG_ERROR.to_ne_bytes();
    match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 if is_error => Ok(()),
        error if is_error => Err(Errno::from_raw_os_error(-error)),
        _ => Err(Errno::BADMSG),
    }
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

/// Length and type, then the value, padded to four bytes.
fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(u16::try_from(4 + value.len()).unwrap_or(0).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}
