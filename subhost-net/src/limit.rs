//! Limits of what passes through a cable, for each direction.
//!
//! What goes to the guest is limited where it leaves by the host end, by a token bucket (`tc-tbf(8)`). What comes from it
//! is led through an intermediate device (`ifb`) first, which has such a bucket: on the host's side, where the guest
//! cannot take it away. The buckets go with the host end; the intermediate device is a link of its own, which stays
//! until [`lift`], or until the next limit for a cable of that name.

use nix::net::if_::if_nametoindex;

use crate::cable::Deleted;
use crate::name::{LinkName, shaper};
use crate::observe;
use crate::socket::Socket;
use crate::{Error, Result, message};

const IFB: &str = "ifb";

/// How long a frame may wait, in milliseconds: what comes when more than that is waiting is dropped.
const LATENCY_MS: u64 = 50;

/// The least burst: a frame of 64 KiB, as veth hands them over, passes whole.
const BURST_MIN: u64 = 64 * 1024;

/// How much may pass in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rate {
    /// In the long run, in bits per second; at least 8.
    pub bits_per_second: u64,
    /// At once, in bytes; none for what comes in 10 ms, and at least 64 KiB.
    pub burst_bytes: Option<u32>,
}

/// The limits of a cable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limits {
    /// For what the guest receives.
    pub to_guest: Option<Rate>,
    /// For what the guest sends.
    pub from_guest: Option<Rate>,
}

impl Rate {
    pub(crate) fn bytes_per_second(self) -> u64 {
        self.bits_per_second / 8
    }

    pub(crate) fn burst(self) -> u32 {
        let usual = (self.bytes_per_second() / 100).max(BURST_MIN);
        self.burst_bytes.unwrap_or_else(|| u32::try_from(usual).unwrap_or(u32::MAX))
    }

    /// How many bytes may wait.
    pub(crate) fn queue_bytes(self) -> u32 {
        let waiting = self.bytes_per_second().saturating_mul(LATENCY_MS) / 1000;
        u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(self.burst())
    }

    fn check(self) -> Result<()> {
        let why = match self {
            Rate { bits_per_second: 0..8, .. } => "less than a byte each second",
            Rate { burst_bytes: Some(0..1500), .. } => "a burst that no whole frame fits in",
            _ => return Ok(()),
        };
        Err(Error::InvalidRate { rate: self, why })
    }
}

/// Sets the limits of the cable whose host end, in the network namespace of the calling thread, has this ifindex and
/// name. It must have none yet: [`lift`] takes them away.
///
/// Needs CAP_NET_ADMIN, and the kernel's `sch_tbf`, `sch_ingress`, `cls_u32`, `act_mirred` and `ifb`.
///
/// # Errors
/// [`Error::InvalidRate`]; what the kernel says, and then no limit is set.
pub fn limit(host_ifindex: u32, host_name: &LinkName, limits: &Limits) -> Result<()> {
    [limits.to_guest, limits.from_guest].into_iter().flatten().try_for_each(Rate::check)?;
    let mut socket = Socket::open()?;
    match set(&mut socket, host_ifindex, host_name, limits) {
        Ok(()) => Ok(()),
        Err(first) => Err(match lift_all(&mut socket, host_ifindex, host_name) {
            Ok(_) => first,
            Err(cleanup) => Error::WithCleanup { first: Box::new(first), cleanup: Box::new(cleanup) },
        }),
    }
}

/// Takes the limits of a cable away, also where its host end is gone already.
///
/// # Errors
/// [`Error::NotThatLink`] if a link that is not ours has the name of the intermediate device; what the kernel says.
pub fn lift(host_ifindex: u32, host_name: &LinkName) -> Result<Deleted> {
    lift_all(&mut Socket::open()?, host_ifindex, host_name)
}

fn set(socket: &mut Socket, host_ifindex: u32, host_name: &LinkName, limits: &Limits) -> Result<()> {
    let name = host_name.as_str();
    if let Some(rate) = limits.to_guest {
        socket.request(message::add_bucket(host_ifindex, name, rate))?;
    }
    let Some(rate) = limits.from_guest else { return Ok(()) };
    // A cable of that name before this one may have left its own.
    remove_shaper(socket, host_name)?;
    let shaper = shaper(host_name)?;
    socket.request(message::create_ifb(&shaper.name))?;
    let index = if_nametoindex(shaper.name.as_str())
        .map_err(|errno| Error::os("find new link", shaper.name.as_str(), errno))?;
    let requests = [
        message::add_altname(index, &shaper.altname),
        message::add_bucket(index, shaper.name.as_str(), rate),
        message::set_up_without_ipv6_address(index, shaper.name.as_str()),
        message::add_ingress(host_ifindex, name),
        message::redirect_ingress(host_ifindex, name, index),
    ];
    socket.transact(&requests)?.into_iter().try_for_each(|answer| answer.map(drop))
}

fn lift_all(socket: &mut Socket, host_ifindex: u32, host_name: &LinkName) -> Result<Deleted> {
    let name = host_name.as_str();
    let requests = [message::delete_root(host_ifindex, name), message::delete_ingress(host_ifindex, name)];
    let mut deleted = Deleted::AlreadyGone;
    for answer in socket.transact(&requests)? {
        match answer {
            Ok(_) => deleted = Deleted::Deleted,
            // No such qdisc (which is ENOENT, or EINVAL for an ingress), or no such link.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)) => {}
            Err(error) => return Err(error),
        }
    }
    match remove_shaper(socket, host_name)? {
        Deleted::Deleted => Ok(Deleted::Deleted),
        Deleted::AlreadyGone => Ok(deleted),
    }
}

/// Deletes the intermediate device of a cable, once it is proved to be that.
fn remove_shaper(socket: &mut Socket, host_name: &LinkName) -> Result<Deleted> {
    let shaper = shaper(host_name)?;
    let answer = match socket.request(message::get_link_by_name(shaper.name.as_str())) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(Deleted::AlreadyGone),
        other => other?,
    };
    let Some(link) = observe::decode_link(&answer) else { return Ok(Deleted::AlreadyGone) };
    // Between its making and its altname somebody may have been killed.
    let ours = link.altnames.is_empty() || link.altnames.contains(&shaper.altname);
    if link.kind.as_deref() != Some(IFB) || !ours {
        let found = format!("`{}` ({})", link.name, link.kind.as_deref().unwrap_or("physical"));
        return Err(Error::NotThatLink { index: link.index, expected: shaper.altname, found });
    }
    match socket.request(message::delete_link(link.index, &link.name)) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(Deleted::AlreadyGone),
        other => other.map(|_| Deleted::Deleted),
    }
}
