//! Cables: veth pairs whose guest end is born in a network namespace and whose host end is on a bridge.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::Result;
use crate::mac::Mac;
use crate::name::LinkName;

/// A cable to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The ifindex of the bridge that the host end becomes a port of.
    pub bridge: Option<u32>,
}

/// A cable that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Makes all cables in one batch, or none.
pub fn create_all(netns: BorrowedFd<'_>, cables: &[Cable]) -> Result<Vec<CreatedCable>> {
    create_all_waiting(netns, cables, Duration::ZERO)
}

/// [`create_all`] that waits up to `wait_for_name` for names held by links that are just being deleted.
pub fn create_all_waiting(
    _netns: BorrowedFd<'_>,
    _cables: &[Cable],
    _wait_for_name: Duration,
) -> Result<Vec<CreatedCable>> {
    unimplemented!()
}

/// Deletes a cable by its host end, once the link with `ifindex` is proved to be a veth with this name and altname.
pub fn delete_host_end(_ifindex: u32, _name: &LinkName, _altname: Option<&str>) -> Result<Deleted> {
    unimplemented!()
}
